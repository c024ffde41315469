"""An event too large for a message is published without what makes it so."""

from __future__ import annotations

from stream_monitor.events.alert import AlertEvent, AlertEvidence
from stream_monitor.events.metric import Bin, Cell, MetricEvent, window_ref
from stream_monitor.events.names import Status, TimeBasis
from stream_monitor.kafka.fitting import EVENT_BYTES, alert_value, metric_value


def event(*, cells: int = 0, bins: int = 0, name: str = "é" * 256) -> MetricEvent:
    return MetricEvent(
        id="1",
        metric="confusion_matrix",
        model_name="m",
        model_version="1",
        window=window_ref(0, 60_000, 60_000, TimeBasis.LABEL),
        status=Status.OK,
        value=None,
        n=1_000,
        bins=tuple(Bin(name * 4, None, None, 0.1, 0.2, 0.3) for _ in range(bins)),
        cells=tuple(Cell(name, name, i) for i in range(cells)),
        emitted_at="2026-01-01T00:00:00.000Z",
    )


def test_a_confusion_matrix_of_very_long_names_goes_without_its_cells() -> None:
    value, trimmed = metric_value(event(cells=51 * 51))
    assert trimmed
    assert len(value) < 2_000
    assert (MetricEvent.decode(value).n, MetricEvent.decode(value).status) == (1_000, Status.OK)


def test_what_fits_goes_in_full() -> None:
    for whole in (event(cells=51 * 51, name="short"), event(bins=54)):
        value, trimmed = metric_value(whole)
        assert (value, trimmed) == (whole.encode(), False)
        assert len(value) < EVENT_BYTES


def test_an_alert_goes_without_the_figure_that_makes_it_too_large() -> None:
    def alert(metric: MetricEvent) -> AlertEvent:
        return AlertEvent(
            id="1",
            fingerprint="f",
            state="firing",
            reason="breached",
            labels={"alertname": "a", "severity": "warning"},
            annotations={"summary": "s"},
            starts_at="2026-01-01T00:00:00.000Z",
            evidence=AlertEvidence(metric=metric, performance_moved=True),
        )

    value, trimmed = alert_value(alert(event(cells=51 * 51)))
    assert trimmed
    assert AlertEvent.decode(value).evidence == AlertEvidence(performance_moved=True)
    assert alert_value(alert(event(bins=54))) == (alert(event(bins=54)).encode(), False)
