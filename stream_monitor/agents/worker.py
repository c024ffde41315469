"""The react role: all reactions of a policy, each in a Faust app of its own, on one event loop.

Promises: `run` returns when told to stop, having committed what was done; it raises SetupError, with the command that
mends it, where the broker or a topic is not there. Costs: the calling thread, and one more a reaction.
Leaves to others: restarting after a failure, logging set-up, signals.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence

import faust
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream_monitor.agents.app import STOP_TIMEOUT_S, react_app
from stream_monitor.agents.handler import Handler
from stream_monitor.agents.log import log_alert
from stream_monitor.agents.policy import ReactPolicy
from stream_monitor.agents.reaction import Reaction
from stream_monitor.agents.webhook import webhook
from stream_monitor.errors import SetupError, StreamMonitorError

_CLIENT_LOG = logging.getLogger("stream_monitor.librdkafka")
_POLL_S = 0.1
_METADATA_TIMEOUT_S = 10.0


def reactions_of(policy: ReactPolicy) -> tuple[Reaction, ...]:
    """Every reaction that is on: the two that come with the monitor, then the user's own."""
    log = (Reaction.on_alert("log", log_alert),) if policy.log_alerts else ()
    webhooks = tuple(Reaction.on_alert(each.name, webhook(each)) for each in policy.webhooks)
    return (*log, *webhooks, *policy.reactions)


def groups_of(policy: ReactPolicy) -> tuple[str, ...]:
    """The consumer group of each reaction."""
    return tuple(policy.group_of(reaction) for reaction in reactions_of(policy))


def topics_read(policy: ReactPolicy) -> tuple[str, ...]:
    """The topics that the reactions read, sorted."""
    return tuple(sorted({policy.topic_of(reaction) for reaction in reactions_of(policy)}))


class ReactWorker:
    """Runs once. `on_outcome(reaction, outcome)` is called from the worker's thread, for counting."""

    def __init__(
        self, policy: ReactPolicy, *, on_outcome: Callable[[str, str], None] = lambda reaction, outcome: None
    ) -> None:
        self._policy = policy
        self._on_outcome = on_outcome
        self._ready = threading.Event()

    def ready(self) -> bool:
        """True once every reaction's group has assigned its partitions."""
        return self._ready.is_set()

    def run(self, stop: threading.Event) -> None:
        """Block until `stop` is set or a reaction's consumer fails, which raises."""
        reactions = reactions_of(self._policy)
        if not reactions:
            self._ready.set()
            stop.wait()
            return
        self._check_topics()
        self._policy.data_dir.mkdir(parents=True, exist_ok=True)
        asyncio.run(self._react(reactions, stop))

    async def _react(self, reactions: Sequence[Reaction], stop: threading.Event) -> None:
        policy, loop = self._policy, asyncio.get_running_loop()
        apps: list[faust.App] = []
        for reaction in reactions:
            handler = Handler(reaction, policy.retry, max_age_s=policy.max_event_age_s, on_outcome=self._on_outcome)
            apps.append(react_app(policy, reaction, handler, loop))
        assigned: set[str] = set()
        for app in apps:
            _note_assignment(app, assigned, len(apps), self._ready)
        try:
            # Start waits for the first assignment; one at a time would add them up.
            starting = asyncio.gather(*(app.start() for app in apps))
            while not stop.is_set() and not any(app.crashed for app in apps):
                if starting.done() and starting.exception() is not None:
                    break
                await asyncio.sleep(_POLL_S)
            if starting.done() and not starting.cancelled() and (error := starting.exception()) is not None:
                raise StreamMonitorError(f"the react role could not start ({error!r})") from error
            for app in apps:
                if app.crashed and not stop.is_set():
                    raise StreamMonitorError(f"reaction group {app.conf.id} failed ({app.crash_reason!r})")
        finally:
            self._ready.clear()
            starting.cancel()
            # With `starting`, or asyncio would log a traceback of our own cancelling where a stop comes amid the start.
            stopping = asyncio.gather(starting, *(app.stop() for app in apps), return_exceptions=True)
            # A broker that is gone answers neither the last commit nor the farewell; what was not committed is
            # read again.
            await asyncio.wait([stopping], timeout=STOP_TIMEOUT_S)

    def _check_topics(self) -> None:
        policy = self._policy
        try:
            listed = AdminClient(dict(policy.kafka), logger=_CLIENT_LOG).list_topics(timeout=_METADATA_TIMEOUT_S).topics
        except KafkaException as error:
            servers = policy.kafka.get("bootstrap.servers", "localhost:9092")
            raise SetupError(
                f"the react role needs a Kafka broker; none answers at {servers}",
                mend="start the broker, or set kafka.bootstrap.servers",
            ) from error
        missing = [topic for topic in topics_read(policy) if topic not in listed]
        if missing:
            raise SetupError(
                f"the react role reads topics that do not exist: {', '.join(missing)}",
                mend="stream-monitor topics create -c FILE",
            )


def _note_assignment(app: faust.App, assigned: set[str], wanted: int, ready: threading.Event) -> None:
    """Faust says an assignment by a signal; a member of a group with too many members gets an empty one."""

    async def note(_app: faust.App, _partitions: object = None, **_: object) -> None:
        assigned.add(app.conf.id)
        if len(assigned) == wanted:
            ready.set()

    # Signals hold their receivers weakly.
    app.on_partitions_assigned.connect(note, weak=False)
