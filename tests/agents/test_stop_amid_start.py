"""A stop that comes while reactions still wait for their first assignment: quiet, and every application is stopped."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stream_monitor.agents import worker
from stream_monitor.agents.policy import ReactPolicy


class Starting:
    """An application whose group never gets its partitions."""

    def __init__(self, stop: threading.Event) -> None:
        self.crashed = self.stopped = False
        self.conf = SimpleNamespace(id="alerts")
        self.on_partitions_assigned = SimpleNamespace(connect=lambda receiver, weak: None)
        self._stop = stop

    async def start(self) -> None:
        self._stop.set()
        await asyncio.Event().wait()

    async def stop(self) -> None:
        self.stopped = True


def test_a_stop_amid_the_start_logs_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    stop, apps = threading.Event(), []

    def react_app(*_: Any) -> Starting:
        apps.append(Starting(stop))
        return apps[-1]

    monkeypatch.setattr(worker, "react_app", react_app)
    monkeypatch.setattr(worker.ReactWorker, "_check_topics", lambda self: None)
    with caplog.at_level(logging.ERROR):
        worker.ReactWorker(ReactPolicy({"bootstrap.servers": "none:1"}, data_dir=tmp_path)).run(stop)
        gc.collect()
    assert [app.stopped for app in apps] == [True]
    assert caplog.messages == []
