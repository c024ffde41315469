"""How long the command line takes to answer: help, version, help of a command, and the check of a config.

Each in a process of its own, warm, and cold: the files of Python and its packages driven out of the page cache before
(as far as no other process uses them). Beside them an interpreter that does nothing, which the ratios are over.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benches.harness import Options, Result, command, interleaved, over, ratio, result

PROGRAM = ("-m", "stream_monitor.cli.main")
CONFIG = 'models: [{name: credit, task: binary, positive_class: "1"}]\n'
MUST_SECONDS, AIM_SECONDS = 0.5, 0.2  # of `--help`
COLD_ROUNDS = 3


def run(options: Options) -> Result:
    with TemporaryDirectory(prefix="stream-monitor-bench-") as folder:
        config = Path(folder) / "monitor.yaml"
        config.write_text(CONFIG)
        words: dict[str, Sequence[str]] = {
            "python": ("-c", "pass"),
            "help": (*PROGRAM, "--help"),
            "version": (*PROGRAM, "--version"),
            "run_help": (*PROGRAM, "run", "--help"),
            "validate": (*PROGRAM, "validate", "-c", str(config)),
        }
        cold = interleaved(
            options,
            {f"{name}, cold": lambda number, given=given: _cold(given) for name, given in words.items()},
            rounds=1 if options.quick else COLD_ROUNDS,
        )
        warm = interleaved(
            options, {name: lambda number, given=given: _seconds(given) for name, given in words.items()}
        )
    return result(
        figures={f"{name} s": seconds for name, seconds in (warm | cold).items()},
        ratios={
            "help_of_must": ratio(
                [each / MUST_SECONDS for each in warm["help"]], "lower", must=1.0, aim=AIM_SECONDS / MUST_SECONDS
            ),
            **{
                f"{name}_of_python": ratio(over(warm[name], warm["python"]), "lower")
                for name in words
                if name != "python"
            },
        },
    )


def _seconds(words: Sequence[str]) -> float:
    began = time.perf_counter()
    command([sys.executable, *words])
    return time.perf_counter() - began


def _cold(words: Sequence[str]) -> float:
    for folder in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}:
        for parent, _, names in os.walk(folder):
            for name in names:
                _forget(os.path.join(parent, name))
    for file in Path(__file__).parent.parent.joinpath("stream_monitor").rglob("*.*"):
        _forget(str(file))
    return _seconds(words)


def _forget(file: str) -> None:
    try:
        opened = os.open(file, os.O_RDONLY)
    except OSError:
        return  # a link to nowhere
    try:
        os.posix_fadvise(opened, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(opened)
