"""The monitor's topics: how each must be, making those that are missing, and telling what differs.

Existing topics are left alone. Errors say what is wrong in one sentence and name the command that mends it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic, ResourceType

from stream_monitor.errors import SetupError
from stream_monitor.kafka.failures import CREATE_TOPICS, denial
from stream_monitor.kafka.policy import MAX_RECORD_BYTES

_DAY_MS = 86_400_000
_LARGE = {"max.message.bytes": str(MAX_RECORD_BYTES)}
# Of topics that carry progress: that of all workers is compared, and their clocks may differ.
_BROKER_TIME = {"message.timestamp.type": "LogAppendTime"}
_COMPACTED = {"cleanup.policy": "compact", **_LARGE}


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How a topic must be. `partitions` is what it is made with; `config` holds only what matters to the monitor."""

    name: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)
    keyed_by: str = ""


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Full names of all topics of one monitor."""

    predictions: str = "predictions"
    labels: str | None = "labels"
    prefix: str = "streammonitor."
    repartition: bool = False

    @property
    def keyed_predictions(self) -> str:
        """Where ingest reads predictions: keyed by prediction_id."""
        return self.prefix + "predictions-by-id" if self.repartition else self.predictions

    @property
    def keyed_labels(self) -> str | None:
        return self.prefix + "labels-by-id" if self.repartition and self.labels is not None else self.labels

    @property
    def panes(self) -> str:
        return self.prefix + "panes"

    @property
    def dead_letters(self) -> str:
        return self.prefix + "dead-letters"

    @property
    def metrics(self) -> str:
        return self.prefix + "metrics"

    @property
    def alerts(self) -> str:
        return self.prefix + "alerts"

    @property
    def state(self) -> str:
        return self.prefix + "state"

    @property
    def profiles(self) -> str:
        return self.prefix + "profiles"

    @property
    def alert_state(self) -> str:
        return self.prefix + "alert-state"


def topic_specs(names: TopicNames, *, source_partitions: int = 4, panes_partitions: int = 4) -> tuple[TopicSpec, ...]:
    """Every topic, sources first. `state` has the partitions of `panes`: evaluate uses the same number of both."""
    kept = {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY_MS)}
    keyed_by = "anything" if names.repartition else "prediction_id"
    specs = [TopicSpec(name, source_partitions, {}, keyed_by) for name in (names.predictions, names.labels) if name]
    if names.repartition:
        specs += [
            TopicSpec(name, source_partitions, {**kept, **_LARGE, **_BROKER_TIME}, "prediction_id")
            for name in (names.keyed_predictions, names.keyed_labels)
            if name
        ]
    return (
        *specs,
        TopicSpec(names.panes, panes_partitions, {**kept, **_LARGE, **_BROKER_TIME}, "model name"),
        TopicSpec(names.state, panes_partitions, _COMPACTED, "state key"),
        TopicSpec(names.profiles, 1, _COMPACTED, "model name"),
        TopicSpec(names.metrics, panes_partitions, {**kept, **_LARGE}, "model name"),
        TopicSpec(names.alerts, panes_partitions, {**kept, **_LARGE}, "alert fingerprint"),
        TopicSpec(names.alert_state, panes_partitions, _COMPACTED, "alert fingerprint"),
        TopicSpec(names.dead_letters, panes_partitions, {**kept, **_LARGE}, "source topic and partition"),
    )


@dataclass(frozen=True, slots=True)
class TopicReport:
    """What was done about one topic, and how it differs from what is wanted (empty: not at all)."""

    spec: TopicSpec
    created: bool
    partitions: int
    differences: tuple[str, ...] = ()


def create_topics(
    admin: AdminClient, specs: Sequence[TopicSpec], *, replication: int = -1, timeout_s: float = 30.0
) -> list[TopicReport]:
    """Make the missing topics, wait for their leaders, compare the others. `replication` -1: the broker's default."""
    before = partition_counts(admin, timeout_s=timeout_s)
    missing = [spec for spec in specs if spec.name not in before]
    if missing:
        requests = [NewTopic(spec.name, spec.partitions, replication, config=dict(spec.config)) for spec in missing]
        for name, answer in admin.create_topics(requests, request_timeout=timeout_s).items():
            _created(name, answer, timeout_s)
        require(admin, [spec.name for spec in missing], grace_ms=int(timeout_s * 1000))
    existing = [spec for spec in specs if spec.name in before]
    configs = _configs(admin, [spec.name for spec in existing], timeout_s)
    reports = [TopicReport(spec, True, spec.partitions) for spec in missing]
    reports += [
        TopicReport(spec, False, before[spec.name], _differences(spec, before[spec.name], configs[spec.name]))
        for spec in existing
    ]
    order = {spec.name: i for i, spec in enumerate(specs)}
    return sorted(reports, key=lambda report: order[report.spec.name])


