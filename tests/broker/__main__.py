"""`python -m tests.broker`: start a broker, print its bootstrap servers, stay until terminated."""

from __future__ import annotations

import signal
import sys
import threading

from tests.broker.source import NoBroker, running_broker


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with running_broker() as broker:
            print(broker.bootstrap, flush=True)
            print(broker.source, file=sys.stderr, flush=True)
            stop.wait()
    except NoBroker as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
