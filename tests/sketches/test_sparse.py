from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stream_monitor.errors import FormatError
from stream_monitor.sketches.sparse import (
    MAX_COUNT,
    MAX_SLOTS,
    add_counts,
    count_slots,
    decode_counts,
    decode_signed,
    encode_counts,
)

count = st.one_of(
    st.just(0), st.just(0), st.integers(0, 300), st.integers(0, 1 << 40), st.integers(-(2**63), 2**63 - 1)
)
vectors = hnp.arrays(np.int64, st.integers(0, 400), elements=count)


@given(vectors)
@example(np.zeros(0, np.int64))
@example(np.array([-(2**63), 2**63 - 1]))
def test_every_vector_comes_back(counts: np.ndarray) -> None:
    written = encode_counts(counts)
    assert count_slots(written) == counts.size
    read = decode_signed(written)
    assert read.dtype == np.int64
    assert np.array_equal(read, counts)
    read += 1  # writable: panes add into it


@given(
    st.integers(1, 500),
    st.sampled_from([1, 200, 60_000, 1 << 20, 1 << 34]),
    st.sampled_from([0.0, 0.01, 0.3, 1.0]),
    st.sampled_from([0.0, 0.02, 0.5]),
    st.integers(0, 9),
)
def test_vectors_like_those_of_panes_come_back(slots: int, most: int, occupied: float, large: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, most, slots) * (rng.random(slots) < occupied)
    counts += (rng.random(slots) < large) * rng.integers(0, 1 << 44, slots)
    assert np.array_equal(decode_counts(encode_counts(counts)), counts)


@given(vectors, st.integers(0, 5))
def test_written_counts_add_as_vectors_do(counts: np.ndarray, seed: int) -> None:
    into = np.random.default_rng(seed).integers(-1_000, 1_000, counts.size)
    if counts.size and not 0 <= counts.min() <= counts.max() <= MAX_COUNT:
        with pytest.raises(FormatError, match=f"from 0 to {MAX_COUNT}, found"):
            add_counts(encode_counts(counts), into)
        return
    expected = into + counts
    add_counts(encode_counts(counts), into)
    assert np.array_equal(into, expected)


def test_few_events_cost_few_bytes_and_many_no_more_than_a_byte_a_slot() -> None:
    one_event = np.zeros(1700, np.int64)
    one_event[::85] = 1
    assert len(encode_counts(one_event)) < 60
    assert len(encode_counts(np.zeros(1700, np.int64))) < 20
    assert len(encode_counts(np.full(1700, 200))) < 1710


def test_a_few_large_counts_do_not_widen_the_others() -> None:
    counts = np.full(1700, 70)
    counts[::100] = 5_000
    assert len(encode_counts(counts)) < 1700 + 80
    counts += 10_000
    counts[::100] = 1_000_000
    assert len(encode_counts(counts)) < 2 * 1700 + 80


@pytest.mark.parametrize("counts", [np.arange(40), np.arange(40) * (np.arange(40) > 37), np.arange(40) ** 3])
def test_counts_of_another_size_are_refused(counts: np.ndarray) -> None:
    with pytest.raises(FormatError, match="41 slots expected, 40 found"):
        add_counts(encode_counts(counts), np.zeros(41, np.int64))


@given(st.binary(max_size=40))
def test_random_bytes_raise_a_format_error_or_are_counts(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        decode_counts(data)


@given(vectors, st.data())
def test_broken_bytes_raise_a_format_error_or_are_counts(counts: np.ndarray, data: st.DataObject) -> None:
    whole = encode_counts(counts)
    at = data.draw(st.integers(0, len(whole) - 1))
    for broken in (whole[:at], whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]):
        with contextlib.suppress(FormatError):
            decode_counts(broken)


def test_a_huge_vector_is_refused_before_it_is_allocated() -> None:
    with pytest.raises(FormatError, match="slots"):
        decode_counts(b"\x01\x00" + (MAX_SLOTS + 1).to_bytes(4, "little") + b"\x00" * 5)
