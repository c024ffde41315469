"""A long random mix of all faults, then the comparison. All of it follows from the seed, but the moments.

Faults are drawn like cards: every kind once, in random order, then the rest of the pack, in which each is as often as
its weight says; then the pack is shuffled anew.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.broker.cluster import Cluster
from tests.chaos.field import playing_field
from tests.chaos.registry import Fault, all_faults
from tests.chaos.verdict import Verdict, judge


def run_mix(
    bootstrap: str,
    folder: Path,
    *,
    seed: int,
    seconds: float,
    say: Callable[[str], None],
    brokers: Cluster | None = None,
    only: list[str] | None = None,
    **how: Any,
) -> Verdict:
    """`how`: what else `playing_field` is told."""
    faults = [each for each in all_faults(cluster=brokers is not None) if only is None or each.name in only]
    with playing_field(bootstrap, folder, seed=seed, say=say, brokers=brokers, **how) as field:
        say(f"seed {seed}: {len(faults)} kinds of faults for {seconds:g} s, {len(field.workers)} workers ready")
        ends = time.monotonic() + seconds
        for chosen in drawn(faults, field.rng):
            left = ends - time.monotonic()
            if left <= 0:
                break
            if chosen.seconds <= left or not field.strikes:
                field.play(chosen)
                time.sleep(field.rng.uniform(0.1, 1.0))
        say("comparing")
        return judge(field, seed)


def drawn(faults: list[Fault], rng: random.Random):  # type: ignore[no-untyped-def]
    """Without end."""
    while True:
        rest = [each for each in faults for _ in range(each.weight - 1)]
        for pack in (list(faults), rest):
            rng.shuffle(pack)
            yield from pack
