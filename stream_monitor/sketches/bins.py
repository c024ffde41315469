"""Counts of features on frozen bins: which slots there are, and how a batch is counted into them.

A layout puts the slots of all features in one vector, the model's output last:
numeric: the k+1 fine bins of k edges, (-∞, e₀) [e₀, e₁) … [e₍ₖ₋₁₎, ∞), then missing, invalid;
categorical: the categories, then other, unseen, missing, invalid.
Every event adds exactly one to each feature's slots, so each slice sums to the number of binned events.

Costs of counting: one grid search of all numeric features, one dict look-up per category, one bincount for all
features and groups. Exact; vectors of one schema_id add. Leaves to reference/: where edges come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from stream_monitor.errors import ProfileError
from stream_monitor.events.columns import INVALID, FeatureColumns
from stream_monitor.events.scalars import canonical_scalar
from stream_monitor.sketches.edge_search import EdgeSearch
from stream_monitor.sketches.hashing import hash_key as hash_of
from stream_monitor.sketches.hashing import key_id

OUTPUT: Final = "__output__"
RAW_SCHEMA_ID: Final = "raw"

_MEMO_LIMIT: Final = 10_000
_MEMO_TEXT: Final = 200


@dataclass(frozen=True, slots=True)
class NumericBins:
    """`edges` finite and strictly increasing; a bin holds its lower edge."""

    name: str
    edges: tuple[float, ...]

    @property
    def size(self) -> int:
        return len(self.edges) + 3

    @property
    def fine(self) -> int:
        """Number of fine bins; `missing` stands at this offset, `invalid` at the next."""
        return len(self.edges) + 1


@dataclass(frozen=True, slots=True)
class CategoricalBins:
    """`categories` are plain texts, or their 16-digit hashes if `hashed`; `other_hashes` are the hashes of the
    reference's rare values. With an open vocabulary whatever is no category is `other`: nothing is unseen."""

    name: str
    categories: tuple[str, ...]
    other_hashes: frozenset[str] = frozenset()
    open_vocabulary: bool = False
    hashed: bool = False

    @property
    def size(self) -> int:
        return len(self.categories) + 4

    @property
    def other(self) -> int:
        """Offset of `other`; `unseen`, `missing`, `invalid` follow."""
        return len(self.categories)

    @property
    def needs_hashes(self) -> bool:
        return self.hashed or (bool(self.other_hashes) and not self.open_vocabulary)


BinSpec = NumericBins | CategoricalBins


@dataclass(frozen=True, slots=True)
class BinLayout:
    """All slots of one schema. `features` in the profile's order; `output` (named "__output__") comes last."""

    features: tuple[BinSpec, ...]
    output: BinSpec | None
    schema_id: str
    hash_key_id: str | None = None  # which key the hashes need; None: there are none
    size: int = field(init=False)
    slices: dict[str, slice] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        slices: dict[str, slice] = {}
        at = 0
        for spec in self.specs:
            if spec.name in slices:
                raise ProfileError(f"a layout names each feature once, {spec.name!r} is there twice")
            slices[spec.name] = slice(at, at + spec.size)
            at += spec.size
        object.__setattr__(self, "size", at)
        object.__setattr__(self, "slices", slices)

    @property
    def specs(self) -> tuple[BinSpec, ...]:
        return self.features if self.output is None else (*self.features, self.output)

    def slice(self, name: str) -> slice:
        """Where the slots of a feature (or OUTPUT) stand in the vector."""
        return self.slices[name]


