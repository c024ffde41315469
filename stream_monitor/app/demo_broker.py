"""The broker inside librdkafka, for the demo: no installation, nothing survives the process.

It runs groups and transactions, but stores no transactional offsets, shows aborted records, makes topics (of four
partitions) only when somebody asks for their metadata, and keeps 5 MiB a partition. Good for showing the real code at
work; no proof of delivery.
"""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Producer

# What the two transactional loops must know of it: they keep the offsets in memory.
LOOP_CHANGES = {"group_keeps_offsets": False}


class EmbeddedBroker:
    """Lives as long as the object."""

    def __init__(self, topics: Iterable[str]) -> None:
        self._home = Producer({"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 0})
        for topic in topics:
            self._home.list_topics(topic, timeout=10)
        brokers = self._home.list_topics(timeout=10).brokers.values()
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def close(self) -> None:
        """Its clients must be closed before."""
        del self._home
