"""A made-up population and a made-up model of it: what the generated events say.

Each row has a hidden score z, a weighted sum of its features. The model knows the weights it was trained with; the
truth follows z too, but for a share of noise. Two things can change, apart from each other:
  - covariate shift: numeric features move up by so many standard deviations s, of categorical ones a share of
    1 - 2^-s of the rows takes the rarest value. The relation stays, so the model errs no more often than before;
  - concept drift: what features mean for the truth turns, at 1 to the opposite. The inputs stay, the model errs several
    times as often.
Promises: a pure function of policy, seed and block number. Costs about 1 µs a row of 20 features. Leaves to others:
time, order, transport (generate.py), text (generate_json.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_monitor.app.generate_features import (
    COUNTRY,
    Floats,
    Tag,
    categorical_features,
    logistic,
    numeric_features,
)
from stream_monitor.events.outcome import known_classes
from stream_monitor.events.policy import OutcomePolicy, Task

BLOCK = 512  # rows that are drawn together
MAX_FEATURES = 10_000
MAX_SHIFT = 10  # standard deviations
_SHARPNESS = 2.0  # of the score: P = 1 / (1 + exp(-2 z / sd(z)))
_MOVING = 1  # keeps the draws of rows whose category moves apart from all others


@dataclass(frozen=True, slots=True)
class WorldPolicy:
    """One model.

    more_versions   its versions take turns, `model_version` first
    noise           share of truths that are not as z says (of a regression: their deviation, in sd of z)
    missing         share of values of numeric features that are null
    shift_features  what a covariate shift moves (null: the first numeric feature); `shift_size`: by how many sd
    drift_features  whose meaning a concept drift turns (null: the second and third numeric feature, of a single one
                    that one); `drift_size`: 0 not at all, 1 to the opposite
    """

    model_name: str = "credit"
    model_version: str = "1"
    outcome: OutcomePolicy = OutcomePolicy(task=Task.BINARY, positive_class="1")
    numeric: int = 5
    categorical: int = 3
    noise: float = 0.1
    missing: float = 0.01
    more_versions: tuple[str, ...] = ()
    tags: tuple[Tag, ...] = (COUNTRY,)
    shift_features: tuple[str, ...] | None = None
    shift_size: float = 1.5
    drift_features: tuple[str, ...] | None = None
    drift_size: float = 1.0

    def __post_init__(self) -> None:
        if not (1 <= self.numeric <= MAX_FEATURES and 0 <= self.categorical <= MAX_FEATURES):
            raise ValueError(
                f"a generated model has 1 to {MAX_FEATURES:,} numeric features and 0 to {MAX_FEATURES:,} categorical "
                f"ones, found {self.numeric} and {self.categorical}"
            )
        for name, share in (("noise", self.noise), ("missing", self.missing), ("drift size", self.drift_size)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, found {share}")
        if not abs(self.shift_size) <= MAX_SHIFT:
            raise ValueError(f"the shift size is at most {MAX_SHIFT} standard deviations, found {self.shift_size}")
        if len({tag.name for tag in self.tags}) < len(self.tags):
            raise ValueError(f"tags have different names, found {', '.join(tag.name for tag in self.tags)}")
        known = self.features
        for name in (*self.shifted_features, *self.turned_features):
            if name not in known:
                raise ValueError(f"there is no feature {name}; the model has {', '.join(known)}")

    @property
    def versions(self) -> tuple[str, ...]:
        return (self.model_version, *self.more_versions)

    @property
    def features(self) -> tuple[str, ...]:
        """Names, the numeric ones first."""
        numeric, categorical = numeric_features(self.numeric), categorical_features(self.categorical)
        return (*(each.name for each in numeric), *(each.name for each in categorical))

    @property
    def shifted_features(self) -> tuple[str, ...]:
        return self.features[:1] if self.shift_features is None else self.shift_features

    @property
    def shifted_feature(self) -> str:
        """The first of them."""
        return self.shifted_features[0]

    @property
    def turned_features(self) -> tuple[str, ...]:
        if self.drift_features is not None:
            return self.drift_features
        return self.features[1 : min(self.numeric, 3)] or self.features[:1]


class Row(NamedTuple):
    """One prediction and its truth, as in the events' JSON."""

    features: dict[str, object]
    prediction: dict[str, object]
    actual: dict[str, object]


class Columns(NamedTuple):
    """BLOCK rows: name → values as they stand in the events' JSON. `truth`: a place in `World.classes`, or a value."""

    features: Mapping[str, Sequence[object]]
    prediction: Mapping[str, Sequence[object]]
    tags: Mapping[str, Sequence[str]]
    latency_seconds: Sequence[float]
    truth: Floats


