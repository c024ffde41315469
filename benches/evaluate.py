"""Evaluate, without Kafka: deltas merged a second, a closed window, a restart, memory a series.

The deltas are those of the real ingest fold: 20 segments of one flush, each with the 20 features of benches/events.py
on 80 fine bins, given to 1,000 series by renaming the segment and moving the pane. A delta is what one flush adds to
one pane of one series: with labels off a pane of predictions, with labels on a pane of predictions and one of pairs in
turn (the deadlines that a flush books and settles cancel out). Windows are 5 min, and 1 h by 5 min. Seconds are of CPU.

Memory is of a process that has read two hours of event time, window by window (1 h by 5 min, where it does not say that
there are windows of 5 min too), and holds what can still change: `traced` by tracemalloc, `resident` by the growth of
its resident set, freed memory handed back where that can be. Each is a slope: what many series take more than a fifth
of them. The highest is while windows close, and the figures of all series wait for their commit.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from benches.evaluate_feed import Load
from benches.harness import Options, Result, interleaved, python, ratio, result

Found = dict[str, float]


def run(options: Options) -> Result:
    series = 200 if options.quick else 1_000
    few = Load(series, models=1, events=20, labels=False, flushes=6)
    whole = Load(series // 5, models=1, events=500, labels=False, flushes=4)
    merged = {
        "20 events": few,
        "2,000 events": replace(few, events=2_000),
        "20 events, labels": replace(few, labels=True),
    }
    closed = {"no labels": whole, "labels": replace(whole, labels=True)}
    held = {
        "no labels": replace(whole, tumbling=False),
        "labels": replace(whole, tumbling=False, labels=True),
    }
    with tempfile.TemporaryDirectory(prefix="stream-monitor-bench-") as folder:
        bench = _Bench(Path(folder))
        stages: dict[str, Callable[[int], Found]] = {
            f"{kind}, {name}": partial(bench.measure, kind, load)
            for kind, loads in (("merge", merged), ("close", closed))
            for name, load in loads.items()
        }
        rounds = interleaved(options, stages, rounds=min(options.rounds, 3))
        memory = {
            (kind, name): bench.slope(kind, load) for name, load in held.items() for kind in ("traced", "resident")
        }
    figures: dict[str, float | Sequence[float]] = {
        f"{name}: {figure}": [each[figure] for each in found] for name, found in rounds.items() for figure in found[0]
    }
    for (kind, name), found in memory.items():
        figures |= {f"{kind}, {name}: {figure} a series": value for figure, value in found.items()}

    def of_parses(stage: str, figure: str) -> list[float]:
        return [each[figure] / each["parses/s"] for each in rounds[stage]]

    deltas = [each["deltas/s"] for each in rounds["merge, 20 events"]]
    return result(
        figures=figures,
        ratios={
            "deltas_of_5000_a_second": ratio([each / 5_000 for each in deltas], "higher", must=1, aim=4),
            "deltas_of_parses": ratio(of_parses("merge, 20 events", "deltas/s"), "higher"),
            "deltas_of_parses_labels": ratio(of_parses("merge, 20 events, labels", "deltas/s"), "higher"),
            "windows_of_parses": ratio(of_parses("close, no labels", "windows/s"), "higher"),
            "kb_a_series": ratio(memory["resident", "no labels"]["kB"], "lower", must=250, aim=60),
            "kb_a_series_labels": ratio(memory["resident", "labels"]["kB"], "lower", must=250, aim=60),
        },
        series=series,
    )


class _Bench:
    """Each measurement in a process of its own; the deltas are made once, in further ones, and lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def measure(self, kind: str, load: Load, _: int) -> Found:
        deltas = self._folder / f"{load.events}-{load.labels}"
        if not deltas.exists():
            self._case("prepare", load, deltas)
        return self._case(kind, load, deltas)

    def slope(self, kind: str, load: Load) -> Found:
        """What one series more takes, in kB."""
        fewer = replace(load, series=load.series // 5)
        few, many = self.measure(kind, fewer, 0), self.measure(kind, load, 0)
        return {figure: (many[figure] - few[figure]) / (load.series - fewer.series) for figure in many}

    def _case(self, kind: str, load: Load, deltas: Path) -> Found:
        given = {"kind": kind, "load": asdict(load), "deltas": str(deltas)}
        found: Found = python("-m", "benches.evaluate_case", json.dumps(given)).last
        return found
