"""A real local HTTP receiver of webhooks, and alerts to send to it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from stream_monitor.events.alert import AlertEvent


def alert(id_: str = "id-1", state: str = "firing", **more: Any) -> AlertEvent:
    return AlertEvent(
        id=id_,
        fingerprint="f",
        state=state,  # type: ignore[arg-type]
        reason="fired",
        labels={"alertname": "input-drift", "severity": "warning", "model_name": "credit ü"},
        annotations={"summary": "csi of income is 0.31, above 0.2"},
        starts_at="2026-11-20T10:15:00.000Z",
        **more,
    )


@dataclass(frozen=True)
class Request:
    path: str
    headers: dict[str, str]
    body: Any
    status: int


@dataclass
class Receiver:
    """Answers with what `answers` gives for the nth request (from 0); keeps all requests."""

    answers: Callable[[int], int] = lambda number: 200
    delay_s: float = 0.0
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Receiver:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    @property
    def ids(self) -> list[str]:
        return [request.headers["ce-id"] for request in self.requests]

    @property
    def accepted(self) -> list[str]:
        return [request.headers["ce-id"] for request in self.requests if request.status == 200]

    async def _serve(self, started: threading.Event) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._receive)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        started.set()
        while not self._stop.is_set():
            await asyncio.sleep(0.02)
        await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read() or b"null")
        status = self.answers(len(self.requests))
        self.requests.append(Request(request.path, dict(request.headers), body, status))
        await asyncio.sleep(self.delay_s)
        return web.Response(status=status, headers={"Location": "/elsewhere"} if 300 <= status < 400 else {})
