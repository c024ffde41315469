"""A reference profile from the stream itself: from the raw sketches of the first predictions.

What it knows less well than a training profile: edges lie on the at most 512 bins of a FloatBins sketch (on exact
values while a feature has at most 100 distinct ones), categories are known by their keyed hashes only (of more than
1,000 distinct ones only a sample is), and there are no labels to balance the score bins. Counts are exact on these
edges.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import numpy as np

from stream_monitor.errors import ProfileError
from stream_monitor.events.policy import Task
from stream_monitor.events.scalars import canonical_scalar
from stream_monitor.reference.build import MIN_ROWS
from stream_monitor.reference.edges import Atoms, score_bin_edges
from stream_monitor.reference.features import CategoricalFeature
from stream_monitor.reference.freeze import categorical_feature, empty_feature, numeric_feature
from stream_monitor.reference.layout import needs_hashes
from stream_monitor.reference.profile import Feature, Profile, sealed
from stream_monitor.sketches.bins import OUTPUT
from stream_monitor.sketches.hashing import hash_key as hash_of
from stream_monitor.sketches.hashing import key_id
from stream_monitor.sketches.pane import PredictionPane
from stream_monitor.sketches.raw import RawFeature


def build_bootstrap(
    *,
    model_name: str,
    task: Task,
    pane: PredictionPane,
    created_at: int,
    effective_from: int | None = None,
    positive_class: str | None = None,
    classes: Sequence[str] = (),
    hash_key: bytes = b"",
    min_rows: int = MIN_ROWS,
) -> Profile:
    """A bootstrap profile from merged panes; ProfileError below `min_rows` raw predictions.

    All of the pane's predictions must have been added raw. `hash_key` is the one they were added with.
    `effective_from`: ms since epoch, the future pane start from which it is in force.
    """
    if pane.raw is None or pane.n < min_rows:
        raise ProfileError(
            f"a bootstrapped reference needs at least {min_rows} predictions counted raw, found "
            f"{0 if pane.raw is None else pane.n}"
        )
    # A stream may bring a feature of the output's name; it cannot be told from the output and is not monitored.
    named = sorted((name, raw) for name, raw in pane.raw.items() if name != OUTPUT)
    features = tuple(_feature(name, raw, raw.is_numeric, pane.n, hash_key) for name, raw in named)
    output: Feature | None = None
    score_edges: dict[str, tuple[float, ...]] = {}
    if pane.raw_output is not None:
        output = _named(
            _feature(OUTPUT, pane.raw_output, task is not Task.MULTICLASS, pane.n, hash_key), classes, hash_key
        )
        if task is Task.BINARY and positive_class is not None and pane.raw_output.numbers:
            score_edges = {positive_class: score_bin_edges(_atoms(pane.raw_output))}
    everything = features if output is None else (*features, output)
    return sealed(
        Profile(
            model_name=model_name,
            kind="bootstrap",
            effective_from=effective_from,
            task=task,
            positive_class=positive_class,
            classes=tuple(classes),
            n=pane.n,
            features=features,
            output=output,
            score_edges=score_edges,
            hash_key_id=key_id(hash_key) if any(map(needs_hashes, everything)) else None,
            created_at=created_at,
        )
    )


def _feature(name: str, raw: RawFeature, numeric: bool, n: int, hash_key: bytes) -> Feature:
    missing = n - raw.numbers - raw.texts.total - raw.invalid
    if not numeric:
        return _categorical(name, raw, missing, hash_key)
    invalid = raw.invalid + raw.texts.total  # a text is no value of a numeric feature
    if raw.minimum is None or raw.maximum is None:
        return empty_feature(name, missing, invalid)
    return numeric_feature(
        name,
        _atoms(raw),
        minimum=raw.minimum,
        maximum=raw.maximum,
        total=raw.sum.total,
        squares=raw.squares.total,
        missing=missing,
        invalid=invalid,
    )


def _atoms(raw: RawFeature) -> Atoms:
    return Atoms(raw.bins.lows, raw.bins.highs, raw.bins.counts.astype(np.float64))


def _categorical(name: str, raw: RawFeature, missing: int, hash_key: bytes) -> CategoricalFeature:
    """Numbers within a feature of texts are categories by their canonical text, as they will be in the stream."""
    counts = Counter({f"{hashed:016x}": count for hashed, count in raw.texts.counts.items()})
    unlisted = raw.texts.total - sum(counts.values())
    if raw.bins.is_exact:
        for value, count in zip(raw.bins.lows.tolist(), raw.bins.counts.tolist(), strict=True):
            counts[hash_of(canonical_scalar(value), hash_key)] += count
    else:
        unlisted += raw.numbers
    return categorical_feature(name, counts, None, missing=missing, invalid=raw.invalid, unlisted=unlisted)


def _named(output: Feature, classes: Sequence[str], hash_key: bytes) -> Feature:
    """Predicted classes by name again, where the configuration names all that occurred: they are no secret."""
    if not isinstance(output, CategoricalFeature):
        return output
    names = {hash_of(class_, hash_key): class_ for class_ in classes}
    if not set(output.categories) <= set(names):
        return output
    return msgspec.structs.replace(
        output, categories=tuple(names[hashed] for hashed in output.categories), hashed=False
    )
