"""What was configured about reactions. Frozen; no behaviour beyond refusing nonsense."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from stream_monitor.agents.reaction import Reaction
from stream_monitor.events.alert import AlertState


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Doubling delays between attempts, up to a bound, until an event has been tried for so long."""

    first_delay_s: float = 1.0
    max_delay_s: float = 60.0
    give_up_after_s: float = 900.0

    def __post_init__(self) -> None:
        if not 0 < self.first_delay_s <= self.max_delay_s:
            raise ValueError(
                f"first_delay_s must be positive and at most max_delay_s, "
                f"found {self.first_delay_s} and {self.max_delay_s}"
            )
        if self.give_up_after_s < 0:
            raise ValueError(f"give_up_after_s must not be negative, found {self.give_up_after_s}")

    def delay_s(self, attempt: int) -> float:
        """Before attempt 1, 2, …: 1 s, 2 s, 4 s, … The exponent is bounded, floats overflow at 2**1024."""
        return min(self.first_delay_s * 2.0 ** min(attempt - 1, 60), self.max_delay_s)


@dataclass(frozen=True, slots=True)
class WebhookPolicy:
    """One receiver of alerts. `headers` may hold secrets and are never logged, nor is the URL beyond its host.

    states    transitions that are sent; a pending alert may never fire, so it is not by default
    """

    url: str = field(repr=False)
    name: str = "webhook"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 10.0
    states: frozenset[AlertState] = frozenset({"firing", "resolved"})

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a webhook's url must start with http:// or https:// and name a host")
        if self.timeout_s <= 0:
            raise ValueError(f"timeout_s must be positive, found {self.timeout_s}")

    @property
    def host(self) -> str:
        """The host, with its port where one is given: what may be logged."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class ReactPolicy:
    """The react role.

    kafka               librdkafka properties with bootstrap.servers; those Faust has a word for are used (broker.py)
    alerts_topic, metrics_topic   full names
    group               prefix of the consumer groups; each reaction has a group, so an offset, of its own
    data_dir            Faust insists on a directory; nothing is kept there
    log_alerts          the reaction that writes alerts to the log
    webhooks            one reaction each
    reactions           the user's own
    retry               for every reaction
    max_event_age_s     older records are not acted on (null: any age); a week of old alerts would page for nothing
    session_timeout_s   how long a dead member holds its partitions
    """

    kafka: Mapping[str, object] = field(repr=False)
    alerts_topic: str = "streammonitor.alerts"
    metrics_topic: str = "streammonitor.metrics"
    group: str = "streammonitor.react"
    data_dir: Path = Path("state/react")
    log_alerts: bool = True
    webhooks: tuple[WebhookPolicy, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    retry: RetryPolicy = RetryPolicy()
    max_event_age_s: float | None = 86_400.0
    session_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        names = [webhook.name for webhook in self.webhooks] + [each.name for each in self.reactions]
        names += ["log"] if self.log_alerts else []
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"every reaction needs a name of its own; found more than once: {', '.join(repeated)}")

    def group_of(self, reaction: Reaction) -> str:
        """The consumer group of one reaction."""
        return f"{self.group}.{reaction.name}"

    def topic_of(self, reaction: Reaction) -> str:
        return self.alerts_topic if reaction.source == "alerts" else self.metrics_topic
