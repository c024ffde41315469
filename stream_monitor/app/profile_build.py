"""From rows to a training profile: hands the columns to the builder under the model's outcome policy."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from stream_monitor.app.profile_data import ReferenceRows
from stream_monitor.errors import UsageError
from stream_monitor.events.columns import FeatureKind
from stream_monitor.events.outcome import known_classes
from stream_monitor.events.policy import Task
from stream_monitor.pipeline.policy import ModelPolicy
from stream_monitor.reference.build import build_profile
from stream_monitor.reference.features import CategoricalFeature
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


def doubts(rows: ReferenceRows, policy: ModelPolicy, made: Profile) -> list[str]:
    """What a person should look at again before trusting a profile, one sentence each; none forbids its use."""
    found = []
    task, positive = policy.outcome.task, policy.outcome.positive_class
    if made.output is None:
        flag = {Task.BINARY: "--score", Task.MULTICLASS: "--label", Task.REGRESSION: "--value"}[task]
        found.append(f"no row has a prediction, so there is no psi of the output; for a CSV name its column: {flag}")
    elif made.output.invalid > 0 and made.output.invalid + made.output.missing >= made.n:
        found.append("no row has a prediction of its kind, so there is no psi of the output: a number for a score")
    truths = [row.label for row in rows.actuals if row is not None and row.label is not None]
    if task is Task.BINARY and truths and positive not in truths:
        found.append(
            f"none of {len(truths)} true classes is the positive_class {positive!r}; "
            "correct it, or map the data's spelling with class_aliases"
        )
    scores = [row.score for row in rows.predictions if row.score is not None and math.isfinite(row.score)]
    if task is Task.BINARY and scores and not 0 <= min(scores) <= max(scores) <= 1:
        found.append(f"scores reach from {min(scores):g} to {max(scores):g}, and a probability from 0 to 1")
    for feature in made.features:
        if feature.invalid > 0 and feature.invalid + feature.missing >= made.n:
            found.append(f"feature {feature.name} has no value of its kind; see --numeric and --categorical")
        elif isinstance(feature, CategoricalFeature) and not feature.categories:
            found.append(f"nearly all texts of feature {feature.name} differ, so its drift is not measured")
    return found
