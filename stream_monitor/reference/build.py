"""A reference profile from rows at hand: the training data, or any period known to be good.

Exact: bins are cut at real values and counted over all rows. Costs a sort per numeric feature. The caller reads
the data and applies the outcome policy; hashes of rare categories are made with its hash key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from stream_monitor.errors import ProfileError
from stream_monitor.events.columns import FeatureKind
from stream_monitor.events.policy import Task
from stream_monitor.reference.columns import guess_kind, numeric_values, text_values
from stream_monitor.reference.edges import Atoms, score_bin_edges
from stream_monitor.reference.freeze import categorical_feature, empty_feature, numeric_feature
from stream_monitor.reference.layout import needs_hashes
from stream_monitor.reference.profile import Feature, Profile, sealed
from stream_monitor.sketches.bins import OUTPUT
from stream_monitor.sketches.exact_sum import ExactSum
from stream_monitor.sketches.hashing import hash_key as hash_of
from stream_monitor.sketches.hashing import key_id

MIN_ROWS: Final = 30
MAX_FEATURES: Final = 2000
MAX_CLASSES: Final = 50


def guess_kinds(columns: Mapping[str, Sequence[object]]) -> dict[str, FeatureKind]:
    """The kind of each column by its majority, as `build_profile` takes it where `kinds` says nothing."""
    return {name: guess_kind(column) for name, column in columns.items()}


def build_profile(
    *,
    model_name: str,
    task: Task,
    columns: Mapping[str, Sequence[object]],
    created_at: int,
    outputs: Sequence[object] | None = None,
    actuals: Sequence[object] | None = None,
    class_scores: Mapping[str, Sequence[float | None]] | None = None,
    positive_class: str | None = None,
    classes: Sequence[str] = (),
    kinds: Mapping[str, FeatureKind] | None = None,
    hash_key: bytes = b"",
    min_rows: int = MIN_ROWS,
) -> Profile:
    """A training profile; ProfileError if the rows cannot make one.

    columns: feature → one value per row (None: missing), in the order of the profile.
    outputs: scores P(positive_class) of a binary model, or predicted classes, or values of a regression.
    actuals: canonical classes (None: no label); they balance the score bins and name the classes.
    class_scores: class → P(class) per row, for multiclass models. kinds: overrides of the guessed kinds.
    created_at: ms since epoch.
    """
    n = _rows(columns, outputs, actuals, class_scores or {}, min_rows)
    chosen = {**guess_kinds(columns), **(kinds or {})}
    unknown = sorted(set(chosen) - set(columns))
    if unknown:
        raise ProfileError(f"kinds are given for features that are not in the data: {', '.join(unknown)}")
    features = tuple(_feature(name, column, chosen[name], hash_key) for name, column in columns.items())
    output_kind: FeatureKind = "categorical" if task is Task.MULTICLASS else "numeric"
    output = None if outputs is None else _feature(OUTPUT, outputs, output_kind, hash_key)
    if task is Task.BINARY and positive_class is not None and outputs is not None and not class_scores:
        class_scores = {positive_class: _floats(outputs)}
    if task is Task.REGRESSION:
        class_scores, actuals = {}, None
    score_edges = {class_: _score_edges(class_, s, actuals) for class_, s in (class_scores or {}).items()}
    everything = features if output is None else (*features, output)
    return sealed(
        Profile(
            model_name=model_name,
            kind="training",
            task=task,
            positive_class=positive_class,
            classes=tuple(classes) or _classes(task, outputs, actuals),
            n=n,
            features=features,
            output=output,
            score_edges={class_: edges for class_, edges in score_edges.items() if edges is not None},
            hash_key_id=key_id(hash_key) if any(map(needs_hashes, everything)) else None,
            created_at=created_at,
        )
    )


def _rows(
    columns: Mapping[str, Sequence[object]],
    outputs: Sequence[object] | None,
    actuals: Sequence[object] | None,
    class_scores: Mapping[str, Sequence[float | None]],
    min_rows: int,
) -> int:
    given: dict[str, Sequence[object] | None] = {f"feature {name!r}": values for name, values in columns.items()}
    given |= {"outputs": outputs, "actuals": actuals}
    given |= {f"scores of class {class_!r}": values for class_, values in class_scores.items()}
    lengths = {what: len(values) for what, values in given.items() if values is not None}
    n = max(lengths.values(), default=0)
    uneven = [f"{what} has {length}" for what, length in lengths.items() if length != n]
    if uneven:
        raise ProfileError(f"all columns of a reference have one length, here {n}, but {', '.join(uneven)}")
    if n < min_rows:
        raise ProfileError(
            f"a reference needs at least {min_rows} rows, found {n}",
            mend="give more data: 1,000 rows or more make drift figures that tell something",
        )
    if len(columns) > MAX_FEATURES:
        raise ProfileError(f"a profile has at most {MAX_FEATURES} features, found {len(columns)}")
    if OUTPUT in columns:
        raise ProfileError(f"{OUTPUT!r} is the name of the model's output, no feature may have it")
    return n


def _feature(name: str, column: Sequence[object], kind: FeatureKind, hash_key: bytes) -> Feature:
    if kind == "categorical":
        texts, missing, invalid = text_values(column)
        hashes = {text: hash_of(text, hash_key) for text in texts}
        return categorical_feature(name, texts, hashes, missing=missing, invalid=invalid)
    values = numeric_values(column)
    valid = values[np.isfinite(values)]
    missing, invalid = int(np.isnan(values).sum()), int(np.isinf(values).sum())
    if len(valid) == 0:
        return empty_feature(name, missing, invalid)
    total, squares = ExactSum(), ExactSum()
    total.update(valid)
    squares.update_squares(valid)
    return numeric_feature(
        name,
        Atoms.of_values(valid),
        minimum=float(valid.min()) + 0.0,
        maximum=float(valid.max()) + 0.0,
        total=total.total,
        squares=squares.total,
        missing=missing,
        invalid=invalid,
    )


def _score_edges(
    class_: str, scores: Sequence[float | None], actuals: Sequence[object] | None
) -> tuple[float, ...] | None:
    """Edges on the class-balanced mixture, so that both classes are resolved alike however rare one is; without
    labels of both classes, on the scores as they are."""
    values = numeric_values(scores)
    usable = np.isfinite(values)
    weights = np.ones(len(values))
    if actuals is not None:
        labelled = np.array([actual is not None for actual in actuals], np.bool_) & usable
        positive = np.array([actual == class_ for actual in actuals], np.bool_) & labelled
        negative = labelled & ~positive
        if positive.any() and negative.any():
            usable = labelled
            weights = np.where(positive, 0.5 / positive.sum(), 0.5 / negative.sum())
    if not usable.any():
        return None
    return score_bin_edges(Atoms.of_values(values[usable], weights[usable]))


def _floats(outputs: Sequence[object]) -> list[float | None]:
    return [float(value) if isinstance(value, (int, float)) else None for value in outputs]


def _classes(task: Task, outputs: Sequence[object] | None, actuals: Sequence[object] | None) -> tuple[str, ...]:
    if task is Task.REGRESSION:
        return ()
    found = {value for value in (*(actuals or ()), *(outputs or ())) if isinstance(value, str)}
    if len(found) > MAX_CLASSES:
        raise ProfileError(
            f"a model has at most {MAX_CLASSES} classes, the reference has {len(found)}",
            mend="check that the label column holds classes, or name the classes to watch in `classes`",
        )
    return tuple(sorted(found))
