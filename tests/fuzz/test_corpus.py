"""What fuzzing found stays mended: each input of the corpus, and a few changes of it, under the rules of its target."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.harness import CORPUS, corpus, failure, load, names, replay, smallest
from tests.fuzz.mutations import changes

MOST_CORPUS_BYTES = 300_000


@pytest.mark.parametrize("name", names())
def test_the_corpus_brings_out_no_fault(name: str) -> None:
    target = load(name)
    for data in (*target.SEEDS[:2], *(path.read_bytes() for path in corpus(name))):
        replay(target, data)


@pytest.mark.parametrize("name", names())
def test_a_little_change_brings_out_none_either(name: str) -> None:
    target = load(name)

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(changes(name) | st.binary(max_size=40))
    def unharmed(data: bytes) -> None:
        replay(target, data)

    unharmed()


def test_the_corpus_is_small_and_all_of_it_is_of_a_target() -> None:
    folders = {path.name for path in CORPUS.iterdir()}
    assert folders <= set(names())
    assert sum(path.stat().st_size for name in names() for path in corpus(name)) < MOST_CORPUS_BYTES


def test_a_fault_is_told_by_its_kind_and_made_small() -> None:
    def check(data: bytes) -> None:
        if b"ab" in data:
            raise KeyError("ab")
        if b"c" in data:
            raise ValueError("c")

    kind = failure(check, b"xxabyyc")
    assert kind is not None
    assert kind.startswith("KeyError at ")
    assert failure(check, b"c") != kind
    assert failure(check, b"x") is None
    assert smallest(check, b"x" * 50 + b"ab" + b"c" * 50, kind) == b"ab"
