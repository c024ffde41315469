"""Ingest in several processes: each worker is this command again with `--role ingest --instance ID-i`.

A worker that dies is started again after a growing pause, since a crash or a lost broker is mended by a restart; one
that says its usage or config is wrong, or that dies too often, ends the whole monitor. A worker whose supervisor
died drains by itself: it is told whose child it is and looks for that now and then.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from stream_monitor.app.parts import DRAIN_S, Part
from stream_monitor.errors import ConfigError, StreamMonitorError, UsageError

log = structlog.get_logger("stream_monitor.app.workers")

SUPERVISOR = "STREAM_MONITOR_SUPERVISOR"  # process id of the supervisor, in a worker's environment
_HOPELESS = {ConfigError.exit_code, UsageError.exit_code}
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """More than `most` deaths within `within_s` are too many; pauses double from `first_pause_s` up to 30 s."""

    most: int = 5
    within_s: float = 300.0
    first_pause_s: float = 0.5


def worker_command(config: str, instance: str, port: int) -> list[str]:
    """How a worker is started: the same Python, the same config."""
    options = ["--role", "ingest", "--instance", instance, "--port", str(port)]
    return [sys.executable, "-m", "stream_monitor.cli.main", "run", "--config", config, *options]


def worker_part(name: str, command: Sequence[str], policy: RestartPolicy | None = None) -> Part:
    """A part that keeps one worker process running and drains it at the end."""
    supervisor = _Supervisor(name, command, policy or RestartPolicy())
    return Part(f"worker {name}", supervisor.run, supervisor.is_running)


class _Supervisor:
    def __init__(self, name: str, command: Sequence[str], policy: RestartPolicy) -> None:
        self._name, self._command, self._policy = name, list(command), policy
        self._process: subprocess.Popen[bytes] | None = None
        self._deaths: deque[float] = deque(maxlen=policy.most + 1)

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def run(self, stop: threading.Event) -> None:
        environ = {**os.environ, SUPERVISOR: str(os.getpid())}
        while not stop.is_set():
            # A session of its own: Ctrl-C reaches the supervisor only, which then drains the workers in order.
            self._process = subprocess.Popen(self._command, env=environ, start_new_session=True)
            while self._process.poll() is None and not stop.wait(_POLL_S):
                pass
            if stop.is_set():
                break
            stop.wait(self._pause(self._process.returncode))
        if self.is_running():
            self._drain()

    def _pause(self, code: int) -> float:
        """Seconds until the next start; raises where that would not help."""
        now = time.monotonic()
        self._deaths.append(now)
        if code in _HOPELESS:
            raise StreamMonitorError(f"worker {self._name} ended with exit code {code}; its message stands above")
        if len(self._deaths) > self._policy.most and now - self._deaths[0] <= self._policy.within_s:
            raise StreamMonitorError(
                f"worker {self._name} died {len(self._deaths)} times within {self._policy.within_s:g} s, "
                f"the last time with exit code {code}"
            )
        recent = sum(now - death <= self._policy.within_s for death in self._deaths)
        pause = min(self._policy.first_pause_s * 2.0 ** (recent - 1), 30.0)
        log.warning("worker died and will be started again", worker=self._name, exit_code=code, pause_s=pause)
        return pause

    def _drain(self) -> None:
        assert self._process is not None
        self._process.terminate()
        try:
            code = self._process.wait(DRAIN_S - 5.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise StreamMonitorError(f"worker {self._name} did not drain within {DRAIN_S - 5.0:g} s") from None
        if code:
            raise StreamMonitorError(f"worker {self._name} ended with exit code {code} while draining")


def orphan_watch(environ: Mapping[str, str] = os.environ) -> Part | None:
    """For a worker: a part that ends when the supervisor is gone. None if this process is no worker."""
    if not environ.get(SUPERVISOR, "").isdecimal():
        return None
    supervisor = int(environ[SUPERVISOR])

    def run(stop: threading.Event) -> None:
        while not stop.wait(1.0):
            if os.getppid() != supervisor:
                raise StreamMonitorError(f"the supervisor, process {supervisor}, is gone; this worker has drained")

    return Part("supervisor watch", run)
