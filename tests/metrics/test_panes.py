from __future__ import annotations

import random
from math import log

import numpy as np
import pytest

from stream_monitor.events.names import ReferenceKind, Status
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.metrics.comparison import Comparison
from stream_monitor.metrics.figure import Figure
from stream_monitor.metrics.panes import label_figures, prediction_figures
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.confusion import Confusion
from stream_monitor.sketches.ddsketch import DDSketch
from stream_monitor.sketches.exact_sum import ExactSum
from stream_monitor.sketches.pane import LabelPane, PredictionPane
from stream_monitor.sketches.regression import RegressionSums
from stream_monitor.sketches.score_counts import ScoreCounts
from tests.metrics.worlds import counted, profile_of

POLICY = MetricPolicy()
BINARY = OutcomePolicy(Task.BINARY, positive_class="1")
MULTICLASS = OutcomePolicy(Task.MULTICLASS)
REGRESSION = OutcomePolicy(Task.REGRESSION)
Found = dict[tuple[str, str | None, str | None], Figure]


def named(figures: list[Figure]) -> Found:
    found = {(figure.metric, figure.feature, figure.class_): figure for figure in figures}
    assert len(found) == len(figures), "each figure once"
    return found


def figures_of(pane: PredictionPane, profile: Profile | None) -> list[Figure]:
    return prediction_figures(pane, None if profile is None else Comparison(profile), POLICY)


def rows(seed: int, n: int, shift: float = 0.0) -> tuple[dict[str, list[object]], list[object]]:
    rng = np.random.default_rng(seed)
    income: list[object] = rng.normal(shift, 1, n).tolist()
    for i in range(0, n, 20):
        income[i] = None
    region: list[object] = rng.choice(["EU", "US", "AS"], n).tolist()
    children: list[object] = rng.integers(0, 4, n).astype(float).tolist()
    return {"income": income, "region": region, "children": children}, rng.random(n).tolist()


@pytest.fixture(scope="module")
def profile() -> Profile:
    return profile_of(*rows(0, 2_000))


def index(reference: list[int], window: list[int], novel: int | None = None) -> float:
    m, n = sum(reference), sum(window) + (novel or 0)
    e0 = 0.5 / (m + 1) if novel is not None else 0.0
    pairs = [((1 - e0) * r / m, w) for r, w in zip(reference, window, strict=True)]
    pairs += [(e0, novel)] if novel else []
    smoothed = [(e, (w + 5 * e) / (n + 5)) for e, w in pairs]
    return sum((a - e) * log(a / e) for e, a in smoothed)


def test_an_empty_window_says_only_that_it_is_empty(profile: Profile) -> None:
    (figure,) = figures_of(PredictionPane(), profile)
    assert (figure.metric, figure.value, figure.status, figure.n) == ("predictions", 0.0, Status.NO_DATA, 0)


def test_csi_of_a_continuous_feature_equals_a_recomputation_from_the_rows(profile: Profile) -> None:
    reference, window = rows(0, 2_000)[0]["income"], rows(1, 500, shift=0.4)[0]["income"]
    pane = counted(profile, *rows(1, 500, shift=0.4))
    figure = named(figures_of(pane, profile))["csi", "income", None]
    cuts = [part.low for part in figure.bins if part.low is not None]
    counts = [
        [int(c) for c in np.bincount(np.searchsorted(cuts, [v for v in side if v is not None], side="right"))]
        + [sum(v is None for v in side)]
        for side in (reference, window)
    ]
    assert len(counts[0]) == len(figure.bins) == 11
    assert figure.bins[-1].bin == "missing"
    assert figure.value == pytest.approx(index(*counts), abs=1e-12)
    assert (figure.n, figure.n_reference) == (500, 2_000)
    assert [part.actual for part in figure.bins] == pytest.approx([c / 500 for c in counts[1]])
    assert [part.expected for part in figure.bins] == pytest.approx([c / 2_000 for c in counts[0]])
    assert (figure.reference_id, figure.reference_kind) == (profile.id, ReferenceKind.TRAINING)
    assert figure.schema_id == profile.schema_id
    assert figure.null_band is not None
    assert figure.value > figure.null_band.p95
    assert figure.p_value is not None
    assert figure.p_value < 1e-6


