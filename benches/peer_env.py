"""An environment of its own for each peer, made once and kept: `STREAM_MONITOR_BENCH_CACHE`, else the user's cache.

Pinned as a whole by peer_jobs/requirements-PEER.txt; wheels only. A change of the file or of Python makes a new one. It
costs about half a minute a peer the first time.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import venv
from pathlib import Path

from benches.harness import command, say

JOBS = Path(__file__).with_name("peer_jobs")
CACHE_VARIABLE = "STREAM_MONITOR_BENCH_CACHE"


def cache() -> Path:
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stream-monitor-bench"


def python_of(peer: str) -> str:
    """The interpreter that has the peer; RuntimeError, with what pip said, where it cannot be installed."""
    requirements = JOBS / f"requirements-{peer}.txt"
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:10]
    folder = cache() / f"{peer}-py{sys.version_info[0]}.{sys.version_info[1]}-{digest}"
    python = folder / "bin" / "python"
    installed = folder / ".installed"
    if not installed.exists():
        say(f"installing {peer} into {folder}")
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
        command([*pip, "-r", str(requirements)], timeout_s=600)
        installed.touch()
    return str(python)
