"""The endpoint: /metrics, /-/healthy and /-/ready, on a thread and an event loop of its own.

Promises: answers while the stages are busy or stuck; loopback unless told otherwise; a port that is taken is one
clear SetupError from `start()`. Costs: one thread. Leaves to others: what healthy and ready mean (predicates).
"""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import Callable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from stream_monitor.errors import SetupError
from stream_monitor.export.policy import HttpPolicy

Predicate = Callable[[], bool]
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0


class MonitoringServer:
    """`ready` and `healthy`: name → predicate, called at each request from the server's thread; all must hold.

    A predicate that raises counts as not holding. Healthy without predicates says only that the process answers.
    """

    def __init__(
        self,
        policy: HttpPolicy,
        registry: CollectorRegistry,
        *,
        ready: Mapping[str, Predicate] | None = None,
        healthy: Mapping[str, Predicate] | None = None,
    ) -> None:
        self._policy = policy
        self._registry = registry
        self._ready = dict(ready or {})
        self._healthy = dict(healthy or {})
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping: asyncio.Event | None = None
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._port = policy.port

    @property
    def port(self) -> int:
        """The port it listens on; the real one where 0 was asked for."""
        return self._port

    @property
    def url(self) -> str:
        host = f"[{self._policy.host}]" if ":" in self._policy.host else self._policy.host
        return f"http://{host}:{self._port}"

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
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/-/healthy", self._answer_healthy)
        app.router.add_get("/-/ready", self._answer_ready)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
        try:
            await runner.setup()
            # Not reuse_port: two monitors on one port would answer scrapes in turn.
            await web.TCPSite(runner, self._policy.host, self._policy.port).start()
            self._port = runner.addresses[0][1]
        except OSError as error:
            self._failure = error
            await runner.cleanup()
            return
        finally:
            self._started.set()
        await self._stopping.wait()
        await runner.cleanup()

    async def _metrics(self, request: web.Request) -> web.Response:
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        response = web.Response(body=encode(self._registry), headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    async def _answer_healthy(self, _: web.Request) -> web.Response:
        return _verdict("healthy", self._healthy)

    async def _answer_ready(self, _: web.Request) -> web.Response:
        return _verdict("ready", self._ready)

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


def _verdict(word: str, predicates: Mapping[str, Predicate]) -> web.Response:
    missing = [name for name, predicate in predicates.items() if not _holds(predicate)]
    if missing:
        return web.Response(status=503, text=f"not {word}: {', '.join(missing)}\n")
    return web.Response(text=f"{word}\n")


def _holds(predicate: Predicate) -> bool:
    try:
        return bool(predicate())
    except Exception:
        return False
