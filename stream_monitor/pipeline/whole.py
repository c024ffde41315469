"""Which windows can be counted where the config changes: those of which every event is known, and known to be theirs.

A window size that comes into the config begins with the first window that no event was lost for before.  A worker that
still cuts its panes by another config, or a pane of the state that was cut so, tells of its events no more than the
pane; a window whose bounds do not lie on that pane's grid is not published while such panes reach into it.  What is not
whole does not exist: neither published, nor corrected, nor counted as too late.
"""

from __future__ import annotations

from collections.abc import Iterable

from stream_monitor.events.names import TimeBasis
from stream_monitor.pipeline.round import SpecKey
from stream_monitor.pipeline.series import ModelMeta
from stream_monitor.windows.grid import Window, pane_start


def is_whole(meta: ModelMeta, basis: TimeBasis, window: Window) -> bool:
    size, slide = window.spec.size_ms, window.spec.slide_ms
    if size % meta.pane_ms or slide % meta.pane_ms:
        return False  # of a former config, with narrower panes
    if meta.begins and window.start_ms < meta.begins.get((str(basis), size, slide), window.start_ms):
        return False
    return not any(
        of_basis == basis and (size % width or slide % width) and window.start_ms < end and window.end_ms > start
        for (of_basis, width), (start, end) in meta.coarse.items()
    )


def note_cut(meta: ModelMeta, basis: TimeBasis, start_ms: int, width_ms: int, pane_ms: int) -> bool:
    """Note a pane with events that was cut `width_ms` wide, 0: not said. True if that is news: it does not fit into
    panes of `pane_ms`."""
    if not width_ms or pane_ms % width_ms == 0:
        return False
    known = meta.coarse.get((str(basis), width_ms), (start_ms, start_ms))
    found = (min(start_ms, known[0]), max(start_ms + width_ms, known[1]))
    meta.coarse[str(basis), width_ms] = found
    return found != known


def take_effect(meta: ModelMeta, specs: Iterable[SpecKey], pane_ms: int, lost_ms: dict[str, int]) -> bool:
    """Put the windows of this config, by basis, in the place of those before. True if there is a change.

    `lost_ms`: by time basis, where one is not in it nothing was lost: events before it may be in no pane any more.
    """
    now, before = sorted(set(specs)), set(meta.specs)
    if now == meta.specs and pane_ms == meta.pane_ms:
        return False
    # None of them: written by a version that did not say, and then the config is taken for the same.
    for key in sorted(set(now) - before) if before else ():
        basis, size, slide = key
        meta.begins.pop(key, None)
        meta.closed.pop(key, None)
        if basis in lost_ms:
            begin = meta.begins[key] = pane_start(lost_ms[basis] + slide - 1, slide)
            # Of those that are settled already none is published: what comes for them is too late.
            meta.closed[key] = max(begin + size - slide, pane_start(meta.settled.get(basis, begin), slide))
    for key in before.difference(now):
        meta.begins.pop(key, None)
    meta.specs, meta.pane_ms = now, pane_ms
    return True
