"""Ingest, labels off and on, beside what it costs merely to consume and to parse the same events.

Stages, each in a process of its own:
  consume          (a)  consume only
  parse            (b)  consume + orjson.loads
  parse_both       (b2) the same of both topics: predictions and labels
  parse_usual      (u)  as (b), by a consumer with the client's defaults instead of ingest's settings of how it fetches
  parse_both_usual (u2) as (b2), likewise
  ingest           (c)  decode, bins, latency, score; a transaction a second; labels off
  ingest_labels    (d)  the same, and every prediction's label joined (RocksDB)
A pair is a prediction and its label. The broker shares the machine, so wall time says less than the CPU time of the
stage's own process (broker and kernel threads apart): both are given.
"""

from __future__ import annotations

from benches.harness import Options, Result, bench_space, interleaved, over, ratio, result
from benches.monitored import Measured, Monitored

STAGES = ("consume", "parse", "parse_both", "parse_usual", "parse_both_usual", "ingest", "ingest_labels")


def run(options: Options) -> Result:
    events = options.count(300_000, quick=20_000)
    with bench_space("ingest") as space:
        bench = Monitored(space, events, with_labels=True)
        found = interleaved(
            options,
            {
                "consume": lambda number: bench.consume(f"a{number}", parse=False),
                "parse": lambda number: bench.consume(f"b{number}", parse=True),
                "parse_both": lambda number: bench.consume(f"b2{number}", parse=True, both=True),
                "parse_usual": lambda number: bench.consume(f"u{number}", parse=True, usual=True),
                "parse_both_usual": lambda number: bench.consume(f"u2{number}", parse=True, both=True, usual=True),
                "ingest": lambda number: bench.ingest(f"c{number}"),
                "ingest_labels": lambda number: bench.ingest(f"d{number}", with_labels=True),
            },
        )
    return report(events, found)


def report(events: int, found: dict[str, list[Measured]]) -> Result:
    """Events or pairs a second: each stage reads every prediction once, so both are `events` by the time it took."""
    rate = {stage: [events / each["seconds"] for each in found[stage]] for stage in STAGES}
    cpu = {stage: [each["cpu_seconds"] / events * 1e6 for each in found[stage]] for stage in STAGES}
    of_pairs = ("parse_both", "parse_both_usual", "ingest_labels")
    unit = {stage: "pairs" if stage in of_pairs else "events" for stage in STAGES}
    return result(
        figures={
            **{f"{stage}: {unit[stage]}/s": rate[stage] for stage in STAGES},
            **{f"{stage}: CPU µs/{unit[stage][:-1]}": cpu[stage] for stage in STAGES},
        },
        ratios={
            # Beside a consumer with the client's defaults, which waits half its time: docs/decisions/0005.
            "ingest_of_parse_usual": ratio(over(rate["ingest"], rate["parse_usual"]), "higher"),
            "ingest_of_parse": ratio(over(rate["ingest"], rate["parse"]), "higher", must=0.70, aim=1.0),
            "ingest_of_parse_cpu": ratio(over(cpu["parse"], cpu["ingest"]), "higher"),
            "pairs_of_parse_both_usual": ratio(over(rate["ingest_labels"], rate["parse_both_usual"]), "higher"),
            "pairs_of_parse_both": ratio(over(rate["ingest_labels"], rate["parse_both"]), "higher", must=0.45, aim=0.7),
            "pairs_of_parse_both_cpu": ratio(over(cpu["parse_both"], cpu["ingest_labels"]), "higher"),
        },
        events=events,
    )
