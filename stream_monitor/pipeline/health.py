"""Alerts about the monitoring itself: lost source ranges, topics that changed, a watermark that stands still, a flood
of rejects, panes by a schema that is not known, models beyond the limit.

Conditions over what progress messages say, with record time as the clock: a replay gives the same transitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from uuid import uuid5

import msgspec

from stream_monitor.alerts.judge import ActiveAlert
from stream_monitor.alerts.lifecycle import AlertState
from stream_monitor.events.alert import AlertEvent, Severity
from stream_monitor.events.metric import METRIC_NAMESPACE
from stream_monitor.events.times import format_duration, format_timestamp
from stream_monitor.pipeline import flood
from stream_monitor.pipeline.flood import Spans
from stream_monitor.pipeline.policy import Policies

_GAP_SHOWN_MS = 600_000


class _State(msgspec.Struct, array_like=True):
    """`firing`: start of each firing condition, by fingerprint. `held_since`: by model. `flood`: see flood.py.
    `unknown`: model → schemas that the fold waits for. `labels`: of each firing condition.
    `surplus`: events of models that are not kept; `surplus_until`: when that is over. `notices`: until when what
    happened to a topic is shown, by alert and role. `repeated`, `late`: by model, see flood.py."""

    firing: dict[str, int] = {}
    gap_until: dict[str, int] = {}
    held_since: dict[str, int] = {}
    flood: flood.Spans = msgspec.field(default_factory=flood.no_spans)
    unknown: dict[str, list[str]] = {}
    labels: dict[str, dict[str, str]] = {}
    surplus: int = 0
    surplus_until: int | None = None
    notices: dict[str, int] = {}
    repeated: dict[str, Spans] = {}
    late: dict[str, Spans] = {}


class Health:
    """`take` hands out the transitions since the last time."""

    def __init__(self, policies: Policies) -> None:
        self._policies = policies
        self._state = _State()
        self._alerts: list[AlertEvent] = []

    def gap(self, role: str, partition: int, expected: int, found: int, now_ms: int) -> None:
        """Offsets `[expected, found)` of a source partition never arrived."""
        place = f"{role}/{partition}"
        self._state.gap_until[place] = now_ms + _GAP_SHOWN_MS
        self._set(
            True,
            "source-gap",
            "critical",
            {"topic": self._policies.topics[role], "partition": str(partition)},
            f"Offsets {expected} to {found - 1} of {self._policies.topics[role]}, partition {partition}, were never "
            "folded: counts of the windows around now are too low. Were committed offsets moved by hand?",
            now_ms,
        )

    def made_anew(self, role: str, now_ms: int) -> None:
        """A source topic was deleted and made anew."""
        self._notice(
            "topic-recreated",
            role,
            f"Topic {self._policies.topics[role]} was deleted and made anew. What stood in the one before and had not "
            "been read is lost; predictions and labels of before and after do not join, and repeats of events of the "
            "one before count again. The new one is counted from its beginning.",
            now_ms,
        )

    def partitions_added(self, role: str, before: int, count: int, now_ms: int) -> None:
        """A source topic grew: most keys are in another partition than before."""
        self._notice(
            "partitions-added",
            role,
            f"Topic {self._policies.topics[role]} has {count} partitions and had {before}, so most ids are in another "
            "partition than before: a label whose prediction came before does not join it, and a repeat of such a "
            "prediction counts again. All is exact again one join window after the change.",
            now_ms,
        )

    def _notice(self, name: str, role: str, sentence: str, now_ms: int) -> None:
        self._state.notices[f"{name}/{role}"] = now_ms + _GAP_SHOWN_MS
        self._set(True, name, "critical", {"topic": self._policies.topics[role]}, sentence, now_ms)

    def progress(self, events: int, rejects: int, now_ms: int) -> None:
        """One flush of one ingest worker."""
        recent = flood.count(self._state.flood, events, rejects, now_ms)
        is_flood = recent.is_flood(self._policies.reject_flood_share)
        sentence = f"{recent} were rejected; the dead-letters topic says why." if recent.events else ""
        self._set(is_flood, "reject-flood", "warning", {}, sentence, now_ms)

    def held(self, model: str, holding: tuple[tuple[str, int], ...], now_ms: int) -> None:
        """Whether the model's watermark is held, and by which source partitions."""
        since = self._state.held_since
        if holding:
            since.setdefault(model, now_ms)
        else:
            since.pop(model, None)
        after = self._policies.stalled_after_ms
        names = ", ".join(
            f"{self._policies.topics[role]}/{partition if partition >= 0 else '?'}" for role, partition in holding[:8]
        )
        self._set(
            bool(holding) and now_ms - since[model] >= after,
            "watermark-stalled",
            "critical",
            {"model_name": model},
            f"The watermark of {model} has stood still for {format_duration(after)} or more: waiting for {names}. "
            "Is an ingest worker down, or far behind?",
            now_ms,
        )

    def repeated(self, model: str, repeats: int, predictions: int, now_ms: int) -> None:
        """Of so many predictions of one flush, so many bore an id that was counted before."""
        recent = flood.count(self._state.repeated.setdefault(model, flood.no_spans()), predictions, repeats, now_ms)
        self._set(
            recent.is_flood(self._policies.duplicate_flood_share),
            "duplicate-flood",
            "warning",
            {"model_name": model},
            f"Of the predictions of {model}, {recent} bore an id that was counted before: the "
            "first one of an id counts. Does a producer send twice, or someone else send its ids first?",
            now_ms,
        )

    def late(self, model: str, late: int, events: int, now_ms: int) -> None:
        """Of so many events folded, so many came too late for a window of theirs."""
        recent = flood.count(self._state.late.setdefault(model, flood.no_spans()), events, late, now_ms)
        self._set(
            recent.is_flood(self._policies.late_flood_share),
            "late-flood",
            "warning",
            {"model_name": model},
            f"Of {model}, {recent} came too late for a window of theirs and are in "
            "too_late alone. Is a producer behind, or does one date its events ahead, which moves the watermark?",
            now_ms,
        )

    def schema_unknown(self, model: str, schemas: Sequence[str], now_ms: int) -> None:
        """The partition stopped at panes of the model that are counted by these."""
        self._state.unknown[model] = list(schemas)
        self._set(
            True,
            "unknown-schema",
            "critical",
            {"model_name": model},
            f"Ingest counts {model} by bins ({', '.join(schemas)}) of a profile that evaluate does not have: its panes "
            "partition waits, nothing is lost. Start evaluate with the config and profile that ingest was started "
            "with.",
            now_ms,
        )

    def schema_known(self, model: str, now_ms: int) -> None:
        """A delta of the model was folded."""
        if self._state.unknown.pop(model, None) is not None:
            labels = {"model_name": model}
            self._set(False, "unknown-schema", "critical", labels, "Its profile is known now.", now_ms)

    def surplus(self, model: str, events: int, now_ms: int) -> None:
        """Events of a model that is not in the config and for which there is no place."""
        self._state.surplus += events
        self._state.surplus_until = now_ms + _GAP_SHOWN_MS
        self._set(
            True,
            "model-limit",
            "warning",
            {},
            f"Model {model!r} is not in the config, and limits.max_models ({self._policies.max_models}) models have "
            "registered themselves already: its events are counted and not monitored. List it under models, or raise "
            "the limit.",
            now_ms,
        )

    @property
    def surplus_events(self) -> int:
        return self._state.surplus

    def active(self, now_ms: int) -> dict[str, ActiveAlert]:
        """Conditions that hold, by fingerprint."""
        return {
            fingerprint: ActiveAlert(
                self._state.labels[fingerprint]["alertname"],
                self._state.labels[fingerprint],
                AlertState("firing", 0, since, since, now_ms, now_ms, now_ms, None),
            )
            for fingerprint, since in self._state.firing.items()
            if fingerprint in self._state.labels
        }

    def take(self) -> list[AlertEvent]:
        taken, self._alerts = self._alerts, []
        return taken

    def to_bytes(self) -> bytes:
        return msgspec.msgpack.encode(self._state)

    def restore(self, data: bytes) -> None:
        self._state = msgspec.msgpack.decode(data, type=_State)

    def end_notices(self, now_ms: int) -> None:
        """Resolve what was shown for long enough, and a surplus of models."""
        for key in [key for key, until in self._state.notices.items() if now_ms >= until]:
            del self._state.notices[key]
            name, _, role = key.partition("/")
            labels = {"topic": self._policies.topics[role]}
            self._set(False, name, "critical", labels, "It was shown for long enough.", now_ms)
        if (until := self._state.surplus_until) is not None and now_ms >= until:
            self._state.surplus_until = None
            self._set(False, "model-limit", "warning", {}, "No further event of a model without a place came.", now_ms)
        for place in [place for place, until in self._state.gap_until.items() if now_ms >= until]:
            del self._state.gap_until[place]
            role, _, partition = place.rpartition("/")
            labels = {"topic": self._policies.topics[role], "partition": partition}
            self._set(False, "source-gap", "critical", labels, "No further gap was seen.", now_ms)

    def _set(
        self, active: bool, name: str, severity: Severity, labels: dict[str, str], sentence: str, now_ms: int
    ) -> None:
        text = "\n".join((name, *(f"{key}={value}" for key, value in sorted(labels.items()))))
        fingerprint = blake2b(text.encode(), digest_size=8).hexdigest()
        since = self._state.firing.get(fingerprint)
        if active == (since is not None):
            return
        shown = {"alertname": name, "severity": severity, **labels}
        if active:
            since = self._state.firing[fingerprint] = now_ms
            self._state.labels[fingerprint] = shown
        else:
            since = self._state.firing.pop(fingerprint)
            self._state.labels.pop(fingerprint, None)
        state = "firing" if active else "resolved"
        self._alerts.append(
            AlertEvent(
                id=str(uuid5(METRIC_NAMESPACE, f"{fingerprint}/{state}/{since}")),
                fingerprint=fingerprint,
                state="firing" if active else "resolved",
                reason="breached" if active else "recovered",
                labels=shown,
                annotations={"summary": sentence},
                starts_at=format_timestamp(since),
                ends_at=None if active else format_timestamp(now_ms),
            )
        )
