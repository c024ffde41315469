"""State records of any size are written as messages that every broker takes, and read back as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.errors import RestoreError
from stream_monitor.kafka.parts import PART_BYTES, Parts
from stream_monitor.pipeline.ingest import PREDICTIONS
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.pipeline.records import StateRecord, record_key
from tests.pipeline.world import World, prediction

KEYS = [record_key("series", 'a "name"', "1"), record_key("sources"), record_key("pane", "m", None, "[]", "label", 7)]
BROKER_BYTES = 1_048_588  # max.message.bytes as Kafka sets it
writes = st.lists(
    st.tuples(st.sampled_from(KEYS), st.none() | st.binary(max_size=60) | st.integers(0, 60).map(bytes), st.booleans()),
    max_size=30,
)


@given(writes)
def test_what_is_read_back_is_what_was_written_last_also_after_restarts(told: list) -> None:
    parts, wanted, topic = Parts(10), {}, {}
    for key, value, restart in told:
        wanted[key] = value
        for name, part in parts.split(StateRecord(key, value)):
            assert part is None or len(part) <= 14
            topic[name] = part
        if restart:
            parts = Parts(10)
            parts.joined(_alive(topic).items())
    assert dict(Parts(10).joined(_alive(topic).items())) == _alive(wanted)
    pieces = sum(-(-len(value) // 10) if len(value) > 10 else 1 for value in _alive(wanted).values())
    assert len(_alive(topic)) == pieces, "nothing is left of what was larger once"


def _alive(records: dict) -> dict:
    return {key: value for key, value in records.items() if value is not None}


def test_a_part_that_is_missing_is_said() -> None:
    written = dict(Parts(10).split(StateRecord(KEYS[0], bytes(25))))
    for lost in [key for key, value in written.items() if value is not None]:
        rest = {key: value for key, value in _alive(written).items() if key != lost}
        with pytest.raises(RestoreError, match="must be there in 3 parts"):
            Parts(10).joined(rest.items())


def test_the_records_of_a_reference_under_way_of_very_many_texts_fit_in_messages() -> None:
    """900 features of 600 texts each, before a profile exists, are the largest objects of the state."""
    world = World(Policies(models={}, unlisted=_learning(), panes_partitions=1), partitions=1)
    for i in range(600):
        features = {f"feature {n} with a name of some length": f"{n} {i}" for n in range(900)}
        world.logs[PREDICTIONS][0].append(prediction(str(i), 1_700_000_000 + i / 100, features=features))
    world.ingest(0, PREDICTIONS, 600)
    world.flush(0)
    for offset, (value, record_ms) in enumerate(world.panes[0]):
        assert len(value) < BROKER_BYTES
        assert world.folds[0].apply(value, offset, record_ms)
    records = world.folds[0].drain().state
    sizes = {key: len(value or b"") for key, value in records}
    assert max(sizes.values()) > 4 * BROKER_BYTES
    parts = Parts()
    written = [each for record in records for each in parts.split(record)]
    assert max(len(key) + len(value or b"") for key, value in written) < PART_BYTES + 1_000 < BROKER_BYTES
    assert dict(Parts().joined((key, value) for key, value in written if value is not None)) == _alive(dict(records))


def _learning() -> ModelPolicy:
    return replace(Policies(models={}).unlisted, reference=ReferencePolicy())
