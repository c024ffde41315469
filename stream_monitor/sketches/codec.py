"""How every sketch writes itself: one msgpack array whose first element is the format version.

Promises: equal states give equal bytes (callers sort what has no order), unknown versions and broken bytes
raise FormatError, nothing else does. Leaves to the sketches: what the fields mean.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

import msgspec

from stream_monitor.errors import FormatError
from stream_monitor.events.unreadable import UNREADABLE

T = TypeVar("T")

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]  # as MAX_COUNT of sparse.py
_encoder: Final = msgspec.msgpack.Encoder()
_head: Final = msgspec.msgpack.Decoder(tuple[int, bytes])


def pack(version: int, *fields: Any) -> bytes:
    """Bytes of `fields` under a format `version`."""
    return _encoder.encode((version, _encoder.encode(fields)))


def unpack(what: str, data: bytes, version: int | tuple[int, ...], decoder: msgspec.msgpack.Decoder[T]) -> T:
    """The fields that `pack` wrote in that version (or one of several), checked by `decoder`; FormatError if they are
    of another format."""
    try:
        found, body = _head.decode(data)
    except UNREADABLE as error:
        raise FormatError(f"{what}: these {len(data)} bytes are not a sketch ({error})") from error
    accepted = (version,) if isinstance(version, int) else version
    if found not in accepted:
        raise FormatError(
            f"{what}: format version {found} is unknown, accepted is {' or '.join(map(str, accepted))}",
            mend="read it with the release of stream-monitor that wrote it",
        )
    try:
        return decoder.decode(body)
    except UNREADABLE as error:
        raise FormatError(f"{what}: broken bytes ({error})") from error
