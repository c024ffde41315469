"""What a soak found, judged and drawn: memory by time, its slope over the second half, the highest of every gauge.

Growth is judged by the line of least squares through the second half. A process may grow by `SLOPE_MIB_PER_MINUTE`,
and by `NOISE_MIB` however short the half is: tables in memory fill and are written out, which is no growth. A run
shorter than `TRIAL_S` is a trial, in which memory has not filled yet: it is drawn, and not judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benches.rss import Sample, slope_mib_per_minute

SLOPE_MIB_PER_MINUTE = 0.5
NOISE_MIB = 12.0
TRIAL_S = 600.0
_WIDTH, _HEIGHT = 90, 8


def allowed_slope(seconds: float) -> float:
    """MiB a minute that a process may grow in the second half of a run of so many seconds."""
    return SLOPE_MIB_PER_MINUTE + NOISE_MIB / (seconds / 120)


def grown(samples: Mapping[str, Sequence[Sample]], judged: Sequence[str]) -> list[str]:
    """A sentence for each judged process that grew beyond what is allowed."""
    sentences = []
    for name in judged:
        mine = samples[name]
        slope, most = slope_mib_per_minute(mine), allowed_slope(mine[-1].seconds - mine[0].seconds)
        if slope > most:
            sentences.append(
                f"{name} grew by {slope:.2f} MiB a minute in the second half; at most {most:.2f} are accepted"
            )
    return sentences


def picture(name: str, samples: Sequence[Sample]) -> str:
    """Memory by time, as lines of text: the highest sample of each column."""
    first, last = samples[0].seconds, samples[-1].seconds
    columns = [0.0] * _WIDTH
    for sample in samples:
        place = min(_WIDTH - 1, int(_WIDTH * (sample.seconds - first) / max(last - first, 1e-9)))
        columns[place] = max(columns[place], sample.mib)
    for place in range(1, _WIDTH):
        columns[place] = columns[place] or columns[place - 1]
    top = max(columns)
    lines = [f"{name}, MiB"]
    for row in range(_HEIGHT, 0, -1):
        floor = top * (row - 1) / _HEIGHT
        marks = "".join("█" if each > floor + top / _HEIGHT / 2 else "▄" if each > floor else " " for each in columns)
        lines.append(f"{top * row / _HEIGHT:7.0f} ┤{marks}")
    lines.append(f"        └{'─' * _WIDTH}")
    lines.append(f"         0{f'{(last - first) / 60:.1f} min':>{_WIDTH - 1}}")
    return "\n".join(lines)


def thinned(samples: Sequence[Sample], most: int = 60) -> list[list[float]]:
    """At most so many of the samples, evenly, as [seconds, MiB]."""
    step = -(-len(samples) // most)
    return [[round(sample.seconds, 1), round(sample.mib, 1)] for sample in samples[::step]]
