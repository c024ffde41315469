"""What a feature costs at 200 features against 20: ingest's time an event, divided by its features.

20 features are 16 numeric and 4 categorical, 200 ten times as many of each. Labels off. What an event costs without
regard to its features (offsets, time, score, latency) is in both, so it weighs less at 200.
"""

from __future__ import annotations

from benches.events import TWENTY, Shape
from benches.harness import Options, Result, bench_space, interleaved, over, ratio, result
from benches.monitored import Measured, Monitored

TWO_HUNDRED = Shape(160, 40)
CLOCKS = {"wall": "seconds", "CPU": "cpu_seconds"}


def run(options: Options) -> Result:
    events = options.count(200_000, quick=20_000)
    with bench_space("features") as space:
        few = Monitored(space, events, shape=TWENTY)
        many = Monitored(space, events // 5, shape=TWO_HUNDRED)
        found = interleaved(
            options,
            {
                "20 features": lambda number: few.ingest(str(number)),
                "200 features": lambda number: many.ingest(str(number)),
            },
        )
    return report(events, found["20 features"], found["200 features"])


def report(events: int, few: list[Measured], many: list[Measured]) -> Result:
    figures: dict[str, list[float]] = {}
    ratios = {}
    for clock, field in CLOCKS.items():
        at_20 = [each[field] / each["events"] / TWENTY.features * 1e6 for each in few]
        at_200 = [each[field] / each["events"] / TWO_HUNDRED.features * 1e6 for each in many]
        figures[f"{clock} µs a feature of 20"], figures[f"{clock} µs a feature of 200"] = at_20, at_200
        ratios[f"cost_per_feature_{clock.lower()}"] = ratio(over(at_200, at_20), "lower", must=1.0, aim=0.6)
    return result(figures=figures, ratios=ratios, events=events)
