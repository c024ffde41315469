"""Windows and panes on one grid of event time.

A window is `[start, end)` with `end = start + size`; starts lie at multiples of the slide from 1970-01-01T00:00Z.
A pane is one slide of the grid that all windows of a model share: the greatest common divisor of their sizes and
slides, so that each window is a run of whole panes.  Times are milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class WindowSpec:
    """A family of windows: tumbling where `slide_ms == size_ms`, else sliding."""

    size_ms: int
    slide_ms: int

    def __post_init__(self) -> None:
        if self.slide_ms <= 0 or self.size_ms % self.slide_ms:
            raise ValueError(
                f"a window's size must be a multiple of its slide; "
                f"found size {self.size_ms} ms, slide {self.slide_ms} ms"
            )

    def starts_covering(self, moment_ms: int) -> range:
        """Starts of the `size/slide` windows that hold `moment_ms`, ascending."""
        last = moment_ms - moment_ms % self.slide_ms
        return range(last - self.size_ms + self.slide_ms, last + 1, self.slide_ms)

    def first_end_after(self, moment_ms: int) -> int:
        """The smallest window end greater than `moment_ms`."""
        return moment_ms - moment_ms % self.slide_ms + self.slide_ms


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """One concrete window."""

    spec: WindowSpec
    start_ms: int

    @property
    def end_ms(self) -> int:
        return self.start_ms + self.spec.size_ms


def pane_size(specs: Iterable[WindowSpec]) -> int:
    """Milliseconds of the pane shared by all `specs`."""
    return math.gcd(*(part for spec in specs for part in (spec.size_ms, spec.slide_ms)))


def pane_start(moment_ms: int, pane_ms: int) -> int:
    return moment_ms - moment_ms % pane_ms


def windows_holding(specs: Iterable[WindowSpec], moment_ms: int) -> Iterator[Window]:
    """Every window of every family that holds `moment_ms`."""
    for spec in specs:
        for start in spec.starts_covering(moment_ms):
            yield Window(spec, start)
