"""A figure: one computed value of one metric, with everything that makes it honest.

Promises: immutable; carries sample sizes, status, error bound, null band, bins or cells where they apply.
Costs: nothing but its memory. Leaves to others: which series, window and revision it belongs to (pipeline),
and how it looks on the wire (events/metric.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from stream_monitor.events.metric import Bin, Cell, DetectorRef, NullBand
from stream_monitor.events.names import MetricName, ReferenceKind, Status


class Figure(msgspec.Struct, frozen=True, gc=False):
    """`value` is null for 0/0 and where `status` says that nothing can be said; it is never a made-up 0.

    metric         a name of events/names.py
    value          in the unit of that name (ratios in [0, 1], latency and delay in seconds)
    status         ok | insufficient_data | no_reference | no_data; insufficient_data may have a value
    n              rows of the window the value rests on
    feature        the input feature, where the metric is of one
    class_         the class, where the metric is of one; null for the macro mean and for binary
    n_reference    rows of the reference the value is compared with
    error_bound    the exact value lies within value ± error_bound (binned scores, sketches)
    null_band      what the value would be without drift at these sample sizes
    p_value        probability of at least this value without drift
    """

    metric: MetricName
    value: float | None
    status: Status
    n: int
    feature: str | None = None
    class_: str | None = None
    n_reference: int | None = None
    error_bound: float | None = None
    null_band: NullBand | None = None
    p_value: float | None = None
    bins: Sequence[Bin] = ()
    cells: tuple[Cell, ...] = ()
    reference_id: str | None = None
    reference_kind: ReferenceKind | None = None
    schema_id: str | None = None
    detector: DetectorRef | None = None


def sampled(n: int, least: int) -> Status:
    """The status of a value that rests on n rows: none, too few, or enough."""
    if n <= 0:
        return Status.NO_DATA
    return Status.OK if n >= least else Status.INSUFFICIENT_DATA
