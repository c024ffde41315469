"""One transaction: produce, send offsets, commit; or abort. Nothing in between remains.

Outcomes of `run`: it returns (committed), raises TransactionAborted (nothing happened), SetupError (nothing happened,
and the broker will not allow it next time either), or LoopFailure (this process must end; the broker knows the
outcome). Costs one round trip to the partition leaders and three to the coordinators. The transaction begins only when
everything to be sent is there, so it is open for milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Any, NoReturn

from confluent_kafka import KafkaError, KafkaException

from stream_monitor.errors import SetupError
from stream_monitor.kafka.bounded import within
from stream_monitor.kafka.failures import LoopFailure, TransactionAborted, Verdict, denial, fatal, judge
from stream_monitor.kafka.stage import Outgoing
from stream_monitor.kafka.steps import Step, Steps


class Point(StrEnum):
    """Where a test may break the loop."""

    PRODUCED = "produced"  # records are at the broker, offsets not yet sent
    OFFSETS_SENT = "offsets_sent"  # all is sent, the commit is not
    COMMITTED = "committed"  # committed, the stage does not know yet


Hook = Callable[[Point], None]


class Transactions:
    """Runs transactions on one producer. Deadlines are monotonic seconds; `steps` is told what it is at.

    Errors name `group`. `overtime_s`: how much longer than it was told the client may take to send offsets.
    """

    def __init__(
        self,
        producer: Any,
        steps: Steps,
        *,
        commit_s: float,
        group: str = "",
        hook: Hook | None = None,
        overtime_s: float = 5.0,
    ) -> None:
        self._producer = producer
        self._steps = steps
        self._commit_s = commit_s
        self._group = group
        self._overtime_s = overtime_s
        self._hook = hook or (lambda point: None)

    def run(self, records: Sequence[Outgoing], offsets: Sequence[Any], group_metadata: Any, deadline: float) -> float:
        """Commit `records` and `offsets` (confluent TopicPartitions, never empty) as one; returns the seconds it took.

        Up to `deadline` the attempt is given up by an abort; once the commit is asked for only the broker knows, so
        from then on the call waits `commit_s` and then fails.
        """
        if not offsets:
            raise ValueError("a transaction needs at least one offset: without it a zombie would not be fenced")
        began = time.monotonic()
        try:
            self._steps.enter(Step.PRODUCE)
            self._call("begin_transaction", lambda _: self._producer.begin_transaction(), deadline, committing=True)
            for record in records:
                self._produce(record, deadline)
            self._deliver(deadline)
            self._hook(Point.PRODUCED)
            self._steps.enter(Step.COMMIT)
            self._call(
                "send_offsets_to_transaction",
                lambda left: self._send_offsets(offsets, group_metadata, left),
                deadline,
            )
            self._hook(Point.OFFSETS_SENT)
            self._commit()
        except TransactionAborted as error:
            denied = self._denied(error, records, lambda: self._send_offsets(offsets, group_metadata, 1.0))
            try:
                self._abort()
            except LoopFailure as failure:
                if denied is None:
                    raise
                # Refused before anything was added to it: the broker knows of no transaction that could be aborted.
                raise denied from failure
            if denied is not None:
                raise denied from error
            raise
        self._hook(Point.COMMITTED)
        return time.monotonic() - began

    def _send_offsets(self, offsets: Sequence[Any], group_metadata: Any, seconds: float) -> None:
        within(
            seconds + self._overtime_s,
            "send_offsets_to_transaction",
            lambda: self._producer.send_offsets_to_transaction(list(offsets), group_metadata, seconds),
        )

    def _denied(
        self, error: TransactionAborted, records: Sequence[Outgoing], next_call: Callable[[], None]
    ) -> SetupError | None:
        """What to say where another try would be refused as well; the broker does not tell which topic it is about."""
        cause = error.cause
        if cause is not None and cause.code() == KafkaError._STATE:
            # What produce() says of a transaction that has failed already; the next call tells why.
            try:
                next_call()
            except KafkaException as refused:
                cause = refused.args[0]
        topics = sorted({each.topic for each in records})
        doing = f"writing {', '.join(topics)} and offsets of group {self._group}"
        return None if cause is None else denial(cause, doing)

    def _produce(self, record: Outgoing, deadline: float) -> None:
        where = {} if record.partition is None else {"partition": record.partition}
        while True:
            try:
                self._producer.produce(
                    record.topic, record.value, record.key, headers=list(record.headers) or None, **where
                )
            except BufferError:
                if time.monotonic() >= deadline:
                    raise TransactionAborted("the producer's queue stayed full") from None
                self._producer.poll(0.05)
                continue
            except KafkaException as error:
                self._raise("produce", error.args[0], committing=False)
            return

    def _deliver(self, deadline: float) -> None:
        try:
            left = self._producer.flush(max(0.0, deadline - time.monotonic()))
        except KafkaException as error:
            self._raise("flush", error.args[0], committing=False)
        if left:
            raise TransactionAborted("the records were not delivered in time")

    def _commit(self) -> None:
        self._call(
            "commit_transaction",
            self._producer.commit_transaction,
            time.monotonic() + self._commit_s,
            committing=True,
        )

    def _abort(self) -> None:
        deadline = time.monotonic() + self._commit_s
        try:
            self._call("abort_transaction", self._producer.abort_transaction, deadline, committing=True)
        except TransactionAborted as error:
            raise LoopFailure(f"the transaction could not even be aborted: {error}") from error

    def _call(self, name: str, call: Callable[[float], object], deadline: float, *, committing: bool = False) -> None:
        """Call until it succeeds; a retriable error past the deadline aborts, or fails where that is too late."""
        while True:
            left = deadline - time.monotonic()
            try:
                call(max(0.01, left))
                return
            except KafkaException as error:
                cause = error.args[0]
                if judge(cause, committing=committing) is not Verdict.RETRY:
                    self._raise(name, cause, committing=committing)
                if time.monotonic() >= deadline:
                    if committing:
                        raise LoopFailure(f"{name} had no answer in time: {cause.str()}") from error
                    raise TransactionAborted(f"{name}: {cause.str()}") from error
                time.sleep(0.02)

    def _raise(self, name: str, cause: Any, *, committing: bool) -> NoReturn:
        if judge(cause, committing=committing) is Verdict.FATAL:
            raise fatal(cause, name)
        raise TransactionAborted(f"{name}: {cause.str()} ({cause.name()})", cause)
