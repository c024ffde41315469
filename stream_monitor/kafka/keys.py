"""Are source records keyed by their prediction_id, and placed by one partitioner? Judged on samples. Pure.

A label meets its prediction only if both topics put the same id into the same partition number. Wrong keys or two
partitioners (librdkafka's default is crc32, Java's murmur2) break the join silently, so they stop the stage with a
sentence. Single strays do not: it takes a majority of at least `MIN_SAMPLES`.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from stream_monitor.errors import SetupError
from stream_monitor.pipeline.partition import murmur2

MIN_SAMPLES = 20
_REMEMBERED = 1_000


class KeyCheck:
    """Samples of one worker, by topic. `partitions`: the number of partitions of each source topic."""

    def __init__(self, partitions: Mapping[str, int]) -> None:
        self._partitions = dict(partitions)
        self._samples = dict.fromkeys(partitions, 0)
        self._wrong = dict.fromkeys(partitions, 0)
        self._placed: dict[str, dict[str, int]] = {topic: {"murmur2": 0, "crc32": 0} for topic in partitions}

    def wanted(self, topic: str) -> int:
        """How many samples of the next batch it takes: enough to judge by at the start, then one."""
        return max(1, MIN_SAMPLES - self._samples[topic])

    def observe(self, topic: str, partition: int, key: bytes | None, prediction_id: str) -> None:
        """Take one sample; SetupError once most samples are wrong."""
        if self._samples[topic] >= _REMEMBERED:
            # Halved, so that a change of producers shows within a thousand samples.
            self._samples[topic] //= 2
            self._wrong[topic] //= 2
            self._placed[topic] = {name: count // 2 for name, count in self._placed[topic].items()}
        self._samples[topic] += 1
        if key is None or key != prediction_id.encode("utf-8", "surrogatepass"):
            self._wrong[topic] += 1
            if self._samples[topic] >= MIN_SAMPLES and 2 * self._wrong[topic] > self._samples[topic]:
                found = "no key" if key is None else f"key {key[:80]!r}"
                raise SetupError(
                    f"records of {topic} must be keyed by their prediction_id, so that labels meet their "
                    f"predictions; found {found} for prediction_id {prediction_id!r} "
                    f"({self._wrong[topic]} of {self._samples[topic]} samples)",
                    mend="set the producer's key to the prediction_id, or set `repartition: true` in the config",
                )
        elif self._partitions[topic] > 1:
            count = self._partitions[topic]
            self._placed[topic]["murmur2"] += (murmur2(key) & 0x7FFFFFFF) % count == partition
            self._placed[topic]["crc32"] += zlib.crc32(key) % count == partition
            self._compare()

    def _compare(self) -> None:
        found = {topic: self._partitioner(topic) for topic in self._partitions}
        if len(set(found.values()) - {None}) > 1:
            used = ", ".join(f"{topic} is placed by {name}" for topic, name in found.items())
            raise SetupError(
                f"predictions and labels must be placed by the same partitioner, so that labels meet their "
                f"predictions; {used}",
                mend="set partitioner=murmur2_random (librdkafka) in the producers that do not use Java's default",
            )

    def _partitioner(self, topic: str) -> str | None:
        """The one partitioner that explains the samples but for strays, if there is one."""
        right = self._samples[topic] - self._wrong[topic]
        if right < MIN_SAMPLES:
            return None
        fitting = [name for name, count in self._placed[topic].items() if 10 * count >= 9 * right]
        return fitting[0] if len(fitting) == 1 else None
