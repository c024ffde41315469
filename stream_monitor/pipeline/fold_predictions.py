"""Predictions of one model, as columns, into the panes of prediction time.

The per-event path: no object an event beyond the decoded row, one `bincount` a batch and segment level, one sketch
update a pane.  What it costs beside parsing is in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.columns import FeatureLayout, feature_columns, raw_features
from stream_monitor.events.outcome import PredictedColumns
from stream_monitor.events.policy import Task
from stream_monitor.events.prediction import PredictionRow
from stream_monitor.pipeline.book import PaneBook, PaneKey, Segment, segments_of
from stream_monitor.pipeline.policy import ModelPolicy
from stream_monitor.reference.layout import bin_layout, feature_layout
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.bins import BinCounter
from stream_monitor.sketches.ddsketch import DDSketch
from stream_monitor.sketches.exact_sum import ExactSum
from stream_monitor.sketches.pane import PredictionPane

OutputColumn = NDArray[np.float64] | Sequence[object]


class PredictionFolder:
    """Folds the predictions of one model under one profile (or none) into a book."""

    def __init__(self, policy: ModelPolicy, profile: Profile | None, hash_key: bytes) -> None:
        self._policy = policy
        self._hash_key = hash_key
        self.profile = profile
        self.layout: FeatureLayout | None = None if profile is None else feature_layout(profile)
        self._counter = None if profile is None else BinCounter(bin_layout(profile), hash_key)

    def fold(
        self, rows: Sequence[PredictionRow], says: PredictedColumns, moments: NDArray[np.int64], book: PaneBook
    ) -> NDArray[np.float64]:
        """Add rows (already without duplicates) to their panes, in the overall series and each segment.

        Returns their latencies in seconds, NaN where there is none.
        """
        if not rows:
            return np.empty(0)
        policy = self._policy
        pane_ms = policy.pane_ms
        starts = moments - moments % pane_ms
        latencies = np.array([row.latency_seconds for row in rows], np.float64)  # None becomes NaN
        output = output_column(says, policy.outcome.task)
        counts = self._binned(rows, output, moments)
        raw = self._raw(rows, output)
        versions = [row.model_version for row in rows]
        levels: list[Sequence[Segment]] = [list(repeat((), len(rows)))]
        if policy.segments:
            by_row = [segments_of(row.tags, policy.segments) for row in rows]
            levels.extend([row[level] for row in by_row] for level in range(1, len(policy.segments) + 1))
        for level in levels:
            groups, keys = _grouped(policy.name, versions, level, starts.tolist())
            sizes = np.bincount(groups, minlength=len(keys))
            table = None if counts is None else counts(groups, len(keys))
            for group, key in enumerate(keys):
                pane = book.predictions(key)
                pane.n += int(sizes[group])
                if table is not None and self.profile is not None and table[group].any():
                    pane.add_binned(self.profile.schema_id, table[group])
                mine = slice(None) if len(keys) == 1 else groups == group
                _add_latencies(pane, latencies[mine])
                if raw is not None and not key.segment:
                    features, outputs = raw
                    at = np.flatnonzero(groups == group).tolist()
                    pane.add_raw(
                        {n: [v[i] for i in at] for n, v in features.items()}, [outputs[i] for i in at], self._hash_key
                    )
        return latencies

    def _binned(
        self, rows: Sequence[PredictionRow], output: OutputColumn, moments: NDArray[np.int64]
    ) -> Callable[[NDArray[np.intp], int], NDArray[np.int64]] | None:
        """A function (groups, n_groups) → counts, or None where nothing is binned."""
        if self._counter is None or self.layout is None or self.profile is None:
            return None
        counter = self._counter
        columns = feature_columns([row.features for row in rows], self.layout)
        since = self.profile.effective_from
        early = None if since is None else moments < since
        codes = counter.codes(columns, output)
        if early is None or not early.any():
            return lambda groups, n_groups: counter.tally(codes, groups, n_groups)

        # Rows before the profile takes effect go to a group of their own, which is thrown away.
        def tally(groups: NDArray[np.intp], n_groups: int) -> NDArray[np.int64]:
            return counter.tally(codes, np.where(early, n_groups, groups), n_groups + 1)[:n_groups]

        return tally

    def _raw(
        self, rows: Sequence[PredictionRow], output: OutputColumn
    ) -> tuple[dict[str, list[object]], list[object]] | None:
        if self.profile is not None or self._policy.reference.kind != "bootstrap":
            return None
        known = [None if v != v else v for v in output.tolist()] if isinstance(output, np.ndarray) else list(output)
        return raw_features([row.features for row in rows]), known


def output_column(says: PredictedColumns, task: Task) -> OutputColumn:
    """What PSI is of: the score of a binary model, the class of a multiclass one, the value of a regression."""
    if task is Task.REGRESSION:
        return says.values
    return says.scores if task is Task.BINARY else says.labels


def _add_latencies(pane: PredictionPane, seconds: NDArray[np.float64]) -> None:
    known = seconds[np.isfinite(seconds)]
    if known.size:
        if pane.latency is None or pane.latency_sum is None:
            pane.latency, pane.latency_sum = DDSketch(), ExactSum()
        pane.latency.update(known)
        pane.latency_sum.update(known)


def _grouped(
    model: str, versions: Sequence[str], segments: Sequence[Segment], starts: Sequence[int]
) -> tuple[NDArray[np.intp], list[PaneKey]]:
    """Number the (version, segment, pane) of each row in order of appearance."""
    numbers: dict[tuple[str, Segment, int], int] = {}
    groups = np.fromiter(
        (numbers.setdefault(key, len(numbers)) for key in zip(versions, segments, starts, strict=True)),
        np.intp,
        len(versions),
    )
    return groups, [PaneKey(model, version, segment, start) for version, segment, start in numbers]
