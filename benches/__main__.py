"""`python -m benches [NAME]`: measurements on a real broker, the one that the tests use. Last line: one JSON object."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from benches import ingest
from tests.broker.source import NoBroker

BENCHES: dict[str, Callable[[int, int], dict[str, object]]] = {"ingest": ingest.run}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument("name", nargs="?", choices=sorted(BENCHES), help="one of them; default: all")
    parser.add_argument("--events", type=int, default=300_000, help="predictions (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default %(default)s)")
    given = parser.parse_args()
    names = [given.name] if given.name else sorted(BENCHES)
    try:
        figures = [BENCHES[name](given.events, given.rounds) for name in names]
    except NoBroker as error:
        print(error, file=sys.stderr)
        return 1
    print(json.dumps(figures[0] if len(figures) == 1 else {"benches": figures}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
