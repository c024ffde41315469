"""One feature of a reference profile, numeric or categorical: frozen bins and what the reference had in them.

Plain frozen values that are read from and written to JSON as they are; the rules they obey are in problems.py.
"""

from __future__ import annotations

import msgspec

Group = tuple[int, int]


class NumericFeature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="numeric"):
    """`counts[i]` reference rows in fine bin i of k+1: (-∞, e₀), [e₀, e₁) … [e₍ₖ₋₁₎, ∞).

    The first and last fine bin are empty in the reference: they hold what lies outside [minimum, maximum].
    `psi_groups` are half-open ranges (low, high) of fine bins. Continuous features: the groups cover all fine
    bins, the outer ones too. Discrete features: each value has a bin of its own, one float wide; every fine bin
    with count 0 is novel, also one within a group's range (groups.fold does it).
    """

    name: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    psi_groups: tuple[Group, ...]
    discrete: bool
    missing: int
    invalid: int
    n: int  # valid rows = sum of counts
    mean: float | None
    sd: float | None  # population
    minimum: float | None
    maximum: float | None


class CategoricalFeature(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="categorical"):
    """`categories` by falling count, as text or, if `hashed`, as 16-digit keyed hashes.

    `other`: rows of all further values, whose hashes are `other_hashes`. With an open vocabulary there were too
    many to list: whatever is no category counts as `other` and nothing is unseen. `psi_groups`: index ranges over
    (*categories, other).
    """

    name: str
    categories: tuple[str, ...]
    counts: tuple[int, ...]
    other: int
    other_hashes: tuple[str, ...]
    open_vocabulary: bool
    hashed: bool
    psi_groups: tuple[Group, ...]
    missing: int
    invalid: int
    n: int  # valid rows = sum of counts + other


Feature = NumericFeature | CategoricalFeature
