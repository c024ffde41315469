"""What a reaction is: a name, the topic it reads, and a plain async function of one event.

    async def to_chat(alert: AlertEvent) -> None:
        await post(f"{alert.labels['alertname']}: {alert.annotations['summary']}")

    CHAT = Reaction.on_alert("chat", to_chat)

Promises: the function is called at least once for every committed event of its topic that is not historical and not
too old; an exception is a failed attempt, `Refused` one that no further attempt would mend. Costs: one consumer
group a reaction. Leaves to others: decoding, retries and offsets (handler.py, app.py).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent

Source = Literal["alerts", "metrics"]


class Refused(Exception):
    """The effect cannot succeed for this event, now or later; it is given up at once."""


@dataclass(frozen=True, slots=True)
class Reaction:
    """Made by `on_alert` or `on_metric`. `historical`: whether it wants replayed windows too.

    `name` becomes part of a consumer group: renaming a reaction makes it start from the earliest event.
    """

    name: str
    source: Source
    effect: Callable[[Any], Awaitable[None]]
    historical: bool = False

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-zA-Z0-9._-]{1,100}", self.name):
            raise ValueError(
                f"a reaction's name is part of a consumer group; found {self.name!r}; "
                "accepted: 1 to 100 letters, digits, dots, dashes and underscores"
            )

    @classmethod
    def on_alert(
        cls, name: str, effect: Callable[[AlertEvent], Awaitable[None]], *, historical: bool = False
    ) -> Reaction:
        return cls(name, "alerts", effect, historical)

    @classmethod
    def on_metric(
        cls, name: str, effect: Callable[[MetricEvent], Awaitable[None]], *, historical: bool = False
    ) -> Reaction:
        return cls(name, "metrics", effect, historical)

    def decode(self, value: bytes) -> AlertEvent | MetricEvent:
        """Raises FormatError."""
        return AlertEvent.decode(value) if self.source == "alerts" else MetricEvent.decode(value)
