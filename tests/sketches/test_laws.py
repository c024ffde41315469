"""The laws that make counts exact: a stream may be cut into batches, flushes and partitions in any way."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_monitor.errors import FormatError
from stream_monitor.sketches.codec import pack
from tests.sketches.subjects import SUBJECTS, Subject

subjects = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.name)
few = settings(max_examples=60, deadline=None)


def sketch_of(subject: Subject, rows: list[Any]) -> Any:
    sketch = subject.new()
    subject.add(sketch, rows)
    return sketch


def merged(*sketches: Any) -> Any:
    result = sketches[0].copy()
    for sketch in sketches[1:]:
        assert result.merge(sketch) is None
    return result


@subjects
@few
@given(data=st.data())
def test_merge_is_the_union_and_associative_and_commutative(subject: Subject, data: st.DataObject) -> None:
    a, b, c = (data.draw(st.lists(subject.row, max_size=12)) for _ in range(3))
    A, B, C = (sketch_of(subject, rows) for rows in (a, b, c))
    union = sketch_of(subject, a + b + c).to_bytes()
    assert merged(merged(A, B), C).to_bytes() == union
    assert merged(A, merged(B, C)).to_bytes() == union
    assert merged(C, A, B).to_bytes() == union
    assert sketch_of(subject, c + a[::-1] + b).to_bytes() == union


@subjects
@few
@given(data=st.data())
def test_any_split_into_batches_gives_the_same_state(subject: Subject, data: st.DataObject) -> None:
    rows = data.draw(st.lists(subject.row, max_size=20))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    batched = subject.new()
    for start, end in zip([0, *cuts], [*cuts, len(rows)], strict=True):
        if end > start:
            subject.add(batched, rows[start:end])
    assert batched.to_bytes() == sketch_of(subject, rows).to_bytes()


@subjects
@few
@given(data=st.data())
def test_an_empty_sketch_is_neutral(subject: Subject, data: st.DataObject) -> None:
    sketch = sketch_of(subject, data.draw(st.lists(subject.row, max_size=12)))
    assert subject.new().is_empty
    assert merged(sketch, subject.new()).to_bytes() == sketch.to_bytes()
    assert merged(subject.new(), sketch).to_bytes() == sketch.to_bytes()


@subjects
@few
@given(data=st.data())
def test_bytes_round_trip_and_go_on_merging(subject: Subject, data: st.DataObject) -> None:
    a, b = (data.draw(st.lists(subject.row, max_size=12)) for _ in range(2))
    A, B = sketch_of(subject, a), sketch_of(subject, b)
    read = type(A).from_bytes(A.to_bytes())
    assert read.to_bytes() == A.to_bytes()
    assert read.is_empty == A.is_empty
    assert merged(read, type(B).from_bytes(B.to_bytes())).to_bytes() == merged(A, B).to_bytes()


@subjects
@few
@given(data=st.data())
def test_merge_leaves_the_other_and_a_copy_is_independent(subject: Subject, data: st.DataObject) -> None:
    a, b = (data.draw(st.lists(subject.row, min_size=1, max_size=12)) for _ in range(2))
    A, B = sketch_of(subject, a), sketch_of(subject, b)
    before, copy = B.to_bytes(), A.copy()
    copied = copy.to_bytes()
    empty = subject.new()
    empty.merge(B)  # must not share parts with B
    A.merge(B)
    subject.add(A, b)
    subject.add(empty, a)
    assert B.to_bytes() == before
    assert copy.to_bytes() == copied


@subjects
def test_bytes_of_another_version_are_refused(subject: Subject) -> None:
    with pytest.raises(FormatError, match=r"format version 99 is unknown, accepted is 1( or 2)?"):
        type(subject.new()).from_bytes(pack(99))


@subjects
@few
@given(data=st.data())
def test_broken_bytes_raise_a_format_error_and_nothing_else(subject: Subject, data: st.DataObject) -> None:
    whole = sketch_of(subject, data.draw(st.lists(subject.row, min_size=1, max_size=5))).to_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    for broken in (whole[:at], flipped, b"", msgspec.msgpack.encode([1, b"\x90"])):
        with contextlib.suppress(FormatError):
            type(subject.new()).from_bytes(broken)
