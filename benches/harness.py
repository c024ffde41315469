"""What every bench uses: a broker, processes, interleaved rounds, ratios with their spread.

A bench is one file, `benches/<name>.py` (`join-large` is `join_large.py`), and nothing else has to be edited:

    \"\"\"One line which says what is measured.        ← shown by `python -m benches --list`
    More, as needed.\"\"\"
    LONG = True                                   ← only where it takes minutes: `python -m benches` then leaves it out

    def run(options: Options) -> Result:
        events = options.count(200_000, quick=20_000)
        with bench_space("ingest") as space:
            topic = space.topics.create("predictions", 4)
            produce(space.topics, topic, predictions(events))
            found = interleaved(options, {"parse": lambda number: …, "ingest": …})  # name → a value a round
        return result(
            figures={"ingest events/s": found["ingest"]},       # a number, or one a round: median and spread are made
            ratios={"ingest_of_parse": ratio(over(found["ingest"], found["parse"]), "higher", must=0.70, aim=1.0)},
            events=events,                                      # whatever else a reader needs
        )

A ratio says which way is better; those of a whole run are compared with `reference.json` (see reference.py). Figures
are absolute, for the eye only. What is for a person goes to stderr (`say`); stdout has one JSON line a bench.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from tests.broker.source import running_broker
from tests.broker.topics import TopicSpace

Result = dict[str, Any]  # figures, ratios, and what else the bench says
Better = Literal["higher", "lower"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line. `quick` is a trial run: one round, little data, nothing compared."""

    events: int | None = None
    rounds: int = 5
    quick: bool = False

    def count(self, usual: int, *, quick: int) -> int:
        """How many events to use: as asked for, else as usual."""
        return self.events or (quick if self.quick else usual)


# --- rounds, spread, ratios -------------------------------------------------------------------------------------------


def interleaved(
    options: Options, stages: Mapping[str, Callable[[int], T]], rounds: int | None = None
) -> dict[str, list[T]]:
    """Every stage once a round, so that what disturbs the machine disturbs all of them; a value a round for each.

    Every second round goes backwards, so that no stage always runs in the wake of the same other one.
    """
    found: dict[str, list[T]] = {name: [] for name in stages}
    for number in range(rounds or options.rounds):
        for name in stages if number % 2 == 0 else reversed(list(stages)):
            found[name].append(stages[name](number))
            say(f"  round {number + 1}, {name}: {_short(found[name][-1])}")
    return found