def _created(name: str, answer: Future[Any], timeout_s: float) -> None:
    try:
        answer.result(timeout_s)
    except KafkaException as error:
        if (denied := denial(error.args[0], f"creating {name}", "topics")) is not None:
            raise denied from error
        if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
            raise SetupError(
                f"topic {name} could not be created: {error.args[0].str()}",
                mend="set topics.partitions and topics.replication_factor to what the cluster allows",
            ) from error


def _configs(admin: AdminClient, names: Sequence[str], timeout_s: float) -> dict[str, dict[str, str]]:
    if not names:
        return {}
    answers = admin.describe_configs(
        [ConfigResource(ResourceType.TOPIC, name) for name in names], request_timeout=timeout_s
    )
    found = {}
    for resource, answer in answers.items():
        try:
            found[resource.name] = {key: entry.value for key, entry in answer.result(timeout_s).items()}
        except KafkaException as error:
            if (denied := denial(error.args[0], f"asking for the settings of {resource.name}", "topics")) is not None:
                raise denied from error
            raise SetupError(f"the settings of {resource.name} could not be read: {error.args[0].str()}") from error
    return found


def _differences(spec: TopicSpec, partitions: int, config: Mapping[str, str]) -> tuple[str, ...]:
    found = []
    if partitions != spec.partitions:
        found.append(f"{partitions} partitions, wanted {spec.partitions}")
    for key, wanted in spec.config.items():
        if key == "max.message.bytes" and int(config.get(key, "0")) >= int(wanted):
            continue
        if config.get(key) != wanted:
            found.append(f"{key} is {config.get(key)}, wanted {wanted}")
    return tuple(found)


def partition_counts(admin: AdminClient, *, timeout_s: float = 10.0) -> dict[str, int]:
    """Partitions of every topic there is; SetupError with one sentence where no broker answers."""
    try:
        found = admin.list_topics(timeout=timeout_s).topics
    except KafkaException as error:
        raise SetupError(
            f"no Kafka broker answers within {timeout_s:g} s ({error.args[0].str()})",
            mend="start Kafka, or set kafka: bootstrap.servers in FILE; check with `stream-monitor doctor -c FILE`",
        ) from error
    return {name: len(topic.partitions) for name, topic in found.items() if topic.error is None}


def require(
    admin: AdminClient, names: Iterable[str], *, grace_ms: int = 10_000, timeout_s: float = 10.0
) -> dict[str, int]:
    """Partitions of each named topic, waiting up to `grace_ms` for it to appear with leaders; SetupError then."""
    wanted = list(names)
    deadline = time.monotonic() + grace_ms / 1000
    while True:
        counts, leaderless = {}, []
        for name in wanted:
            try:
                found = admin.list_topics(name, timeout=timeout_s).topics.get(name)
            except KafkaException:
                partition_counts(admin, timeout_s=timeout_s)  # raises the sentence about the broker
                continue
            if found is not None and found.error is not None:
                if (denied := denial(found.error, f"looking at {name}")) is not None:
                    raise denied
            elif found is not None and found.partitions:
                counts[name] = len(found.partitions)
                if any(each.leader < 0 for each in found.partitions.values()):
                    leaderless.append(name)
        missing = [name for name in wanted if name not in counts]
        if not missing and not leaderless:
            return counts
        if time.monotonic() >= deadline:
            break
        time.sleep(0.1)
    if missing:
        raise SetupError(
            f"{'topics' if len(missing) > 1 else 'topic'} {', '.join(missing)} "
            f"{'do' if len(missing) > 1 else 'does'} not exist",
            mend=CREATE_TOPICS,
        )
    raise SetupError(f"topic {', '.join(leaderless)} has partitions without a leader", mend="start all brokers")


def check_co_partitioned(counts: Mapping[str, int], predictions: str, labels: str) -> None:
    """A label is joined by the worker that owns its prediction's partition, so both topics need as many."""
    if counts[predictions] != counts[labels]:
        fewer, more = sorted((predictions, labels), key=lambda name: counts[name])
        raise SetupError(
            f"predictions and labels are joined partition by partition and need the same number of them; "
            f"{predictions} has {counts[predictions]}, {labels} has {counts[labels]}",
            mend=f"kafka-topics --alter --topic {fewer} --partitions {counts[more]} before first use",
        )
