"""How labels come in: delay percentiles and joined, expired, pending, orphaned counts.

Promises: exact counts; a figure only where there is something it is about. Costs: nothing much.
Leaves to others: the join, deadlines and what is pending (join/, pipeline/).

  labels_joined    pairs whose label lies in the window                                  n = the same
  labels_expired   predictions whose label deadline passed in the window, unlabelled     n = joined + expired
  labels_pending   predictions that still wait at the window's end                       n = joined + expired + pending
  labels_orphaned  labels of the window whose prediction has not come                    n = labels of the window
"""

from __future__ import annotations

from stream_monitor.events.names import MetricName, Status
from stream_monitor.metrics.figure import Figure
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.metrics.timing import LABEL_DELAY, percentile_figures
from stream_monitor.sketches.pane import LabelPane


def label_count_figures(pane: LabelPane, policy: MetricPolicy, pending: int | None) -> list[Figure]:
    """`pending` null: not known for this pane."""
    settled = pane.joined + pane.deadlines
    counts = [
        (MetricName.LABELS_JOINED, pane.joined, pane.joined),
        (MetricName.LABELS_EXPIRED, pane.deadlines, settled),
        (MetricName.LABELS_PENDING, pending, settled + (pending or 0)),
        (MetricName.LABELS_ORPHANED, pane.waiting, pane.labels),
    ]
    figures = [Figure(metric, float(value), Status.OK, n) for metric, value, n in counts if value is not None and n > 0]
    if pane.delay is not None:
        figures.extend(percentile_figures(pane.delay, LABEL_DELAY, policy))
    return figures
