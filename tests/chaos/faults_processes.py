"""Faults of the monitor's own processes: killed, stopped, drained, scaled."""

from __future__ import annotations

import signal
import time

from stream_monitor.kafka.transaction import Point
from tests.acceptance.site import Process
from tests.chaos.field import Field
from tests.chaos.orders import TRANSACTION_MS
from tests.chaos.registry import fault

DRAIN_S = 10.0  # promised


@fault(weight=6, seconds=3)
def kill_at_random(field: Field) -> None:
    """SIGKILL at a random moment; every second one waits for a transaction to be open."""
    victim = field.victim()
    time.sleep(field.rng.uniform(0.0, 0.4))
    strike = field.strike(victim)
    deadline = time.monotonic() + field.rng.choice([0.0, 2.0])
    while time.monotonic() < deadline and not field.open_now(victim.role):
        pass
    field.kill(victim)
    strike.undone, strike.left_open = field.unread(victim.role), field.left_open(victim.role)
    field.struck(strike)
    field.launch(victim)


@fault(weight=2, seconds=4)
def kill_before_offsets(field: Field) -> None:
    """SIGKILL when the records of a transaction are at the broker and its offsets are not."""
    kill_at(field, field.victim(), Point.PRODUCED)


@fault(weight=2, seconds=4)
def kill_before_commit(field: Field) -> None:
    """SIGKILL between send-offsets and commit."""
    kill_at(field, field.victim(), Point.OFFSETS_SENT)


@fault(weight=2, seconds=4)
def kill_after_commit(field: Field) -> None:
    """SIGKILL right after the commit: the join store has not been written, and nobody was told."""
    kill_at(field, field.victim(), Point.COMMITTED)


def kill_at(field: Field, victim: Process, point: Point) -> None:
    strike = field.strike(victim)
    if field.order(victim, signal.SIGKILL, point):
        strike.undone, strike.left_open = field.unread(victim.role), field.left_open(victim.role)
        field.struck(strike)
    field.launch(victim)


@fault(weight=1, seconds=6)
def kill_all_workers(field: Field) -> None:
    """SIGKILL to everything that runs, within milliseconds."""
    for role in ("ingest", "evaluate"):
        field.victim(role)  # waits for one that works
    strike = field.strike(name="all workers")
    victims = field.running()
    for victim in victims:
        field.kill(victim)
    strike.undone = field.unread("ingest")
    strike.left_open = field.left_open("ingest") | field.left_open("evaluate")
    field.struck(strike)
    for victim in victims:
        field.launch(victim)


@fault(weight=2, seconds=4)
def terminate_and_start(field: Field) -> None:
    """SIGTERM drains within 10 s and leaves nothing open; then it is started again."""
    drain(field, field.victim())


def drain(field: Field, victim: Process) -> float:
    of_the_dead = field.left_open(victim.role)  # of others that were killed a moment ago
    strike = field.strike(victim)
    took = field.terminate(victim)
    strike.undone = field.unread(victim.role)
    if victim.code == 0 and (found := field.left_open(victim.role) - of_the_dead):
        field.findings.append(f"{victim.name} left transactions open when it drained: {sorted(found)}")
    field.struck(strike, f"drained in {took:.1f} s")
    field.launch(victim)
    return took


@fault(weight=1, seconds=12)
def rolling_restart(field: Field) -> None:
    """Every worker in turn drains and is started again, each when the one before is ready."""
    for victim in field.running():
        drain(field, victim)
        field.wait_until_ready()


@fault(weight=1, seconds=22, ends=True)
def zombie(field: Field) -> None:
    """SIGSTOP in an open transaction, until others have taken over and gone on; then SIGCONT."""
    point = field.rng.choice([Point.PRODUCED, Point.OFFSETS_SENT])
    stop_until_replaced(field, field.victim("ingest"), point)


@fault(weight=1, seconds=22, ends=True)
def zombie_of_evaluate(field: Field) -> None:
    point = field.rng.choice([Point.PRODUCED, Point.OFFSETS_SENT])
    stop_until_replaced(field, field.victim("evaluate"), point)


@fault(weight=1, seconds=24, ends=True)
def zombie_that_moves_no_offset(field: Field) -> None:
    """SIGSTOP in a transaction that holds records and sends offsets as they are; input comes while it stands."""
    field.wait_until_ready()
    field.writer.pause()
    try:
        point = field.rng.choice([Point.PRODUCED, Point.OFFSETS_SENT])
        stop_until_replaced(field, field.victim("ingest"), point, unmoved=True)
    finally:
        field.writer.go_on()


def stop_until_replaced(field: Field, victim: Process, point: Point, *, unmoved: bool = False) -> bool:
    """Whether it was stopped in such a transaction, and replaced."""
    role = victim.role
    field.wait(
        lambda: any(each.is_ready() for each in field.running(role) if each is not victim), 180, "another worker"
    )
    if not unmoved:
        strike = field.strike(victim)
    if not field.order(victim, signal.SIGSTOP, point, unmoved=unmoved):
        return False
    try:
        field.writer.go_on()
        if unmoved:
            strike = field.strike(victim)
        before = field.committed(role)
        strike.left_open = field.left_open(role)
        began = time.monotonic()
        replaced = field.wait(
            lambda: all(now > before.get(tp, 0) for tp, now in field.committed(role).items()),
            180 + TRANSACTION_MS / 1000,
            f"work of those who take over from {victim.name}",
        )
        strike.undone = field.unread(role)
    finally:
        if victim.code is None:
            victim.signal(signal.SIGCONT)
    field.struck(strike, f"stopped for {time.monotonic() - began:.1f} s")
    return replaced


@fault(weight=1, seconds=25)
def scale_up_and_down(field: Field) -> None:
    """1 → 3 → 1 ingest workers under load, and back to as many as there were."""
    first, *others = field.running("ingest")
    for each in others:
        field.terminate(each)
    field.wait(lambda: field.owners("ingest") == {first.name}, 180, "one owner")
    for size in (2, 3):
        strike = field.strike(first)
        field.start("ingest", f"x{size}")
        field.wait(lambda size=size: len(field.owners("ingest")) == size, 180, f"{size} owners")
        field.struck(strike, f"now {size} ingest workers")
    for size in (3, 2):
        leaver = next(each for each in field.running("ingest") if each.instance == f"x{size}")
        strike = field.strike(leaver)
        field.terminate(leaver)
        field.struck(strike, f"now {size - 1} ingest workers")
    field.wait(lambda: field.owners("ingest") == {first.name}, 180, "one owner")
    for each in others:
        field.launch(each)
