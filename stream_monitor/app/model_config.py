"""The `models:` section of the config: one monitored model, its reference, windows, labels and detectors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from stream_monitor.app.durations import ACCEPTED
from stream_monitor.app.problems import did_you_mean
from stream_monitor.app.section import ClassName, Duration, Name, PositiveDuration, Section, default
from stream_monitor.detectors.policy import PARAMETERS, Kind, Signal
from stream_monitor.events.policy import Task
from stream_monitor.events.times import format_duration


class BootstrapConfig(Section):
    """The reference is made from the stream's first events, until there are `events` of them or `max_age` is over."""

    events: int = default(10_000, "a whole number of events, 100 to 10,000,000", ge=100, le=10_000_000)
    max_age: PositiveDuration | None = default("24h", f"{ACCEPTED}, or null for no limit")


class ReferenceConfig(Section):
    """Exactly one kind; without any, bootstrap."""

    profile: str | None = default(None, "the path of a profile file, relative to the config file", min_length=1)
    bootstrap: BootstrapConfig | None = default(None, "a mapping with keys events, max_age")
    previous: bool | None = default(None, "nothing yet")
    seasonal: str | None = default(None, "nothing yet")
    version: str | None = default(None, "nothing yet")

    @field_validator("bootstrap")
    @classmethod
    def _one_kind(cls, value: BootstrapConfig | None, info: ValidationInfo) -> BootstrapConfig | None:
        if value is not None and info.data.get("profile") is not None:
            raise ValueError("either profile or bootstrap, not both")
        return value

    @field_validator("previous", "seasonal", "version", mode="before")
    @classmethod
    def _not_yet(cls, value: object, info: ValidationInfo) -> None:
        if value is not None and value is not False:
            raise ValueError(f"not available yet: reference kind {info.field_name!r}; use profile or bootstrap")


class WindowConfig(Section):
    """Windows `[start, end)`; without `slide` tumbling."""

    size: PositiveDuration = Field(description=ACCEPTED)
    slide: PositiveDuration | None = default(None, f"{ACCEPTED}, of which size is a multiple; null: tumbling")

    @field_validator("slide")
    @classmethod
    def _divides(cls, slide: int | None, info: ValidationInfo) -> int | None:
        size = info.data.get("size")
        if slide is not None and size is not None and size % slide:
            raise ValueError(f"a duration of which the window's size, {format_duration(size)}, is a multiple")
        return slide


class LabelsConfig(Section):
    """Labels join their prediction if both lie within `join_window` of event time."""

    join_window: PositiveDuration = default("24h", ACCEPTED)


class DeduplicateConfig(Section):
    """A repeated prediction_id within `window` of event time counts once."""

    window: PositiveDuration = default("1h", ACCEPTED)


