"""Predictions of one model, as columns, into the panes of prediction time.

The per-event path: no object an event beyond the decoded row, one `bincount` a batch and segment level, one sketch
update a pane.  What it costs beside parsing is in docs/performance.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.columns import FeatureLayout
from stream_monitor.pipeline.book import PaneBook, PaneKey, Segment, segments_of
from stream_monitor.pipeline.policy import ModelPolicy
from stream_monitor.pipeline.prediction_columns import PredictionColumns, Wanted
from stream_monitor.reference.layout import bin_layout, feature_layout
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.bins import BinCounter
from stream_monitor.sketches.ddsketch import DDSketch
from stream_monitor.sketches.exact_sum import ExactSum
from stream_monitor.sketches.pane import PredictionPane

ItemT = TypeVar("ItemT")


class PredictionFolder:
    """Folds the predictions of one model under one profile (or none) into a book."""

    def __init__(self, policy: ModelPolicy, profile: Profile | None, hash_key: bytes) -> None:
        self._policy = policy
        self._hash_key = hash_key
        self.profile = profile
        self.layout: FeatureLayout | None = None if profile is None else feature_layout(profile)
        self._counter = None if profile is None else BinCounter(bin_layout(profile), hash_key)
        self._wanted = Wanted(
            outcome=policy.outcome,
            layout=self.layout,
            counter=self._counter,
            raw=profile is None and policy.reference.kind == "bootstrap",
            tags=bool(policy.segments),
            joined=policy.join is not None,
        )

    def columns(self) -> PredictionColumns:
        """Empty columns of all that `fold` looks at, and the join."""
        return PredictionColumns(self._wanted)

    def fold(self, rows: PredictionColumns, book: PaneBook) -> NDArray[np.float64]:
        """Add rows (already without duplicates) to their panes, in the overall series and each segment.

        Returns latencies in seconds, NaN where there is none.
        """
        if not len(rows):
            return np.empty(0)
        policy = self._policy
        pane_ms = policy.pane_ms
        moments, latencies = rows.moments, rows.latencies
        counts = self._binned(rows, moments)
        raw = rows.raw if self._wanted.raw else None
        version, names = _numbered(rows.versions)
        starts, panes = np.unique(moments - moments % pane_ms, return_inverse=True)
        levels: list[tuple[NDArray[np.intp], list[Segment]]] = [(np.zeros(len(rows), np.intp), [()])]
        if policy.segments:
            by_row = [segments_of(tags, policy.segments) for tags in rows.tags]
            levels.extend(_numbered([row[level] for row in by_row]) for level in range(1, len(policy.segments) + 1))
        for segment, segments in levels:
            # The (version, segment, pane) of each row as one number; those that occur are numbered anew.
            found = (version * len(segments) + segment) * len(starts) + panes
            keys, groups = np.unique(found, return_inverse=True) if found.any() else (found[:1], found)
            sizes = np.bincount(groups, minlength=len(keys)).tolist()
            table = None if counts is None else counts(groups, len(keys))
            for group, key in enumerate(keys.tolist()):
                series, at = divmod(key, len(starts))
                of_version, of_segment = divmod(series, len(segments))
                pane = book.predictions(PaneKey(policy.name, names[of_version], segments[of_segment], int(starts[at])))
                pane.n += sizes[group]
                if table is not None and self.profile is not None and table[group].any():
                    pane.add_binned(self.profile.schema_id, table[group])
                mine = slice(None) if len(keys) == 1 else groups == group
                _add_latencies(pane, latencies[mine])
                if raw is not None and segments == [()]:
                    features, outputs = raw
                    places = np.flatnonzero(groups == group).tolist()
                    columns = {name: [values[i] for i in places] for name, values in features.items()}
                    pane.add_raw(columns, [outputs[i] for i in places], self._hash_key)
        return latencies

    def _binned(
        self, rows: PredictionColumns, moments: NDArray[np.int64]
    ) -> Callable[[NDArray[np.intp], int], NDArray[np.int64]] | None:
        """A function (groups, n_groups) → counts, or None where nothing is binned."""
        if self._counter is None or self.profile is None:
            return None
        counter = self._counter
        since = self.profile.effective_from
        early = None if since is None else moments < since
        codes = rows.codes
        if early is None or not early.any():
            return lambda groups, n_groups: counter.tally(codes, groups, n_groups)

        # Rows before the profile takes effect go to a group of their own, which is thrown away.
        def tally(groups: NDArray[np.intp], n_groups: int) -> NDArray[np.int64]:
            return counter.tally(codes, np.where(early, n_groups, groups), n_groups + 1)[:n_groups]

        return tally


def _add_latencies(pane: PredictionPane, seconds: NDArray[np.float64]) -> None:
    known = seconds[np.isfinite(seconds)]
    if known.size:
        if pane.latency is None or pane.latency_sum is None:
            pane.latency, pane.latency_sum = DDSketch(), ExactSum()
        pane.latency.update(known)
        pane.latency_sum.update(known)


def _numbered(column: Sequence[ItemT]) -> tuple[NDArray[np.intp], list[ItemT]]:
    """Which of the distinct items of a column each is, and these in order of appearance."""
    distinct = list(dict.fromkeys(column))
    if len(distinct) == 1:
        return np.zeros(len(column), np.intp), distinct
    numbers = {item: i for i, item in enumerate(distinct)}
    return np.fromiter(map(numbers.__getitem__, column), np.intp, len(column)), distinct
