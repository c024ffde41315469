"""Writes a made-up stream to two files, one event a line, in the order in which it would be sent.

Promises: the same policy and start give the same bytes; nothing that stands there is overwritten. Costs no more than
making the events; memory as the stream's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from stream_monitor.app.generate import LABEL, EventStream, Role
from stream_monitor.app.generate_sent import Sent
from stream_monitor.errors import StreamMonitorError, UsageError

FILES: dict[Role, str] = {"predictions": "predictions.ndjson", "labels": "labels.ndjson"}


def write_files(
    stream: EventStream, folder: Path, stop: threading.Event, on_step: Callable[[Sent], None] = lambda sent: None
) -> Sent:
    """predictions.ndjson and, of a stream with labels, labels.ndjson. `stop` ends it between two lines.

    UsageError where one of them is there already or cannot be made.
    """
    sent = Sent()
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            predictions = stack.enter_context((folder / FILES["predictions"]).open("xb"))
            labels = None
            if stream.policy.label_delay_ms is not None:
                labels = stack.enter_context((folder / FILES["labels"]).open("xb"))
        except FileExistsError as error:
            raise UsageError(f"{error.filename} is there already, and is not overwritten", mend="move it") from None
        except OSError as error:
            raise UsageError(f"{error.filename} cannot be written: {error.strerror}") from None
        try:
            for batch in stream.batches(float("inf")):
                kinds = batch.kinds.tolist()
                made = [value for value, kind in zip(batch.values, kinds, strict=True) if kind != LABEL]
                known = [value for value, kind in zip(batch.values, kinds, strict=True) if kind == LABEL]
                predictions.write(b"".join([value + b"\n" for value in made]))
                if labels is not None:
                    labels.write(b"".join([value + b"\n" for value in known]))
                sent.count(batch)
                on_step(sent)
                if stop.is_set():
                    break
        except OSError as error:
            raise StreamMonitorError(f"{folder} cannot be written: {error.strerror}") from None
    return sent
