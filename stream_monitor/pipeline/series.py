"""What evaluate keeps of one series (model version × segment) and of one model: plain state, with its bytes.

Panes and windows live as long as an event can still change them; what is older is only in a few sums.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from stream_monitor.events.metric import segment_label
from stream_monitor.events.names import TimeBasis
from stream_monitor.pipeline.shelf import LabelShelf, PredictionShelf
from stream_monitor.sketches.pane import LabelPane, PredictionPane
from stream_monitor.windows.grid import Window, WindowSpec, pane_start

BASES = (TimeBasis.PREDICTION, TimeBasis.LABEL)

# (time basis, size, slide, start)
WindowKey = tuple[str, int, int, int]
# Version and segment label: the order in which the series of a model are published
SeriesKey = tuple[str, str]


def window_key(basis: TimeBasis, window: Window) -> WindowKey:
    return (str(basis), window.spec.size_ms, window.spec.slide_ms, window.start_ms)


class SeriesMeta(msgspec.Struct, array_like=True):
    """Everything of a series but its panes.

    `first_ms`, `last_ms`: by basis, starts of the oldest and newest pane with events.  `published`: newest revision of
    windows that can still change.  `dirty`: closed windows changed since.  `predicted`: predictions by pane, kept
    until label time has passed them; `carried`: [predictions, joined, expired] of all panes no longer kept.
    `gone_ms`: by basis, start of the newest pane no longer kept.
    """

    version: str | None
    segment: dict[str, str]
    first_ms: dict[str, int] = {}
    last_ms: dict[str, int] = {}
    published: dict[WindowKey, int] = {}
    dirty: set[WindowKey] = set()
    predicted: dict[int, int] = {}
    carried: list[int] = msgspec.field(default_factory=lambda: [0, 0, 0])
    gone_ms: dict[str, int] = {}


class Series:
    """One series: meta, and panes by basis.

    `key`: order in which the series of a model are published, unique in it.  `parts`: the series in a state key; the
    segment is JSON of its sorted pairs, unique whatever the tag values hold.
    """

    __slots__ = ("key", "label_panes", "meta", "parts", "prediction_panes")

    def __init__(self, meta: SeriesMeta) -> None:
        self.meta = meta
        self.prediction_panes = PredictionShelf()
        self.label_panes = LabelShelf()
        self.key: SeriesKey = (meta.version or "", segment_label(meta.segment))
        self.parts = (meta.version, msgspec.json.encode(sorted(meta.segment.items())).decode())

    @property
    def is_overall(self) -> bool:
        return not self.meta.segment

    @property
    def last_ms(self) -> int | None:
        """Start of the newest pane with events, by either time basis."""
        return max(self.meta.last_ms.values(), default=None)

    @property
    def is_final(self) -> bool:
        """True if nothing of it can change any more."""
        return not (self.prediction_panes or self.label_panes or self.meta.dirty or self.meta.published)

    def panes(self, basis: TimeBasis) -> PredictionShelf | LabelShelf:
        return self.prediction_panes if basis is TimeBasis.PREDICTION else self.label_panes

    def seen(self, basis: TimeBasis, start_ms: int) -> bool:
        """Note a pane with events; true if it is older or newer than all before."""
        first, last = self.meta.first_ms, self.meta.last_ms
        if basis in first and first[basis] <= start_ms <= last[basis]:
            return False
        first[basis] = min(start_ms, first.get(basis, start_ms))
        last[basis] = max(start_ms, last.get(basis, start_ms))
        return True

    def is_live(self, basis: TimeBasis, window: Window, retire_after_ms: int) -> bool:
        """True if the window has to be published although it may be empty: the series was seen and is not retired."""
        first, last = self.meta.first_ms.get(basis), self.meta.last_ms.get(basis)
        if first is None or last is None or first >= window.end_ms:
            return False
        if last >= window.end_ms:
            # Of a series that came back after a long silence the silence is not alive: years of it may lie between.
            before = (start for start in self.panes(basis) if start < window.end_ms)
            last = max(first, self.meta.gone_ms.get(basis, first), *before)
        return window.start_ms <= last + retire_after_ms

    def is_whole(self, basis: TimeBasis, window: Window) -> bool:
        """False for a window that holds panes no longer kept: one of a size that the config did not have before."""
        gone = self.meta.gone_ms.get(basis)
        return gone is None or window.start_ms > gone

    def forget_pane(self, basis: TimeBasis, start_ms: int) -> None:
        """Let a pane go that no window can use any more; of labels the sums stay."""
        if basis is TimeBasis.LABEL:
            self.carry_labels(*self.label_panes.counts_of([start_ms]))
        self.panes(basis).forget(start_ms)
        self.meta.gone_ms[basis] = max(start_ms, self.meta.gone_ms.get(basis, start_ms))

    def predictions_in(self, window: Window, pane_ms: int) -> PredictionPane:
        return self.prediction_panes.merged(range(window.start_ms, window.end_ms, pane_ms))

    def labels_in(self, window: Window, pane_ms: int) -> LabelPane:
        return self.label_panes.merged(range(window.start_ms, window.end_ms, pane_ms))

    def pending_at(self, end_ms: int) -> int:
        """Predictions before `end_ms` that had no label by then and could still get one."""
        predicted, joined, expired = self.meta.carried
        predicted += sum(n for start, n in self.meta.predicted.items() if start < end_ms)
        joined_since, expired_since = self.label_panes.counts_of([s for s in self.label_panes if s < end_ms])
        return predicted - joined - joined_since - expired - expired_since

    def carry_predicted(self, before_ms: int) -> bool:
        """Put prediction counts of panes before `before_ms` into the sums; true if there were any."""
        old = [start for start in self.meta.predicted if start < before_ms]
        for start in old:
            self.meta.carried[0] += self.meta.predicted.pop(start)
        return bool(old)

    def carry_labels(self, joined: int, expired: int) -> None:
        """Put pairs and deadlines of a pane that is not kept into the sums."""
        self.meta.carried[1] += joined
        self.meta.carried[2] += expired


class ModelMeta(msgspec.Struct, array_like=True):
    """One model: how far its event time is and which windows are closed.

    `marks`: event-time watermark by basis.  `closed`: by (basis, size, slide), end of the newest closed window.
    `revised_ms`: clock of the last revisions.  `limited`: by limit, increments that were booked as `__other__`; a
    number alone, as it was written before versions had a limit, is of series.
    `settled`: by basis, windows that end by then cannot change any more.  `specs`, `pane_ms`: (basis, size, slide) of
    the windows, and the pane, of the config.  `begins`: of windows that came into the config, start of the first whole
    one.  `coarse`: by (basis, width), [start, end) of where there are panes cut so wide that they do not fit.
    """

    marks: dict[str, int] = {}
    closed: dict[tuple[str, int, int], int] = {}
    revised_ms: int = 0
    limited: dict[str, int] = {}
    settled: dict[str, int] = {}
    specs: list[tuple[str, int, int]] = []
    pane_ms: int = 0
    begins: dict[tuple[str, int, int], int] = {}
    coarse: dict[tuple[str, int], tuple[int, int]] = {}

    @staticmethod
    def from_bytes(data: bytes) -> ModelMeta:
        meta = msgspec.msgpack.decode(data, type=_ModelMeta)
        limited = {"series": meta.limited} if isinstance(meta.limited, int) else meta.limited
        return ModelMeta(**{**msgspec.structs.asdict(meta), "limited": limited})


class _ModelMeta(msgspec.Struct, array_like=True):
    """As read."""

    marks: dict[str, int] = {}
    closed: dict[tuple[str, int, int], int] = {}
    revised_ms: int = 0
    limited: int | dict[str, int] = 0
    settled: dict[str, int] = {}
    specs: list[tuple[str, int, int]] = []
    pane_ms: int = 0
    begins: dict[tuple[str, int, int], int] = {}
    coarse: dict[tuple[str, int], tuple[int, int]] = {}


def is_over(key: WindowKey, settled_ms: int | None) -> bool:
    """True if the window can no longer change."""
    _, size, _, start = key
    return settled_ms is not None and settled_ms >= start + size


def pane_dies_at(specs: Iterable[WindowSpec], start_ms: int) -> int:
    """End of the last window that holds the pane: once it is settled the pane can no longer change."""
    return max(pane_start(start_ms, spec.slide_ms) + spec.size_ms for spec in specs)
