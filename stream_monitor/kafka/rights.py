"""The least rights each role needs of a broker that keeps access lists, made from the names the roles themselves use.

A right is one line of an access list: an operation on a topic, a group or a transactional id. Read and Write include
Describe, and a transactional producer that may write needs nothing on the cluster (Kafka 3.0 and newer). Whether a
client has them is asked in allowed.py.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from stream_monitor.kafka.evaluate import evaluate_policy
from stream_monitor.kafka.ingest import ingest_policy
from stream_monitor.kafka.policy import LOOKING_GROUP, READING_GROUP, LoopPolicy
from stream_monitor.kafka.repartition import repartition_policy
from stream_monitor.kafka.topics import TopicNames, topic_specs


class Resource(StrEnum):
    """As `kafka-acls` names them in its options."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


class Operation(StrEnum):
    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"


@dataclass(frozen=True, slots=True)
class Right:
    """`prefixed`: for all resources whose name begins with `name`. `why`: what the role does with it."""

    resource: Resource
    name: str
    operation: Operation
    why: str
    prefixed: bool = False

    def __str__(self) -> str:
        named = f"{self.name}*" if self.prefixed else self.name
        return f"{self.operation} on {self.resource.replace('-', ' ')} {named}"


def repartition_rights(names: TopicNames, *, dead_letters: bool) -> tuple[Right, ...]:
    """None where the config has no such stage."""
    if not names.repartition:
        return ()
    policy = repartition_policy(names, {}, "")
    written = {name: "events by their prediction_id" for name in (names.keyed_predictions, names.keyed_labels) if name}
    if dead_letters:
        written[names.dead_letters] = "events that cannot be read"
    return (*_read(policy, "events"), *_written(policy, written))


def ingest_rights(names: TopicNames, *, dead_letters: bool) -> tuple[Right, ...]:
    policy = ingest_policy(names, {}, "")
    written = {names.panes: "sums of what it read"}
    if dead_letters:
        written[names.dead_letters] = "events that cannot be read"
    profiles = _topic(names.profiles, Operation.READ, "references that evaluate learned")
    return (*_read(policy, "events"), profiles, _reading(), *_written(policy, written))


def evaluate_rights(names: TopicNames) -> tuple[Right, ...]:
    policy = evaluate_policy(names, {}, "")
    written = {
        names.state: "its state",
        names.metrics: "figures",
        names.alerts: "alerts",
        names.alert_state: "what fires now",
        names.profiles: "references it learned",
    }
    restored = _topic(names.state, Operation.READ, "its state, after a start or an abort")
    return (*_read(policy, "sums of ingest"), restored, _reading(), *_written(policy, written))


def topics_rights(names: TopicNames) -> tuple[Right, ...]:
    """Of `topics create`, which also compares the topics that are there."""
    whys = {
        Operation.CREATE: "makes it where it is missing",
        Operation.DESCRIBE: "sees whether it is there",
        Operation.DESCRIBE_CONFIGS: "compares its settings",
    }
    return tuple(_topic(spec.name, each, why) for spec in topic_specs(names) for each, why in whys.items())


def doctor_rights(names: TopicNames) -> tuple[Right, ...]:
    sources = [] if names.repartition else _sources(names)  # any key will do then
    others = [spec.name for spec in topic_specs(names) if spec.name not in sources]
    return (
        *(_topic(name, Operation.READ, "samples its keys") for name in sources),
        *(_topic(name, Operation.DESCRIBE, "sees whether it is there") for name in others),
        Right(Resource.GROUP, LOOKING_GROUP, Operation.DESCRIBE, "its client asks for the group; it never joins one"),
    )


def producer_rights(names: TopicNames) -> tuple[Right, ...]:
    """Of whoever sends the events, `generate` included."""
    return tuple(_topic(name, Operation.WRITE, "sends events") for name in _sources(names))


def reader_rights(names: TopicNames) -> tuple[Right, ...]:
    """Of dashboards and tools that read what comes out; dead letters hold original events and are not among it."""
    whys = {names.metrics: "figures", names.alerts: "alerts", names.alert_state: "what fires now"}
    return (
        *(_topic(name, Operation.READ, f"reads {why}") for name, why in whys.items()),
        Right(Resource.GROUP, f"{names.prefix}reader", Operation.READ, "joins a group of such a name", prefixed=True),
    )


def topics_of(rights: Iterable[Right]) -> list[str]:
    """The topics a role touches, each once."""
    return list(dict.fromkeys(right.name for right in rights if right.resource is Resource.TOPIC))


def _read(policy: LoopPolicy, what: str) -> tuple[Right, ...]:
    return (
        *(_topic(topic, Operation.READ, f"reads {what}") for topic in policy.topics),
        Right(Resource.GROUP, policy.group, Operation.READ, "shares the partitions and commits offsets"),
    )


def _written(policy: LoopPolicy, topics: dict[str, str]) -> tuple[Right, ...]:
    """The instance's name ends the transactional id, so the right is for all that begin like it."""
    why = "commits what it wrote and read as one"
    return (
        *(_topic(topic, Operation.WRITE, f"writes {what}") for topic, what in topics.items()),
        Right(Resource.TRANSACTIONAL_ID, policy.transactional_id, Operation.WRITE, why, prefixed=True),
    )


def _reading() -> Right:
    why = "its client asks for the group of readers; it never joins one"
    return Right(Resource.GROUP, READING_GROUP, Operation.DESCRIBE, why)


def _topic(name: str, operation: Operation, why: str) -> Right:
    return Right(Resource.TOPIC, name, operation, why)


def _sources(names: TopicNames) -> list[str]:
    return [name for name in (names.predictions, names.labels) if name is not None]
