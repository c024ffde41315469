"""The whole config: its sections, and how a YAML file with its environment overrides becomes one checked value.

Promises that a wrong config raises one ConfigError with all problems found, and that a right one needs no further
check by anyone. Policies are made from it in policies.py; profiles are read there too.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError, ValidationInfo, field_validator

from stream_monitor.app.config_file import read_config_file
from stream_monitor.app.durations import ACCEPTED
from stream_monitor.app.environment import overlay
from stream_monitor.app.export_config import (
    DeadLettersConfig,
    PrivacyConfig,
    PrometheusConfig,
    ReactConfig,
    door_problems,
)
from stream_monitor.app.kafka_properties import property_problems
from stream_monitor.app.model_config import ModelConfig, WindowConfig
from stream_monitor.app.problems import did_you_mean, problems_of
from stream_monitor.app.redaction import remember
from stream_monitor.app.rule_config import RuleConfig
from stream_monitor.app.secrets import read_secret_files, secrets_in, section_of
from stream_monitor.app.section import Duration, PositiveDuration, Section, Size, default
from stream_monitor.app.sizes import ACCEPTED as SIZES
from stream_monitor.errors import ConfigError, Problem
from stream_monitor.events.metric import window_label
from stream_monitor.events.names import METRICS, MetricName

TOPIC_PATTERN = r"^[A-Za-z0-9._-]{1,200}$"
_TOPIC = "a topic name: 1 to 200 letters, digits, dots, underscores or hyphens"


class TopicsConfig(Section):
    """Names of the source topics, and what the monitor's own topics begin with. Numbers are for `topics create`."""

    predictions: str = default("predictions", _TOPIC, pattern=TOPIC_PATTERN)
    labels: str = default("labels", _TOPIC, pattern=TOPIC_PATTERN)
    prefix: str = default("streammonitor.", "0 to 100 characters of a topic name", pattern=r"^[A-Za-z0-9._-]{0,100}$")
    partitions: int = default(4, "a whole number from 1 to 1000", ge=1, le=1000)
    panes_partitions: int = default(4, "a whole number from 1 to 1000", ge=1, le=1000)
    replication_factor: int | None = default(None, "a whole number from 1 to 32, or null: the broker's", ge=1, le=32)

    @field_validator("labels")
    @classmethod
    def _another(cls, value: str, info: ValidationInfo) -> str:
        if value == info.data.get("predictions"):
            raise ValueError("another topic than that of the predictions")
        return value


class AlertsConfig(Section):
    """What all alerts of a model share."""

    target_false_alarms_per_day: float = default(0.1, "a number above 0, at most 1000", gt=0, le=1000)
    reject_flood: float = default(0.1, "a share above 0, at most 1", gt=0, le=1)
    duplicate_flood: float = default(0.1, "a share above 0, at most 1", gt=0, le=1)
    late_flood: float = default(0.1, "a share above 0, at most 1", gt=0, le=1)
    stalled_after: PositiveDuration = default("5m", ACCEPTED)


class LimitsConfig(Section):
    """What keeps memory bounded; reaching a limit is counted and seen."""

    max_models: int = default(100, "how many models may register themselves, 0 or more", ge=0)
    max_series: int = default(1_000, "how many series a model may have, 1 or more", ge=1)
    max_versions: int = default(50, "how many versions of a model are told apart, 1 or more", ge=1)
    max_event_bytes: int = default(1 << 20, "a whole number of bytes from 1,000 to 100,000,000", ge=1_000, le=10**8)
    max_features: int = default(2_000, "a whole number from 1 to 20,000", ge=1, le=20_000)
    max_join_entries: int = default(
        100_000_000, "how many join entries a source partition may have, 1,000 or more", ge=1_000
    )
    memory_budget: Size = default("8GiB", f"{SIZES}, 64MiB or more", ge=64 << 20)
    max_unflushed_bytes: Size = default("128MiB", f"{SIZES}, 1MiB or more", ge=1 << 20)


class MonitorConfig(Section):
    """Every key has a default but a model's name."""

    kafka: dict[str, Any] = default(
        {"bootstrap.servers": "localhost:9092"}, "a mapping of librdkafka properties to values", repr=False
    )
    topics: TopicsConfig = default({}, "a mapping with keys predictions, labels, prefix")
    mapping: dict[str, str] = default({}, "a mapping from a field of ours to its dotted path in the input")
    repartition: bool = default(False, "true if the source topics are not keyed by prediction_id, else false")
    timestamp_unit: Literal["s", "ms", "us", "ns"] = default("s", "s, ms, us or ns")
    models: list[ModelConfig] = default([], "a list of models, each with a name")
    alerts: AlertsConfig = default({}, "a mapping")
    rules: list[RuleConfig] | None = default(None, "a list of rules, or null for the built-in ones")
    prometheus: PrometheusConfig = default({}, "a mapping with keys host, port")
    react: ReactConfig = default({}, "a mapping with keys webhook, log")
    dead_letters: DeadLettersConfig = default({}, "a mapping with keys enabled, include_value")
    privacy: PrivacyConfig = default({}, "a mapping with keys hash_key, expose_values")
    limits: LimitsConfig = default({}, "a mapping")
    state_dir: Path = default("./state", "the path of a directory, relative to the config file")
    flush_interval: PositiveDuration = default("1s", ACCEPTED)
    early_flush_gap: PositiveDuration | None = default("250ms", f"{ACCEPTED}, or null for no early flushes")
    idle_timeout: PositiveDuration = default("30s", ACCEPTED)
    live_horizon: PositiveDuration | None = default("24h", f"{ACCEPTED}, or null for never")
    revision_interval: Duration = default("10s", ACCEPTED)

    @field_validator("kafka")
    @classmethod
    def _has_broker(cls, value: dict[str, Any]) -> dict[str, Any]:
        return {"bootstrap.servers": "localhost:9092", **value}

    @field_validator("mapping")
    @classmethod
    def _our_fields(cls, value: dict[str, str]) -> dict[str, str]:
        wrong = [field for field in value if not _is_event_field(field)]
        if wrong:
            raise ValueError("; ".join(f"{field} is unknown: {did_you_mean(field, EVENT_FIELDS)}" for field in wrong))
        empty = [field for field, path in value.items() if not path or not all(path.split("."))]
        if empty:
            raise ValueError(f"a dotted path such as payload.id for {', '.join(empty)}")
        return value


