"""What the command line asks of a broker before anything runs: a client, the topics' names and how they must be."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from confluent_kafka.admin import AdminClient

from stream_monitor.app.kafka_properties import refused_as_config_error
from stream_monitor.app.setup import Setup
from stream_monitor.kafka.topics import TopicNames, TopicSpec, topic_specs

_QUIET = logging.getLogger("stream_monitor.quiet")
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


def admin_client(setup: Setup) -> AdminClient:
    """A client whose own log lines stay silent: commands say in one sentence what is wrong.

    ConfigError where librdkafka refuses the config's properties.
    """
    with refused_as_config_error(setup.config.kafka):
        return AdminClient(dict(setup.client), logger=_QUIET)


def topic_names(setup: Setup) -> TopicNames:
    topics = setup.config.topics
    return TopicNames(topics.predictions, topics.labels if setup.joins_labels else None, topics.prefix)


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
