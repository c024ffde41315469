"""The one transactional loop of both confluent stages: exact counts over kill -9, rebalance and replay.

Promises: a batch is folded into the stage's overlay, then emitted with its source offsets in one transaction, then
made permanent; an abort drops the overlay and reads again from where the permanent state stands. Every transaction
sends at least one offset with the group metadata of the assignment that produced the work, which is what fences
zombies: metadata asked for at commit time would, after a lost assignment, name no generation at all and pass.
On a revocation the flush is committed within a deadline or dropped; on a loss it is dropped.

Costs about 0.2 µs a message and one transaction per flush interval. Left to others: decoding and folding (Stage),
restart after a LoopFailure (whoever runs the process). A static member does not leave the group when it stops: its
partitions wait for its return until the session times out.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from stream_monitor.errors import SetupError
from stream_monitor.kafka import topics
from stream_monitor.kafka.client_log import logged
from stream_monitor.kafka.ends import EndWatcher, bounds
from stream_monitor.kafka.failures import LoopFailure, Stopped, TransactionAborted, consumer_failure, fatal
from stream_monitor.kafka.idle import CaughtUp, Quiet
from stream_monitor.kafka.intake import Intake
from stream_monitor.kafka.pace import Pace
from stream_monitor.kafka.policy import LoopPolicy, consumer_properties, producer_properties
from stream_monitor.kafka.positions import Positions
from stream_monitor.kafka.snapshot import LoopSnapshot, Tally
from stream_monitor.kafka.stage import TP, Run, Stage, Start
from stream_monitor.kafka.start import anchor_first_start, committed_offsets, starts, written
from stream_monitor.kafka.steps import Step, Steps
from stream_monitor.kafka.topic_watch import TopicWatch
from stream_monitor.kafka.transaction import Hook, Transactions
from stream_monitor.pipeline.horizon import Span

log = structlog.get_logger("stream_monitor.kafka")


class Loop:
    """Runs one Stage over its topics. Make it anew after a failure."""

    def __init__(
        self,
        stage: Stage,
        policy: LoopPolicy,
        *,
        on_snapshot: Callable[[LoopSnapshot], None] | None = None,
        hook: Hook | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        """`hook` is for tests."""
        self.snapshot = LoopSnapshot()
        self._stage = stage
        self._policy = policy
        self._on_snapshot = on_snapshot or (lambda snapshot: None)
        self._hook = hook
        self._now_ms = now_ms
        self._positions = Positions()
        self._caught_up = CaughtUp()
        self._memory: dict[TP, Start] = {}
        self._paused: set[TP] = set()
        self._waiting: set[TP] = set()  # of these, for the next flush
        self._group_metadata: Any = None
        self._failure: BaseException | None = None
        self._tally = Tally()
        self._intake = Intake(self._positions, self._tally, self._consumer_event)
        self._steps = Steps()
        self._stopping: Callable[[], bool] = lambda: False

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set, then flush, commit and close. Raises what makes a restart necessary."""
        policy = self._policy
        self._stopping = stop.is_set
        self._admin = AdminClient(logged(policy.client))
        partitions = topics.require(self._admin, policy.topics, grace_ms=policy.missing_topic_grace_ms)
        self._producer = Producer({**logged(producer_properties(policy)), "error_cb": self._client_error})
        self._transactions = Transactions(
            self._producer, self._steps, commit_s=policy.commit_deadline_ms / 1000, hook=self._hook, group=policy.group
        )
        properties = consumer_properties(policy, sum(partitions.values()))
        self._consumer = Consumer({**logged(properties), "error_cb": self._client_error})
        self._end_watcher = EndWatcher(self._admin, policy.ends_interval_ms)
        self._topic_watch: TopicWatch | None = None  # the embedded broker describes no topics
        try:
            if policy.group_keeps_offsets:
                self._topic_watch = self._watched(policy)
            # First: it settles what an earlier process of this id left open, committed offsets included.
            self._init_transactions()
            if policy.group_keeps_offsets:
                every = [TP(topic, p) for topic, count in partitions.items() for p in range(count)]
                if anchor_first_start(self._admin, self._consumer, policy, every):
                    log.info("first start of the group", group=policy.group, start=policy.first_start)
            self._consumer.subscribe(
                list(policy.topics),
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )
            self._work(stop)
            self._flush(policy.produce_deadline_ms)
        except KafkaException as error:
            self._failure = self._failure or fatal(error.args[0], "consuming")
        except BaseException as error:
            self._failure = self._failure or error
        finally:
            # With a failure pending the revocation inside close() drops instead of committing.
            self._consumer.close()
            # Else their threads would live until the garbage collector finds the cycle through error_cb.
            del self._producer, self._transactions, self._consumer, self._admin, self._end_watcher, self._topic_watch
        if not isinstance(self._failure, Stopped):
            self._raise_failure()

    def _watched(self, policy: LoopPolicy) -> TopicWatch:
        names = (*policy.topics, *policy.watched_topics)
        deadline_s = policy.committed_deadline_ms / 1000
        return TopicWatch(self._admin, names, policy.ends_interval_ms, deadline_s, self._stopping)

    def _work(self, stop: threading.Event) -> None:
        policy = self._policy
        pace = Pace(policy, self._now_ms())
        while not stop.is_set():
            with self._steps.within(Step.CONSUME):
                wait_s = 0.0 if self._stage.is_full() else pace.wait_s(self._now_ms())
                messages = self._consumer.consume(policy.batch_messages, wait_s)
            self._poll_others()
            self._raise_failure()
            with self._steps.within(Step.PROCESS):
                if (batch := self._intake.take(messages)) and (held := self._stage.process(batch)):
                    self._hold(held, batch)
            now_ms = self._now_ms()
            forced = pace.forced(unflushed=self._tally.unflushed.total(), is_full=self._stage.is_full())
            if forced is not None:
                self._tally.forced[forced] += 1
            due = forced is not None or pace.is_due(now_ms)
            early = not due and pace.is_early(now_ms, read=len(messages), is_awaited=self._stage.is_awaited)
            if due or early:
                self._watch_ends(now_ms)
                self._flush(policy.produce_deadline_ms)
                pace.flushed(now_ms, self._now_ms(), early=early)
            if self._waiting and not self._stage.is_full():
                self._go_on()

    def _hold(self, held: Mapping[TP, int], batch: Sequence[Run]) -> None:
        """Stop reading partitions that the stage cannot go on with, or not before it was flushed."""
        self._consumer.pause([TopicPartition(*tp) for tp in held])
        self._paused |= held.keys()
        if full := self._stage.is_full():
            self._waiting |= held.keys()
        for tp, offset in held.items():
            if not full:
                log.error("held", partition=str(tp), offset=offset)
            self._positions.hold(tp, offset)
        for run in batch:
            if run.tp in held:
                self._tally.unflushed[run.tp.topic] -= sum(offset >= held[run.tp] for offset in run.offsets)

    def _read_on(self) -> None:
        """Read held partitions again."""
        if paused := [TopicPartition(*tp) for tp in self._paused if tp in self._positions]:
            self._consumer.resume(paused)
        self._paused, self._waiting = set(), set()

    def _go_on(self) -> None:
        """The stage takes messages again: read partitions that waited for that. One that it could not go on with for
        another reason is held again."""
        for tp, offset in self._positions.release(self._waiting).items():
            self._seek(tp, offset)
            self._consumer.resume([TopicPartition(*tp)])
        self._paused -= self._waiting
        self._waiting = set()

    def _consumer_event(self, message: Message) -> None:
        error = message.error()
        if error.code() == KafkaError._PARTITION_EOF:
            tp = TP(message.topic(), message.partition())
            self._positions.reached(tp, message.offset())
            self._end_seen(tp, message.offset(), self._now_ms())
            return
        where = (
            f"{message.topic()}[{message.partition()}]"
            if message.topic()
            else f"{', '.join(self._policy.topics)} as group {self._policy.group}"
        )
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            topics.require(self._admin, self._policy.topics, grace_ms=self._policy.missing_topic_grace_ms)
            if self._topic_watch is not None:
                self._topic_watch.check()
            return
        failure = consumer_failure(error, where)
        if failure is not None:
            if self._topic_watch is not None:
                self._topic_watch.check()  # an offset that is out of range may be of a topic that is no more
            raise failure
        log.warning("consumer", where=where, error=error.str())

    # --- transactions -------------------------------------------------------------------------------------------

    def _init_transactions(self) -> None:
        deadline = time.monotonic() + self._policy.commit_deadline_ms / 1000
        while True:
            if self._stopping():
                raise Stopped
            try:
                self._producer.init_transactions(10.0)
                return
            except KafkaException as error:
                cause = error.args[0]
                if cause.fatal() or not cause.retriable():
                    raise fatal(cause, f"opening transactions as {self._policy.transactional_id}") from error
                if time.monotonic() >= deadline:
                    raise SetupError(f"the transaction coordinator did not answer: {cause.str()}") from error

    def _flush(self, budget_ms: int, *, leaving: bool = False) -> None:
        """Commit what was folded; on an abort drop it, and unless `leaving` read it again."""
        positions = self._positions
        if not positions:
            return
        deadline = time.monotonic() + budget_ms / 1000
        now_ms = self._now_ms()
        with self._steps.within(Step.DRAIN):
            records = self._stage.drain(now_ms, self._spans(now_ms))
        if not records and not positions.moved():
            return
        offsets = positions.to_commit()
        metadata = {tp: self._stage.commit_metadata(*tp) for tp in offsets}
        ids = self._topic_ids()
        requests = [
            TopicPartition(*tp, offset, written(metadata[tp], ids.get(tp.topic, ""))) for tp, offset in offsets.items()
        ]
        try:
            with self._steps.within(Step.PRODUCE):
                seconds = self._transactions.run(records, requests, self._group_metadata, deadline)
        except TransactionAborted as error:
            self._after_abort(error, leaving=leaving)
            return
        positions.commit()
        self._memory.update({tp: Start(offset, metadata[tp]) for tp, offset in offsets.items()})
        with self._steps.within(Step.STORE):
            self._stage.committed()
        self._tally.committed(self._now_ms(), Counter(record.topic for record in records), seconds)
        self._publish()

    def _topic_ids(self) -> dict[str, str]:
        watch = self._topic_watch
        return {} if watch is None else {name: facts.topic_id for name, facts in watch.facts.items()}

    def _spans(self, now_ms: int) -> dict[TP, Span]:
        spans = {}
        for tp, at in self._positions.owned():
            self._caught_up.consumed(tp, at.next)
            quiet = self._caught_up.quiet(tp, now_ms, self._policy.idle_timeout_ms)
            spans[tp] = Span(at.durable, at.next, quiet is Quiet.CAUGHT_UP)
        return spans

    def _after_abort(self, error: TransactionAborted, *, leaving: bool) -> None:
        self._tally.aborted()
        in_a_row = self._tally.aborts_in_a_row
        log.warning("transaction aborted", error=str(error), in_a_row=in_a_row)
        self._discard()
        if leaving:
            return
        if in_a_row >= self._policy.max_consecutive_aborts:
            raise LoopFailure(f"{in_a_row} transactions in a row were aborted; the last: {error}")
        time.sleep(min(2.0, 0.05 * 2**in_a_row))
        for tp, offset in self._positions.rewind().items():
            self._seek(tp, offset)
        self._read_on()

    def _seek(self, tp: TP, offset: int) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                self._consumer.seek(TopicPartition(*tp, offset))
                return
            except KafkaException as error:
                # A partition just assigned cannot be sought until its fetcher runs.
                if time.monotonic() >= deadline:
                    raise LoopFailure(f"seek of {tp} to {offset} failed: {error.args[0].str()}") from error
                time.sleep(0.05)

    def _discard(self) -> None:
        self._tally.unflushed.clear()
        self._stage.aborted()

    # --- assignment (called by the client inside consume and close; they must not raise) ---------------------------

    def _on_assign(self, consumer: Any, partitions: list[Any]) -> None:
        if self._failure is not None:
            return
        try:
            with self._steps.within(Step.ASSIGN):
                self._take(consumer, [TP(each.topic, each.partition) for each in partitions])
        except BaseException as error:
            self._failure = error

    def _take(self, consumer: Any, partitions: list[TP]) -> None:
        policy = self._policy
        committed = committed_offsets(consumer, partitions, policy.committed_deadline_ms, self._stopping)
        found = bounds(self._admin, partitions, policy.committed_deadline_ms / 1000, self._stopping)
        if self._topic_watch is not None:
            self._topic_watch.check()
        begin = starts(policy, committed, found, self._memory, self._topic_ids())
        self._stage.assigned(begin)
        consumer.assign([TopicPartition(*tp, start.offset) for tp, start in begin.items()])
        # Of this assignment, not of the time of the commit: see the head of this file.
        self._group_metadata = consumer.consumer_group_metadata()
        self._positions.take({tp: start.offset for tp, start in begin.items()})
        self._read_on()
        now_ms = self._now_ms()
        self._caught_up.assigned(partitions, now_ms)
        self._tally.ends = {}
        for tp, bound in found.items():
            self._end_seen(tp, bound.high, now_ms)
        self._tally.rebalances += 1
        log.info("assigned", group=policy.group, partitions=[str(tp) for tp in partitions])
        self._publish()

    def _on_revoke(self, consumer: Any, partitions: list[Any]) -> None:
        try:
            if self._failure is None:
                self._flush(self._policy.revoke_deadline_ms, leaving=True)
        except BaseException as error:
            self._failure = error
        self._let_go(partitions)

    def _on_lost(self, consumer: Any, partitions: list[Any]) -> None:
        log.warning("assignment lost", group=self._policy.group)
        self._let_go(partitions)

    def _let_go(self, partitions: list[Any]) -> None:
        """What is still in the overlay was not committed: another owner will read it again."""
        owned = [tp for each in partitions if (tp := TP(each.topic, each.partition)) in self._positions]
        self._positions.drop()
        self._caught_up.revoked()
        self._group_metadata = None
        try:
            with self._steps.within(Step.ASSIGN):
                self._discard()
                self._stage.revoked(owned)
        except BaseException as error:
            self._failure = self._failure or error
        self._publish()

    # --- what others see ------------------------------------------------------------------------------------------

    def _client_error(self, error: Any) -> None:
        """Called by librdkafka inside poll, consume and flush. What is not fatal it has said in its own log line."""
        if error.fatal():
            self._failure = self._failure or fatal(error, "the Kafka client")

    def _poll_others(self) -> None:
        """Takes the log lines and errors of the clients that a flush may not come to for long: else they pile up."""
        self._producer.poll(0)
        self._admin.poll(0)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _end_seen(self, tp: TP, end: int, at_ms: int) -> None:
        self._tally.ends[tp] = end
        self._caught_up.end_seen(tp, end, at_ms)

    def _watch_ends(self, now_ms: int) -> None:
        if self._topic_watch is not None:
            self._topic_watch.poll(now_ms)
        if self._positions:
            for tp, end, asked_ms in self._end_watcher.poll([tp for tp, _ in self._positions.owned()], now_ms):
                self._end_seen(tp, end, asked_ms)

    def _publish(self) -> None:
        self.snapshot = self._tally.snapshot(self._positions.to_commit(), self._steps.take())
        self._on_snapshot(self.snapshot)
