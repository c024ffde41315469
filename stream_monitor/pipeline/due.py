"""Which windows are due: all ends up to the watermark, or further where there is nothing to wait for.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from stream_monitor.pipeline.policy import ModelPolicy, Policies
from stream_monitor.windows.grid import Window, WindowSpec, pane_start

_DAY_MS = 86_400_000


def idle_end(
    spec: WindowSpec, mark: int | None, newest_ms: int | None, now_ms: int | None, policy: ModelPolicy, all_: Policies
) -> int | None:
    """Up to which end windows may close when no source has anything more to say.

    A live stream closes by the clock `now_ms`.  A replay of data older than the live horizon, and a backtest (`now_ms`
    None), close the windows that have begun: the clock lies years after them, and empty windows until then say nothing.
    """
    if newest_ms is None:
        return mark
    horizon = all_.live_horizon_ms or _DAY_MS
    if now_ms is not None and newest_ms >= now_ms - horizon:
        end = now_ms - policy.max_out_of_order_ms
    else:
        end = pane_start(newest_ms, spec.slide_ms) + spec.size_ms
    return end if mark is None else max(mark, end)


def due_windows(
    spec: WindowSpec, after_ms: int, upto_ms: int, starts: Sequence[int], is_live: Callable[[Window], bool]
) -> Iterator[Window]:
    """Windows with end in `(after_ms, upto_ms]` that some series takes part in; long stretches without are skipped.

    `starts`: pane starts that hold events, ascending.
    """
    end = spec.first_end_after(after_ms)
    while end <= upto_ms:
        window = Window(spec, end - spec.size_ms)
        if is_live(window):
            yield window
            end += spec.slide_ms
        else:
            following = next((start for start in starts if start >= window.end_ms), None)
            if following is None:
                return
            end = spec.first_end_after(following)
