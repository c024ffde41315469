"""One connection, as aiohttp's protocol with what that leaves open: one request, and a bound on all of its head.

aiohttp bounds each line of a head and their number, reads on while it answers, and has pages of its own for what it
refuses. So it is handed one head, when that is whole and within `max_head_bytes`, and what follows is not read. Time is
bounded by who holds the connection (http.py), to whom `heard` and `lost` say how far it is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from stream_monitor.export.answer import Answer, Reason
from stream_monitor.export.policy import HttpPolicy

log = structlog.get_logger("stream_monitor.export")

_END: Final = b"\r\n\r\n"
_STAND_IN: Final = b"GET / HTTP/1.1\r\nHost: x" + _END  # for a head that aiohttp is not to see
_FAREWELL_S, _FAREWELL_BYTES = 1.0, 1 << 20
_OPTIONS: Final[Mapping[str, Any]] = {
    "access_log": None,
    "auto_decompress": False,
    "keepalive_timeout": 0,
    "lingering_time": 0,
    "max_headers": 64,
    "max_line_size": 2_048,
}
MALFORMED: Final = (Reason.MALFORMED, 400)
TOO_LARGE: Final = (Reason.TOO_LARGE, 431)


class Request(web.BaseRequest):
    """aiohttp's, without the header that names its version."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.popall("Server", None)


class Refusal(Answer):
    """Bytes that stay unread at the close make the kernel send a reset, and the client lose the answer."""

    connection: Connection

    async def write_eof(self, data: bytes = b"") -> None:
        """Then read on, for a while, until the client has said all."""
        await super().write_eof(data)
        transport = self.connection.transport
        if transport is not None and transport.can_write_eof():  # TLS cannot end one direction
            with contextlib.suppress(OSError):  # TimeoutError is one
                transport.write_eof()
                transport.resume_reading()
                async with asyncio.timeout(_FAREWELL_S):
                    await self.connection.lost.wait()


class Connection(web.RequestHandler):
    """`heard`: a head is whole or refused. `lost`: nothing more can be sent. `refused`: why its head is not read."""

    __slots__ = ("_beyond", "_head", "_max_head_bytes", "_on_refused", "heard", "lost", "refused")

    def __init__(self, server: web.Server, policy: HttpPolicy, on_refused: Callable[[str], None]) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(server, loop=loop, max_field_size=policy.max_head_bytes, **_OPTIONS)
        self._max_head_bytes = policy.max_head_bytes
        self._on_refused = on_refused
        self._head = b""
        self._beyond = 0
        self.heard, self.lost = asyncio.Event(), asyncio.Event()
        self.refused: tuple[Reason, int] | None = None

    def refusal(self, reason: Reason, status: int, **headers: str) -> Refusal:
        """The answer, counted. `headers`: with _ for -."""
        self._on_refused(reason)
        answer = Refusal(status, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer.connection = self
        return answer

    def data_received(self, data: bytes) -> None:
        if self.heard.is_set():
            self._beyond += len(data)
            if self._beyond > _FAREWELL_BYTES and self.transport is not None:
                self.transport.close()
            return
        self._head += data
        end = self._head.find(_END) + len(_END)
        if end < len(_END) and len(self._head) < self._max_head_bytes:
            return
        self.heard.set()
        if self.transport is not None and self.ssl_context is None:
            self.transport.pause_reading()  # else the client's last word, come early, would close before the answer
        if not len(_END) <= end <= self._max_head_bytes:
            self.refused = TOO_LARGE
        elif not self._head[:end].strip():
            self.refused = MALFORMED  # aiohttp would wait for more
        super().data_received(_STAND_IN if self.refused else self._head[:end])

    def eof_received(self) -> None:
        if self._head and not self.heard.is_set():
            self._on_refused(Reason.MALFORMED)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.heard.set()
        self.lost.set()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """In place of aiohttp's pages and log lines, which repeat what the client sent."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError("the answer is cut short") from exc
        if status < 500:
            return self.refusal(*TOO_LARGE if isinstance(exc, LineTooLong) else MALFORMED)
        log.error("scrape failed", exc_info=exc)
        return Answer(500)
