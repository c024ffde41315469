"""The Prometheus collector: one snapshot of the board per scrape, on a registry of its own.

Promises: every family is announced with its type and help, with or without samples; one scrape shows one moment.
Costs: O(samples). Leaves to others: HTTP (http.py), and what the numbers mean (names.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from stream_monitor.export import names
from stream_monitor.export.board import Board, Snapshot
from stream_monitor.export.garbage import GarbageWatch
from stream_monitor.export.totals import Labels


class BoardCollector(Collector):
    """Pulled by a registry; holds no numbers of its own."""

    def __init__(self, board: Board, garbage: GarbageWatch, *, version: str) -> None:
        self._board = board
        self._garbage = garbage
        self._version = version

    def collect(self) -> Iterable[Metric]:
        snapshot = self._board.snapshot()
        gauges: dict[str, dict[Labels, float]] = {names.BUILD_INFO.name: {(self._version,): 1.0}}
        for (family_name, labels), value in snapshot.gauges(self._board.clock()).items():
            gauges.setdefault(family_name, {})[labels] = value
        pauses = self._garbage.pauses().items()
        garbage: dict[str, Mapping[Labels, float]] = {
            names.GC_PAUSE.name: {(str(generation),): each.seconds for generation, each in pauses},
            names.GC_COLLECTIONS.name: {(str(generation),): each.collections for generation, each in pauses},
        }
        for family in names.FAMILIES:
            if family.kind == "gauge":
                yield _gauge(family, gauges.get(family.name, {}))
            elif family.kind == "counter":
                yield _counter(family, garbage.get(family.name) or snapshot.counters(family))
            else:
                yield _histogram(family, snapshot)


def registry_of(board: Board, garbage: GarbageWatch, *, version: str) -> CollectorRegistry:
    """A registry with this collector alone: nothing else in the process can add to what is scraped."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(BoardCollector(board, garbage, version=version))
    return registry


def _gauge(family: names.Family, samples: Mapping[Labels, float]) -> Metric:
    metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
    for labels, value in sorted(samples.items()):
        metric.add_metric(labels, value)
    return metric


def _counter(family: names.Family, totals: Mapping[Labels, float]) -> Metric:
    metric = CounterMetricFamily(family.name.removesuffix("_total"), family.help, labels=family.labels)
    for labels, total in sorted(totals.items()):
        metric.add_metric(labels, total)
    return metric


def _histogram(family: names.Family, snapshot: Snapshot) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [*map(repr, family.buckets), "+Inf"]
    for labels, held in sorted(snapshot.histograms(family).items(), key=lambda item: item[0]):
        cumulative = list(zip(bounds, accumulate(held.counts), strict=True))
        metric.add_metric(labels, buckets=cumulative, sum_value=held.total)
    return metric
