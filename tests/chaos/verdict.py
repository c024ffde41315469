"""The end of a run: everything is read, the workers drain, and what was published is compared with the recount."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tests.acceptance.published import Document
from tests.acceptance.storm import aborted
from tests.chaos.field import Field, last_line
from tests.chaos.oracle import (
    Follower,
    Ledger,
    alert_differences,
    cell_differences,
    count_differences,
    letter_differences,
    recount_all,
)

TRACES = ("Traceback (most recent call last)", "failed unexpectedly")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`differences` empty: nothing was lost, nothing counted twice. Strikes by the name of their fault."""

    seed: int
    sent: dict[str, int]
    strikes: Counter[str]
    with_unread: Counter[str]
    in_transaction: Counter[str]
    ends: Counter[str]
    compared: dict[str, int]
    published: dict[str, int]
    differences: list[str]

    def lines(self) -> list[str]:
        kinds = [f"{'fault':<30}{'landed':>8}{'with unread input':>20}{'in an open transaction':>25}"]
        kinds += [
            f"{name:<30}{n:>8}{self.with_unread[name]:>20}{self.in_transaction[name]:>25}"
            for name, n in sorted(self.strikes.items())
        ]
        total = (self.strikes.total(), self.with_unread.total(), self.in_transaction.total())
        kinds.append(f"{'all':<30}{total[0]:>8}{total[1]:>20}{total[2]:>25}")
        return [
            f"seed {self.seed}",
            *kinds,
            "workers that ended by themselves: " + (listed(self.ends) or "none"),
            "sent: " + listed(self.sent),
            "published: " + listed(self.published),
            "compared: " + listed(self.compared),
            *(f"DIFFERS {line}" for line in self.differences[:40]),
            f"{len(self.differences)} differences" if self.differences else "nothing lost, nothing counted twice",
        ]


def listed(figures: Mapping[str, int]) -> str:
    return ", ".join(f"{n:,} {name}" for name, n in figures.items())


def judge(field: Field, seed: int, *, patience_s: float = 300.0) -> Verdict:
    """Write the rest of the stream, wait for equality, drain, and compare once more with all that is there."""
    field.fault = "the end"
    field.wait_until_ready()
    field.writer.finish()
    truth = recount_all(field.streams)
    own = field.monitor.own
    ledger, follower = Ledger(), Follower(field.monitor.topics, own("metrics"))
    deadline = time.monotonic() + patience_s
    while True:
        field.attend()
        ledger.take(follower.poll())
        if not count_differences(ledger, truth)[1] or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    # What came after equality would be counted twice.
    time.sleep(1.5)
    for worker in field.running():
        field.terminate(worker)
    ledger.take(follower.poll())
    follower.close()

    differences = list(field.findings)
    compared: dict[str, int] = {}
    malformed = sum(stream.malformed for stream in field.streams)
    for name, (n, found) in {
        "window counts": count_differences(ledger, truth),
        "confusion cells": cell_differences(ledger, truth),
        "alert transitions": alert_differences(_all(field, own("alerts"))),
        "dead letters": letter_differences(_all(field, own("dead-letters")), malformed),
    }.items():
        compared[name] = n
        differences += found
    compared["ids"] = ledger.events
    differences += [f"metric id {each} came twice" for each in ledger.repeated]
    for worker in field.workers:
        if any(trace in worker.log.read_text(errors="replace") for trace in TRACES):
            differences.append(f"{worker.name} logged an error nobody foresaw; last line: {last_line(worker)}")
    late = sum(int(event["value"]) for event in ledger.late)
    strikes = field.strikes
    gone = aborted(field.monitor.topics, {each for strike in strikes for each in strike.left_open})
    return Verdict(
        seed,
        {
            "predictions": sum(len(stream.predictions) for stream in field.streams),
            "labels": sum(len(stream.labels) for stream in field.streams),
            "malformed": malformed,
        },
        Counter(strike.fault for strike in strikes),
        Counter(strike.fault for strike in strikes if strike.unread > 0),
        # An open transaction that was committed later was a slow one of a worker that lived.
        Counter(strike.fault for strike in strikes if strike.left_open & gone),
        field.ends,
        compared,
        {"metric events": ledger.events, "corrections": ledger.corrections, "too late": late},
        differences,
    )


def _all(field: Field, topic: str) -> Iterable[Document]:
    follower = Follower(field.monitor.topics, topic)
    try:
        yield from follower.poll()
    finally:
        follower.close()
