"""An HTTP answer: one a connection, and nothing in it for a browser to run, keep, frame or guess about."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from http import HTTPStatus
from typing import Final

from aiohttp import web

SECURITY: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_ALWAYS: Final = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close", **SECURITY}


class Reason(StrEnum):
    """Why a client was turned away; bounded, so it can be counted."""

    MALFORMED = "malformed"
    METHOD = "method"
    BODY = "body"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    TOO_MANY_CLIENTS = "too_many_clients"
    TOO_MANY_SCRAPES = "too_many_scrapes"
    UNAUTHORIZED = "unauthorized"
    TLS = "tls"


class Answer(web.Response):
    """Says its own status where no body is given; `headers` come on top of those that every answer has."""

    def __init__(self, status: int, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> None:
        body = f"{status} {HTTPStatus(status).phrase}\n".encode() if body is None else body
        # Compressed in a thread: a large one takes long enough for the probes to be kept waiting.
        super().__init__(status=status, body=body, headers={**_ALWAYS, **(headers or {})}, zlib_executor_size=1_024)
        self.force_close()


# Costs nothing to make: it is for those who are turned away before anything is read.
_LINES: Final = ["HTTP/1.1 503 Service Unavailable", *(f"{name}: {value}" for name, value in _ALWAYS.items())]
TURNED_AWAY: Final = "\r\n".join([*_LINES, "Content-Length: 0", "Retry-After: 5", "", ""]).encode()