class BinCounter:
    """Counts batches into the slots of a layout. Holds no counts itself, only a bounded memo of category codes."""

    def __init__(self, layout: BinLayout, hash_key: bytes = b"") -> None:
        if layout.hash_key_id is not None and layout.hash_key_id != key_id(hash_key):
            raise ProfileError(
                f"the profile's hashes were made with key {layout.hash_key_id}, configured is {key_id(hash_key)}",
                mend="set the hash key the profile was built with, or build the profile again",
            )
        self.layout = layout
        self._output = layout.output
        numeric = [spec for spec in layout.specs if isinstance(spec, NumericBins)]
        self._search = EdgeSearch([spec.edges for spec in numeric])
        starts = [layout.slice(spec.name).start for spec in numeric]
        self._starts = np.array(starts, np.intp).reshape(-1, 1)
        self._codes = [
            _Codes(spec, layout.slice(spec.name).start, hash_key)
            for spec in layout.specs
            if isinstance(spec, CategoricalBins)
        ]

    def count(
        self,
        columns: FeatureColumns,
        output: NDArray[np.float64] | Sequence[object] | None,
        groups: NDArray[np.intp] | None = None,
        n_groups: int = 1,
    ) -> NDArray[np.int64]:
        """Counts of shape (n_groups, layout.size) in one go: `tally` of `codes`."""
        return self.tally(self.codes(columns, output), groups, n_groups)

    def codes(self, columns: FeatureColumns, output: NDArray[np.float64] | Sequence[object] | None) -> NDArray[np.intp]:
        """The slot of each event in each feature, for `tally`; shape (features, n).

        `output`: floats (NaN missing, ±inf invalid) or classes (None missing); None: all missing; not looked at
        where the layout has no output.
        """
        n = columns.n
        numeric = columns.numeric
        categorical: list[Sequence[object]] = list(columns.categorical)
        if isinstance(self._output, NumericBins):
            last = np.full(n, np.nan) if output is None else np.asarray(output, np.float64)
            numeric = np.concatenate((numeric, last.reshape(1, n)))
        elif self._output is not None:
            categorical.append([None] * n if output is None else list(output))
        if len(numeric) != len(self._starts):
            raise ValueError(f"the layout has {len(self._starts)} numeric features, found {len(numeric)} columns")
        codes = np.empty((len(numeric) + len(self._codes), n), np.intp)
        np.add(self._search.slots(numeric), self._starts, out=codes[: len(numeric)])
        for row, (memo, column) in enumerate(zip(self._codes, categorical, strict=True), len(numeric)):
            codes[row] = np.fromiter(map(memo.__getitem__, column), np.intp, n)
        return codes

    def tally(
        self, codes: NDArray[np.intp], groups: NDArray[np.intp] | None = None, n_groups: int = 1
    ) -> NDArray[np.int64]:
        """Counts of shape (n_groups, layout.size) from `codes`, which stay as they are: several groupings of one
        batch (segments) share them. `groups`: 0 ≤ group < n_groups for each event; None: all in group 0."""
        size = self.layout.size
        flat = codes if groups is None or n_groups == 1 else codes + groups * size
        return np.bincount(flat.ravel(), minlength=n_groups * size).reshape(n_groups, size)


class _Codes(dict[object, int]):
    """Slot of each category met so far; a miss asks the rules and is remembered up to a limit, since a
    feature may bring a new text with every event."""

    def __init__(self, spec: CategoricalBins, base: int, hash_key: bytes) -> None:
        super().__init__()
        self._spec = spec
        self._base = base
        self._hash_key = hash_key
        self._index = {category: i for i, category in enumerate(spec.categories)}
        self[None] = base + spec.other + 2
        self[INVALID] = base + spec.other + 3

    def __missing__(self, value: object) -> int:
        if not isinstance(value, str):
            # Not remembered: 1, 1.0 and True are one key of a dict, and not one category.
            return self._base + self._slot(canonical_scalar(cast("float | bool", value)))
        code = self._base + self._slot(value)
        if len(self) < _MEMO_LIMIT and len(value) <= _MEMO_TEXT:
            self[value] = code
        return code

    def _slot(self, text: str) -> int:
        spec = self._spec
        hashed = hash_of(text, self._hash_key) if spec.needs_hashes else ""
        known = self._index.get(hashed if spec.hashed else text)
        if known is not None:
            return known
        return spec.other if spec.open_vocabulary or hashed in spec.other_hashes else spec.other + 1
