"""Faults of the brokers: one of three killed, and all of them away for longer than a transaction may take."""

from __future__ import annotations

import signal
import time

from stream_monitor.kafka.transaction import Point
from tests.chaos.field import Field
from tests.chaos.orders import TRANSACTION_MS
from tests.chaos.registry import fault

WHOLE_S = 300.0  # a broker that comes back copies what it missed; on a busy machine that takes a while


@fault(weight=2, seconds=20, ends=True, cluster=True)
def kill_broker(field: Field) -> None:
    """kill -9 of one of three: counting goes on without it, then it comes back."""
    _without_one(field)


@fault(weight=1, seconds=20, ends=True, cluster=True)
def kill_broker_in_transaction(field: Field) -> None:
    """The same while a worker holds a transaction open, which goes on afterwards."""
    victim = field.victim()
    if field.order(victim, signal.SIGSTOP, field.rng.choice([Point.PRODUCED, Point.OFFSETS_SENT])):
        try:
            opened = field.left_open(victim.role)
            node = _kill_one(field, opened)
        finally:
            victim.signal(signal.SIGCONT)
        _goes_on_without(field, node)


def _without_one(field: Field) -> None:
    _goes_on_without(field, _kill_one(field, field.open_now("ingest") | field.open_now("evaluate")))


def _kill_one(field: Field, opened: set) -> object:
    node = field.rng.choice(field.brokers.nodes)
    strike = field.strike(name=f"broker {node.number}")
    node.kill()
    strike.left_open = opened
    strike.undone = field.unread("ingest")
    field.struck(strike)
    return node


def _goes_on_without(field: Field, node: object) -> None:
    for role in ("ingest", "evaluate"):
        before = field.committed(role)
        field.wait(
            lambda role=role, before=before: all(now > before[tp] for tp, now in field.committed(role).items()),
            240,
            f"commits of {role} on two brokers",
        )
    node.start()
    field.wait(field.brokers.is_whole, WHOLE_S, "all brokers in step")


@fault(weight=1, seconds=50, ends=True, cluster=True)
def all_brokers_away(field: Field) -> None:
    """kill -9 of all three amid a transaction, for longer than it may stay open; then all come back."""
    victim = field.victim()
    strike = field.strike(name="all brokers")
    held = field.order(victim, signal.SIGSTOP, field.rng.choice([Point.PRODUCED, Point.OFFSETS_SENT]))
    try:
        strike.left_open = field.left_open(victim.role)
        for node in field.brokers.nodes:
            node.kill()
    finally:
        if held:
            victim.signal(signal.SIGCONT)
    until = time.monotonic() + TRANSACTION_MS / 1000 + 3
    while time.monotonic() < until:
        field.attend()
        time.sleep(0.2)
    for node in field.brokers.nodes:
        node.start()
    field.wait(field.brokers.is_whole, WHOLE_S, "all brokers in step")
    strike.undone = field.unread("ingest")
    field.struck(strike, f"for {TRANSACTION_MS / 1000 + 3:g} s")
    before = field.committed("evaluate")
    field.wait(
        lambda: all(now > before[tp] for tp, now in field.committed("evaluate").items()), 240, "commits afterwards"
    )