class World:
    """Draws rows of one model, block by block. `classes`: the labels; none if it is a regression."""

    def __init__(self, policy: WorldPolicy, seed: int) -> None:
        self.policy = policy
        self.classes: tuple[str, ...] = ()
        if policy.outcome.task is not Task.REGRESSION:
            self.classes = tuple(known_classes(policy.outcome)) or ("a", "b", "c")
        self._seed = seed
        self._numeric = numeric_features(policy.numeric)
        self._categorical = categorical_features(policy.categorical)
        weights = np.array([each.weight for each in self._numeric])
        effects = [np.array(each.effects) for each in self._categorical]
        self._spread = float(np.sqrt((weights**2).sum() + sum(each.variance for each in self._categorical)))
        self._known = (weights, effects)
        turned = policy.turned_features
        factor = [1 - 2 * policy.drift_size * (name in turned) for name in policy.features]
        self._turned = (
            weights * factor[: policy.numeric],
            [effect * each for effect, each in zip(effects, factor[policy.numeric :], strict=True)],
        )
        self._moved = [place for place, each in enumerate(self._numeric) if each.name in policy.shifted_features]

    def block(self, number: int, shift: Floats, drifted: NDArray[np.bool_]) -> Columns:
        """`shift`: 0 to 1 a row, how far the covariate shift has come; `drifted`: whether the concept has."""
        draw = np.random.default_rng([self._seed, number])
        u = draw.standard_normal((len(self._numeric), BLOCK))
        codes = [draw.choice(len(each.values), BLOCK, p=each.shares) for each in self._categorical]
        absent = draw.random((len(self._numeric), BLOCK)) < self.policy.missing
        latencies = np.round(np.exp(draw.normal(-4.4, 0.5, BLOCK)), 5)
        tags = [draw.choice(len(each.values), BLOCK, p=each.shares) for each in self.policy.tags]

        if shift.any():
            u[self._moved] += self.policy.shift_size * shift
            codes = self._shifted(codes, shift, number)
        known = self._hidden(self._known, u, codes)
        true = np.where(drifted, self._hidden(self._turned, u, codes), known) if drifted.any() else known
        prediction, truth = self._outcomes(known, true, draw)

        numeric: list[list[object]] = [
            each.of_normal(values).tolist() for each, values in zip(self._numeric, u, strict=True)
        ]
        for feature, row in zip(*(place.tolist() for place in np.nonzero(absent)), strict=True):
            numeric[feature][row] = None
        features: dict[str, Sequence[object]] = {
            each.name: column for each, column in zip(self._numeric, numeric, strict=True)
        }
        for each, code in zip(self._categorical, codes, strict=True):
            features[each.name] = _taken(each.values, code)
        return Columns(
            features,
            prediction,
            {each.name: _taken(each.values, code) for each, code in zip(self.policy.tags, tags, strict=True)},
            latencies.tolist(),
            truth,
        )

    def calm(self, rows: int) -> list[Row]:
        """The first `rows` rows, nothing changed: reference data."""
        nothing, never = np.zeros(BLOCK), np.zeros(BLOCK, np.bool_)
        blocks = (self.rows(self.block(number, nothing, never)) for number in range(-(-rows // BLOCK)))
        return [row for block in blocks for row in block][:rows]

    def rows(self, columns: Columns) -> list[Row]:
        """The same, row by row: what the fast text of generate_json.py must say."""
        actuals: list[dict[str, object]] = [
            {"label": self.classes[int(truth)]} if self.classes else {"value": truth}
            for truth in columns.truth.tolist()
        ]
        parts = zip(_by_row(columns.features), _by_row(columns.prediction), actuals, strict=True)
        return [Row(*each) for each in parts]

    def _shifted(self, codes: list[NDArray[np.int64]], shift: Floats, number: int) -> list[NDArray[np.int64]]:
        moving = np.random.default_rng([self._seed, number, _MOVING]).random((len(codes), BLOCK))
        share = 1 - 2 ** (-np.abs(self.policy.shift_size) * shift)
        return [
            np.where(draw < share, np.argmin(each.shares), code) if each.name in self.policy.shifted_features else code
            for each, code, draw in zip(self._categorical, codes, moving, strict=True)
        ]

    def _hidden(self, relation: tuple[Floats, list[Floats]], u: Floats, codes: Sequence[NDArray[np.int64]]) -> Floats:
        """z of each row, in its standard deviations."""
        weights, effects = relation
        group = sum((effect[code] for effect, code in zip(effects, codes, strict=True)), np.zeros(BLOCK))
        return np.asarray((weights @ u + group) / self._spread)

    def _outcomes(
        self, known: Floats, true: Floats, draw: np.random.Generator
    ) -> tuple[dict[str, Sequence[object]], Floats]:
        """The model's outputs, and the truth as in Columns."""
        outcome, classes = self.policy.outcome, self.classes
        if outcome.task is Task.REGRESSION:
            noise = self.policy.noise * draw.standard_normal(BLOCK)
            return {"value": np.round(100 + 25 * known, 3).tolist()}, np.round(100 + 25 * (true + noise), 3)
        wrong = draw.random(BLOCK) < self.policy.noise
        if outcome.task is Task.BINARY:
            happened = ((true > 0) ^ wrong).astype(np.float64)
            scores = np.round(logistic(_SHARPNESS * known), 4)
            if outcome.score_of == "positive":
                return {"score": scores.tolist()}, happened
            yes = scores >= 0.5  # here the score is the probability of the class that is predicted
            of_predicted = np.where(yes, scores, np.round(1 - scores, 4))
            return {"label": _taken(classes, yes.astype(np.int64)), "score": of_predicted.tolist()}, happened
        # Classes stand in a row along z; the score falls with the distance to a class's place.
        places = np.linspace(-1.0, 1.0, len(classes))
        closeness = np.exp(-2.0 * (known[:, None] - places) ** 2)
        shares = np.round(closeness / closeness.sum(axis=1, keepdims=True), 4).tolist()
        best = np.abs(known[:, None] - places).argmin(axis=1)
        truth = np.abs(true[:, None] - places).argmin(axis=1)
        others = draw.integers(1, max(2, len(classes)), BLOCK)
        truth = np.where(wrong, (truth + others) % len(classes), truth)
        scores_by_class = [dict(zip(classes, row, strict=True)) for row in shares]
        return {"label": _taken(classes, best), "scores": scores_by_class}, truth.astype(np.float64)


def _taken(values: Sequence[str], codes: NDArray[np.int64]) -> list[str]:
    found: list[str] = np.array(values, dtype=object)[codes].tolist()
    return found


def _by_row(columns: Mapping[str, Sequence[object]]) -> list[dict[str, object]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
