"""A made-up population and a made-up model of it: what the generated events say.

Each row has a hidden score z, a weighted sum of its features. The model knows the weights it was trained with; the
truth follows z too, but for a share of noise. Two things can change, apart from each other:
  - covariate shift: the first numeric feature moves up by SHIFT standard deviations. The relation stays, so the model
    errs no more often than before;
  - concept drift: the next two numeric features (of a single one: that one) mean the opposite for the truth. The
    inputs stay, the model errs several times as often.
Promises: a pure function of policy, seed and block number. Costs about 10 µs a row. Leaves to others: time, order,
transport (generate.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_monitor.events.outcome import known_classes
from stream_monitor.events.policy import OutcomePolicy, Task

BLOCK = 512  # rows that are drawn together
SHIFT = 1.5
_SHARPNESS = 2.0  # of the score: P = 1 / (1 + exp(-2 z / sd(z)))
_COUNTRIES = ("DE", "FR", "US")

Floats = NDArray[np.float64]


def _logistic(x: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-x))


class _Numeric(NamedTuple):
    name: str
    weight: float
    of_normal: Callable[[Floats], NDArray[np.floating]]  # from a standard normal to the feature's own scale


class _Categorical(NamedTuple):
    name: str
    values: tuple[str, ...]
    shares: tuple[float, ...]
    effects: tuple[float, ...]


_NUMERIC = (
    _Numeric("income", -0.8, lambda u: np.round(np.exp(10.6 + 0.45 * u))),
    _Numeric("debt_ratio", 1.0, lambda u: np.round(_logistic(0.9 * u - 0.6), 4)),
    _Numeric("utilisation", 0.8, lambda u: np.round(_logistic(1.2 * u), 4)),
    _Numeric("age", -0.3, lambda u: np.clip(np.round(42 + 12 * u), 18, 95)),
    _Numeric("months_employed", -0.4, lambda u: np.round(np.exp(3.6 + 0.8 * u))),
)
_CATEGORICAL = (
    _Categorical("region", ("EU", "NA", "APAC", "LATAM"), (0.4, 0.3, 0.2, 0.1), (-0.2, 0.0, 0.1, 0.3)),
    _Categorical("channel", ("web", "app", "branch"), (0.6, 0.3, 0.1), (0.1, 0.0, -0.3)),
    _Categorical("product", ("card", "loan", "mortgage"), (0.5, 0.35, 0.15), (0.1, 0.0, -0.2)),
)


@dataclass(frozen=True, slots=True)
class WorldPolicy:
    """One model. `noise`: share of truths that are not as z says (of a regression: their deviation, in sd of z).

    The first features have names of their own, further ones are `numeric_6`, `category_4` and so on.
    """

    model_name: str = "credit"
    model_version: str = "1"
    outcome: OutcomePolicy = OutcomePolicy(task=Task.BINARY, positive_class="1")
    numeric: int = 5
    categorical: int = 3
    noise: float = 0.1
    missing: float = 0.01

    def __post_init__(self) -> None:
        if self.numeric < 1 or self.categorical < 0:
            raise ValueError(
                f"a generated model has at least 1 numeric feature and no fewer than 0 categorical ones, "
                f"found {self.numeric} and {self.categorical}"
            )

    @property
    def features(self) -> tuple[str, ...]:
        """Names, the numeric ones first."""
        numeric, categorical = _numeric(self.numeric), _categorical(self.categorical)
        return (*(each.name for each in numeric), *(each.name for each in categorical))

    @property
    def shifted_feature(self) -> str:
        return _NUMERIC[0].name


class Row(NamedTuple):
    """One prediction and its truth, as in the events' JSON."""

    features: dict[str, object]
    prediction: dict[str, object]
    actual: dict[str, object]
    latency_seconds: float
    country: str


