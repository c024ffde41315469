"""A message of the panes topic, taken by evaluate among good ones: folded, or refused by name."""

from __future__ import annotations

from stream_monitor.errors import FormatError
from stream_monitor.pipeline.messages import decode, encode
from tests.fuzz.world import LABELLED, NOW, PREDICTED, folds, messages, published

GOOD = messages(PREDICTED[:2], LABELLED[:2])
SEEDS = tuple(messages(PREDICTED, LABELLED))


def check(data: bytes) -> None:
    try:
        message = decode(data)
    except FormatError:
        return
    assert decode(encode(message)) == message
    _, fold = folds()
    try:
        fold.apply(data, 0, NOW)
        for offset, good in enumerate(GOOD, 1):
            fold.apply(good, offset, NOW)
        published(fold.drain())
        fold.tick(NOW + 100_000)
        fold.finish()
        published(fold.drain())
    except FormatError:
        return  # sketches stay unread until they meet others, or their window closes
