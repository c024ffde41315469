"""From rows to a training profile: hands the columns to the builder under the model's outcome policy."""

from __future__ import annotations

import time
from collections.abc import Mapping

from stream_monitor.app.profile_data import ReferenceRows
from stream_monitor.errors import UsageError
from stream_monitor.events.columns import FeatureKind
from stream_monitor.events.outcome import known_classes
from stream_monitor.events.policy import Task
from stream_monitor.pipeline.policy import ModelPolicy
from stream_monitor.reference.build import build_profile
from stream_monitor.reference.profile import Profile


def build_from_rows(
    rows: ReferenceRows, policy: ModelPolicy, kinds: Mapping[str, FeatureKind], hash_key: bytes
) -> Profile:
    """ProfileError if the rows cannot make one; UsageError for a kind of a feature that is not there."""
    unknown = [name for name in kinds if name not in rows.columns]
    if unknown:
        raise UsageError(f"There is no feature {', '.join(unknown)}; there are {', '.join(rows.columns)}")
    task = policy.outcome.task
    return build_profile(
        model_name=policy.name,
        task=task,
        columns=rows.columns,
        created_at=time.time_ns() // 1_000_000,
        outputs=rows.outputs(task),
        actuals=rows.actual_classes(),
        class_scores=rows.class_scores() if task is Task.MULTICLASS else None,
        positive_class=policy.outcome.positive_class,
        classes=known_classes(policy.outcome),
        kinds=kinds,
        hash_key=hash_key,
    )
