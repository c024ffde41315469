"""`python -m tests.chaos --seconds 600 --seed 7`: the mix on three brokers; exit code 1 on any difference."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.broker.cluster import running_cluster
from tests.broker.source import NoBroker
from tests.chaos.mix import run_mix
from tests.chaos.registry import all_faults

RED, GREEN, PLAIN = "\033[31m", "\033[32m", "\033[0m"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0, help="how long faults are injected (default 120)")
    parser.add_argument("--seed", type=int, default=None, help="repeats a run; default: a random one")
    parser.add_argument("--only", action="append", metavar="FAULT", help="only these faults; may be repeated")
    parser.add_argument("--keep", type=Path, help="folder for the workers' logs, which else vanish")
    parser.add_argument("--list", action="store_true", help="list the faults and stop")
    asked = parser.parse_args()
    known = {each.name: each for each in all_faults(cluster=True)}
    if asked.list:
        for name, each in known.items():
            print(f"{name:<30}{(each.play.__doc__ or '').strip().splitlines()[0] if each.play.__doc__ else ''}")
        return 0
    if unknown := sorted(set(asked.only or ()) - known.keys()):
        parser.error(f"there is no fault {unknown[0]!r}; accepted: {', '.join(known)}")
    seed = random.SystemRandom().randrange(10**6) if asked.seed is None else asked.seed
    try:
        with running_cluster() as brokers, tempfile.TemporaryDirectory(prefix="stream-monitor-chaos-") as spare:
            folder = asked.keep or Path(spare)
            folder.mkdir(parents=True, exist_ok=True)
            verdict = run_mix(
                brokers.bootstrap,
                folder,
                seed=seed,
                seconds=asked.seconds,
                say=lambda line: print(line, flush=True),
                brokers=brokers,
                only=asked.only,
            )
    except NoBroker as error:
        print(error, file=sys.stderr)
        return 1
    *lines, last = verdict.lines()
    print("\n".join(lines))
    colour = (RED if verdict.differences else GREEN) if sys.stdout.isatty() else ""
    print(f"{colour}{last}{PLAIN if colour else ''} (repeat with SEED={seed})")
    return 1 if verdict.differences else 0


if __name__ == "__main__":
    sys.exit(main())
