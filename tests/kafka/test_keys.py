"""Wrong keys and mixed partitioners are told apart from strays."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest

from stream_monitor.errors import SetupError
from stream_monitor.kafka.keys import KeyCheck
from stream_monitor.pipeline.partition import partition_of


def java(key: str) -> int:
    return partition_of(key, 4)


def librdkafka(key: str) -> int:
    return zlib.crc32(key.encode()) % 4


def feed(check: KeyCheck, topic: str, place: Callable[[str], int], n: int = 100) -> None:
    for i in range(n):
        check.observe(topic, place(f"id-{i}"), f"id-{i}".encode(), f"id-{i}")


@pytest.mark.parametrize("place", [java, librdkafka, lambda key: hash(key) % 4])
def test_one_partitioner_for_both_topics_is_accepted_whichever_it_is(place: Callable[[str], int]) -> None:
    check = KeyCheck({"predictions": 4, "labels": 4})
    feed(check, "predictions", place, 3000)
    feed(check, "labels", place, 3000)


def test_two_partitioners_are_named() -> None:
    check = KeyCheck({"predictions": 4, "labels": 4})
    feed(check, "predictions", java, 3001)
    with pytest.raises(SetupError, match="predictions is placed by murmur2, labels is placed by crc32"):
        feed(check, "labels", librdkafka)


@pytest.mark.parametrize(("key", "found"), [(None, "found no key"), (b"model-1", "found key b'model-1'")])
def test_keys_that_are_not_the_prediction_id_are_named(key: bytes | None, found: str) -> None:
    check = KeyCheck({"predictions": 4})
    for i in range(19):
        check.observe("predictions", 0, key, f"id-{i}")
    with pytest.raises(SetupError, match=found) as caught:
        check.observe("predictions", 0, key, "id-19")
    assert "set the producer's key to the prediction_id" in str(caught.value)


def test_strays_do_not_stop_the_stage() -> None:
    check = KeyCheck({"predictions": 4, "labels": 4})
    for i in range(500):
        feed(check, "predictions", java, 3)
        check.observe("predictions", 0, None, f"id-{i}")
    feed(check, "labels", java)