def test_values_the_reference_lacks_are_one_novel_bin(profile: Profile) -> None:
    columns, scores = rows(2, 400)
    columns["region"][:40] = ["MOON"] * 40
    columns["children"][:8] = [9.0] * 8
    found = named(figures_of(counted(profile, columns, scores), profile))
    for feature, novel in (("region", 40), ("children", 8)):
        figure = found["csi", feature, None]
        names = [part.bin.removeprefix("=") for part in figure.bins[:-1]]
        sides = [
            [sum(_text(value) == name for value in side[feature]) for name in names]
            for side in (rows(0, 2_000)[0], columns)
        ]
        assert figure.value == pytest.approx(index(*sides, novel), abs=1e-12)
        last = figure.bins[-1]
        assert (last.bin, last.low, last.high, last.expected, last.actual) == ("novel", None, None, 0.0, novel / 400)
        assert figure.p_value is not None
        assert figure.p_value < 1e-3
    assert found["unseen_ratio", "region", None].value == 0.1
    assert found["out_of_range_ratio", "children", None].value == 0.02


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def test_rare_missing_values_are_judged_as_a_ratio_and_are_no_rows_of_the_index(profile: Profile) -> None:
    columns, scores = rows(3, 400)
    columns["children"][:100] = [None] * 100
    found = named(figures_of(counted(profile, columns, scores), profile))
    assert (found["csi", "children", None].n, found["csi", "children", None].n_reference) == (300, 2_000)
    assert found["missing_ratio", "children", None].value == 0.25
    assert found["missing_ratio", "children", None].n == 400
    assert found["invalid_ratio", "children", None].value == 0.0


def test_invalid_numbers_are_counted_apart(profile: Profile) -> None:
    columns, scores = rows(3, 100)
    columns["income"][1:11] = [float("inf")] * 10
    found = named(figures_of(counted(profile, columns, scores), profile))
    assert found["invalid_ratio", "income", None].value == 0.1
    assert found["csi", "income", None].n == 90


def test_a_feature_without_a_valid_value_has_no_data_and_no_made_up_zero(profile: Profile) -> None:
    columns, scores = rows(3, 50)
    columns["region"] = [None] * 50
    found = named(figures_of(counted(profile, columns, scores), profile))
    for metric in ("csi", "unseen_ratio"):
        figure = found[metric, "region", None]
        assert (figure.value, figure.status, figure.n, figure.bins) == (None, Status.NO_DATA, 0, ())
    assert found["missing_ratio", "region", None].value == 1.0


def test_few_rows_have_a_value_but_are_insufficient(profile: Profile) -> None:
    figures = figures_of(counted(profile, *rows(4, 29)), profile)
    assert figures[0].status is Status.OK
    assert {figure.status for figure in figures[1:]} == {Status.INSUFFICIENT_DATA}
    assert all(figure.value is not None for figure in figures)


def test_psi_is_of_the_output(profile: Profile) -> None:
    columns, scores = rows(5, 500)
    drifted = [float(score) ** 3 for score in scores]  # type: ignore[arg-type]
    found = named(figures_of(counted(profile, columns, drifted), profile))
    quiet = named(figures_of(counted(profile, columns, scores), profile))
    assert (found["psi", None, None].value or 0) > 0.2 > (quiet["psi", None, None].value or 0)


def test_psi_of_a_multiclass_model_is_of_the_predicted_class() -> None:
    columns = {"x": list(np.random.default_rng(0).normal(size=300))}
    profile = profile_of(columns, ["a", "b", "c"] * 100, task=Task.MULTICLASS, positive_class=None)
    pane = counted(profile, {"x": columns["x"][:100]}, ["a"] * 90 + ["d"] * 10)
    figure = named(figures_of(pane, profile))["psi", None, None]
    assert figure.value == pytest.approx(index([100, 100, 100], [90, 0, 0], 10), abs=1e-12)


def test_without_a_profile_or_on_other_bins_there_is_no_reference(profile: Profile) -> None:
    pane = counted(profile, *rows(6, 100))
    (_, psi) = figures_of(pane, None)
    assert (psi.metric, psi.value, psi.status, psi.reference_id) == ("psi", None, Status.NO_REFERENCE, None)

    other = profile_of(*rows(7, 2_000))
    for mixed in (pane, _joined(pane, counted(other, *rows(8, 1)))):
        found = named(figures_of(mixed, other))
        drift = [figure for figure in found.values() if figure.metric in ("psi", "csi")]
        assert len(drift) == 4
        assert {(figure.value, figure.status) for figure in drift} == {(None, Status.NO_REFERENCE)}
        assert found["predictions", None, None].status is Status.OK


def test_events_that_were_not_binned_make_the_window_one_without_reference(profile: Profile) -> None:
    pane = counted(profile, *rows(9, 100))
    pane.n += 1
    assert named(figures_of(pane, profile))["psi", None, None].status is Status.NO_REFERENCE


def test_before_a_profile_missing_and_invalid_shares_are_known() -> None:
    pane = PredictionPane(n=40)
    pane.add_raw({"x": [1.0] * 30 + [[]] * 6 + [None] * 4})
    found = named(figures_of(pane, None))
    assert found["missing_ratio", "x", None].value == 0.1
    assert found["invalid_ratio", "x", None].value == 0.15


