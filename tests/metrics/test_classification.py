from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from stream_monitor.events.metric import Cell
from stream_monitor.events.names import MetricName, Status
from stream_monitor.metrics.classification import classification_figures
from stream_monitor.metrics.figure import Figure
from stream_monitor.metrics.policy import MetricPolicy

POLICY = MetricPolicy()
Found = dict[tuple[str, str | None], Figure]


def by_name(pairs: dict[tuple[str, str], int], positive: str | None) -> Found:
    figures = classification_figures(pairs, positive, POLICY)
    found = {(figure.metric, figure.class_): figure for figure in figures}
    assert len(found) == len(figures)
    return found


classes = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.tuples(classes, classes), min_size=1, max_size=60))
def test_multiclass_figures_equal_scikit_learn_where_it_divides_by_more_than_zero(rows: list[tuple[str, str]]) -> None:
    actual, predicted = [a for a, _ in rows], [p for _, p in rows]
    found = by_name(Counter(rows), None)
    assert found["accuracy", None].value == pytest.approx(accuracy_score(actual, predicted))
    names = sorted({*actual, *predicted})
    columns = precision_recall_fscore_support(actual, predicted, labels=names, zero_division=np.nan)[:3]
    for metric, column in zip((MetricName.PRECISION, MetricName.RECALL, MetricName.F1), columns, strict=True):
        for name, expected in zip(names, column, strict=True):
            value = found[metric, name].value
            if metric is not MetricName.F1 and np.isnan(expected):
                assert value is None
            else:
                assert value == pytest.approx(np.nan_to_num(expected))
        if metric is not MetricName.F1:
            assert found[metric, None].value == pytest.approx(np.nanmean(column))


def test_binary_figures_are_of_the_positive_class() -> None:
    found = by_name({("1", "1"): 40, ("1", "0"): 10, ("0", "1"): 20, ("0", "0"): 130}, "1")
    assert found["accuracy", None].value == 170 / 200
    assert (found["precision", None].value, found["precision", None].n) == (40 / 60, 60)
    assert (found["recall", None].value, found["recall", None].n) == (40 / 50, 50)
    assert (found["f1", None].value, found["f1", None].n) == (80 / 110, 70)
    assert {key[1] for key in found} == {None}
    matrix = found["confusion_matrix", None]
    assert (matrix.value, matrix.n) == (None, 200)
    assert matrix.cells == (Cell("0", "0", 130), Cell("0", "1", 20), Cell("1", "0", 10), Cell("1", "1", 40))


def test_zero_of_zero_is_null_and_no_data() -> None:
    found = by_name({("0", "0"): 100}, "1")
    for metric in ("precision", "recall", "f1"):
        assert (found[metric, None].value, found[metric, None].status) == (None, Status.NO_DATA)
    assert (found["accuracy", None].value, found["accuracy", None].status) == (1.0, Status.OK)


def test_few_rows_of_a_class_are_insufficient_however_many_there_are_of_the_others() -> None:
    found = by_name({("1", "1"): 4, ("0", "0"): 1_000}, "1")
    assert (found["recall", None].value, found["recall", None].status) == (1.0, Status.INSUFFICIENT_DATA)
    assert found["accuracy", None].status is Status.OK


def test_pairs_retracted_to_zero_are_as_if_never_seen() -> None:
    assert classification_figures({("a", "b"): 0}, None, POLICY) == []
    assert by_name({("a", "a"): 3, ("a", "z"): 0}, None).keys() == by_name({("a", "a"): 3}, None).keys()


def test_beyond_the_limit_of_classes_accuracy_says_what_it_does_not_know() -> None:
    found = by_name({("a", "a"): 60, ("a", "__other__"): 20, ("__other__", "__other__"): 20}, None)
    accuracy = found["accuracy", None]
    assert (accuracy.value, accuracy.error_bound) == (0.7, 0.1)
    assert ("recall", "__other__") not in found


def test_a_macro_mean_is_as_good_as_its_weakest_class() -> None:
    found = by_name({("a", "a"): 100, ("b", "b"): 10}, None)
    assert found["recall", "a"].status is Status.OK
    assert (found["recall", None].status, found["recall", None].n) == (Status.INSUFFICIENT_DATA, 10)