class World:
    """Draws rows of one model, block by block."""

    def __init__(self, policy: WorldPolicy, seed: int) -> None:
        self.policy = policy
        self._seed = seed
        self._numeric, self._categorical = _numeric(policy.numeric), _categorical(policy.categorical)
        self._classes = tuple(known_classes(policy.outcome)) or ("a", "b", "c")
        self._weights = np.array([each.weight for each in self._numeric])
        self._spread = float(np.sqrt((self._weights**2).sum() + sum(map(_variance, self._categorical))))

    def block(self, number: int, shift: Floats, drifted: NDArray[np.bool_]) -> list[Row]:
        """BLOCK rows. `shift`: 0 to 1, how far the covariate shift has come; `drifted`: whether the concept has."""
        draw = np.random.default_rng([self._seed, number])
        u = draw.standard_normal((len(self._numeric), BLOCK))
        codes = [draw.choice(len(each.values), BLOCK, p=each.shares) for each in self._categorical]
        absent = draw.random((len(self._numeric), BLOCK)) < self.policy.missing
        latencies = np.round(np.exp(draw.normal(-4.4, 0.5, BLOCK)), 5)
        countries = draw.choice(len(_COUNTRIES), BLOCK, p=(0.5, 0.3, 0.2))

        u[0] += SHIFT * shift
        group = sum((np.array(e.effects)[c] for e, c in zip(self._categorical, codes, strict=True)), np.zeros(BLOCK))
        known = (self._weights @ u + group) / self._spread
        true = np.where(drifted, (self._turned() @ u + group) / self._spread, known)
        predictions, actuals = self._outcomes(known, true, draw)

        columns: list[list[object]] = []
        for each, values, gone in zip(self._numeric, u, absent, strict=True):
            column = each.of_normal(values).tolist()
            columns.append([None if g else value for value, g in zip(column, gone, strict=True)])
        columns += [[e.values[code] for code in c] for e, c in zip(self._categorical, codes, strict=True)]
        names = self.policy.features
        return [
            Row(dict(zip(names, values, strict=True)), prediction, actual, latency, _COUNTRIES[country])
            for values, prediction, actual, latency, country in zip(
                zip(*columns, strict=True), predictions, actuals, latencies.tolist(), countries, strict=True
            )
        ]

    def calm(self, rows: int) -> list[Row]:
        """The first `rows` rows, nothing changed: reference data."""
        nothing, never = np.zeros(BLOCK), np.zeros(BLOCK, np.bool_)
        blocks = (self.block(number, nothing, never) for number in range(-(-rows // BLOCK)))
        return [row for block in blocks for row in block][:rows]

    def _turned(self) -> Floats:
        """The weights after the concept drift."""
        turned = self._weights.copy()
        turned[1:3] *= -1
        if len(turned) == 1:
            turned *= -1
        return turned

    def _outcomes(
        self, known: Floats, true: Floats, draw: np.random.Generator
    ) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
        outcome, classes = self.policy.outcome, self._classes
        if outcome.task is Task.REGRESSION:
            values = np.round(100 + 25 * known, 3).tolist()
            truths = np.round(100 + 25 * (true + self.policy.noise * draw.standard_normal(BLOCK)), 3).tolist()
            return [{"value": value} for value in values], [{"value": truth} for truth in truths]
        wrong = draw.random(BLOCK) < self.policy.noise
        if outcome.task is Task.BINARY:
            negative, positive = classes
            scores = np.round(_logistic(_SHARPNESS * known), 4).tolist()
            happened = ((true > 0) ^ wrong).tolist()
            actuals: list[dict[str, object]] = [{"label": positive if yes else negative} for yes in happened]
            if outcome.score_of == "positive":
                return [{"score": score} for score in scores], actuals
            return [_of_predicted(score, negative, positive) for score in scores], actuals
        # Classes stand in a row along z; the score falls with the distance to a class's place.
        places = np.linspace(-1.0, 1.0, len(classes))
        closeness = np.exp(-2.0 * (known[:, None] - places) ** 2)
        shares = np.round(closeness / closeness.sum(axis=1, keepdims=True), 4).tolist()
        best = np.abs(known[:, None] - places).argmin(axis=1)
        truth = np.abs(true[:, None] - places).argmin(axis=1)
        others = draw.integers(1, max(2, len(classes)), BLOCK)
        truth = np.where(wrong, (truth + others) % len(classes), truth)
        return (
            [
                {"label": classes[code], "scores": dict(zip(classes, row, strict=True))}
                for code, row in zip(best, shares, strict=True)
            ],
            [{"label": classes[code]} for code in truth],
        )


def _of_predicted(score: float, negative: str, positive: str) -> dict[str, object]:
    """For models whose score is the probability of the class they predicted."""
    return {"label": positive, "score": score} if score >= 0.5 else {"label": negative, "score": round(1 - score, 4)}


def _numeric(count: int) -> list[_Numeric]:
    more = (
        _Numeric(f"numeric_{place + 1}", (0.1, -0.1, 0.0)[place % 3], lambda u: np.round(u, 4))
        for place in range(len(_NUMERIC), count)
    )
    return [*_NUMERIC, *more][:count]


def _categorical(count: int) -> list[_Categorical]:
    shares, effects = (0.4, 0.3, 0.15, 0.1, 0.05), (0.1, 0.0, 0.0, 0.0, -0.1)
    more = (
        _Categorical(f"category_{place + 1}", ("a", "b", "c", "d", "e"), shares, effects)
        for place in range(len(_CATEGORICAL), count)
    )
    return [*_CATEGORICAL, *more][:count]


def _variance(category: _Categorical) -> float:
    mean = sum(share * effect for share, effect in zip(category.shares, category.effects, strict=True))
    return sum(s * (e - mean) ** 2 for s, e in zip(category.shares, category.effects, strict=True))
