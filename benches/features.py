"""What a feature costs at 200 features against 20: ingest's time an event, divided by its features.

20 features are 16 numeric and 4 categorical, 200 ten times as many of each. Labels off. What an event costs without
regard to its features (offsets, time, score, latency) is in both, so it weighs less at 200.
"""

from __future__ import annotations

from benches.events import TWENTY, Shape
from benches.harness import Options, Result, bench_space, interleaved, over, ratio, result
from benches.monitored import Measured, Monitored

TWO_HUNDRED = Shape(160, 40)


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
    """The ratio is of CPU time: at 200 features the broker, on the same cores, has seven times the bytes to send."""

    def cost(runs: list[Measured], clock: str, shape: Shape) -> list[float]:
        return [each[clock] / each["events"] / shape.features * 1e6 for each in runs]

    at_20, at_200 = cost(few, "cpu_seconds", TWENTY), cost(many, "cpu_seconds", TWO_HUNDRED)
    return result(
        figures={
            "CPU µs a feature of 20": at_20,
            "CPU µs a feature of 200": at_200,
            "wall µs a feature of 20": cost(few, "seconds", TWENTY),
            "wall µs a feature of 200": cost(many, "seconds", TWO_HUNDRED),
        },
        ratios={"cost_per_feature": ratio(over(at_200, at_20), "lower", must=1.0, aim=0.6)},
        events=events,
    )
