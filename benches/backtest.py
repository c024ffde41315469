"""Backtest of a file of a million events beside live ingest of the same events; its memory and its start.

Ingest runs as in the bench of that name, on as many events as it needs to get going. A backtest reads, decodes, joins
and folds the same way, evaluates besides, and has no broker beside it. Its rate is of the run alone, from the opened
files to the finished ones, as ingest's is; the command's also counts the start of the interpreter and all imports.
With labels, half of the events are predictions and half their labels, a minute later.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from benches.events import labels, predictions
from benches.harness import Options, Result, bench_space, interleaved, over, python, ratio, result
from benches.monitored import Monitored
from benches.rss import resident


class Run(NamedTuple):
    """Rates in events a second; `growth`: the most that was ever resident, over the most in the first half."""

    rate: float
    command_rate: float
    peak_mib: float
    growth: float


def run(options: Options) -> Result:
    events = options.count(1_000_000, quick=40_000)
    with bench_space("backtest") as space:
        bench = Monitored(space, min(events, 250_000), with_labels=True)
        alone = write_lines(space.folder / "predictions.ndjson", predictions(events))
        both = (
            write_lines(space.folder / "half.ndjson", predictions(events // 2)),
            write_lines(space.folder / "labels.ndjson", labels(events // 2)),
        )
        configs = [bench.config(f"backtest-{on}", with_labels=on) for on in (False, True)]

        def ingest(number: int, *, with_labels: bool) -> Run:
            done = bench.ingest(f"{with_labels}-{number}", with_labels=with_labels)
            return Run(done["events"] / done["seconds"], 0.0, 0.0, 0.0)

        found = interleaved(
            options,
            {
                "ingest": lambda number: ingest(number, with_labels=False),
                "backtest": lambda number: backtest(configs[0], events, alone),
                "ingest_labels": lambda number: ingest(number, with_labels=True),
                "backtest_labels": lambda number: backtest(configs[1], events // 2 * 2, *both),
            },
            rounds=min(options.rounds, 3),
        )
    rate = {stage: [each.rate for each in runs] for stage, runs in found.items()}
    figures: dict[str, list[float]] = {f"{stage}: events/s": rates for stage, rates in rate.items()}
    ratios = {}
    for name, live in (("backtest", "ingest"), ("backtest_labels", "ingest_labels")):
        runs = found[name]
        command = [each.command_rate for each in runs]
        figures |= {
            f"{name}: events/s of the command": command,
            f"{name}: peak MiB": [each.peak_mib for each in runs],
        }
        ratios |= {
            f"{name}_of_{live}": ratio(over(rate[name], rate[live]), "higher", must=1.0),
            f"{name}_command_of_{live}": ratio(over(command, rate[live]), "higher"),
            f"{name}_peak_of_first_half": ratio([each.growth for each in runs], "lower", must=1.1),
        }
    return result(figures=figures, ratios=ratios, events=events)


def write_lines(path: Path, events: Iterable[tuple[str, bytes]]) -> Path:
    with path.open("wb") as file:
        file.writelines(event + b"\n" for _, event in events)
    return path


def backtest(config: Path, events: int, *files: Path) -> Run:
    """One run in a process of its own."""
    began = time.monotonic()
    done = python("-m", "benches.backtest", str(config), str(config.with_suffix(".out")), *map(str, files))
    whole = time.monotonic() - began
    if done.last["events"] != events:
        raise RuntimeError(f"backtest read {done.last['events']} events, expected {events}")
    return Run(events / done.last["seconds"], events / whole, done.last["peak_mib"], done.last["growth"])


def main(config: str, folder: str, *files: str) -> None:
    """What the command does with its words read; prints what it measured."""
    from stream_monitor.app.backtest import run_backtest
    from stream_monitor.app.setup import load_setup

    setup = load_setup(Path(config))
    inputs = [Path(file) for file in files]
    half = sum(file.stat().st_size for file in inputs) // 2
    read, early = 0, 0.0

    def advance(step: int) -> None:
        nonlocal read, early
        read += step
        if read <= half:
            early = resident("VmHWM")

    began = time.monotonic()
    report = run_backtest(setup, inputs[0], inputs[1] if len(inputs) > 1 else None, Path(folder), advance)
    seconds = time.monotonic() - began
    peak = resident("VmHWM")  # not ru_maxrss: that of the process which started this one is in it
    events = report.predictions + report.labels
    print(json.dumps({"events": events, "seconds": seconds, "peak_mib": peak, "growth": peak / early}))


if __name__ == "__main__":
    main(*sys.argv[1:])
