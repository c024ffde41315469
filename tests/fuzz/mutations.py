"""Inputs without a fuzzer: seeds and corpus of a target, changed a little, as hypothesis draws the changes."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hypothesis import strategies as st

from tests.fuzz.harness import LONGEST, corpus, load

# Lengths and numbers that allocate or overflow, in the places where formats keep them.
_ODD = (
    b"\xff" * 8, b"\x7f" + b"\xff" * 7, b"\x80" + b"\0" * 7, b"\xff" * 4, b"\0" * 8, b"\xc0", b"\xcf" + b"\xff" * 8,
    b"\xd3\x80" + b"\0" * 7, b"\xdd\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xcb\x7f\xf8" + b"\0" * 6,
    b"1e999", b"-1", b"NaN", b"null", b"[]", b"{}", b'"\\ud800"', b"99999999999999999999", b"1e308",
)  # fmt: skip


def inputs_of(name: str) -> list[bytes]:
    return [*load(name).SEEDS, *(path.read_bytes() for path in corpus(name))]


def mutated(name: str, seed: int) -> Iterator[bytes]:
    """Without end, the same for the same seed and corpus."""
    rng = random.Random(seed)
    known = inputs_of(name)
    yield from known
    while True:
        yield change(rng.choice(known), rng, known)


def changes(name: str) -> st.SearchStrategy[bytes]:
    known = inputs_of(name)
    return st.builds(
        lambda data, rng: change(data, rng, known), st.sampled_from(known), st.randoms(use_true_random=False)
    )


def change(data: bytes, rng: random.Random, known: list[bytes]) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        what = rng.randrange(6)
        if what == 0 and data:
            at = min(at, len(data) - 1)
            data = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        elif what == 1:
            data = data[:at] + data[at + rng.choice((1, 1, 2, 4, 8, 40)) :]
        elif what == 2:
            odd = rng.choice(_ODD)
            data = data[:at] + odd + data[at + (len(odd) if rng.random() < 0.7 else 0) :]
        elif what == 3:
            data = data[:at] + bytes(rng.randrange(256) for _ in range(rng.choice((1, 2, 4)))) + data[at + 1 :]
        elif what == 4:
            other = rng.choice(known)
            start = rng.randrange(len(other) + 1)
            data = data[:at] + other[start : start + rng.randrange(1, 64)] + data[at:]
        else:
            data = data[:at] + data[at : at + 16] * rng.choice((2, 3)) + data[at + 16 :]
    return data[:LONGEST]
