"""What the command line asks of a broker before anything runs: a client, the topics' names and how they must be."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka.admin import AdminClient

from stream_monitor.app.connection import quiet_admin
from stream_monitor.app.setup import Setup
from stream_monitor.kafka.topics import TopicNames, TopicSpec, topic_specs


def admin_client(setup: Setup) -> AdminClient:
    """A silent client; see connection.connected() for the first word with the brokers."""
    return quiet_admin(setup.client)


def topic_names(setup: Setup) -> TopicNames:
    topics = setup.config.topics
    labels = topics.labels if setup.joins_labels else None
    return TopicNames(topics.predictions, labels, topics.prefix, setup.config.repartition)


def wanted_topics(setup: Setup, existing: Mapping[str, int]) -> tuple[TopicSpec, ...]:
    """How the topics must be. Those that belong together follow the one that is there already."""
    topics, names = setup.config.topics, topic_names(setup)
    sources = [existing[name] for name in (topics.predictions, topics.labels) if name in existing]
    panes = [existing[name] for name in (names.panes, names.state) if name in existing]
    return topic_specs(
        names,
        source_partitions=sources[0] if sources else topics.partitions,
        panes_partitions=panes[0] if panes else topics.panes_partitions,
    )
