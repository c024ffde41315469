"""Each fault of the monitor's processes by itself, on one broker; every test prints the seed that repeats it."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream_monitor.kafka.transaction import Point
from tests.acceptance.site import COMMAND
from tests.chaos import faults_processes as faults
from tests.chaos.field import Field, playing_field
from tests.chaos.verdict import Verdict, judge

pytestmark = [pytest.mark.broker, pytest.mark.chaos, pytest.mark.timeout(420)]

SEED_VARIABLE = "STREAM_MONITOR_TEST_SEED"
Played = Callable[[Field], None]


@pytest.fixture
def seed() -> int:
    return int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(10**6))


@contextmanager
def field_of(bootstrap: str, folder: Path, seed: int, **how: object) -> Iterator[Field]:
    print(f"\nseed {seed} ({SEED_VARIABLE} repeats it)")
    with playing_field(bootstrap, folder, seed=seed, say=print, **how) as field:  # type: ignore[arg-type]
        field.fault = "test"
        yield field


def proved(field: Field, seed: int) -> Verdict:
    """Exact counts, and every strike with input unread."""
    verdict = judge(field, seed)
    print("\n".join(verdict.lines()))
    assert verdict.differences == []
    assert verdict.strikes
    assert verdict.with_unread == verdict.strikes, field.strikes
    # Few windows may raise no alert.
    assert all(n > 0 for name, n in verdict.compared.items() if name != "alert transitions"), verdict.compared
    return verdict


def test_sigkill_at_random_moments(bootstrap: str, tmp_path: Path, seed: int) -> None:
    with field_of(bootstrap, tmp_path, seed) as field:
        for _ in range(10):
            faults.kill_at_random(field)
        verdict = proved(field, seed)
    assert verdict.strikes.total() == 10
    assert sum(strike.undone > 0 for strike in field.strikes) >= 8, field.strikes


@pytest.mark.parametrize("role", ["ingest", "evaluate"])
@pytest.mark.parametrize("point", list(Point))
def test_sigkill_exactly_there(bootstrap: str, tmp_path: Path, seed: int, point: Point, role: str) -> None:
    with field_of(bootstrap, tmp_path, seed) as field:
        for _ in range(2):
            faults.kill_at(field, field.victim(role), point)
        verdict = proved(field, seed)
    assert verdict.strikes.total() == 2
    # Right after the commit nothing is open; before it, each kill leaves a transaction that is aborted later.
    assert verdict.in_transaction.total() == (0 if point is Point.COMMITTED else 2), field.strikes
    if (point, role) == (Point.COMMITTED, "ingest"):
        logs = "".join(worker.log.read_text() for worker in field.workers if worker.role == "ingest")
        assert re.search(r'"gaps".*"event": "replay"', logs), "the join store was behind the commit"


def test_sigterm_drains_within_ten_seconds_and_leaves_nothing_open(bootstrap: str, tmp_path: Path, seed: int) -> None:
    """The best of up to four: on a machine that does much else, all of them may be slow by no fault of the worker."""
    with field_of(bootstrap, tmp_path, seed) as field:
        for role in ("ingest", "evaluate"):
            assert any(faults.drain(field, field.victim(role)) <= faults.DRAIN_S for _ in range(4)), field.strikes
        proved(field, seed)
    assert [each.code for each in field.workers] == [0, 0, 0, 0]


def test_a_worker_that_drained_has_left_its_group_within_ten_seconds(bootstrap: str, tmp_path: Path, seed: int) -> None:
    """With the program and the times that users have. The best of up to three, for a machine that does much else."""
    with field_of(bootstrap, tmp_path, seed, program=COMMAND) as field:
        leaver, stayer = field.running("ingest")
        took = []
        while not took or (min(took) > 10 and len(took) < 3):
            field.wait_until_ready()
            field.wait(lambda: len(field.owners("ingest")) == 2, 60, "two owners")
            strike = field.strike(leaver)
            began = time.monotonic()
            field.terminate(leaver)
            field.wait(lambda: leaver.name not in field.assignments("ingest"), 60, "its leaving")
            took.append(time.monotonic() - began)
            field.struck(strike, f"left after {took[-1]:.1f} s")
            field.wait(lambda: field.owners("ingest") == {stayer.name}, 60, "one owner")
            field.launch(leaver)
        proved(field, seed)
    assert min(took) <= 10, took


def test_a_rolling_restart(bootstrap: str, tmp_path: Path, seed: int) -> None:
    with field_of(bootstrap, tmp_path, seed) as field:
        faults.rolling_restart(field)
        assert proved(field, seed).strikes.total() == 4


@pytest.mark.parametrize("point", [Point.PRODUCED, Point.OFFSETS_SENT])
@pytest.mark.parametrize("what", ["ingest", "evaluate", "unmoved"])
def test_a_process_stopped_beyond_its_session_is_fenced(
    bootstrap: str, tmp_path: Path, seed: int, what: str, point: Point
) -> None:
    """`unmoved`: in a transaction of ingest that sends its offsets as they are, so that nothing but the generation
    it sends them with can give it away."""
    with field_of(bootstrap, tmp_path, seed) as field:
        field.excuse()
        victim = field.victim("evaluate" if what == "evaluate" else "ingest")
        if what == "unmoved":
            field.writer.pause()
        assert faults.stop_until_replaced(field, victim, point, unmoved=what == "unmoved")
        field.wait_until_ready()
        verdict = proved(field, seed)
    log = victim.log.read_text()
    assert verdict.in_transaction.total() == 1, "what the zombie had open was aborted, not committed"
    assert re.search("fenced|transaction aborted|assignment lost", log), log[-3_000:]


def test_one_worker_becomes_three_and_one_again_under_load(bootstrap: str, tmp_path: Path, seed: int) -> None:
    # Ends of partitions are asked for at flushes: idleness shorter than a few of them is never proved.
    with field_of(bootstrap, tmp_path, seed, ingest=("a",), evaluate=("e",), flush="4s", idle="20s") as field:
        faults.scale_up_and_down(field)
        verdict = proved(field, seed)
        amid = [int(note.split()[1]) for worker in field.workers for note in field.orders(worker).notes()]
    assert verdict.strikes.total() == 4
    assert any(amid), "a revocation must have come while folded messages were not committed"


def test_all_workers_killed_at_once(bootstrap: str, tmp_path: Path, seed: int) -> None:
    with field_of(bootstrap, tmp_path, seed) as field:
        faults.kill_all_workers(field)
        field.wait_until_ready()
        faults.kill_all_workers(field)
        assert proved(field, seed).strikes.total() == 2


def test_a_restart_of_a_static_member_moves_nothing(bootstrap: str, tmp_path: Path, seed: int) -> None:
    """Neither drained nor killed: it comes back to its own partitions, and the others are not even asked. The session
    is long, since a start takes as long as the machine is busy."""
    with field_of(bootstrap, tmp_path, seed, session_ms=120_000) as field:
        field.wait_until_ready()
        before = field.assignments("ingest")
        notes = {worker.name: field.orders(worker).notes() for worker in field.running("ingest")}
        stayer, mover = field.running("ingest")
        for end in (field.terminate, field.kill):
            strike = field.strike(mover)
            end(mover)
            field.struck(strike)
            field.launch(mover)
            field.wait(mover.is_ready, 60, "the restart")
            assert field.assignments("ingest") == before
        assert field.orders(stayer).notes() == notes[stayer.name], "the other one had its partitions revoked"
        proved(field, seed)


def test_sigkill_is_seen_by_the_tests_own_supervisor(bootstrap: str, tmp_path: Path, seed: int) -> None:
    """The suite's own eyes: a worker that ends without a fault is a finding."""
    with field_of(bootstrap, tmp_path, seed, ingest=("a",), evaluate=("e",)) as field:
        field.wait_until_ready()
        field.running("ingest")[0].signal(signal.SIGKILL)
        field.wait(lambda: bool(field.findings), 20, "a finding")
    assert "ingest-a ended by itself with -9" in field.findings[0]
