"""The endpoint: /metrics, /-/healthy and /-/ready, on a thread and an event loop of its own.

Promises: answers while the stages are busy or stuck; loopback unless told otherwise; a port that is taken is one
clear SetupError from `start()`; whoever can reach the port can neither hold it (each connection is one request, with
a deadline for its head and one for its answer, and there are at most `max_clients`) nor make it read more than
`max_head_bytes`; nobody without credentials, where there are any, learns more than whether it is ready. Each refusal
is counted. Costs: one thread. Leaves to others: HTTP (aiohttp), what healthy and ready mean (predicates), who may read
(access.py), how much of a connection is read (connection.py).

Connections are accepted here: aiohttp sees one only when it is open, over TLS after the handshake, and bounds neither
their number nor the time until a head is whole.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import socket
import ssl
import threading
from collections.abc import Callable, Mapping

from aiohttp import HttpVersion10, HttpVersion11, web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from stream_monitor.errors import SetupError
from stream_monitor.export.access import Access, tls_context
from stream_monitor.export.answer import TURNED_AWAY, Answer, Reason
from stream_monitor.export.connection import MALFORMED, Connection, Request
from stream_monitor.export.policy import HttpPolicy

Predicate = Callable[[], bool]
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0
_FAREWELL_S = 1.0  # longest to wait for clients at the end
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
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve()), name="stream-monitor-http", daemon=True
        )
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

    async def _serve(self) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        try:
            listeners = await self._listen()
        except OSError as error:
            self._failure = error
            return
        finally:
            self._started.set()
        server = web.Server(self._answer, request_factory=lambda m, p, c, w, t: Request(m, p, c, w, t, loop))
        accepting = [asyncio.create_task(self._accept(listener, server)) for listener in listeners]
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
        with contextlib.ExitStack() as opened:
            for family, address in dict.fromkeys((each[0], each[4]) for each in found):
                where = (address[0], self._port, *address[2:])
                listeners.append(opened.enter_context(socket.create_server(where, family=socket.AddressFamily(family))))
                listeners[-1].setblocking(False)
                self._port = listeners[0].getsockname()[1]
            opened.pop_all()
        return listeners

    async def _accept(self, listener: socket.socket, server: web.Server) -> None:
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
            task = asyncio.create_task(self._converse(client, server))
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)

    def _turn_away(self, client: socket.socket) -> None:
        """At once and without waiting: whatever it costs to refuse is what a flood could take."""
        self._on_refused(Reason.TOO_MANY_CLIENTS)
        with client, contextlib.suppress(OSError):
            client.setblocking(False)
            if self._tls is None:
                client.send(TURNED_AWAY)

    async def _converse(self, client: socket.socket, server: web.Server) -> None:
        """One connection: one request, one answer, each within its time."""
        loop, policy = asyncio.get_running_loop(), self._policy
        connection = Connection(server, policy, self._on_refused)
        transport: asyncio.Transport | None = None
        try:
            async with asyncio.timeout(policy.head_timeout_s) as patience:
                transport, _ = await loop.connect_accepted_socket(lambda: connection, client, ssl=self._tls)
                await connection.heard.wait()
                patience.reschedule(loop.time() + policy.answer_timeout_s)
                await connection.lost.wait()
        except TimeoutError:
            self._on_refused(Reason.TOO_SLOW)
        except ssl.SSLError:
            self._on_refused(Reason.TLS)
        except OSError:
            pass  # the client has gone
        finally:
            if transport is not None:
                transport.abort()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = request.protocol
        assert isinstance(connection, Connection)
        if connection.refused is not None:
            return connection.refusal(*connection.refused)
        known = request.version in (HttpVersion10, HttpVersion11)
        if not known or not request.raw_path.startswith("/") or len(request.headers.getall("Authorization", ())) > 1:
            return connection.refusal(*MALFORMED)  # two readers might take it differently
        if request.method not in ("GET", "HEAD"):
            return connection.refusal(Reason.METHOD, 405, Allow="GET, HEAD")
        if request.body_exists:
            return connection.refusal(Reason.BODY, 413)
        may_read = self._access.admits(request.headers.get("Authorization", ""))
        if request.path in ("/-/healthy", "/-/ready"):
            word = request.path.removeprefix("/-/")
            return _verdict(word, self._healthy if word == "healthy" else self._ready, names=may_read)
        if request.path != "/metrics":
            return Answer(404)
        if not may_read:
            return connection.refusal(Reason.UNAUTHORIZED, 401, WWW_Authenticate=self._access.challenge)
        if self._scrapes >= self._policy.max_scrapes:
            return connection.refusal(Reason.TOO_MANY_SCRAPES, 503, Retry_After="5")
        self._scrapes += 1
        try:
            answer = self._scrape(request)
            # Sent here, not by aiohttp after the return: its text is held until the client has taken nearly all.
            await answer.prepare(request)
            await answer.write_eof()
            return answer
        finally:
            self._scrapes -= 1

    def _scrape(self, request: web.BaseRequest) -> Answer:
        try:
            encode, content_type = choose_encoder(",".join(request.headers.getall("Accept", ())))
        except (TypeError, ValueError):  # a version that is no number
            encode, content_type = choose_encoder("")
        answer = Answer(200, encode(self._registry), {"Content-Type": content_type, "Vary": "Accept-Encoding"})
        if accepts_gzip(",".join(request.headers.getall("Accept-Encoding", ()))):
            answer.enable_compression(web.ContentCoding.gzip)
        return answer

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


def accepts_gzip(accepted: str) -> bool:
    """Whether the header Accept-Encoding names gzip without q=0; aiohttp and prometheus_client overlook the weight."""
    for each in accepted.lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() == "gzip":
            return not re.fullmatch(r"q=0(\.0*)?", weight.replace(" ", ""))
    return False


def _verdict(word: str, predicates: Mapping[str, Predicate], *, names: bool) -> Answer:
    """Which parts there are is for those who may read /metrics."""
    missing = [name for name, predicate in predicates.items() if not _holds(predicate)]
    if missing:
        said = f"not {word}: {', '.join(missing)}\n" if names else f"not {word}\n"
        return Answer(503, said.encode())
    return Answer(200, f"{word}\n".encode())


def _holds(predicate: Predicate) -> bool:
    try:
        return bool(predicate())
    except Exception:
        return False
