"""The profiles of one model in evaluate: the one in force, and those that panes may still be counted by.

A window is compared with the profile on whose bins it was counted, so a new profile takes effect where ingest begins to
count by it, whatever the order in which processes got to know of it.  Bins that no profile here describes are unknown:
what they count is never guessed at.  Costs a state record a profile; at most `FORMER` are kept beside the one in force.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.score_counts import UNIFORM_SCHEMA_ID

FORMER = 3


class References:
    """State: profiles by id, the one in force among them, and the ids of schemas that restored panes are counted by."""

    def __init__(self) -> None:
        self._profiles: dict[str, Profile] = {}
        self._in_force: str | None = None
        self._seen: set[str] = {UNIFORM_SCHEMA_ID}

    def get(self, profile_id: str) -> Profile | None:
        return self._profiles.get(profile_id)

    def add(self, profile: Profile, *, in_force: bool = False) -> list[str]:
        """Remember a profile; returns the ids of those whose records are to be written or to go."""
        if in_force:
            self._in_force = profile.id
        if profile.id in self._profiles:
            return []
        self._profiles[profile.id] = profile
        others = sorted(
            (each for each in self._profiles.values() if each.id != self._in_force),
            key=lambda each: (each.created_at, each.id),
            reverse=True,
        )
        gone = [each.id for each in others[FORMER:]]
        for each in gone:
            self._seen.add(self._profiles.pop(each).schema_id)
        return [profile.id, *gone]

    def saw(self, schemas: Iterable[str]) -> None:
        """Panes of the state are counted by these."""
        self._seen.update(schemas)

    def unknown(self, schemas: Collection[str], current: Profile | None) -> list[str]:
        """Which of `schemas` no profile describes that this model has or had."""
        if not schemas or (current is not None and all(each == current.schema_id for each in schemas)):
            return []
        known = self._seen | {each.schema_id for each in self._profiles.values()}
        if current is not None:
            known.add(current.schema_id)
        return sorted(set(schemas) - known)

    def of(self, schemas: Collection[str], end_ms: int, current: Profile | None) -> Profile | None:
        """What a window that ends at `end_ms` and is counted by `schemas` is compared with.

        Of several profiles on the same bins the one in force by then; the current one where there are none or several
        schemas, with which nothing can be compared.
        """
        if len(schemas) != 1 or current is None:
            return current
        (schema,) = schemas
        others = sorted(self._profiles.values(), key=lambda each: (each.created_at, each.id), reverse=True)
        fitting = [each for each in (current, *others) if each.schema_id == schema]
        in_force = (each for each in fitting if each.effective_from is None or each.effective_from < end_ms)
        return next(in_force, fitting[0] if fitting else current)
