"""Small worlds for metric tests: a reference, windows of rows, and panes made of them by the real counters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from stream_monitor.events.columns import FeatureColumns
from stream_monitor.events.policy import Task
from stream_monitor.reference.build import build_profile
from stream_monitor.reference.features import NumericFeature
from stream_monitor.reference.layout import bin_layout
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.bins import BinCounter
from stream_monitor.sketches.pane import PredictionPane

Columns = Mapping[str, Sequence[object]]


def profile_of(columns: Columns, outputs: Sequence[object] | None = None, **more: object) -> Profile:
    settings: dict[str, object] = {"task": Task.BINARY, "positive_class": "1", **more}
    return build_profile(model_name="m", columns=columns, outputs=outputs, created_at=0, **settings)  # type: ignore[arg-type]


def counted(profile: Profile, columns: Columns, outputs: Sequence[object] | None = None) -> PredictionPane:
    """A pane of the rows, counted on the profile's bins."""
    n = len(next(iter(columns.values())))
    numeric = [_floats(columns[f.name]) for f in profile.features if isinstance(f, NumericFeature)]
    texts = [list(columns[f.name]) for f in profile.features if not isinstance(f, NumericFeature)]
    batch = FeatureColumns(np.array(numeric).reshape(len(numeric), n), tuple(texts))
    output: object = outputs
    if outputs is not None and isinstance(profile.output, NumericFeature):
        output = _floats(outputs)
    pane = PredictionPane(n=n)
    pane.add_binned(profile.schema_id, BinCounter(bin_layout(profile)).count(batch, output)[0])  # type: ignore[arg-type]
    return pane


def _floats(values: Sequence[object]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
