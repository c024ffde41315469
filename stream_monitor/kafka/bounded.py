"""A call into the client that must end. Some do not: librdkafka (its #5456, #5511) waits without end in
`send_offsets_to_transaction` for a group coordinator that died, whatever time it was given.

Costs a thread for each call, some 0.1 ms. A call that does not return is left behind: the process must end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from stream_monitor.kafka.failures import LoopFailure


def within(seconds: float, what: str, call: Callable[[], object]) -> None:
    """Call, and raise what it raises; LoopFailure if it has not returned by then."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            call()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, name=f"stream-monitor-{what}", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise LoopFailure(f"{what} did not return within {seconds:g} s: the Kafka client hangs")
    if raised:
        raise raised[0]
