"""The endpoint: /metrics, /-/healthy and /-/ready, on a thread and an event loop of its own.

Promises: answers while the stages are busy or stuck; loopback unless told otherwise; a port that is taken is one
clear SetupError from `start()`; whoever can reach the port can neither hold it (each connection is one request, with
a deadline for its head and one for its answer, and there are at most `max_clients`) nor make it read more than
`max_head_bytes`; nobody without credentials, where there are any, learns more than whether it is ready. Each refusal
is counted. Costs: one thread. Leaves to others: what healthy and ready mean (predicates), who may read (access.py),
what a request is (request.py).

Written on asyncio alone: the servers at hand bound neither the time of a head nor the number of connections, and
their own error pages name their version.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gzip
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from stream_monitor.errors import SetupError
from stream_monitor.export.access import Access, tls_context
from stream_monitor.export.answer import Answer
from stream_monitor.export.policy import HttpPolicy
from stream_monitor.export.request import END, Reason, Refusal, Request, parse

log = structlog.get_logger("stream_monitor.export")

Predicate = Callable[[], bool]
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0
_FAREWELL_S = 1.0  # longest to read on after a refusal, and to wait for clients at the end
_FAREWELL_READS, _FAREWELL_BYTES = 16, 65_536
_NO_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class MonitoringServer:
    """`ready` and `healthy`: name → predicate, called at each request from the server's thread; all must hold.

    A predicate that raises counts as not holding. Healthy without predicates says only that the process answers.
    `on_refused(reason)` is called from the server's thread, for counting. SetupError for TLS files of no use.
    """

    def __init__(
        self,
        policy: HttpPolicy,
        registry: CollectorRegistry,
        *,
        ready: Mapping[str, Predicate] | None = None,
        healthy: Mapping[str, Predicate] | None = None,
        on_refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._policy = policy
        self._registry = registry
        self._ready = dict(ready or {})
        self._healthy = dict(healthy or {})
        self._on_refused = on_refused
        self._access = Access(policy)
        self._tls = None if policy.tls is None else tls_context(policy.tls)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._port = policy.port
        self._clients: set[asyncio.Task[None]] = set()
        self._scrapes = 0

    @property
    def port(self) -> int:
        """The port it listens on; the real one where 0 was asked for."""
        return self._port

    @property
    def url(self) -> str:
        host = f"[{self._policy.host}]" if ":" in self._policy.host else self._policy.host
        return f"{'http' if self._tls is None else 'https'}://{host}:{self._port}"

    def start(self) -> None:
        """Listen, or raise SetupError. Returns when the port is open."""
        self._thread = threading.Thread(target=self._run, name="stream-monitor-http", daemon=True)
        self._thread.start()
        if not self._started.wait(_START_TIMEOUT_S):
            raise SetupError(f"the endpoint did not start within {_START_TIMEOUT_S:.0f} s at {self.url}")
        if self._failure is not None:
            self._thread.join()
            raise self._explained(self._failure) from self._failure

    def stop(self) -> None:
        """Close the port and end the thread; harmless if it never started."""
        if self._loop is not None and self._stopping is not None and self._loop.is_running():
            self._loop.call_soon_threadsafe(self._stopping.set)
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        try:
            listeners = await self._listen()
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        accepting = [asyncio.create_task(self._accept(listener)) for listener in listeners]
        await self._stopping.wait()
        for task in accepting:
            task.cancel()
        for listener in listeners:
            listener.close()
        if self._clients:
            await asyncio.wait(self._clients, timeout=_FAREWELL_S)
        # What is left is cancelled by asyncio.run.

    async def _listen(self) -> list[socket.socket]:
        """A listener on each address of the host; not reuse_port, two monitors on one port would answer in turn."""
        loop, policy = asyncio.get_running_loop(), self._policy
        found = await loop.getaddrinfo(policy.host, policy.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listeners: list[socket.socket] = []
        try:
            for family, address in dict.fromkeys((each[0], each[4]) for each in found):
                where = (address[0], self._port, *address[2:])
                listeners.append(socket.create_server(where, family=socket.AddressFamily(family)))
                listeners[-1].setblocking(False)
                self._port = listeners[0].getsockname()[1]
        except OSError:
            for listener in listeners:
                listener.close()
            raise
        return listeners

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                client, _ = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno in _NO_FILES:
                    await asyncio.sleep(1.0)
                continue
            if len(self._clients) >= self._policy.max_clients:
                self._turn_away(client)
                continue
            task = asyncio.create_task(self._converse(client))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

    def _turn_away(self, client: socket.socket) -> None:
        """At once and without waiting: whatever it costs to refuse is what a flood could take."""
        self._on_refused(Reason.TOO_MANY_CLIENTS)
        with client, contextlib.suppress(OSError):
            client.setblocking(False)
            if self._tls is None:
                client.send(Answer.of(HTTPStatus.SERVICE_UNAVAILABLE, more={"Retry-After": "5"}).encode())

    async def _converse(self, client: socket.socket) -> None:
        """One connection: one request, one answer."""
        policy = self._policy
        try:
            async with asyncio.timeout(policy.head_timeout_s) as patience, self._streams(client) as (reader, writer):
                head = await self._head(reader)
                patience.reschedule(asyncio.get_running_loop().time() + policy.answer_timeout_s)
                if head is None:
                    return
                await self._answer(head, writer)
                if isinstance(head, Refusal) and self._tls is None:
                    await _farewell(reader, writer)
        except TimeoutError:
            self._on_refused(Reason.TOO_SLOW)
        except OSError:
            pass  # the client has gone

    @contextlib.asynccontextmanager
    async def _streams(self, client: socket.socket) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Closed at the end, which is when the client has taken everything; cut off by any exception."""
        loop, policy = asyncio.get_running_loop(), self._policy
        reader = asyncio.StreamReader(limit=self._policy.max_head_bytes)
        protocol = asyncio.StreamReaderProtocol(reader)
        bounds = {"ssl_handshake_timeout": policy.head_timeout_s, "ssl_shutdown_timeout": policy.answer_timeout_s}
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, client, ssl=self._tls, **(bounds if self._tls else {})
            )
        except BaseException as error:
            if isinstance(error, ssl.SSLError):
                self._on_refused(Reason.TLS)
            client.close()
            raise
        try:
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            yield reader, writer
            writer.close()
            await writer.wait_closed()
        except BaseException:
            transport.abort()
            raise

    async def _head(self, reader: asyncio.StreamReader) -> Request | Refusal | None:
        """None for a connection that ends without a request, as a probe of the port does."""
        try:
            return parse(await reader.readuntil(END))
        except asyncio.IncompleteReadError as error:
            return Refusal(Reason.MALFORMED, HTTPStatus.BAD_REQUEST) if error.partial else None
        except asyncio.LimitOverrunError:
            return Refusal(Reason.TOO_LARGE, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    async def _answer(self, head: Request | Refusal, writer: asyncio.StreamWriter) -> None:
        if isinstance(head, Refusal):
            self._on_refused(head.reason)
            allow = {"Allow": "GET, HEAD"} if head.reason is Reason.METHOD else {}
            return await _send(writer, Answer.of(head.status, more=allow))
        may_read = self._access.admits(head.headers.get("authorization", ""))
        if head.path == "/metrics":
            return await self._metrics(head, writer, may_read=may_read)
        if head.path in ("/-/healthy", "/-/ready"):
            word = head.path.removeprefix("/-/")
            predicates = self._healthy if word == "healthy" else self._ready
            return await _send(writer, _verdict(word, predicates, names=may_read), head)
        return await _send(writer, Answer.of(HTTPStatus.NOT_FOUND), head)

    async def _metrics(self, head: Request, writer: asyncio.StreamWriter, *, may_read: bool) -> None:
        if not may_read:
            self._on_refused(Reason.UNAUTHORIZED)
            challenge = {"WWW-Authenticate": self._access.challenge}
            return await _send(writer, Answer.of(HTTPStatus.UNAUTHORIZED, more=challenge), head)
        if self._scrapes >= self._policy.max_scrapes:
            self._on_refused(Reason.TOO_MANY_SCRAPES)
            return await _send(writer, Answer.of(HTTPStatus.SERVICE_UNAVAILABLE, more={"Retry-After": "5"}), head)
        self._scrapes += 1
        try:
            await _send(writer, await self._scrape(head), head)
        finally:
            self._scrapes -= 1

    async def _scrape(self, head: Request) -> Answer:
        encode, content_type = choose_encoder(head.headers.get("accept", ""))
        try:
            body = encode(self._registry)
        except Exception as error:
            log.error("scrape failed", exc_info=error)
            return Answer.of(HTTPStatus.INTERNAL_SERVER_ERROR)
        if not head.accepts_gzip():
            return Answer(HTTPStatus.OK, body, content_type)
        # In a thread: a large one takes long enough for the probes to be kept waiting.
        body = await asyncio.to_thread(gzip.compress, body, 5)
        return Answer(HTTPStatus.OK, body, content_type, {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})

    def _explained(self, error: BaseException) -> SetupError:
        where = f"{self._policy.host}:{self._policy.port}"
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return SetupError(
                f"the Prometheus endpoint needs a free port; {where} is taken",
                mend="stop what listens there, or set prometheus.port to another port (0: any free one)",
            )
        return SetupError(
            f"the Prometheus endpoint cannot listen on {where} ({error})",
            mend="set prometheus.host to an address of this machine and prometheus.port to a port you may use",
        )


async def _farewell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Bytes that stay unread at the close make the kernel send a reset, and the client lose the answer."""
    writer.write_eof()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FAREWELL_S):
            for _ in range(_FAREWELL_READS):
                if not await reader.read(_FAREWELL_BYTES):
                    break


async def _send(writer: asyncio.StreamWriter, answer: Answer, request: Request | None = None) -> None:
    writer.write(answer.encode(body=request is None or request.method != "HEAD"))
    await writer.drain()


def _verdict(word: str, predicates: Mapping[str, Predicate], *, names: bool) -> Answer:
    """Which parts there are is for those who may read /metrics."""
    missing = [name for name, predicate in predicates.items() if not _holds(predicate)]
    if missing:
        said = f"not {word}: {', '.join(missing)}\n" if names else f"not {word}\n"
        return Answer(HTTPStatus.SERVICE_UNAVAILABLE, said.encode())
    return Answer(HTTPStatus.OK, f"{word}\n".encode())


def _holds(predicate: Predicate) -> bool:
    try:
        return bool(predicate())
    except Exception:
        return False
