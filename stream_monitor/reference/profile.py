"""A reference profile: what a model's inputs and outputs looked like, on bins frozen for ever.

Immutable, self-describing JSON of a few kB per feature. `id` is a hash of the content (all but `created_at` and
`effective_from`), `schema_id` a hash of what decides into which slot a value falls: counts of one schema_id add.
Reading is strict: unknown fields, broken structure or a hash that does not fit raise ProfileError. Leaves to
build.py and bootstrap.py where edges come from, to layout.py the slots, to groups.py the bins of PSI.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import pairwise
from typing import Final, Literal

import msgspec

from stream_monitor.errors import ProfileError
from stream_monitor.events.policy import Task
from stream_monitor.events.unreadable import UNREADABLE
from stream_monitor.reference.features import CategoricalFeature as CategoricalFeature
from stream_monitor.reference.features import Feature as Feature
from stream_monitor.reference.features import NumericFeature as NumericFeature
from stream_monitor.reference.problems import feature_problems
from stream_monitor.sketches.bins import OUTPUT
from stream_monitor.sketches.score_counts import DEFAULT_SCORE_EDGES

FORMAT_VERSION: Final = 1


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Made by `sealed(...)`, which computes both hashes."""

    v: int = FORMAT_VERSION
    model_name: str
    kind: Literal["training", "bootstrap"]
    id: str = ""
    schema_id: str = ""
    effective_from: int | None = None  # ms since epoch, start of a pane; None: always
    task: Task
    positive_class: str | None
    classes: tuple[str, ...]
    n: int  # reference rows
    features: tuple[Feature, ...]
    output: Feature | None  # named "__output__": score, predicted class or value
    score_edges: dict[str, tuple[float, ...]]  # class → at most 255 inner edges
    hash_key_id: str | None = None  # the key of all hashes in here; None: there are none
    created_at: int  # ms since epoch

    def edges_for(self, class_: str) -> tuple[float, ...]:
        """Inner edges of the score bins of a class."""
        return self.score_edges.get(class_, DEFAULT_SCORE_EDGES)

    def feature(self, name: str) -> Feature | None:
        """The feature of that name; "__output__" is the model's output."""
        if name == OUTPUT:
            return self.output
        return next((feature for feature in self.features if feature.name == name), None)

    def effective(self, from_ms: int | None) -> Profile:
        """The same profile (same id), in force from the pane that starts at `from_ms`."""
        return msgspec.structs.replace(self, effective_from=from_ms)

    def to_json(self) -> bytes:
        return msgspec.json.encode(self)

    @staticmethod
    def from_json(data: bytes | str) -> Profile:
        """Reads and checks a profile; ProfileError says what is wrong with it and how to mend it."""
        try:
            version = msgspec.json.decode(data, type=_Version).v
        except UNREADABLE as error:
            raise ProfileError(f"this is no profile: {error}", mend=_MEND) from error
        if version != FORMAT_VERSION:
            raise ProfileError(f"profile format {version} is unknown, accepted is {FORMAT_VERSION}", mend=_MEND)
        try:
            profile = msgspec.json.decode(data, type=Profile)
        except UNREADABLE as error:
            raise ProfileError(f"broken profile: {error}", mend=_MEND) from error
        right = sealed(profile)
        if (profile.id, profile.schema_id) != (right.id, right.schema_id):
            raise ProfileError(
                f"the profile of {profile.model_name!r} was changed by hand: its id says {profile.id}, "
                f"its content {right.id}; its schema_id says {profile.schema_id}, its bins {right.schema_id}",
                mend=_MEND,
            )
        return profile

    def problems(self) -> list[str]:
        """What is wrong with the structure, one sentence each."""
        found = [problem for feature in self._all() for problem in feature_problems(feature)]
        names = [feature.name for feature in self._all()]
        found += [f"feature {name!r} is there twice" for name in sorted({n for n in names if names.count(n) > 1})]
        if self.output is not None and self.output.name != OUTPUT:
            found.append(f"the output is named {OUTPUT!r}, found {self.output.name!r}")
        for class_, edges in self.score_edges.items():
            if len(edges) > 255 or any(a >= b for a, b in pairwise(edges)):
                found.append(f"score edges of class {class_!r} must be at most 255 and increase")
        return found

    def _all(self) -> tuple[Feature, ...]:
        return self.features if self.output is None else (*self.features, self.output)


class _Version(msgspec.Struct):
    v: int


def sealed(profile: Profile) -> Profile:
    """The profile with the `id` and `schema_id` of its content, as it will be read again; ProfileError if it has
    problems (infinite edges, NaN, wrong lengths)."""
    try:
        profile = msgspec.json.decode(msgspec.json.encode(profile), type=Profile)
    except (TypeError, *UNREADABLE) as error:
        raise ProfileError(f"this cannot become a profile: {error}") from error
    problems = profile.problems()
    if problems:
        raise ProfileError(f"broken profile of {profile.model_name!r}: " + "; ".join(problems), mend=_MEND)
    schema = [
        [[f.name, f.edges] if isinstance(f, NumericFeature) else _vocabulary(f) for f in profile._all()],
        profile.score_edges,
        profile.hash_key_id,
    ]
    schema_id = _hash(schema)
    bare = msgspec.structs.replace(profile, id="", schema_id=schema_id, effective_from=None, created_at=0)
    return msgspec.structs.replace(profile, schema_id=schema_id, id=_hash(bare))


def _vocabulary(feature: CategoricalFeature) -> list[object]:
    return [feature.name, feature.categories, feature.other_hashes, feature.open_vocabulary, feature.hashed]


def _hash(content: object) -> str:
    return blake2b(msgspec.json.encode(content, order="deterministic"), digest_size=8).hexdigest()


_MEND: Final = "build it again: stream-monitor profile build DATA -c FILE --model NAME -o PROFILE"
