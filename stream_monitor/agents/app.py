"""One Faust app for one reaction: reads committed records only, acknowledges after the effect.

Promises: at-least-once. A record is acknowledged when its handler returned, never by a crash, a cancellation or a
rebalance in between; records of aborted transactions are never seen; no topics are made, no port is opened.
Costs: one consumer thread and one group a reaction, so a receiver that is down holds back only its own reaction.
Leaves to others: what to do with an event (handler.py) and when to stop (worker.py).

Faust reads uncommitted records unless the whole app is exactly-once, which would make it a producer of
transactions. Its driver asks `consumer.in_transaction` at one point, when it makes the aiokafka consumer: that
answer is changed here for just that moment. Its acknowledgements and its choice of the offset to commit are
replaced, because both can be wrong after aborted transactions, cancellations and rebalances (see the methods).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from mode.threads import WorkerThread

from stream_monitor.agents.broker import broker_urls, credentials
from stream_monitor.agents.handler import Handler
from stream_monitor.agents.policy import ReactPolicy
from stream_monitor.agents.reaction import Reaction

STOP_TIMEOUT_S = 5.0


class _BoundedThread(WorkerThread):  # type: ignore[misc]  # faust and mode are untyped here
    """A thread that neither stopping nor the process waits for when the broker has gone."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.daemon = True

    def run(self) -> None:
        try:
            super().run()
        except BaseException:
            # Told to stop, it fails at whatever still needed the broker, or at the closed loop of its parent. A crash
            # has been handed to the app before it comes here.
            if not self.service.should_stop:
                raise

    def stop(self) -> None:
        # Called on the event loop: without a bound it would block all reactions.
        self.is_stopped.wait(1.0)


class _CommittedThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    Worker = _BoundedThread
    shutdown_timeout = STOP_TIMEOUT_S

    def _create_worker_consumer(self, transport: Any) -> Any:
        before = self.consumer.in_transaction
        self.consumer.in_transaction = True
        try:
            consumer = super()._create_worker_consumer(transport)
        finally:
            self.consumer.in_transaction = before
        # A later Faust may ask elsewhere; then this must fail at the start and not read aborted alerts.
        if consumer._isolation_level != "read_committed":
            raise RuntimeError(f"the react role must read committed records; found {consumer._isolation_level}")
        return consumer


class _CommittedConsumer(Consumer):  # type: ignore[misc]
    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)

    def ack(self, message: Any) -> bool:
        """Nothing: Faust also acknowledges what it skips in a rebalance and what was cancelled half-way."""
        return False

    def acknowledge(self, message: Any) -> None:
        """The event was handled. A record of before the last rebalance will be read again, by its owner."""
        if message.generation_id == self.app.consumer_generation_id:
            super().ack(message)

    def _new_offset(self, tp: Any) -> int | None:
        """The position to commit: behind the last acknowledged record, since they are handled in order.

        Faust's own way waits for every offset in between, forgets the gap that an aborted transaction leaves behind
        offset 0, and then never commits again.
        """
        acked = self._acked[tp]
        if not acked:
            return None
        position = int(max(acked)) + 1
        acked.clear()
        self._acked_index[tp].clear()
        return position

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        """Gaps do not matter to `_new_offset`; a list of them would hold every offset of an aborted transaction."""


class CommittedTransport(Transport):  # type: ignore[misc]
    """Faust's Kafka transport with isolation level read_committed."""

    Consumer = _CommittedConsumer


class _ConsumerOnly(BootStrategy):  # type: ignore[misc]
    enable_kafka_producer = False
    enable_web = False


def react_app(policy: ReactPolicy, reaction: Reaction, handler: Handler, loop: asyncio.AbstractEventLoop) -> faust.App:
    """The app, not started; its group is `<policy.group>.<reaction.name>`."""
    app = faust.App(
        policy.group_of(reaction),
        loop=loop,
        broker=broker_urls(policy.kafka),
        broker_credentials=credentials(policy.kafka),
        datadir=str(policy.data_dir / reaction.name),
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        store="memory://",
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=policy.session_timeout_s,
        broker_heartbeat_interval=policy.session_timeout_s / 10,
        broker_request_timeout=max(90.0, policy.session_timeout_s + 1),
        broker_commit_interval=1.0,
        # Off as in librdkafka: the broker inside librdkafka sends checksums that do not fit.
        broker_check_crcs=str(policy.kafka.get("check.crcs", "false")).lower() == "true",
        # Only when Faust complains about a slow agent; a receiver may be down for the whole retry time.
        stream_processing_timeout=policy.retry.give_up_after_s + 60.0,
        stream_buffer_maxsize=1_024,
        stream_wait_empty=False,
    )
    app.BootStrategy = _ConsumerOnly
    app.boot_strategy = _ConsumerOnly(app)
    app.transport = CommittedTransport(app.conf.broker_consumer, app, loop=loop)
    topic = app.topic(policy.topic_of(reaction), key_serializer="raw", value_serializer="raw", value_type=bytes)

    async def react(stream: AsyncIterator[Any]) -> None:
        # One at a time, in order: the consumer commits behind the last record that was handled.
        async for event in stream.noack().events():  # type: ignore[attr-defined]
            await handler.handle(event.value, event.message.timestamp)
            app.consumer.acknowledge(event.message)

    app.agent(topic, name=reaction.name, concurrency=1)(react)
    return app
