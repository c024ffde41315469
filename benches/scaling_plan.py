"""The scaling model on paper: what a load of any size would need, in processes, partitions, bytes and money.

Assumes what docs/scaling.md says: models and segments equally busy (the worst case for the combiner), processes kept
`BUSY` of a core busy, windows of 5 minutes and of an hour sliding by 5 minutes, no labels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from benches.scaling_model import (
    FAMILIES,
    Model,
    distinct,
    evaluate_counts,
    evaluate_memory_counts,
    ingest_counts,
    memory_counts,
    newest_counts,
    pane_counts,
)

BUSY = 0.7  # share of a core that a process may use for long
BATCH = 5_000  # events of a batch of a worker that has no time to spare; with time to spare batches are smaller
PANE_S = 300
PANES_KEPT = 14  # an hour, the one under way and one that may still be corrected
PARTITION_BYTES_S = 10e6  # what one partition is trusted with
PANES_PARTITION_RECORDS_S = 2_000
PRICE_CORE_HOUR = 0.04  # of a currency: a virtual core, rented by the hour
FLUSHES_S = (1, 2, 5, 10, 30, 60)
DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Load:
    """`events_s`: of all models together; `segments`: values of one tag, besides the overall series."""

    events_s: float
    models: int
    segments: int
    features: int

    @property
    def series(self) -> int:
        return self.models * (1 + self.segments)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load needs. `hottest`: cores of evaluate for one model, which cannot be shared; above BUSY it is late."""

    load: Load
    flush_s: int
    workers: int
    evaluates: int
    hottest: float
    partitions: int
    deltas_s: float
    ingest_mib: float  # of one process
    evaluate_mib: float  # of one process
    source_mb_s: float  # on the network, compressed, read once
    panes_mb_s: float
    state_mb_s: float
    metrics_mb_s: float
    source_gb_day: float
    results_gb_day: float  # panes, metrics and alerts
    state_gb: float
    core_s_per_million: float

    @property
    def cost_per_million(self) -> float:
        """At PRICE_CORE_HOUR, for cores that are BUSY at most."""
        return self.core_s_per_million / BUSY / 3_600 * PRICE_CORE_HOUR


def planned(model: Model, load: Load) -> Plan:
    """With the shortest interval between flushes at which evaluate keeps up and costs no more than ingest."""
    for flush_s in FLUSHES_S:
        plan = _at(model, load, flush_s)
        if plan.hottest <= BUSY and plan.evaluates <= max(1, plan.workers):
            break
    return plan


def _at(model: Model, load: Load, flush_s: int) -> Plan:
    workers, ingest_cpu, deltas_s = _workers(model, load, flush_s)
    fine = load.models * load.segments
    event_bytes = model.event_bytes({"events": 1, "events × features": load.features})
    partitions = max(workers, math.ceil(load.events_s * event_bytes * model.wire["source"] / PARTITION_BYTES_S))
    closed_s = load.series * FAMILIES / PANE_S
    counts = evaluate_counts(
        features=load.features,
        models=load.models,
        partitions=partitions,
        deltas=deltas_s,
        closed=closed_s,
        progresses=workers / flush_s,
    )
    evaluate_cpu = sum(model.evaluate_cpu.coefficients.get(name, 0.0) * count for name, count in counts.items())
    evaluates = max(1, math.ceil(evaluate_cpu / BUSY))
    each = load.series / min(evaluates, load.models)
    closing = each * FAMILIES
    # A pane's state is written with each of evaluate's own flushes (a second) that touched it.
    touched_s = min(deltas_s, distinct(load.models, load.events_s) + (distinct(fine, load.events_s) if fine else 0))
    levels = 2 if load.segments else 1
    in_pane = load.events_s * PANE_S * levels / load.series
    of_pane = model.state_bytes(_state(load, panes=1, events=in_pane, models=0))
    of_model = model.state_bytes(_state(load, panes=0, events=0, models=1))
    of_delta = model.delta_bytes(pane_counts(panes=1, features=load.features, events=load.events_s * levels / deltas_s))
    of_window = model.metric_bytes({"closed windows": 1, "closed windows × features": load.features})
    source_mb_s = load.events_s * event_bytes * model.wire["source"] / 1e6
    panes_mb_s = deltas_s * of_delta * model.wire["panes"] / 1e6
    state_mb_s = (touched_s * of_pane + load.models * FAMILIES / PANE_S * of_model) * model.wire["state"] / 1e6
    metrics_mb_s = closed_s * of_window * model.wire["metrics"] / 1e6
    return Plan(
        load=load,
        flush_s=flush_s,
        workers=workers,
        evaluates=evaluates,
        hottest=evaluate_cpu / load.models,
        partitions=partitions,
        deltas_s=deltas_s,
        ingest_mib=model.ingest_mib(memory_counts(load.models, load.features, deltas_s * flush_s / workers)),
        evaluate_mib=model.evaluate_mib(
            evaluate_memory_counts(load.models / evaluates, load.features, each * PANES_KEPT, closing)
        ),
        source_mb_s=source_mb_s,
        panes_mb_s=panes_mb_s,
        state_mb_s=state_mb_s,
        metrics_mb_s=metrics_mb_s,
        source_gb_day=source_mb_s * DAY_S / 1e3,
        results_gb_day=(panes_mb_s + metrics_mb_s) * DAY_S / 1e3,
        state_gb=(load.series * PANES_KEPT * of_pane + load.models * of_model) / 1e9,
        core_s_per_million=(ingest_cpu * workers + evaluate_cpu) / load.events_s * 1e6,
    )


def _state(load: Load, *, panes: float, events: float, models: float) -> dict[str, float]:
    kept = pane_counts(panes=panes, features=load.features, events=events)
    return kept | newest_counts(models=models, features=load.features)


def _workers(model: Model, load: Load, flush_s: int) -> tuple[int, float, float]:
    """The fewest processes of which none is too busy; CPU of each; deltas a second of all."""
    workers = 1
    while True:
        rate = load.events_s / workers
        cpu, deltas_s = _ingest_second(model, load, rate, flush_s)
        if cpu <= BUSY:
            return workers, cpu, deltas_s * workers
        workers = max(workers + 1, math.floor(workers * cpu / BUSY * 0.98))


def _ingest_second(model: Model, load: Load, rate: float, flush_s: int) -> tuple[float, float]:
    """CPU and deltas of one worker in one second."""
    fine = load.models * load.segments
    deltas_s = (distinct(load.models, rate * flush_s) + (distinct(fine, rate * flush_s) if fine else 0.0)) / flush_s
    counts = ingest_counts(
        events=rate,
        features=load.features,
        models=load.models,
        series=fine,
        batches=rate / BATCH,
        deltas=deltas_s,
        flushes=1 / flush_s,
    )
    return model.ingest_cpu(counts), deltas_s
