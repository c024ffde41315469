"""One event for one reaction: what is acted on, what is retried, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from stream_monitor.agents.handler import Handler, Outcome
from stream_monitor.agents.policy import ReactPolicy, RetryPolicy, WebhookPolicy
from stream_monitor.agents.reaction import Reaction, Refused
from stream_monitor.agents.worker import reactions_of
from stream_monitor.events.alert import AlertEvent
from tests.agents.receiver import alert
from tests.export.events import metric


class World:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.now += seconds


def handler(
    effect: Callable[[Any], Awaitable[None]], world: World, outcomes: list[str] | None = None, **more: Any
) -> Handler:
    kept = outcomes if outcomes is not None else []
    return Handler(
        more.pop("reaction", None) or Reaction.on_alert("test", effect),
        more.pop("retry", RetryPolicy()),
        on_outcome=lambda name, outcome: kept.append(f"{name}:{outcome}"),
        now=world.clock,
        monotonic=world.clock,
        sleep=world.sleep,
        **more,
    )


class Effect:
    """Keeps what it was called with; fails the first `failures` times."""

    def __init__(self, failures: int = 0, error: Exception | None = None) -> None:
        self.seen: list[AlertEvent] = []
        self.calls = 0
        self.failures = failures
        self.error = error or OSError("down")

    async def __call__(self, event: AlertEvent) -> None:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        self.seen.append(event)


def run(handler: Handler, *values: bytes | None, written_s: float = 1_000.0) -> list[Outcome]:
    async def all_of_them() -> list[Outcome]:
        return [await handler.handle(value, written_s) for value in values]

    return asyncio.run(all_of_them())


def test_an_event_is_acted_on_once_however_often_it_is_read() -> None:
    effect, world = Effect(), World()
    value, other = alert("a").encode(), alert("b").encode()
    assert run(handler(effect, world), value, value, other) == [Outcome.DONE, Outcome.REPEATED, Outcome.DONE]
    assert [event.id for event in effect.seen] == ["a", "b"]


def test_failures_are_retried_with_doubling_delays_up_to_the_longest() -> None:
    effect, world, outcomes = Effect(failures=5), World(), []
    retry = RetryPolicy(first_delay_s=1, max_delay_s=6, give_up_after_s=100)
    assert run(handler(effect, world, outcomes, retry=retry), alert().encode()) == [Outcome.DONE]
    assert world.sleeps == [1, 2, 4, 6, 6]
    assert outcomes == ["test:failed_attempt"] * 5 + ["test:done"]


def test_after_the_given_time_the_event_is_given_up_and_the_next_one_has_its_turn() -> None:
    world = World()
    effect = Effect(failures=3)
    retry = RetryPolicy(first_delay_s=1, max_delay_s=60, give_up_after_s=5)
    subject = handler(effect, world, retry=retry)
    with capture_logs() as logs:
        assert run(subject, alert("a").encode(), alert("b").encode()) == [Outcome.GIVEN_UP, Outcome.DONE]
    assert world.sleeps == [1, 2], "a third delay of 4 s would end after 5 s"
    assert [line["event_id"] for line in logs if line["log_level"] == "error"] == ["a"]
    assert run(subject, alert("a").encode()) == [Outcome.DONE], "what was given up is not remembered as done"


def test_a_refusal_is_not_retried() -> None:
    world = World()
    assert run(handler(Effect(9, Refused("400")), world), alert().encode()) == [Outcome.GIVEN_UP]
    assert world.sleeps == []


def test_historical_alerts_are_ignored_unless_the_reaction_wants_them() -> None:
    effect, world = Effect(), World()
    value = alert(historical=True).encode()
    assert run(handler(effect, world), value) == [Outcome.HISTORICAL]
    wanted = Reaction.on_alert("all", effect, historical=True)
    assert run(handler(effect, world, reaction=wanted), value) == [Outcome.DONE]


def test_records_older_than_the_limit_are_not_acted_on() -> None:
    effect, world = Effect(), World()
    assert run(handler(effect, world, max_age_s=10.0), alert().encode(), written_s=980.0) == [Outcome.TOO_OLD]
    assert run(handler(effect, world, max_age_s=10.0), alert().encode(), written_s=995.0) == [Outcome.DONE]


@pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"\xff", b'{"id": 1}', b"[" * 100_000])
def test_what_is_not_an_alert_is_skipped_with_a_named_outcome(value: bytes | None) -> None:
    assert run(handler(Effect(), World()), value) == [Outcome.UNREADABLE]


def test_a_cancelled_effect_has_no_outcome() -> None:
    async def forever(event: object) -> None:
        await asyncio.Event().wait()

    async def cancelled() -> None:
        task = asyncio.create_task(subject.handle(alert().encode(), 1_000.0))
        await asyncio.sleep(0)
        task.cancel()
        await task

    outcomes: list[str] = []
    subject = handler(forever, World(), outcomes)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancelled())
    assert outcomes == []


def test_a_reaction_to_metrics_gets_metric_events() -> None:
    seen = []

    async def keep(event: object) -> None:
        seen.append(event)

    event = metric("psi", 0.3)
    reaction = Reaction.on_metric("audit", keep)
    assert run(handler(keep, World(), reaction=reaction), event.encode()) == [Outcome.DONE]
    assert seen == [event]


def test_delays_stay_finite_after_thousands_of_attempts() -> None:
    assert RetryPolicy().delay_s(5_000) == 60.0


def test_two_reactions_of_one_name_and_names_no_group_can_have_are_refused() -> None:
    with pytest.raises(ValueError, match="more than once: log"):
        ReactPolicy({}, webhooks=(WebhookPolicy("http://x/", name="log"),))
    with pytest.raises(ValueError, match="part of a consumer group"):
        Reaction.on_alert("a b", Effect())


def test_the_reactions_of_a_policy_are_log_then_webhooks_then_the_users() -> None:
    own = Reaction.on_metric("audit", Effect())
    policy = ReactPolicy({}, webhooks=(WebhookPolicy("http://x/"),), reactions=(own,))
    assert [reaction.name for reaction in reactions_of(policy)] == ["log", "webhook", "audit"]
    assert reactions_of(ReactPolicy({}, log_alerts=False)) == ()
