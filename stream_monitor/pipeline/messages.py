"""The internal messages on the panes topic: what ingest folded (deltas), then how far it has read (progress).

One flush writes, to each panes partition, the deltas of its models and then one progress, in one transaction.  Every
message carries the source ranges of its flush, so that evaluate drops repeats and sees gaps; and the ids of the source
topics, by role (none: not known), since the offsets of a topic that was made anew begin at 0 again.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from stream_monitor.errors import FormatError
from stream_monitor.events.names import TimeBasis
from stream_monitor.events.times import MAX_MS, MIN_MS
from stream_monitor.events.unreadable import UNREADABLE
from stream_monitor.windows.watermark import Offset, Partition, Role, SourceProgress

FORMAT = 1


_AROUND_MS = 1_000 * 366 * 86_400_000
# Windows and deadlines lie around the events' times; what is beyond no calendar holds.
PaneStart = Annotated[int, msgspec.Meta(ge=MIN_MS - _AROUND_MS, le=MAX_MS + _AROUND_MS)]


Events = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class SourceRange(msgspec.Struct, array_like=True):
    """Offsets `[start, end)` of one source partition."""

    role: Role
    partition: Partition
    start: Offset
    end: Offset


class PaneDelta(msgspec.Struct, array_like=True):
    """What one flush adds to one pane. `version` None: figures of the model as a whole (labels without prediction)."""

    version: str | None
    segment: dict[str, str]
    basis: TimeBasis
    start_ms: PaneStart
    data: bytes


class Delta(msgspec.Struct, tag="delta", tag_field="kind"):
    """`pane_ms`: how wide ingest cuts the model's panes; 0: not said."""

    v: int
    model: str
    ranges: list[SourceRange]
    panes: list[PaneDelta]
    topic_ids: dict[str, str] = {}
    pane_ms: int = 0


class Progress(msgspec.Struct, tag="progress", tag_field="kind"):
    """`counts`: partitions of the source topics. `events`, `rejects`: of this flush, all models, by role and reason.
    `predictions`: by model, those decoded in this flush, and how many of them bore an id that was counted before."""

    v: int
    instance: str
    sources: list[SourceProgress]
    counts: dict[Role, Partition]
    events: int = 0
    rejects: dict[str, int] = {}
    topic_ids: dict[str, str] = {}
    predictions: dict[str, tuple[Events, Events]] = {}


Message = Delta | Progress
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Message)


class _Version(msgspec.Struct):
    v: int


_version_decoder = msgspec.msgpack.Decoder(_Version)


def encode(message: Message) -> bytes:
    return _encoder.encode(message)


def decode(data: bytes) -> Message:
    """Read a panes message; FormatError names the format version where it is not the one this program writes."""
    try:
        return _decoder.decode(data) if _version_decoder.decode(data).v == FORMAT else _refuse(data)
    except UNREADABLE as error:
        raise FormatError(
            f"a panes message must be a delta or progress of format {FORMAT}; found {len(data)} bytes that are not "
            f"({error})",
            mend="check that nothing else writes to the panes topic",
        ) from error


def _refuse(data: bytes) -> Message:
    found = _version_decoder.decode(data).v
    raise FormatError(
        f"this version reads panes messages of format {FORMAT}; found format {found}",
        mend="upgrade evaluate first, then ingest: evaluate goes on where it stopped, nothing is lost",
    )
