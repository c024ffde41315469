"""The scaling model: what a load costs, as sums of things counted, fitted to the runs of the scaling bench.

Each `Law` says that a quantity of a run is a sum of its counts, each times a coefficient of 0 or more. The laws are
fitted so that relative errors are least, and tell how far the runs lie from them. docs/scaling.md says what the terms
mean and what is not in them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from benches.scaling_case import Found

FAMILIES = 2  # of windows, by default: 5m and 1h/5m
SLOTS = 80  # fine bins of a numeric feature: how many of them a pane touches bounds its bytes
Counts = Mapping[str, float]


def distinct(kinds: float, draws: float) -> float:
    """How many of `kinds` equally likely kinds are expected among so many draws."""
    if kinds <= 1:
        return min(kinds, draws)
    return float(-kinds * np.expm1(draws * np.log1p(-1 / kinds)))


def ingest_counts(
    *, events: float, features: float, models: float, series: float, batches: float, deltas: float, flushes: float
) -> dict[str, float]:
    """`series`: of the finest level, 0 where there are no segments. CPU goes with these."""
    each = events / batches
    groups = batches * distinct(models, each)
    if series:
        groups += batches * distinct(series, each)
    return {
        "events": events,
        "events × features": events * features,
        "events in segments": events if series else 0.0,
        "batches × models": batches * distinct(models, each),
        "batches × panes": groups,
        "batches × panes × features": groups * features,
        "deltas": deltas,
        "deltas × features": deltas * features,
        "flushes": flushes,
    }


def evaluate_counts(
    *, features: float, models: float, partitions: float, deltas: float, closed: float, progresses: float
) -> dict[str, float]:
    """`closed`: windows × series. `progresses`: of one panes partition; each moves every model of its partition."""
    return {
        "deltas": deltas,
        "deltas × features": deltas * features,
        "closed windows": closed,
        "closed windows × features": closed * features,
        "progress × models": progresses * models,
        "progress × models × partitions": progresses * models * partitions,
    }


def pane_counts(*, panes: float, features: float, events: float) -> dict[str, float]:
    """Bytes of panes go with these; `events`: of one pane."""
    return {"panes": panes, "panes × touched bins": panes * features * distinct(SLOTS, events)}


def newest_counts(*, models: float, features: float) -> dict[str, float]:
    """State of `models` beside their panes, most of it the newest figures of each, of all families of windows."""
    return {"models": models, "models × features": models * features}


@dataclass(frozen=True, slots=True)
class Law:
    """A fitted sum. `errors`: measured / fitted − 1 of each run."""

    coefficients: dict[str, float]
    errors: list[float]

    def __call__(self, counts: Counts) -> float:
        return sum(value * counts[name] for name, value in self.coefficients.items())

    @property
    def typical_error(self) -> float:
        return float(np.median(np.abs(self.errors)))

    @property
    def largest_error(self) -> float:
        return max(self.errors, key=abs)


def fitted(rows: Sequence[Counts], measured: Sequence[float]) -> Law:
    """Non-negative least squares of relative errors; terms that explain nothing are left out."""
    names = list(rows[0])
    table = np.array([[row[name] for name in names] for row in rows]) / np.array(measured)[:, None]
    scale = np.linalg.norm(table, axis=0)
    scale[scale == 0] = 1.0
    found, _ = nnls(table / scale, np.ones(len(rows)))
    coefficients = {name: value for name, value in zip(names, (found / scale).tolist(), strict=True) if value > 0}
    return Law(coefficients, (1 / (table @ (found / scale)) - 1).tolist())


@dataclass(frozen=True, slots=True)
class Model:
    """All laws. CPU in seconds, memory in MiB, the rest in bytes. `wire`: bytes sent per byte of value, by topic."""

    ingest_cpu: Law
    evaluate_cpu: Law
    ingest_mib: Law
    evaluate_mib: Law
    delta_bytes: Law
    state_bytes: Law
    metric_bytes: Law
    event_bytes: Law
    wire: Mapping[str, float]

    def laws(self) -> dict[str, Law]:
        return {name: value for name in self.__slots__ if isinstance(value := getattr(self, name), Law)}


def fit(runs: Sequence[Found]) -> Model:
    closing = [run for run in runs if run.closed]
    return Model(
        ingest_cpu=_law(runs, _ingest, lambda run: run.ingest["cpu_seconds"]),
        evaluate_cpu=_law(runs, lambda run: {"a run": 1.0, **_evaluate(run)}, lambda run: run.evaluate["cpu_seconds"]),
        ingest_mib=_law(runs, _ingest_memory, lambda run: run.ingest["mib_peak"]),
        evaluate_mib=_law(runs, _evaluate_memory, lambda run: run.evaluate["mib_peak"]),
        delta_bytes=_law(runs, lambda run: _panes(run, run.deltas), lambda run: run.panes.bytes),
        state_bytes=_law(
            runs,
            lambda run: _panes(run, _panes_kept(run)) | newest_counts(models=_closing(run), features=_features(run)),
            lambda run: run.state.live_bytes,
        ),
        metric_bytes=_law(
            closing,
            lambda run: {"closed windows": run.closed, "closed windows × features": run.closed * _features(run)},
            lambda run: run.metrics.bytes,
        ),
        event_bytes=_law(
            runs,
            lambda run: {"events": run.case.events, "events × features": run.case.events * _features(run)},
            lambda run: run.source.bytes,
        ),
        wire={
            name: float(np.median([found.wire_bytes / found.bytes for run in closing if (found := topic(run)).bytes]))
            for name, topic in _TOPICS.items()
        },
    )


_TOPICS: Mapping[str, Callable[[Found], object]] = {
    "source": lambda run: run.source,
    "panes": lambda run: run.panes,
    "state": lambda run: run.state,
    "metrics": lambda run: run.metrics,
}


def _law(runs: Sequence[Found], counts: Callable[[Found], Counts], value: Callable[[Found], float]) -> Law:
    return fitted([counts(run) for run in runs], [value(run) for run in runs])


def _features(run: Found) -> int:
    return run.case.shape.features


def _ingest(run: Found) -> dict[str, float]:
    case = run.case
    return ingest_counts(
        events=case.events,
        features=_features(run),
        models=case.models,
        series=case.models * case.segments,
        batches=run.ingest["batches"],
        deltas=run.deltas,
        flushes=run.ingest["commits"],
    )


def _evaluate(run: Found) -> dict[str, float]:
    case = run.case
    return evaluate_counts(
        features=_features(run),
        models=case.models,
        partitions=case.partitions,
        deltas=run.deltas,
        closed=run.closed,
        progresses=run.ingest["commits"],
    )


def _ingest_memory(run: Found) -> dict[str, float]:
    return memory_counts(run.case.models, _features(run), run.deltas / run.ingest["commits"])


def memory_counts(models: float, features: float, panes: float) -> dict[str, float]:
    """`panes`: of one flush."""
    return {
        "a process": 1.0,
        "features": features,
        "models × features": models * features,
        "panes": panes,
        "panes × features": panes * features,
    }


def _evaluate_memory(run: Found) -> dict[str, float]:
    return evaluate_memory_counts(run.case.models, _features(run), _panes_kept(run), run.closed)


def evaluate_memory_counts(models: float, features: float, panes: float, closing: float) -> dict[str, float]:
    """`panes`: kept. `closing`: windows × series whose events are in one transaction."""
    return {
        "a process": 1.0,
        "models × features": models * features,
        "panes": panes,
        "panes × features": panes * features,
        "closing windows": closing,
        "closing windows × features": closing * features,
    }


def _panes_kept(run: Found) -> float:
    return float(run.case.series * (run.case.closings + 1))


def _closing(run: Found) -> float:
    """Models of which a window has ended: in a short run the slowest partition holds some back."""
    ends = run.case.series * run.case.closings * FAMILIES
    return run.case.models * run.closed / ends if ends else 0.0


def _panes(run: Found, panes: float) -> dict[str, float]:
    return pane_counts(panes=panes, features=_features(run), events=run.case.events * run.case.levels / max(1.0, panes))
