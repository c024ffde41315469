from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from stream_monitor.errors import FormatError
from stream_monitor.sketches.sparse import MAX_SLOTS, decode_counts, encode_counts

count = st.one_of(st.just(0), st.just(0), st.integers(0, 300), st.integers(-(2**63), 2**63 - 1))


@given(hnp.arrays(np.int64, st.integers(0, 400), elements=count))
@example(np.zeros(0, np.int64))
@example(np.array([-(2**63), 2**63 - 1]))
def test_every_vector_comes_back(counts: np.ndarray) -> None:
    read = decode_counts(encode_counts(counts))
    assert read.dtype == np.int64
    assert np.array_equal(read, counts)
    read += 1  # writable: panes add into it


def test_few_events_cost_few_bytes_and_many_no_more_than_a_byte_a_slot() -> None:
    one_event = np.zeros(1700, np.int64)
    one_event[::85] = 1
    assert len(encode_counts(one_event)) < 60
    assert len(encode_counts(np.zeros(1700, np.int64))) < 20
    assert len(encode_counts(np.full(1700, 200))) < 1710


@given(st.binary(max_size=40))
def test_random_bytes_raise_a_format_error_or_are_counts(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        decode_counts(data)


def test_a_huge_vector_is_refused_before_it_is_allocated() -> None:
    with pytest.raises(FormatError, match="slots"):
        decode_counts(b"\x01\x00" + (MAX_SLOTS + 1).to_bytes(4, "little") + b"\x00" * 5)
