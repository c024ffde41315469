"""The features and tags of the made-up models: names, distributions, and what each adds to the hidden score.

The first features have names of their own; further ones are `numeric_6`, `category_4` and so on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def logistic(x: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-x))


class Numeric(NamedTuple):
    name: str
    weight: float
    of_normal: Callable[[Floats], NDArray[np.floating]]  # from a standard normal to the feature's own scale


class Categorical(NamedTuple):
    """`effects`: what each value adds to the hidden score."""

    name: str
    values: tuple[str, ...]
    shares: tuple[float, ...]
    effects: tuple[float, ...]

    @property
    def variance(self) -> float:
        mean = sum(share * effect for share, effect in zip(self.shares, self.effects, strict=True))
        return sum(s * (e - mean) ** 2 for s, e in zip(self.shares, self.effects, strict=True))


class Tag(NamedTuple):
    """A tag of predictions, by which they can be segmented; it has no effect. `shares` add up to 1."""

    name: str
    values: tuple[str, ...]
    shares: tuple[float, ...]

    @classmethod
    def even(cls, name: str, values: Iterable[str]) -> Tag:
        """Each value as often as any other."""
        found = tuple(values)
        return cls(name, found, (1 / len(found),) * len(found))


COUNTRY = Tag("country", ("DE", "FR", "US"), (0.5, 0.3, 0.2))

_NUMERIC = (
    Numeric("income", -0.8, lambda u: np.round(np.exp(10.6 + 0.45 * u))),
    Numeric("debt_ratio", 1.0, lambda u: np.round(logistic(0.9 * u - 0.6), 4)),
    Numeric("utilisation", 0.8, lambda u: np.round(logistic(1.2 * u), 4)),
    Numeric("age", -0.3, lambda u: np.clip(np.round(42 + 12 * u), 18, 95)),
    Numeric("months_employed", -0.4, lambda u: np.round(np.exp(3.6 + 0.8 * u))),
)
_CATEGORICAL = (
    Categorical("region", ("EU", "NA", "APAC", "LATAM"), (0.4, 0.3, 0.2, 0.1), (-0.2, 0.0, 0.1, 0.3)),
    Categorical("channel", ("web", "app", "branch"), (0.6, 0.3, 0.1), (0.1, 0.0, -0.3)),
    Categorical("product", ("card", "loan", "mortgage"), (0.5, 0.35, 0.15), (0.1, 0.0, -0.2)),
)


def numeric_features(count: int) -> list[Numeric]:
    more = (
        Numeric(f"numeric_{place + 1}", (0.1, -0.1, 0.0)[place % 3], lambda u: np.round(u, 4))
        for place in range(len(_NUMERIC), count)
    )
    return [*_NUMERIC, *more][:count]


def categorical_features(count: int) -> list[Categorical]:
    shares, effects = (0.4, 0.3, 0.15, 0.1, 0.05), (0.1, 0.0, 0.0, 0.0, -0.1)
    more = (
        Categorical(f"category_{place + 1}", ("a", "b", "c", "d", "e"), shares, effects)
        for place in range(len(_CATEGORICAL), count)
    )
    return [*_CATEGORICAL, *more][:count]
