"""Worker processes that are killed and started again, as a supervisor of the operating system would."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

Faults = list[tuple[str, str, int]]  # of one life of a worker: kind, point, passings before


class Worker:
    """A program that is started anew whenever it ends, each life with the next planned faults."""

    def __init__(self, module: str, given: dict[str, object], faults: list[Faults], log: Path) -> None:
        self.module = module
        self.given = given
        self.faults = faults
        self.log = log
        self.ends: list[int] = []
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        given = self.given | {"faults": self.faults.pop(0) if self.faults else []}
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", self.module, json.dumps(given)],
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[2],
            )

    def attend(self) -> None:
        """Start it again if it ended."""
        code = self.process.poll()
        if code is not None:
            self.ends.append(code)
            self.process = self._start()

    def stopped(self) -> bool:
        """Whether it is in SIGSTOP (Linux: state T)."""
        try:
            return Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
        except FileNotFoundError:
            return False

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def end(self) -> None:
        self.signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.ends.append(self.process.wait(30))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
