"""Merging two inputs by time in blocks gives what a merge line by line gives: the simple one below is the oracle."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.events.mapping import compile_mapping
from stream_monitor.events.policy import DecodePolicy
from stream_monitor.events.times import format_timestamp, parse_timestamp
from stream_monitor.pipeline.event_times import UNTIMED, EventTimes
from stream_monitor.pipeline.rounds import MOST_LABELS, Round, rounds

PLAIN, MAPPED, RENAMED = (
    DecodePolicy(),
    DecodePolicy(mapping={"timestamp": "at.time"}, timestamp_unit="ms"),
    DecodePolicy(mapping={"prediction_id": "id"}, timestamp_unit="us"),
)


def moment(line: bytes, policy: DecodePolicy) -> int | None:
    """By a whole parse, as the lenient path of ingest reads it."""
    try:
        document = json.loads(line)
        rename = compile_mapping(policy.mapping)
        return parse_timestamp((document if rename is None else rename(document))["timestamp"], policy.timestamp_unit)
    except (ValueError, KeyError, TypeError):
        return None


class Simple:
    """An input with one line of look-ahead."""

    def __init__(self, lines: Iterable[bytes], policy: DecodePolicy) -> None:
        self._lines = iter(lines)
        self._policy = policy
        self.next = next(self._lines, None)

    def take(self, most: int, until_ms: int | None = None) -> list[bytes]:
        taken: list[bytes] = []
        while self.next is not None and len(taken) < most:
            at = moment(self.next, self._policy)
            if until_ms is not None and at is not None and at > until_ms:
                break
            taken.append(self.next)
            self.next = next(self._lines, None)
        return taken


def simple_rounds(
    predictions: Iterable[bytes], labels: Iterable[bytes], policy: DecodePolicy, chunk: int
) -> Iterator[Round]:
    """One round holds all labels that are due, however many."""
    first, second = Simple(predictions, policy), Simple(labels, policy)
    now = 0
    while not (first.next is None and second.next is None):
        lines = first.take(chunk)
        now = max([now, *(at for line in lines[-10:] if (at := moment(line, policy)) is not None)])
        batches = []
        if first.next is not None:
            while taken := second.take(chunk, now):
                batches.append(taken)
        elif taken := second.take(chunk):
            batches.append(taken)
            now = max([now, *(at for line in taken[-10:] if (at := moment(line, policy)) is not None)])
        yield Round(lines, batches, now, first.next is None, second.next is None)


def joined(found: Iterable[Round]) -> list[Round]:
    """Rounds with those that only bring the rest of a time's labels put to theirs; label batches as one."""
    whole: list[Round] = []
    for each in found:
        labels = [[line for batch in each.labels for line in batch]]
        if whole and not each.predictions and not each.predictions_over:
            before = whole.pop()
            each, labels = each._replace(predictions=before.predictions), [before.labels[0] + labels[0]]
        whole.append(each._replace(labels=labels))
    return whole


SECONDS = st.integers(0, 60)
STAMPS = st.one_of(
    SECONDS,
    SECONDS.map(lambda s: s + 0.0004),
    SECONDS.map(lambda s: format_timestamp(s * 1_000)),
    SECONDS.map(lambda s: f"1970-01-01T01:00:{s % 60:02d}.0009+01:00"),
    st.sampled_from([None, True, "soon", "1970-01-01T00:00:30", "9999-01-01T00:00:00Z", 1e300, -1e12, 2**70, [], {}]),
)
ODD = st.sampled_from([b"", b"nonsense", b"[]", b"7", b'{"timestamp": 1', b'{"other": 1}', b'{"timestamp": "\xff"}'])


def event(stamp: object, place: bool) -> bytes:
    return json.dumps({"id": "a", "at": {"time": stamp}} if place else {"id": "a", "timestamp": stamp}).encode()


LINES = st.lists(st.one_of(st.builds(event, STAMPS, st.booleans()), ODD), max_size=40)
POLICIES = st.sampled_from([PLAIN, MAPPED, RENAMED])


@given(LINES, LINES, POLICIES, st.integers(1, 8))
def test_rounds_are_those_of_the_simple_merge(
    predictions: list[bytes], labels: list[bytes], policy: DecodePolicy, chunk: int
) -> None:
    found = list(rounds(predictions, labels, EventTimes(policy), chunk))
    assert joined(found) == joined(simple_rounds(predictions, labels, policy, chunk))
    assert all(len(batch) <= chunk for each in found for batch in [each.predictions, *each.labels])
    assert all(len(each.labels) <= MOST_LABELS for each in found)


@given(LINES, POLICIES)
def test_times_of_many_lines_are_those_of_each(lines: list[bytes], policy: DecodePolicy) -> None:
    times = EventTimes(policy)
    assert [times.of(line) for line in lines] == [moment(line, policy) for line in lines]
    known = [UNTIMED if (at := times.of(line)) is None else at for line in lines]
    assert times.of_all(lines).tolist() == known


@pytest.mark.parametrize("labels", [MOST_LABELS * 3, MOST_LABELS * 3 + 1, 7 * MOST_LABELS])
def test_a_flood_of_labels_before_the_first_prediction_comes_in_bounded_rounds(labels: int) -> None:
    chunk = 3
    early = [event(1, False)] * labels
    found = list(rounds([event(5, False)] * 8, early, EventTimes(PLAIN), chunk))
    assert sum(len(batch) for each in found for batch in each.labels) == labels
    assert [len(each.predictions) for each in found if each.predictions] == [3, 3, 2]
    assert not any(each.labels == [] and each.predictions == [] for each in found), "no round is empty"


def test_nothing_is_read_far_ahead() -> None:
    """Lines are taken from the inputs only as rounds need them: memory is that of a round."""
    read = [0, 0]

    def lines(which: int, stamps: Sequence[int]) -> Iterator[bytes]:
        for stamp in stamps:
            read[which] += 1
            yield event(stamp, False)

    merged = rounds(lines(0, range(1_000)), lines(1, range(1_000)), EventTimes(PLAIN), 10)
    for done in range(1, 20):
        assert len(list(islice(merged, 1))) == 1
        assert read[0] <= 10 * done + 1
        assert read[1] <= 10 * done + 20