def test_latency_figures_come_where_it_was_measured(profile: Profile) -> None:
    pane = counted(profile, *rows(10, 60))
    assert not any(figure.metric.startswith("latency") for figure in figures_of(pane, profile))
    pane.latency, pane.latency_sum = DDSketch(), ExactSum()
    pane.latency.update(np.full(60, 0.25))
    pane.latency_sum.update(np.full(60, 0.25))
    assert named(figures_of(pane, profile))["latency_mean", None, None].value == 0.25


def test_the_order_of_merges_changes_no_figure(profile: Profile) -> None:
    parts = [counted(profile, *rows(seed, 50 + seed)) for seed in range(6)]
    expected = figures_of(_joined(*parts), profile)
    random.Random(0).shuffle(parts)
    assert figures_of(_joined(*parts), profile) == expected


def _joined(*panes: PredictionPane) -> PredictionPane:
    whole = PredictionPane()
    for pane in panes:
        whole.merge(pane)
    return whole


# ── labels ──


def scored(class_: str, n: int = 200, bins: int = 256) -> ScoreCounts:
    rng = np.random.default_rng(11)
    positive = rng.random(n) < 0.5
    counts = ScoreCounts()
    counts.update(class_, np.clip(rng.normal(0.4 + 0.2 * positive, 0.2), 0, 1), positive, np.arange(1, bins) / bins)
    return counts


def test_label_counts_come_where_there_is_something_they_are_about() -> None:
    assert label_figures(LabelPane(), None, BINARY, POLICY, pending=0) == []
    pane = LabelPane(joined=8, deadlines=2, delay=DDSketch())
    assert pane.delay is not None
    pane.delay.update(np.full(8, 30.0))
    found = named(label_figures(pane, None, BINARY, POLICY, pending=5))
    counts = {name: (found[name, None, None].value, found[name, None, None].n) for name, *_ in list(found)[:3]}
    assert counts == {"labels_joined": (8.0, 8), "labels_expired": (2.0, 10), "labels_pending": (5.0, 15)}
    assert found["label_delay_p50", None, None].value == pytest.approx(30, rel=0.01)
    assert ("labels_orphaned", None, None) not in found


def test_orphans_come_where_the_pane_counts_labels() -> None:
    found = named(label_figures(LabelPane(labels=10, waiting=3), None, BINARY, POLICY, pending=None))
    assert [(f.metric, f.value, f.n) for f in found.values()] == [("labels_orphaned", 3.0, 10)]


def test_binary_labels_give_classes_and_ranking_of_the_positive_class() -> None:
    pane = LabelPane(joined=200, confusion=Confusion(), scores={"s": scored("1")})
    assert pane.confusion is not None
    pane.confusion.update(["1"] * 100 + ["0"] * 100, ["1"] * 150 + ["0"] * 50)
    found = named(label_figures(pane, None, BINARY, POLICY, pending=None))
    assert found["accuracy", None, None].value == 0.75
    assert found["auc_roc", None, None].status is Status.OK
    assert found["auc_roc", None, None].schema_id == "s"
    assert {class_ for _, _, class_ in found} == {None}


def test_multiclass_ranking_comes_for_each_class_and_as_macro_mean() -> None:
    counts = scored("a")
    counts.merge(scored("b", n=400))
    pane = LabelPane(joined=400, scores={"s": counts})
    found = named(label_figures(pane, None, MULTICLASS, POLICY, pending=None))
    for metric in ("auc_roc", "gini", "ks_separation"):
        a, b, mean = (found[metric, None, class_] for class_ in ("a", "b", None))
        assert mean.value == pytest.approx(((a.value or 0) + (b.value or 0)) / 2)
        assert mean.error_bound == pytest.approx(((a.error_bound or 0) + (b.error_bound or 0)) / 2)


def test_scores_on_two_sets_of_bins_in_one_window_are_not_ranked() -> None:
    pane = LabelPane(joined=400, scores={"s": scored("1"), "uniform256": scored("1")})
    found = named(label_figures(pane, None, BINARY, POLICY, pending=None))
    for metric in ("auc_roc", "gini", "ks_separation"):
        assert (found[metric, None, None].value, found[metric, None, None].status) == (None, Status.NO_REFERENCE)


def test_regression_labels_give_errors_only() -> None:
    sums = RegressionSums()
    sums.update(np.arange(50.0), np.arange(50.0) + 1)
    pane = LabelPane(joined=50, errors=sums)
    found = named(label_figures(pane, None, REGRESSION, POLICY, pending=None))
    assert [name for name, *_ in found] == ["labels_joined", "labels_expired", "rmse", "mae", "r2"]
    assert found["rmse", None, None].value == 1.0
