from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from stream_monitor.events.names import MetricName, Status
from stream_monitor.metrics.policy import MetricPolicy
from stream_monitor.metrics.ranking import RANKING_METRICS, ranking, ranking_figures

POLICY = MetricPolicy()


def binned(scores: np.ndarray, positive: np.ndarray, edges: np.ndarray) -> np.ndarray:
    codes = edges.searchsorted(scores, side="right")
    return np.array([np.bincount(codes[positive == side], minlength=len(edges) + 1) for side in (False, True)])


def exact_ks(positives: np.ndarray, negatives: np.ndarray) -> float:
    """The largest distance of the two distribution functions, at each score there is."""
    scores = [*positives, *negatives]
    return max(abs(float(np.mean(positives <= at)) - float(np.mean(negatives <= at))) for at in scores)


rows = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=80)
cuts = st.lists(st.floats(0, 1), min_size=1, max_size=12, unique=True)


@given(rows, cuts)
def test_the_figures_of_the_raw_scores_lie_within_the_error_bound(
    pairs: list[tuple[float, bool]], edges: list[float]
) -> None:
    scores, positive = np.array([s for s, _ in pairs]), np.array([p for _, p in pairs])
    if positive.all() or not positive.any():
        return
    found = ranking(binned(scores, positive, np.sort(edges)))
    assert found is not None
    assert abs(found.auc - roc_auc_score(positive, scores)) <= found.auc_bound + 1e-12
    exact = exact_ks(scores[positive], scores[~positive])
    assert abs(found.ks - exact) <= found.ks_bound + 1e-12


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=2, max_size=60))
def test_with_a_bin_for_each_score_the_area_is_exact(pairs: list[tuple[int, bool]]) -> None:
    scores, positive = np.array([s for s, _ in pairs]), np.array([p for _, p in pairs])
    if positive.all() or not positive.any():
        return
    found = ranking(binned(scores, positive, np.arange(5)))
    assert found is not None
    assert found.auc == pytest.approx(roc_auc_score(positive, scores))
    assert found.ks == pytest.approx(exact_ks(scores[positive], scores[~positive]))


def test_gini_is_twice_the_area_minus_one_with_twice_the_bound() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(2_000) < 0.3
    scores = np.clip(rng.normal(0.4 + 0.2 * positive, 0.2), 0, 1)
    figures = ranking_figures(binned(scores, positive, np.arange(1, 256) / 256), POLICY, schema_id="s")
    auc, gini, ks = figures
    assert tuple(figure.metric for figure in figures) == RANKING_METRICS
    assert auc.value is not None
    assert auc.error_bound is not None
    assert (gini.value, gini.error_bound) == (2 * auc.value - 1, 2 * auc.error_bound)
    assert auc.error_bound < 0.005
    assert {f.status for f in (auc, gini, ks)} == {Status.OK}
    assert (auc.n, auc.schema_id) == (2_000, "s")


def test_fewer_than_thirty_of_a_class_are_insufficient_but_have_a_value() -> None:
    figures = ranking_figures(np.array([[500, 0], [0, 29]]), POLICY)
    assert {figure.status for figure in figures} == {Status.INSUFFICIENT_DATA}
    assert figures[0].value == 1.0


def test_without_one_of_the_classes_there_is_no_value() -> None:
    figures = ranking_figures(np.array([[500, 10], [0, 0]]), POLICY)
    assert {(figure.value, figure.error_bound, figure.status) for figure in figures} == {
        (None, None, Status.INSUFFICIENT_DATA)
    }
    assert ranking_figures(np.zeros((2, 4), np.int64), POLICY) == []


def test_all_rows_in_one_bin_tell_nothing_and_say_so() -> None:
    auc, gini, ks = ranking_figures(np.array([[0, 50], [0, 50]]), POLICY)
    assert (auc.metric, auc.value, auc.error_bound) == (MetricName.AUC_ROC, 0.5, 0.5)
    assert (gini.value, gini.error_bound) == (0.0, 1.0)
    assert (ks.value, ks.error_bound) == (0.0, 1.0)
