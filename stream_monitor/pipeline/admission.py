"""Which series of a model are kept apart: versions and segments beyond a limit are booked as `__other__`.

Promises: each event is in exactly one version, and in one segment of each combination of tags, so the segments of a
combination and its `__other__` sum up to the overall series, and the versions and `__other__` to the model.  Decided by
nothing but the series there are, which are in the state: a restart decides the same.  A version has a limit of its own,
so that no flood of tag values hides the next one that is deployed.  Room that a retired series leaves is given to the
next new one; what was booked as `__other__` by then stays there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from enum import StrEnum

OTHER_SERIES = "__other__"

Segment = Mapping[str, str]


class Limit(StrEnum):
    """What was reached, as the metric's label says it."""

    SERIES = "series"
    VERSIONS = "versions"
    MODELS = "models"


class Admission:
    """State: how many series there are, and of which versions; it is told of each that comes and goes.

    `most_series`: overall ones and segments, without those of `__other__`; overall ones are not refused by it.
    """

    def __init__(self, *, most_versions: int, most_series: int) -> None:
        self._most_versions, self._most_series = most_versions, most_series
        self._versions: Counter[str] = Counter()
        self._series = 0

    def came(self, version: str | None, segment: Segment) -> None:
        self._count(version, segment, +1)

    def went(self, version: str | None, segment: Segment) -> None:
        self._count(version, segment, -1)

    def version(self, version: str | None) -> str | None:
        """The version, or `__other__`."""
        is_kept = version is None or version in self._versions or len(self._versions) < self._most_versions
        return version if is_kept else OTHER_SERIES

    def segment(self, segment: Segment) -> Segment:
        """The segment of a new series, or that of `__other__`."""
        return segment if not segment or self._series < self._most_series else dict.fromkeys(segment, OTHER_SERIES)

    def _count(self, version: str | None, segment: Segment, change: int) -> None:
        if version is not None and version != OTHER_SERIES:
            self._versions[version] += change
            if not self._versions[version]:
                del self._versions[version]
        if set(segment.values()) != {OTHER_SERIES}:
            self._series += change
