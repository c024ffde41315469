"""The least rights each role needs of a broker that keeps access lists, made from the names the roles themselves use.

A right is one line of an access list: an operation on a topic, a group or a transactional id. Read and Write include
Describe, and a transactional producer that may write needs nothing on the cluster (Kafka 3.0 and newer). What the
broker says of a client's rights is compared in `lacking`; transactional ids cannot be asked about, they are tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from stream_monitor.errors import SetupError
from stream_monitor.kafka.evaluate import evaluate_policy
from stream_monitor.kafka.failures import acls_command, denial
from stream_monitor.kafka.ingest import ingest_policy
from stream_monitor.kafka.policy import LOOKING_GROUP, READING_GROUP, LoopPolicy
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
    sources = _sources(names)
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


def lacking(admin: AdminClient, rights: Sequence[Right], *, timeout_s: float = 10.0) -> list[Right]:
    """Which of the rights on existing topics and on groups this client does not have, by the broker's own word.

    Costs two requests. What the broker says nothing about (none of its access lists, an older broker, a topic that is
    not there) is not counted as lacking.
    """
    topics = topics_of(rights)
    groups = [right.name for right in rights if right.resource is Resource.GROUP and not right.prefixed]
    allowed: dict[tuple[Resource, str], set[str] | None] = {}
    options = {"include_authorized_operations": True, "request_timeout": timeout_s}
    if topics:
        for name, answer in admin.describe_topics(TopicCollection(topics), **options).items():
            allowed[Resource.TOPIC, name] = _allowed(answer, timeout_s)
    if groups:
        for name, answer in admin.describe_consumer_groups(groups, **options).items():
            allowed[Resource.GROUP, name] = _allowed(answer, timeout_s)
    found = []
    for right in rights:
        may = allowed.get((right.resource, right.name))
        if may is not None and right.operation.replace("Configs", "_Configs").upper() not in may:
            found.append(right)
    return found


def require_rights(admin: AdminClient, roles: Mapping[str, Sequence[Right]]) -> None:
    """SetupError that names every right that is lacking for these roles, and the command that prints them."""
    missing = set(lacking(admin, [right for rights in roles.values() for right in rights]))
    if not missing:
        return
    lacked = {role: [right for right in rights if right in missing] for role, rights in roles.items()}
    short = [role for role, rights in lacked.items() if rights]
    named = dict.fromkeys(str(right) for rights in lacked.values() for right in rights)
    raise SetupError(
        f"this client may not do what {' and '.join(short)} do{'' if len(short) > 1 else 'es'}: the broker does not "
        f"allow {'; '.join(named)}",
        mend=acls_command(*short),
    )


def _allowed(answer: object, timeout_s: float) -> set[str] | None:
    """Names of the operations a broker allows; None where it does not say."""
    try:
        described = answer.result(timeout_s)  # type: ignore[attr-defined]  # a Future of an untyped package
    except KafkaException as error:
        return set() if denial(error.args[0]) is not None else None
    operations = described.authorized_operations
    return {each.name for each in operations} if operations else None


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
