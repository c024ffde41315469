"""The sums behind RMSE, MAE, bias and R², exact and free of order.

e = predicted − actual in float64 (rounded once per event, the same in every order; clamped to the largest float
where it would overflow); all sums over e and y are exact.
"""

from __future__ import annotations

from typing import Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from stream_monitor.sketches.codec import Count, pack, unpack
from stream_monitor.sketches.exact_sum import ExactSum

_VERSION: Final = 1
_decoder: Final = msgspec.msgpack.Decoder(tuple[Count, bytes, bytes, bytes, bytes, bytes])
_LARGEST: Final = float(np.finfo(np.float64).max)


class RegressionSums:
    """`n` pairs; Σe, Σ|e|, Σe², Σy, Σy² with e = predicted − actual and y = actual."""

    __slots__ = ("absolute_errors", "actuals", "errors", "n", "squared_actuals", "squared_errors")

    def __init__(self) -> None:
        self.n = 0
        self.errors = ExactSum()
        self.absolute_errors = ExactSum()
        self.squared_errors = ExactSum()
        self.actuals = ExactSum()
        self.squared_actuals = ExactSum()

    @property
    def is_empty(self) -> bool:
        return self.n == 0

    def update(self, actual: NDArray[np.float64], predicted: NDArray[np.float64]) -> None:
        """Adds pairs of finite values; the caller removes NaN and infinity (ValueError)."""
        with np.errstate(over="ignore"):
            errors = np.clip(predicted - actual, -_LARGEST, _LARGEST)
        self.errors.update(errors)
        self.absolute_errors.update(np.abs(errors))
        self.squared_errors.update_squares(errors)
        self.actuals.update(actual)
        self.squared_actuals.update_squares(actual)
        self.n += len(actual)

    def merge(self, other: Self) -> None:
        self.n += other.n
        for mine, theirs in zip(self._sums(), other._sums(), strict=True):
            mine.merge(theirs)

    def copy(self) -> Self:
        new = type(self)()
        new.merge(self)
        return new

    def to_bytes(self) -> bytes:
        return pack(_VERSION, self.n, *(part.to_bytes() for part in self._sums()))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        n, *sums = unpack("regression sums", data, _VERSION, _decoder)
        new = cls()
        new.n = n
        for mine, packed in zip(new._sums(), sums, strict=True):
            mine.merge(ExactSum.from_bytes(packed))
        return new

    def _sums(self) -> tuple[ExactSum, ...]:
        return self.errors, self.absolute_errors, self.squared_errors, self.actuals, self.squared_actuals
