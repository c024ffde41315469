"""Workers are kept running, drained at the end, and given up when that cannot help."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stream_monitor.app.workers import SUPERVISOR, RestartPolicy, orphan_watch, worker_command, worker_part
from stream_monitor.errors import StreamMonitorError

QUICK = RestartPolicy(most=2, within_s=60.0, first_pause_s=0.01)


def python(code: str, *words: object) -> list[str]:
    return [sys.executable, "-c", code, *map(str, words)]


APPEND_PID_AND_WAIT = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (open(sys.argv[1], "a").write("drained\\n"), os._exit(0)))
open(sys.argv[1], "a").write(f"{os.getpid()}\\n")
while True: signal.pause()
"""


def wait_for_lines(path: Path, count: int) -> list[str]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) >= count:
            return lines
        time.sleep(0.02)
    raise AssertionError(f"{path} did not get {count} lines")


def test_a_killed_worker_is_started_again_and_the_last_one_is_drained(tmp_path: Path) -> None:
    seen, stop = tmp_path / "seen", threading.Event()
    part = worker_part("a-0", python(APPEND_PID_AND_WAIT, seen), QUICK)
    thread = threading.Thread(target=part.run, args=(stop,))
    thread.start()
    try:
        (first,) = wait_for_lines(seen, 1)
        os.kill(int(first), signal.SIGKILL)
        _, second = wait_for_lines(seen, 2)
        assert second != first
        assert part.ready()
    finally:
        stop.set()
        thread.join(20)
    assert wait_for_lines(seen, 3)[2] == "drained"
    assert not part.ready()


def test_a_worker_that_dies_too_often_is_given_up() -> None:
    part = worker_part("a-0", python("raise SystemExit(7)"), QUICK)
    with pytest.raises(StreamMonitorError, match=r"a-0 died 3 times within 60 s, the last time with exit code 7"):
        part.run(threading.Event())


@pytest.mark.parametrize("code", [2, 78])
def test_wrong_usage_and_wrong_config_are_not_tried_again(code: int) -> None:
    part = worker_part("a-0", python(f"raise SystemExit({code})"))
    with pytest.raises(StreamMonitorError, match=f"exit code {code}"):
        part.run(threading.Event())


def test_a_process_without_supervisor_watches_nobody() -> None:
    assert orphan_watch({}) is None


def test_a_worker_notices_that_its_supervisor_is_gone() -> None:
    part = orphan_watch({SUPERVISOR: "1999999999"})
    assert part is not None
    with pytest.raises(StreamMonitorError, match="is gone"):
        part.run(threading.Event())


def test_a_worker_is_this_command_as_ingest() -> None:
    said = subprocess.run(
        [*worker_command("none.yaml", "a-0", 0)], capture_output=True, text=True, check=False, cwd="/"
    )
    assert said.returncode == 78
    assert "none.yaml" in said.stderr
