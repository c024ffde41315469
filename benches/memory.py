"""Resident memory of ingest draining a backlog: bounded and flat, however long it is; with and without labels.

The stage that `stream-monitor run` runs, in a process of its own, over 10 million events of 626 bytes (7 GB on the
disk, gone afterwards), sampled twice a second from its first batch to its last commit. Flat: the highest sample of the
last quarter of the time is within 5 % of that of the second one; in the first the buffers fill up. With labels a
tenth of it: each prediction is joined with a label of its own, through the store on the disk, which holds the last hour
of event time, 900,000 pairs.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from benches.backlog import produce_backlog
from benches.harness import Options, Result, bench_space, ratio, result, say
from benches.monitored import Monitored
from benches.rss import quarter_peaks, slope_mib_per_minute, watched_python

LONG = True
MUST_MIB, AIM_MIB = 400, 250


class Drained(NamedTuple):
    """One run; memory in MiB."""

    events_per_second: float
    peak: float  # highest ever, start included
    quarters: list[float]  # highest sample of each quarter of the time
    slope: float  # of the second half, a minute

    @property
    def growth(self) -> float:
        return self.quarters[3] / self.quarters[1]


def run(options: Options) -> Result:
    events = options.count(10_000_000, quick=400_000)
    pairs = max(1, events // 10)
    drained = {"labels off": drain(events, with_labels=False), "labels on": drain(pairs, with_labels=True)}
    figures: dict[str, float] = {}
    ratios = {}
    for name, found in drained.items():
        figures |= {
            f"{name}: peak MiB": found.peak,
            f"{name}: MiB a minute, second half": found.slope,
            f"{name}: events/s": found.events_per_second,
        }
        key = name.replace(" ", "_")
        ratios[f"peak_of_400_mib_{key}"] = ratio(found.peak / MUST_MIB, "lower", must=1.0, aim=AIM_MIB / MUST_MIB)
        ratios[f"last_quarter_of_second_{key}"] = ratio(found.growth, "lower", must=1.05)
    quarters = {name: [round(peak, 1) for peak in found.quarters] for name, found in drained.items()}
    return result(figures=figures, ratios=ratios, events=events, pairs=pairs, quarter_peaks_mib=quarters)


def drain(events: int, *, with_labels: bool) -> Drained:
    """Produce `events` predictions, and as many labels where asked for, then let ingest read them to their end."""
    with bench_space("memory") as space:
        bootstrap = space.topics.bootstrap
        bench = Monitored(space, events, fill=lambda topic: produce_backlog(bootstrap, topic, events))
        if with_labels:
            produce_backlog(bootstrap, bench.labels, events, of_labels=True)
        config = bench.ready("drain", with_labels=with_labels)
        joined = events if with_labels else 0
        given = {"stage": "ingest", "config": str(config), "predictions": events, "joined": joined}
        done = watched_python("-m", "benches.stage", json.dumps(given))
    found = json.loads(done.output.splitlines()[-1])
    if found["events"] != events + joined:
        raise RuntimeError(f"ingest read {found['events']} events, expected {events + joined}")
    # What lies before is the start of the interpreter, the imports and the connections.
    draining = [sample for sample in done.samples if sample.seconds >= done.samples[-1].seconds - found["seconds"]]
    drained = Drained(
        found["events"] / found["seconds"], done.peak_mib, quarter_peaks(draining), slope_mib_per_minute(draining)
    )
    quarters = ", ".join(f"{peak:.0f}" for peak in drained.quarters)
    say(f"  {drained.events_per_second:,.0f} events/s, peak {drained.peak:.0f} MiB, by quarter of the time {quarters}")
    return drained
