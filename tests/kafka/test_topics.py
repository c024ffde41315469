"""Topics are made once, left alone afterwards, and what differs is told; setup errors are one sentence."""

from __future__ import annotations

import pytest
from confluent_kafka.admin import AdminClient

from stream_monitor.errors import SetupError
from stream_monitor.kafka.topics import (
    TopicNames,
    check_co_partitioned,
    create_topics,
    partition_counts,
    require,
    topic_specs,
)
from tests.broker.topics import TopicSpace


@pytest.mark.broker
def test_missing_topics_are_made_and_existing_ones_left_alone_with_what_differs(topics: TopicSpace) -> None:
    names = TopicNames(topics.name("predictions"), topics.name("labels"), prefix=topics.name("mon."))
    topics.create("predictions", 2)
    topics.create("mon.state", 4)
    specs = topic_specs(names)
    reports = {report.spec.name: report for report in create_topics(topics.admin, specs)}
    assert list(reports) == [spec.name for spec in specs]
    assert reports[names.predictions].differences == ("2 partitions, wanted 4",)
    assert reports[names.state].differences == (
        "cleanup.policy is delete, wanted compact",
        "max.message.bytes is 1048588, wanted 8388608",
    )
    assert {name for name, report in reports.items() if not report.created} == {names.predictions, names.state}
    again = create_topics(topics.admin, specs)
    assert not any(report.created for report in again)
    assert sum(len(report.differences) for report in again) == 3
    counts = require(topics.admin, [spec.name for spec in specs])
    with pytest.raises(SetupError, match=r"predictions has 2, .*labels has 4"):
        check_co_partitioned(counts, names.predictions, names.labels or "")


@pytest.mark.broker
def test_missing_topics_are_named_with_the_command_that_makes_them(topics: TopicSpace) -> None:
    with pytest.raises(SetupError) as caught:
        require(topics.admin, [topics.name("a"), topics.name("b")], grace_ms=0)
    assert str(caught.value) == (
        f"topics {topics.name('a')}, {topics.name('b')} do not exist → stream-monitor topics create -c FILE"
    )


def test_a_broker_that_is_not_there_is_one_sentence() -> None:
    admin = AdminClient({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    with pytest.raises(SetupError, match=r"no Kafka broker answers within 0\.3 s") as caught:
        partition_counts(admin, timeout_s=0.3)
    assert "stream-monitor doctor -c FILE" in str(caught.value)
    with pytest.raises(SetupError, match="no Kafka broker answers"):
        require(admin, ["x"], timeout_s=0.3)


def test_names_carry_the_prefix_and_state_has_the_partitions_of_panes() -> None:
    specs = {spec.name: spec for spec in topic_specs(TopicNames(prefix="p."), panes_partitions=6)}
    assert set(specs) == {
        "predictions",
        "labels",
        *(f"p.{n}" for n in ("panes", "state", "profiles", "metrics", "alerts", "alert-state", "dead-letters")),
    }
    assert specs["p.panes"].partitions == specs["p.state"].partitions == 6
    assert {n for n, s in specs.items() if s.config.get("cleanup.policy") == "compact"} == {
        "p.state",
        "p.profiles",
        "p.alert-state",
    }
