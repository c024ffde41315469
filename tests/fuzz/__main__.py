"""Fuzz all targets for so many seconds each: `python -m tests.fuzz SECONDS [NAME …]`; exit code 1 if a fault was found.

Guided by coverage with atheris where it is installed (`pip install -e '.[fuzz]'`), else mutations of the corpus by
hypothesis.  What is found stays under build/fuzz; a fault's input belongs into tests/fuzz/corpus/NAME with its mend.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from tests.fuzz.harness import CORPUS, LONGEST, failure, file_name, load, names, smallest
from tests.fuzz.mutations import mutated

WORK = Path("build/fuzz")
_MEMORY_MB = 1_500


class Tried(NamedTuple):
    inputs: int
    faults: list[str]


def main() -> int:
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    chosen = sys.argv[2:] or names()
    unknown = set(chosen) - set(names())
    if unknown:
        print(f"no target {', '.join(sorted(unknown))}; there are {', '.join(names())}")
        return 2
    guided = find_spec("atheris") is not None
    if not guided:
        print("atheris is not installed here (it has wheels for Linux on x86-64 only): mutations of the corpus instead")
    found = 0
    for name in chosen:
        tried = _guided(name, seconds) if guided else _mutated(name, seconds)
        found += len(tried.faults)
        print(f"{name:12} {tried.inputs:>10,} inputs {len(tried.faults):>4} faults", flush=True)
        for fault in tried.faults:
            print(f"             {fault}")
    return 1 if found else 0


def _guided(name: str, seconds: int) -> Tried:
    """Runs of libFuzzer until the time is over: one that hangs or needs too much memory is a fault, and begun again."""
    grown, faults = _folder(name, "grown"), _folder(name, "faults")
    for i, seed in enumerate(load(name).SEEDS):
        (grown / f"seed-{i}").write_bytes(seed)
    inputs, said = 0, []
    end = time.monotonic() + seconds
    while (left := int(end - time.monotonic())) > 0:
        options = [
            f"-max_total_time={left}", f"-max_len={LONGEST}", "-timeout=20", f"-rss_limit_mb={_MEMORY_MB}",
            "-print_final_stats=1", f"-artifact_prefix={faults}/", str(grown), str(CORPUS / name),
        ]  # fmt: skip
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.fuzz.guided", name, str(faults), *options]
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        output = run.stdout.decode(errors="replace")
        executed = re.findall(r"number_of_executed_units:\s*(\d+)", output) or re.findall(r"^#(\d+)", output, re.M)
        inputs += int(executed[-1]) if executed else 0
        said += re.findall(r"^FAULT (.*)$", output, re.M)
        said += re.findall(r"^SUMMARY: libFuzzer: (.*)$", output, re.M)
        if not executed:
            said.append(f"the run itself failed: {output[-2_000:]}")
            break
    return Tried(inputs, said)


def _mutated(name: str, seconds: int) -> Tried:
    target, faults = load(name), _folder(name, "faults")
    inputs, said = 0, {}
    end = time.monotonic() + seconds
    for data in mutated(name, seed=time.time_ns()):
        if time.monotonic() >= end:
            break
        inputs += 1
        kind = failure(target.check, data)
        if kind is not None and kind not in said:
            data = smallest(target.check, data, kind)
            (faults / file_name(data)).write_bytes(data)
            said[kind] = f"{kind} {data[:200]!r}"
    return Tried(inputs, list(said.values()))


def _folder(name: str, what: str) -> Path:
    folder = WORK / name / what
    if what == "faults":
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