def over(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """The quotient of each round: what slowed a whole round down cancels out."""
    return [a / b for a, b in zip(above, below, strict=True)]


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": _rounded(statistics.median(values)), "low": _rounded(min(values)), "high": _rounded(max(values))}


def ratio(
    values: float | Sequence[float], better: Better, *, must: float | None = None, aim: float | None = None
) -> dict[str, object]:
    """A ratio of the result, from one value a round or a single one. `must` and `aim`: its goals, where it has any."""
    found = spread([values] if isinstance(values, int | float) else values)
    goals = {name: goal for name, goal in (("must", must), ("aim", aim)) if goal is not None}
    return {"value": found["median"], "low": found["low"], "high": found["high"], "better": better, **goals}


def result(
    *, figures: Mapping[str, float | Sequence[float]], ratios: Mapping[str, dict[str, object]], **facts: object
) -> Result:
    """What `run` returns. A figure of one value a round becomes median, low, high and the rounds."""
    shown = {
        name: _rounded(value)
        if isinstance(value, int | float)
        else {**spread(value), "rounds": [_rounded(each) for each in value]}
        for name, value in figures.items()
    }
    return {**facts, "figures": shown, "ratios": dict(ratios)}


# --- a broker and what is on it ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Space:
    """A running broker with names of its own (`topics`), and an empty folder. Both vanish at the end."""

    topics: TopicSpace
    folder: Path


@contextmanager
def bench_space(label: str) -> Iterator[Space]:
    """Raises NoBroker, which says why, where there is none."""
    with running_broker() as broker, tempfile.TemporaryDirectory(prefix="stream-monitor-bench-") as folder:
        say(f"{broker.source}; {os.cpu_count()} CPUs")
        yield Space(TopicSpace(broker.bootstrap, f"bench-{label}"), Path(folder))


def produce(topics: TopicSpace, topic: str, messages: Iterable[tuple[str, bytes]]) -> tuple[int, int]:
    """(key, value) pairs, placed as Java's clients place them. Returns how many, and the bytes of their values."""
    size = 0

    def counted() -> Iterator[tuple[bytes | None, bytes | None]]:
        nonlocal size
        for key, value in messages:
            size += len(value)
            yield key.encode(), value

    settings = {"partitioner": "murmur2_random", "linger.ms": 20}
    return topics.produce(topic, counted(), settings=settings), size


# --- processes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finished:
    """A process that ended well: what it printed, and what it used from start to end, imports included."""

    stdout: str
    cpu_seconds: float

    @property
    def last(self) -> Any:
        """Its last line, read as JSON."""
        return json.loads(self.stdout.splitlines()[-1])


def stream_monitor(*arguments: str, timeout_s: float = 300) -> Finished:
    """The program's own command line."""
    return python("-m", "stream_monitor.cli.main", *arguments, timeout_s=timeout_s)


def python(*arguments: str, timeout_s: float = 300) -> Finished:
    """This interpreter, in a process of its own; RuntimeError with the end of its stderr where it fails."""
    return command([sys.executable, *arguments], timeout_s=timeout_s)


def command(words: Sequence[str], *, timeout_s: float = 300, env: Mapping[str, str] | None = None) -> Finished:
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=stderr, env=env)
        watchdog = threading.Timer(timeout_s, process.kill)
        watchdog.start()
        try:
            assert process.stdout is not None
            stdout = process.stdout.read().decode()
            # Not Popen.wait: only wait4 tells what this one child used.
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        finally:
            watchdog.cancel()
            if process.returncode is None:
                process.kill()
                process.wait()
        if process.returncode:
            stderr.seek(0)
            told = stderr.read().decode(errors="replace")[-3_000:]
            raise RuntimeError(f"{' '.join(words[:4])} ended with {process.returncode}:\n{told}")
    return Finished(stdout, used.ru_utime + used.ru_stime)


# --- for people -------------------------------------------------------------------------------------------------------


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def table(found: Result, *, verdicts: bool = True) -> str:
    """Figures and ratios of a result, aligned. `verdicts`: whether the goals are met; a trial run cannot tell."""
    lines = [f"{'figure':<44}{'median':>14}   {'lowest – highest':<28}"]
    for name, figure in found["figures"].items():
        if isinstance(figure, dict):
            lines.append(
                f"{name:<44}{_short(figure['median']):>14}   {_short(figure['low'])} – {_short(figure['high'])}"
            )
        else:
            lines.append(f"{name:<44}{_short(figure):>14}")
    for name, each in found["ratios"].items():
        where = f"{each['low']:.3f} – {each['high']:.3f}"
        goals = _verdict(each) if verdicts else f"better {each['better']}"
        lines.append(f"{name:<44}{each['value']:>14.3f}   {where:<20}{goals}")
    return "\n".join(lines)


def _verdict(each: Mapping[str, Any]) -> str:
    sign = "≥" if each["better"] == "higher" else "≤"
    goals = [
        f"{name} {sign} {each[name]:g}: {'yes' if _holds(each, each[name]) else 'NO'}"
        for name in ("must", "aim")
        if name in each
    ]
    return ", ".join(goals) or f"better {each['better']}"


def _holds(each: Mapping[str, Any], goal: float) -> bool:
    return bool(each["value"] >= goal if each["better"] == "higher" else each["value"] <= goal)


def _rounded(value: float) -> float:
    """Four digits say more than any run can repeat."""
    return value if isinstance(value, int) else float(f"{value:.4g}")


def _short(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_short(each)}" for name, each in value.items())
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
