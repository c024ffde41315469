"""Writes a made-up stream to two files, one event a line, in the order in which it would be sent.

Promises: the same policy and start give the same bytes; nothing that stands there is overwritten. Costs no more than
making the events; memory as the stream's.
"""

from __future__ import annotations

import math
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

    UsageError where one of them is there already; StreamMonitorError where they cannot be written.
    """
    sent, wanted = Sent(), [folder / FILES["predictions"]]
    if stream.policy.label_delay_ms is not None:
        wanted.append(folder / FILES["labels"])
    try:
        for file in wanted:
            if file.exists():
                raise UsageError(f"{file} is there already, and is not overwritten", mend="give another folder")
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            predictions, *labels = [stack.enter_context(file.open("xb")) for file in wanted]
            for batch in stream.batches(math.inf):
                kinds = batch.kinds.tolist()
                made = [value for value, kind in zip(batch.values, kinds, strict=True) if kind != LABEL]
                known = [value for value, kind in zip(batch.values, kinds, strict=True) if kind == LABEL]
                predictions.write(b"".join([value + b"\n" for value in made]))
                for out in labels:
                    out.write(b"".join([value + b"\n" for value in known]))
                sent.count(batch)
                on_step(sent)
                if stop.is_set():
                    break
    except OSError as error:
        raise StreamMonitorError(f"{error.filename or folder} cannot be written: {error.strerror}") from None
    return sent
