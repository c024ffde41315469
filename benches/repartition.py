"""What `repartition: true` costs: the stage that places events by prediction_id, beside ingest of the same events."""

from __future__ import annotations

from benches.harness import Options, Result, bench_space, interleaved, over, ratio, result
from benches.monitored import Monitored


def run(options: Options) -> Result:
    events = options.count(300_000, quick=20_000)
    with bench_space("repartition") as space:
        bench = Monitored(space, events)
        found = interleaved(
            options,
            {
                "repartition": lambda number: bench.repartition(f"r{number}"),
                "ingest": lambda number: bench.ingest(f"i{number}"),
            },
            rounds=min(options.rounds, 3),
        )
    rate = {stage: [events / each["seconds"] for each in runs] for stage, runs in found.items()}
    cpu = {stage: [each["cpu_seconds"] / events * 1e6 for each in runs] for stage, runs in found.items()}
    return result(
        figures={
            **{f"{stage}: events/s": rates for stage, rates in rate.items()},
            **{f"{stage}: CPU µs/event": costs for stage, costs in cpu.items()},
        },
        ratios={"repartition_of_ingest_cpu": ratio(over(cpu["repartition"], cpu["ingest"]), "lower")},
        events=events,
    )