# Fields of the input events that `mapping` can take from elsewhere; also features.NAME and tags.NAME.
EVENT_FIELDS = (
    "model_name",
    "model_version",
    "prediction_id",
    "timestamp",
    "features",
    "prediction",
    "prediction.label",
    "prediction.score",
    "prediction.scores",
    "prediction.value",
    "latency_seconds",
    "tags",
    "actual",
    "actual.label",
    "actual.value",
    "prediction_timestamp",
)


def _is_event_field(field: str) -> bool:
    head, _, rest = field.partition(".")
    return field in EVENT_FIELDS or (head in ("features", "tags") and bool(rest))


def parse_config(data: Mapping[Any, Any], folder: Path = Path()) -> MonitorConfig:
    """A file's mapping, overridden by the environment, as a checked config; else ConfigError with everything.

    Relative paths of secrets' files start at `folder`. From here on, what this process says is without the secrets.
    """
    strange = [key for key in data if not isinstance(key, str)]
    known = ", ".join(MonitorConfig.model_fields)
    problems = [Problem(str(key), "an unknown key", f"one of {known}") for key in strange]
    merged = overlay({key: value for key, value in data.items() if key not in strange}, os.environ, MonitorConfig)
    problems += read_secret_files(merged, folder)
    remember(_secrets(merged), users=_users(merged))
    config: MonitorConfig | None = None
    try:
        config = MonitorConfig.model_validate(merged)
    except ValidationError as error:
        problems += problems_of(error, MonitorConfig)
    # These look at the raw mapping, so that they speak even where a neighbour is wrong.
    problems += twin_problems(merged, "models") + twin_problems(merged, "rules")
    kafka = merged.get("kafka")
    problems += property_problems(kafka) if isinstance(kafka, dict) else []
    problems += (
        window_problems(config) + door_problems(config.prometheus) + label_problems(config)
        if config is not None
        else []
    )
    if problems or config is None:
        raise ConfigError(problems)
    return config


def load_config(path: Path) -> MonitorConfig:
    """The config of a file. Its relative paths, the profiles' and the state directory's, start at the file's folder."""
    config = parse_config(read_config_file(path), path.parent)
    return config.model_copy(update={"state_dir": path.parent / config.state_dir})


def _secrets(merged: Mapping[str, Any]) -> set[str]:
    public = PrivacyConfig.model_fields["hash_key"].default  # stands in the documentation, and in many a sentence
    return {secret for secret in secrets_in(merged) if secret != public}


def _users(merged: Mapping[str, Any]) -> list[str]:
    section = section_of(merged, ("prometheus", "basic_auth", "username")) or {}
    return [str(section["username"])] if "username" in section else []


def twin_problems(merged: Mapping[str, Any], section: str) -> list[Problem]:
    """Entries of a list that carry an earlier one's name."""
    found = merged.get(section)
    entries = found if isinstance(found, list) else []
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    return [
        Problem(f"{section}[{index}].name", repr(name), f"a name that no other of the {section} has")
        for index, name in enumerate(names)
        if name is not None and name in names[:index]
    ]


def window_problems(config: MonitorConfig) -> list[Problem]:
    """Rules and gauges that name a window which no model has would stay silent for ever."""
    of_model = {model.name: {spec_label(window) for window in model.windows} for model in config.models}
    everywhere = {spec_label(window) for window in ModelConfig(name="any").windows}.union(*of_model.values())
    problems: list[Problem] = []
    for index, rule in enumerate(config.rules or []):
        windows = of_model.get(rule.model or "", everywhere)
        if rule.window is not None and rule.window not in windows:
            problems.append(Problem(f"rules[{index}].window", repr(rule.window), _one_of(windows)))
    for index, window in enumerate(config.prometheus.windows or []):
        if window not in everywhere:
            problems.append(Problem(f"prometheus.windows[{index}]", repr(window), _one_of(everywhere)))
    return problems


def label_problems(config: MonitorConfig) -> list[Problem]:
    """Detectors and rules that wait for labels which nothing reads would stay silent for ever."""
    problems = [
        Problem(f"models[{index}].detectors", "detectors of a model without labels", _LABELS)
        for index, model in enumerate(config.models)
        if model.labels is None and model.detectors and "detectors" in model.model_fields_set
    ]
    without = {model.name for model in config.models if model.labels is None}
    for index, rule in enumerate(config.rules or []):
        reads_none = rule.model in without or (rule.model is None and without and len(without) == len(config.models))
        if reads_none and METRICS[MetricName(rule.metric)].family in _OF_LABELS:
            problems.append(Problem(f"rules[{index}].metric", f"{rule.metric!r}, which needs labels", _LABELS))
    return problems


_LABELS = "labels: {join_window: 24h} in the model, if label events come; else none of these"
_OF_LABELS = ("performance", "labels", "change")


def spec_label(window: WindowConfig) -> str:
    return window_label(window.size, window.slide or window.size)


def _one_of(labels: set[str]) -> str:
    return f"a window of the models: {', '.join(sorted(labels))}"
