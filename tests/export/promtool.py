"""promtool of Debian's prometheus package, or a skip with one clear line."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

REQUIRE_VARIABLE = "STREAM_MONITOR_REQUIRE_PROMTOOL"


def promtool(*arguments: str, stdin: bytes = b"") -> str:
    """Its output; a failure of the test where it finds fault."""
    path = shutil.which("promtool")
    if path is None:
        reason = "no promtool on the PATH (apt install prometheus)"
        if os.environ.get(REQUIRE_VARIABLE) == "1":
            pytest.fail(f"{reason}; {REQUIRE_VARIABLE}=1 demands it", pytrace=False)
        pytest.skip(reason)
    done = subprocess.run([path, *arguments], input=stdin, capture_output=True, timeout=60, check=False)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, output
    return output
