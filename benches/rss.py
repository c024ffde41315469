"""Resident memory of a process, sampled while it runs (Linux: /proc)."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Sample(NamedTuple):
    """`seconds` since the process was started; resident `mib` then."""

    seconds: float
    mib: float


class Watched(NamedTuple):
    """What a watched process printed, its samples, and the most that was ever resident, as the kernel saw it."""

    output: str
    samples: list[Sample]
    peak_mib: float


def watched_python(*arguments: str, every_s: float = 0.5) -> Watched:
    """Run Python with these arguments to its end; RuntimeError with the end of its stderr if it fails."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        began = time.monotonic()
        process = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=errors, text=True)
        samples: list[Sample] = []
        peak = 0.0
        try:
            while process.poll() is None:
                found = memory_of(process.pid)
                if "VmRSS" in found:
                    samples.append(Sample(time.monotonic() - began, found["VmRSS"]))
                    peak = max(peak, found["VmHWM"])
                time.sleep(every_s)
        except BaseException:
            process.kill()
            process.wait()
            raise
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            ended = f"{' '.join(arguments[:3])} ended with {process.returncode}"
            raise RuntimeError(f"{ended}:\n{errors.read()[-3_000:]}")
        return Watched(output.read(), samples, peak)


def resident(name: str = "VmRSS") -> float:
    """MiB of this process now; "VmHWM": the most so far."""
    return memory_of(os.getpid())[name]


def memory_of(pid: int) -> dict[str, float]:
    """VmRSS and VmHWM of a process in MiB; empty once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":")[::2] for line in lines)
    return {name: int(rest.split()[0]) / 1024 for name, rest in pairs if name in ("VmRSS", "VmHWM")}


def quarter_peaks(samples: Sequence[Sample]) -> list[float]:
    """Highest sample of each quarter of the time, in MiB."""
    first, last = samples[0].seconds, samples[-1].seconds
    quarters: list[list[float]] = [[], [], [], []]
    for sample in samples:
        place = int(4 * (sample.seconds - first) / max(last - first, 1e-9))
        quarters[min(3, place)].append(sample.mib)
    return [max(quarter, default=0.0) for quarter in quarters]


def slope_mib_per_minute(samples: Sequence[Sample]) -> float:
    """Least-squares slope of the second half of the samples."""
    half = np.array(samples[len(samples) // 2 :])
    return float(np.polyfit(half[:, 0], half[:, 1], 1)[0] * 60) if len(half) > 1 else 0.0
