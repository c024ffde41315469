"""A kind (first byte) and the bytes of a detector's state, with a pickle inside: one that goes on, or FormatError."""

from __future__ import annotations

from stream_monitor.detectors.detector import Detector
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.errors import FormatError

POLICIES = (DetectorPolicy(parameters={"warmup": 2.0}), DetectorPolicy(kind="page_hinkley"))
VALUES = [0.0, 1.0] * 40


def _seeds() -> tuple[bytes, ...]:
    seeds = []
    for at, policy in enumerate(POLICIES):
        detector = Detector(policy)
        seeds.append(bytes([at]) + detector.to_bytes())
        detector.update(VALUES * 3)
        seeds.append(bytes([at]) + detector.to_bytes())
    return tuple(seeds)


SEEDS = _seeds()


def check(data: bytes) -> None:
    if not data:
        return
    policy = POLICIES[data[0] % 2]
    try:
        detector = Detector.from_bytes(data[1:], policy)
        detector.update(VALUES)
        Detector.from_bytes(detector.to_bytes(), policy).update(VALUES)
    except FormatError:
        return  # of some states only many values show that they are broken
