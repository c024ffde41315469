"""One event for one reaction: decide, act, retry. No Kafka in here.

Promises: returns only when the event is dealt with, always with a named outcome; an effect that succeeded is not
repeated for the same event id while the id is remembered; never raises but for cancellation, after which the
event has not been dealt with. Costs: the effect, its retries, and 10,000 remembered ids.
Leaves to others: acknowledging the record afterwards (app.py).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from enum import StrEnum

import structlog

from stream_monitor.agents.policy import RetryPolicy
from stream_monitor.agents.reaction import Reaction, Refused
from stream_monitor.errors import FormatError

_log = structlog.get_logger("stream_monitor.agents")

# A rebalance reads again what was not yet committed: seconds of events, far fewer than this.
_REMEMBERED_IDS = 10_000


class Outcome(StrEnum):
    """What became of an event; bounded, so it can be counted."""

    DONE = "done"
    FAILED_ATTEMPT = "failed_attempt"  # said besides the final outcome, once an attempt
    GIVEN_UP = "given_up"
    HISTORICAL = "historical"
    TOO_OLD = "too_old"
    REPEATED = "repeated"
    UNREADABLE = "unreadable"


class Handler:
    """`now` gives seconds since the epoch, `monotonic` any clock that does not jump."""

    def __init__(
        self,
        reaction: Reaction,
        retry: RetryPolicy,
        *,
        max_age_s: float | None = None,
        on_outcome: Callable[[str, str], None] = lambda reaction, outcome: None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._reaction = reaction
        self._retry = retry
        self._max_age_s = max_age_s
        self._on_outcome = on_outcome
        self._now, self._monotonic, self._sleep = now, monotonic, sleep
        self._done: OrderedDict[str, None] = OrderedDict()

    async def handle(self, value: bytes | None, written_s: float) -> Outcome:
        """`written_s`: the record's own timestamp, seconds since the epoch."""
        outcome = await self._handled(value, written_s)
        self._on_outcome(self._reaction.name, outcome)
        return outcome

    async def _handled(self, value: bytes | None, written_s: float) -> Outcome:
        try:
            event = self._reaction.decode(value or b"")
        except FormatError as error:
            _log.warning("event not readable, skipped", reaction=self._reaction.name, reason=str(error))
            return Outcome.UNREADABLE
        if event.historical and not self._reaction.historical:
            return Outcome.HISTORICAL
        if self._max_age_s is not None and self._now() - written_s > self._max_age_s:
            _log.warning("event too old to act on, skipped", reaction=self._reaction.name, event_id=event.id)
            return Outcome.TOO_OLD
        if event.id in self._done:
            return Outcome.REPEATED
        outcome = await self._attempted(event)
        if outcome == Outcome.DONE:
            self._done[event.id] = None
            if len(self._done) > _REMEMBERED_IDS:
                self._done.popitem(last=False)
        return outcome

    async def _attempted(self, event: object) -> Outcome:
        started, attempt = self._monotonic(), 0
        log = _log.bind(reaction=self._reaction.name, event_id=getattr(event, "id", None))
        while True:
            try:
                await self._reaction.effect(event)
                return Outcome.DONE
            except Refused as error:
                log.error("reaction refused, event given up", reason=str(error))
                return Outcome.GIVEN_UP
            except Exception as error:
                # Whatever went wrong in there concerns this reaction only; the stream of events must go on.
                attempt += 1
                reason = f"{type(error).__name__}: {error}"
                self._on_outcome(self._reaction.name, Outcome.FAILED_ATTEMPT)
            delay = self._retry.delay_s(attempt)
            if self._monotonic() - started + delay > self._retry.give_up_after_s:
                log.error("reaction failed, event given up", attempts=attempt, reason=reason)
                return Outcome.GIVEN_UP
            log.warning("reaction failed, will retry", attempt=attempt, delay_s=delay, reason=reason)
            await self._sleep(delay)
