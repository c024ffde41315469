"""The options of `generate` as policies. Pure: texts in, frozen policies or a UsageError that says what is accepted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from stream_monitor.app.durations import parse_duration
from stream_monitor.app.generate import MAX_RATE, StreamPolicy
from stream_monitor.app.generate_features import Tag
from stream_monitor.app.generate_world import MAX_FEATURES, MAX_SHIFT, WorldPolicy
from stream_monitor.errors import UsageError
from stream_monitor.events.times import MAX_MS, MIN_MS, parse_timestamp

UNBOUNDED = "max"
FILES_START_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z: files of the same options are the same on any day
_EVENT_RATE_OF_UNBOUNDED = 1_000.0
_MIN_RATE = 0.01
_MAX_VALUES = 100_000  # of one tag
_SHOWN = 12  # features in a message
_RATES = f"a number from {_MIN_RATE:g} to {MAX_RATE:,.0f} a second"
_NUMBERS: Mapping[str, tuple[float, float]] = {
    "events": (1, 10**15),
    "models": (1, 100_000),
    "versions": (1, 1_000),
    "numeric": (1, MAX_FEATURES),
    "categorical": (0, MAX_FEATURES),
    "missing": (0, 1),
    "shift_size": (-MAX_SHIFT, MAX_SHIFT),
    "drift_size": (0, 1),
    "label_share": (0, 1),
    "duplicates": (0, 1),
    "seed": (0, 2**63),
}
_SEGMENTS = "TAG=NUMBER of values or TAG=VALUE,VALUE,… or none; for example country=DE,FR or plan=10"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """As on the command line; what they mean is said there."""

    rate: str
    event_rate: str | None
    events: int | None
    duration: str | None
    start: str | None
    models: int | None
    versions: int
    numeric: int
    categorical: int
    missing: float
    segment: Sequence[str]
    drift: bool
    shift_after: str
    shift_ramp: str
    shift_size: float
    shift_features: str | None
    drift_after: str
    drift_size: float
    drift_features: str | None
    repeat: str
    label_delay: str
    label_share: float
    out_of_order: str
    duplicates: float
    seed: int

    def stream(self, named: Sequence[WorldPolicy], *, labels: bool) -> StreamPolicy:
        """`named`: the models of the config, if it names any. `labels`: whether anything is to read them."""
        for name, (least, most) in _NUMBERS.items():
            found = getattr(self, name)
            if found is not None and not least <= found <= most:
                option = "--" + name.replace("_", "-")
                raise UsageError(f"{option} {found} is not accepted: a number from {least:,} to {most:,}")
        if self.events is not None and self.duration is not None:
            raise UsageError("--events and --duration both say when the stream ends: give one of them")
        if named and self.models is not None:
            raise UsageError(
                f"--models {self.models} is not accepted: the config names its {len(named)} models; "
                "give a config without models, or none"
            )
        lasts_ms = None if self.duration is None else _milliseconds("--duration", self.duration)
        label_delay_ms = _milliseconds("--label-delay", self.label_delay)
        shift_after_ms = _milliseconds("--shift-after", self.shift_after)
        drift_after_ms = _milliseconds("--drift-after", self.drift_after)
        return StreamPolicy(
            worlds=self._worlds(named),
            rate=self._event_rate,
            seed=self.seed,
            label_delay_ms=label_delay_ms if labels and self.label_share else None,
            label_share=self.label_share,
            out_of_order_ms=_milliseconds("--out-of-order", self.out_of_order),
            duplicate_share=self.duplicates,
            shift_after_ms=shift_after_ms if self.drift else None,
            shift_ramp_ms=_milliseconds("--shift-ramp", self.shift_ramp),
            drift_after_ms=drift_after_ms if self.drift else None,
            repeat_ms=_milliseconds("--repeat", self.repeat) or None,
            events=self.events if lasts_ms is None else max(1, int(lasts_ms * self._event_rate / 1000)),
        )

    @property
    def speed(self) -> float:
        """Event time that passes in a unit of time; infinite: as fast as it can be sent."""
        return _rate("--rate", self.rate) / self._event_rate

    def start_ms(self, policy: StreamPolicy, now_ms: int) -> int:
        """Event time of the first prediction. A stream faster than time begins so early that it ends now."""
        if self.start is not None:
            return self._given_start(policy)
        if self.speed <= 1:
            return now_ms
        if policy.events is None:
            raise UsageError(
                f"--rate {self.rate} sends faster than its event time passes, and so into the future: "
                "say when it ends with --events or --duration, or when it begins with --start"
            )
        return _within(now_ms - _span_ms(policy), policy)

    def files_start_ms(self, policy: StreamPolicy) -> int:
        """The same for files, whatever the clock says."""
        if policy.events is None:
            raise UsageError("a stream to files needs an end: give --events or --duration")
        return _within(FILES_START_MS, policy) if self.start is None else self._given_start(policy)

    def _given_start(self, policy: StreamPolicy) -> int:
        return _within(_accepted("--start", self.start or "", parse_timestamp), policy)

    @property
    def _event_rate(self) -> float:
        if self.event_rate is not None:
            found = _rate("--event-rate", self.event_rate)
            if found == math.inf:
                raise UsageError(f"--event-rate {self.event_rate!r} is not accepted: {_RATES}")
            return found
        rate = _rate("--rate", self.rate)
        return _EVENT_RATE_OF_UNBOUNDED if rate == math.inf else rate

    def _worlds(self, named: Sequence[WorldPolicy]) -> tuple[WorldPolicy, ...]:
        plain = replace(
            WorldPolicy(),
            numeric=self.numeric,
            categorical=self.categorical,
            missing=self.missing,
            more_versions=tuple(str(number + 1) for number in range(1, self.versions)),
            tags=_tags(self.segment),
            shift_size=self.shift_size,
            drift_size=self.drift_size,
        )
        plain = replace(
            plain,
            shift_features=_features("--shift-features", self.shift_features, plain),
            drift_features=_features("--drift-features", self.drift_features, plain),
        )
        if named:
            return tuple(replace(plain, model_name=each.model_name, outcome=each.outcome) for each in named)
        if self.models in (None, 1):
            return (plain,)
        return tuple(replace(plain, model_name=f"{plain.model_name}-{n + 1}") for n in range(self.models or 1))


def _span_ms(policy: StreamPolicy) -> int:
    """From the first prediction to the last record of a stream that ends."""
    return math.ceil((policy.events or 0) * 1000 / policy.rate) + policy.longest_wait_ms


def _within(start_ms: int, policy: StreamPolicy) -> int:
    """The start, if all of the stream lies in years that can be written."""
    if start_ms < MIN_MS or start_ms + _span_ms(policy) > MAX_MS:
        raise UsageError(
            f"a stream lies within the years 1900 to 2999; this one lasts {_span_ms(policy) / 86_400_000:,.0f} days: "
            "give fewer --events, a shorter --duration, or another --start"
        )
    return start_ms


def _accepted(option: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise UsageError(f"{option} {text!r} is not accepted: {error}") from None


def _milliseconds(option: str, text: str) -> int:
    return _accepted(option, text, parse_duration)


def _rate(option: str, text: str) -> float:
    def parse(text: str) -> float:
        if text.strip().lower() == UNBOUNDED:
            return math.inf
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not _MIN_RATE <= found <= MAX_RATE:
            raise ValueError(f"{_RATES}, or {UNBOUNDED}" if option == "--rate" else _RATES)
        return found

    return _accepted(option, text, parse)


def _tags(texts: Sequence[str]) -> tuple[Tag, ...]:
    if not texts:
        return WorldPolicy().tags
    if list(texts) == ["none"]:
        return ()
    found = tuple(_accepted("--segment", text, _tag) for text in texts)
    if len({tag.name for tag in found}) < len(found):
        raise UsageError(f"--segment names each tag once, found {', '.join(tag.name for tag in found)}")
    return found


def _tag(text: str) -> Tag:
    name, equals, told = text.partition("=")
    name, values = name.strip(), [value.strip() for value in told.split(",")]
    if not name or not equals or not all(values):
        raise ValueError(_SEGMENTS)
    if len(values) == 1 and values[0].isdecimal():
        count = int(values[0])
        if not 1 <= count <= _MAX_VALUES:
            raise ValueError(f"{_SEGMENTS}; NUMBER from 1 to {_MAX_VALUES:,}")
        return Tag.even(name, (f"{name}-{number + 1}" for number in range(count)))
    if len(set(values)) < len(values):
        raise ValueError(f"{_SEGMENTS}; each value once")
    return Tag.even(name, values)


def _features(option: str, text: str | None, world: WorldPolicy) -> tuple[str, ...] | None:
    """Names, or so many of the numeric ones."""
    if text is None:
        return None
    known = world.features
    shown = ", ".join(known[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")

    def parse(text: str) -> tuple[str, ...]:
        names = [name.strip() for name in text.split(",")]
        if len(names) == 1 and names[0].isdecimal() and 1 <= int(names[0]) <= world.numeric:
            return known[: int(names[0])]
        if not set(names) <= set(known) or len(set(names)) < len(names):
            raise ValueError(f"a number from 1 to {world.numeric}, or names of {shown}, each once, between commas")
        return tuple(names)

    return _accepted(option, text, parse)