class DetectorConfig(Section):
    """A detector of changes in one signal of the labelled predictions."""

    signal: Signal = default("error", "error, score or residual")
    kind: Kind = default("adwin", "adwin or page_hinkley")
    direction: Literal["worse", "better", "any"] | None = default(None, "worse, better, any or null")
    parameters: dict[str, float] = default({}, "a mapping of the detector's parameters to numbers above 0")

    @field_validator("direction")
    @classmethod
    def _has_direction(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value in ("worse", "better") and info.data.get("signal", "error") != "error":
            raise ValueError("any or null: only the error signal has a worse and a better direction")
        return value

    @field_validator("parameters")
    @classmethod
    def _known(cls, value: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        known = PARAMETERS.get(info.data.get("kind", ""), {})
        wrong = [name for name in value if known and name not in known]
        if wrong:
            raise ValueError("; ".join(f"{name} is unknown: {did_you_mean(name, known)}" for name in wrong))
        low = [name for name, number in value.items() if not number > 0]
        if low:
            raise ValueError(f"numbers above 0 for {', '.join(low)}")
        return value


class ModelConfig(Section):
    """One model. Without `task` it is a binary one with positive class "1"."""

    name: Name = Field(description="a model name of 1 to 200 characters")
    task: Task | None = default(None, "binary, multiclass or regression")
    positive_class: ClassName | None = default(None, "the class whose probability the score is")
    classes: list[ClassName] = default([], "a list of class names without repetition, at most 1000", max_length=1000)
    class_aliases: dict[str, ClassName] = default({}, "a mapping from a spelling to the class it stands for")
    score_of: Literal["positive", "predicted"] = default("positive", "positive or predicted")
    decision_threshold: float = default(0.5, "a number from 0 to 1", ge=0, le=1, allow_inf_nan=False)
    reference: ReferenceConfig = default({}, "one of {profile: PATH} or {bootstrap: {events, max_age}}")
    windows: list[WindowConfig] = default(
        [{"size": "5m"}, {"size": "1h", "slide": "5m"}],
        "a list of 1 to 20 of {size, slide}",
        min_length=1,
        max_length=20,
    )
    max_out_of_order: Duration = default("10s", ACCEPTED)
    max_past: PositiveDuration | None = default("7d", f"{ACCEPTED}, or null for any age")
    max_future: Duration | None = default("1m", f"{ACCEPTED}, or null for any future")
    allowed_lateness: Duration = default("2m", ACCEPTED)
    labels: LabelsConfig | None = default(None, "{join_window: DURATION}, or null for no labels")
    deduplicate: DeduplicateConfig | None = default(None, "{window: DURATION}, or null")
    segments: list[list[str]] = default(
        [], "a list of lists of tags, such as [[tags.country], [tags.country, tags.plan]]"
    )
    detectors: list[DetectorConfig] = default([{"signal": "error", "kind": "adwin"}], "a list of {signal, kind}")
    min_samples: int = default(30, "a whole number of rows, 1 or more", ge=1)
    retire_after: PositiveDuration = default("7d", ACCEPTED)

    @field_validator("class_aliases", mode="before")
    @classmethod
    def _spellings(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        words = {True: "true", False: "false"}
        return {words[key] if isinstance(key, bool) else str(key): name for key, name in value.items()}

    @field_validator("positive_class")
    @classmethod
    def _fits_task(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "task" not in info.data:  # task itself is wrong and reported
            return value
        task = info.data["task"]
        if task is None:
            return value or "1"
        if task is Task.BINARY and value is None:
            raise ValueError("the class whose probability the score is; a binary model must name it")
        if task is not Task.BINARY and value is not None:
            raise ValueError(f"null: a {task} model has no positive class")
        return value

    @field_validator("classes")
    @classmethod
    def _distinct(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("a list of class names without repetition")
        positive = info.data.get("positive_class")
        if value and positive is not None and positive not in value:
            raise ValueError(f"a list that has the positive class, {positive!r}")
        return value

    @field_validator("windows")
    @classmethod
    def _no_twins(cls, value: list[WindowConfig]) -> list[WindowConfig]:
        kinds = [(window.size, window.slide or window.size) for window in value]
        if len(set(kinds)) != len(kinds):
            raise ValueError("windows that differ in size or slide")
        return value

    @field_validator("segments")
    @classmethod
    def _tags_only(cls, value: list[list[str]]) -> list[list[str]]:
        wrong = sorted({key for keys in value for key in keys if not _is_tag(key)})
        if wrong:
            hint = ", ".join(f"tags.{key.rsplit('.', 1)[-1]} instead of {key}" for key in wrong)
            raise ValueError(f"segments by tags only, tags.NAME: {hint}")
        combinations = [frozenset(keys) for keys in value]
        if any(len(keys) != len(set(keys)) or not keys for keys in value) or len(set(combinations)) != len(
            combinations
        ):
            raise ValueError("non-empty lists of tags without repetition")
        return value

    @property
    def kind_of_task(self) -> Task:
        return self.task or Task.BINARY


def _is_tag(key: str) -> bool:
    return key.startswith("tags.") and len(key) > len("tags.")
