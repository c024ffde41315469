"""Real input through the real broker: the electricity stream, and every figure recomputed from its rows.

`profile build` makes the reference from the first 10,000 rows; an ingest and an evaluate process read predictions and
labels from Kafka. What they publish is compared with numpy, scipy and scikit-learn over the same rows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from tests.acceptance.contract import check_index, lower_quantile, rfc3339, window_starts
from tests.acceptance.electricity import (
    CONSTANT_FEATURES,
    FEATURES,
    FIRST_VARYING_ROW,
    MODEL,
    REFERENCE_ROWS,
    Electricity,
    data_file,
    read_electricity,
)
from tests.acceptance.published import Document, Reader, counts, figure_key, newest
from tests.acceptance.site import ndjson, site, wait_for
from tests.broker.topics import TopicSpace

pytestmark = [pytest.mark.broker, pytest.mark.data, pytest.mark.timeout(240)]

DAY_MS = 86_400_000
SIZES_MS = (DAY_MS, 7 * DAY_MS)
FOR = 2  # windows

MODEL_CONFIG: dict[str, Any] = {
    "name": MODEL,
    "task": "binary",
    "positive_class": "1",
    "reference": {"profile": "profile.json"},
    "windows": [{"size": "1d"}, {"size": "7d"}],
    "max_past": None,
    "max_future": None,
    "max_out_of_order": "0s",
    "allowed_lateness": "1h",
    "labels": {"join_window": "7d"},
}
RULES = [{"name": "input-drift", "metric": "csi", "above": 0.2, "for": FOR}]


class Played:
    """The rows, and all that was published about them."""

    def __init__(self, rows: Electricity, events: list[Document], alerts: list[Document]) -> None:
        self.rows, self.events, self.alerts = rows, events, alerts
        self._figures: dict[tuple[str, str, int], list[Document]] = defaultdict(list)
        for event in newest(events).values():
            window = event["window"]
            self._figures[event["metric"], window["time_basis"], window["size_seconds"] * 1000].append(event)

    def all(self, metric: str, basis: str, size_ms: int) -> list[Document]:
        return self._figures[metric, basis, size_ms]

    def figures(self, metric: str, basis: str, size_ms: int) -> dict[str, Document]:
        """By window start; of metrics that are one a window."""
        return {event["window"]["start"]: event for event in self.all(metric, basis, size_ms)}

    def windows(self, basis: str, size_ms: int) -> dict[str, np.ndarray]:
        """Row numbers by window start: those predicted, or labelled, in it."""
        starts = (self.rows.predicted_ms if basis == "prediction" else self.rows.labelled_ms) // size_ms * size_ms
        return {rfc3339(int(start)): np.flatnonzero(starts == start) for start in np.unique(starts)}


@pytest.fixture(scope="module")
def played(bootstrap: str, tmp_path_factory: pytest.TempPathFactory) -> Played:
    rows = read_electricity(data_file())
    topics = TopicSpace(bootstrap, "electricity")
    with site(topics, tmp_path_factory.mktemp("electricity")) as monitor:
        monitor.write_config([MODEL_CONFIG], rules=RULES, live_horizon=None, idle_timeout="3s")
        reference = (rows.prediction(i, with_actual=True) for i in range(REFERENCE_ROWS))
        data = ndjson(monitor.folder / "reference.ndjson", reference)
        profile = str(monitor.folder / "profile.json")
        monitor.command("profile", "build", str(data), "--model", MODEL, "-o", profile)
        monitor.command("topics", "create")
        names = {"predictions": monitor.predictions, "labels": monitor.labels}
        ingest, evaluate = monitor.start("ingest", "one"), monitor.start("evaluate", "two")
        monitor.play((names[topic], key, value) for topic, key, value in rows.in_order())
        metrics, alerts = Reader(topics, monitor.own("metrics")), Reader(topics, monitor.own("alerts"))
        wait_for(lambda: _all_came(rows, metrics.poll()), 120, ingest, evaluate, what="the last window")
        ingest.stop()
        evaluate.stop()
        found = metrics.poll(), alerts.poll()
        metrics.close()
        alerts.close()
    return Played(rows, *found)


def _all_came(rows: Electricity, events: list[Document]) -> bool:
    """The windows that hold the last prediction and the last label close last, by idleness."""
    last = {("predictions", int(rows.predicted_ms[-1])), ("labels_joined", int(rows.labelled_ms[-1]))}
    wanted = {(metric, rfc3339(at // size * size), size // 1000) for metric, at in last for size in SIZES_MS}
    found = {(event["metric"], event["window"]["start"], event["window"]["size_seconds"]) for event in events}
    return wanted <= found


def test_every_window_counts_its_predictions_and_labels_exactly(played: Played) -> None:
    rows = played.rows
    for metric, basis, moments in (
        ("predictions", "prediction", rows.predicted_ms),
        ("labels_joined", "label", rows.labelled_ms),
    ):
        expected: Counter[tuple[Any, ...]] = Counter()
        for at in moments.tolist():
            for size in SIZES_MS:
                for start in window_starts(at, size, size):
                    expected[MODEL, "1", "", rfc3339(start), size // 1000, size // 1000] += 1
        assert counts(played.events, metric, basis) == expected
    assert len({event["id"] for event in played.events}) == len(played.events), "no metric id twice"
    assert not [event for event in played.events if event["metric"] == "too_late"], "one stream in order, none late"


def test_labels_pending_at_the_end_of_a_window_are_the_predictions_without_one(played: Played) -> None:
    rows = played.rows
    for size in SIZES_MS:
        for start, event in played.figures("labels_pending", "label", size).items():
            end = np.datetime64(start.rstrip("Z"), "ms").astype(np.int64) + size
            waiting = int((rows.predicted_ms < end).sum() - (rows.labelled_ms < end).sum())
            assert event["value"] == waiting, (start, size)


@pytest.mark.parametrize("size", SIZES_MS)
def test_the_confusion_matrix_and_its_ratios_are_those_of_scikit_learn(played: Played, size: int) -> None:
    rows, windows = played.rows, played.windows("label", size)
    matrices = played.figures("confusion_matrix", "label", size)
    assert matrices.keys() == windows.keys()
    names = ("precision", "recall", "f1", "accuracy")
    ratios = {name: played.figures(name, "label", size) for name in names}
    for start, at in windows.items():
        truth, answer = rows.truth[at], rows.answer[at]
        cells = {(cell["actual"], cell["predicted"]): cell["count"] for cell in matrices[start]["cells"]}
        matrix = sk.confusion_matrix(truth, answer, labels=[0, 1])
        assert cells == {(str(t), str(a)): matrix[t, a] for t in (0, 1) for a in (0, 1) if matrix[t, a]}, start
        of_positive = sk.precision_recall_fscore_support(truth, answer, average="binary", zero_division=np.nan)[:3]
        for name, expected in zip(names, (*of_positive, sk.accuracy_score(truth, answer)), strict=True):
            value = ratios[name][start]["value"]
            assert (value is None) == np.isnan(expected), (name, start)
            assert value is None or abs(value - expected) <= 1e-12, (name, start)


@pytest.mark.parametrize("size", SIZES_MS)
def test_psi_and_csi_are_those_of_the_contract(played: Played, size: int) -> None:
    rows, windows = played.rows, played.windows("prediction", size)
    columns = {"psi": {None: rows.score}, "csi": rows.features}
    for metric, features in columns.items():
        seen: Counter[str | None] = Counter()
        for event in played.all(metric, "prediction", size):
            column = features[event["feature"]]
            check_index(event, column[:REFERENCE_ROWS], column[windows[event["window"]["start"]]])
            assert event["status"] == ("ok" if event["n"] >= 30 else "insufficient_data")
            seen[event["feature"]] += 1
        assert seen == Counter(dict.fromkeys(features, len(windows))), "one figure a feature and window"


def test_continuous_bins_are_tenths_of_the_reference(played: Played) -> None:
    for event in played.all("csi", "prediction", DAY_MS) + played.all("psi", "prediction", DAY_MS):
        bins = event["bins"]
        if event["feature"] in CONSTANT_FEATURES:
            assert [each["bin"][0] for each in bins if each["bin"] != "novel"] == ["="]
            continue
        assert len(bins) == 10
        assert (bins[0]["low"], bins[-1]["high"]) == (None, None)
        assert [each["high"] for each in bins[:-1]] == [each["low"] for each in bins[1:]]
        assert all(0.08 <= each["expected"] <= 0.12 for each in bins), event["feature"]


@pytest.mark.parametrize("size", SIZES_MS)
def test_shares_out_of_range_missing_and_invalid_are_exact(played: Played, size: int) -> None:
    rows, windows = played.rows, played.windows("prediction", size)
    for name in ("missing_ratio", "invalid_ratio"):
        figures = played.all(name, "prediction", size)
        assert len(figures) == len(windows) * len(FEATURES)
        assert {event["value"] for event in figures} == {0.0}
    beyond = 0
    for event in played.all("out_of_range_ratio", "prediction", size):
        column = rows.features[event["feature"]]
        reference, values = column[:REFERENCE_ROWS], column[windows[event["window"]["start"]]]
        outside = int(((values < reference.min()) | (values > reference.max())).sum())
        assert event["value"] == outside / len(values)
        beyond += outside
    assert beyond > 0


def test_binned_ranking_lies_within_its_own_error_bound_on_every_week_with_both_classes(played: Played) -> None:
    rows, judged, bounds = played.rows, 0, []
    figures = {name: played.figures(name, "label", 7 * DAY_MS) for name in ("auc_roc", "gini", "ks_separation")}
    for start, at in played.windows("label", 7 * DAY_MS).items():
        truth, score = rows.truth[at], rows.score[at]
        if len(set(truth.tolist())) < 2:
            continue
        auc = sk.roc_auc_score(truth, score)
        ks = stats.ks_2samp(score[truth == 1], score[truth == 0]).statistic
        for name, exact in (("auc_roc", auc), ("gini", 2 * auc - 1), ("ks_separation", ks)):
            event = figures[name][start]
            assert abs(event["value"] - exact) <= event["error_bound"] + 1e-12, (name, start)
            enough = min(Counter(truth.tolist()).values()) >= 30
            assert event["status"] == ("ok" if enough else "insufficient_data")
        bounds.append(figures["auc_roc"][start]["error_bound"])
        judged += 1
    assert judged > 130
    # A bound of ½ would always hold; 256 bins of the reference's scores keep it small.
    assert np.median(bounds) < 0.01


@pytest.mark.parametrize("size", SIZES_MS)
def test_latency_and_label_delay_percentiles_are_within_one_percent(played: Played, size: int) -> None:
    rows = played.rows
    delays = (rows.labelled_ms - rows.predicted_ms) / 1000
    for names, basis, values in (
        (("latency_p50", "latency_p95", "latency_p99"), "prediction", rows.latency),
        (("label_delay_p50", "label_delay_p95"), "label", delays),
    ):
        windows = played.windows(basis, size)
        for name in names:
            figures = played.figures(name, basis, size)
            assert figures.keys() == windows.keys()
            for start, at in windows.items():
                exact = lower_quantile(values[at], int(name[-2:]) / 100)
                assert abs(figures[start]["value"] - exact) <= 0.01 * exact, (name, start)
    means = played.figures("latency_mean", "prediction", size)
    for start, at in played.windows("prediction", size).items():
        assert abs(means[start]["value"] - rows.latency[at].mean()) <= 1e-12, start


def test_constant_features_alert_only_after_they_begin_to_vary_and_then_soon(played: Played) -> None:
    began_ms = int(played.rows.predicted_ms[FIRST_VARYING_ROW])
    first_firing: dict[tuple[str, str], str] = {}
    transitions: dict[tuple[str, str], list[str]] = defaultdict(list)
    for alert in played.alerts:
        labels = alert["labels"]
        if labels.get("feature") in CONSTANT_FEATURES and labels["metric"] == "csi":
            key = labels["feature"], labels["window"]
            transitions[key].append(alert["state"])
            assert alert["startsAt"] > rfc3339(began_ms), f"{alert['state']} before the feature varied: {labels}"
            if alert["state"] == "firing":
                first_firing.setdefault(key, alert["startsAt"])
    assert transitions.keys() == {(feature, window) for feature in CONSTANT_FEATURES for window in ("1d", "7d")}
    for (feature, window), fired in first_firing.items():
        size = {"1d": DAY_MS, "7d": 7 * DAY_MS}[window]
        first_window_ms = began_ms // size * size
        assert fired <= rfc3339(first_window_ms + (FOR + 1) * size), (feature, window)
    assert first_firing.keys() == transitions.keys()


def test_each_figure_was_published_once_and_never_revised(played: Played) -> None:
    """Nothing is late, so each window is said once, by one process; keys repeat only where figures are revised."""
    keys = Counter(figure_key(event) for event in played.events)
    assert set(keys.values()) == {1}
    assert {event["revision"] for event in played.events} == {0}
