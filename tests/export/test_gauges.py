"""Gauges of one model, against the rule in words: the newest window of each series, nothing else."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.names import Status, TimeBasis
from stream_monitor.export.gauges import ModelView, advance
from stream_monitor.export.policy import ExportPolicy
from tests.export.events import FIVE, HOUR, metric

DEFAULT = ExportPolicy()


def shown(*batches: list[MetricEvent], policy: ExportPolicy = DEFAULT) -> Mapping[tuple[str, tuple[str, ...]], float]:
    view = ModelView()
    for batch in batches:
        view = advance(view, batch, policy)
    return {(name.removeprefix("streammonitor_"), labels): value for (name, labels), value in view.gauges.items()}


def test_a_closed_window_shows_score_ratio_samples_and_end() -> None:
    found = shown([metric("predictions", 100.0), metric("csi", 0.3, feature="income"), metric("psi", 0.1)])
    drift = ("credit", "1", "all", "income", "csi", "training", "5m")
    assert found["drift_score", drift] == 0.3
    assert found["drift_ratio", drift] == pytest.approx(1.5)
    assert found["drift_score", ("credit", "1", "all", "", "psi", "training", "5m")] == 0.1
    assert found["window_samples", ("credit", "1", "all", "5m")] == 100
    assert found["window_end_timestamp_seconds", ("credit", "1", "all", "5m")] == 300


def test_a_newer_window_replaces_the_older_one_whole_and_an_older_one_changes_nothing() -> None:
    first = [metric("predictions", 100.0), metric("csi", 0.3, feature="income")]
    empty = metric("predictions", 0.0, start=FIVE, n=0, status=Status.NO_DATA)
    expected = {
        ("window_samples", ("credit", "1", "all", "5m")): 0.0,
        ("window_end_timestamp_seconds", ("credit", "1", "all", "5m")): 600.0,
    }
    assert shown(first, [empty]) == expected
    assert shown(first, [empty], first) == expected


def test_a_revision_updates_its_window_and_an_older_revision_does_not() -> None:
    psi = ("drift_score", ("credit", "1", "all", "", "psi", "training", "5m"))
    assert shown([metric("psi", 0.1)], [metric("psi", 0.2, revision=2)])[psi] == 0.2
    assert shown([metric("psi", 0.2, revision=2)], [metric("psi", 0.1, revision=1)])[psi] == 0.2


@pytest.mark.parametrize("status", [Status.INSUFFICIENT_DATA, Status.NO_REFERENCE, Status.NO_DATA])
def test_a_figure_that_is_not_ok_is_not_shown_and_takes_back_what_was(status: Status) -> None:
    assert shown([metric("psi", 0.4, status=status)]) == {}
    assert shown([metric("psi", 0.4)], [metric("psi", None, status=status, revision=1)]) == {}


def test_historical_windows_and_figures_of_the_whole_model_are_ignored() -> None:
    assert shown([metric("psi", 0.4, historical=True), metric("psi", 0.4, version=None)]) == {}


def test_by_default_segments_and_bigger_windows_and_other_drift_metrics_are_left_out() -> None:
    found = shown(
        [
            metric("psi", 0.1, size=HOUR, slide=FIVE),
            metric("psi", 0.2),
            metric("psi", 0.3, segment={"country": "DE"}),
            metric("unseen_ratio", 0.4, feature="income"),
        ]
    )
    assert {key[1][-1] for key in found} == {"5m"}
    assert {key[1][2] for key in found} == {"all"}
    assert {value for key, value in found.items() if key[0] == "drift_score"} == {0.2}


def test_a_smaller_window_seen_later_takes_the_place_of_the_bigger_one() -> None:
    found = shown([metric("psi", 0.1, size=HOUR)], [metric("psi", 0.2)])
    assert {key[1][-1] for key in found} == {"5m"}


def test_segments_windows_and_metrics_can_be_chosen() -> None:
    policy = ExportPolicy(
        drift_metrics=frozenset({"unseen_ratio"}), segments=None, windows=frozenset({"1h/5m"}), rules=()
    )
    found = shown(
        [
            metric("unseen_ratio", 0.4, feature="x", size=HOUR, slide=FIVE, segment={"plan": "a", "country": "DE"}),
            metric("unseen_ratio", 0.5, feature="x"),
            metric("psi", 0.1, size=HOUR, slide=FIVE),
        ],
        policy=policy,
    )
    assert found == {("drift_score", ("credit", "1", "country=DE,plan=a", "x", "unseen_ratio", "", "1h/5m")): 0.4}


def test_only_the_newest_two_versions_are_shown_and_ten_is_newer_than_nine() -> None:
    together = [metric("psi", 0.1, version=version) for version in ("9", "10", "8")]
    assert {key[1][1] for key in shown(together)} == {"9", "10"}
    later = [metric("psi", 0.1, version="0-rollback", start=FIVE)]
    assert {key[1][1] for key in shown(together, later)} == {"10", "0-rollback"}
    again = [metric("psi", 0.1, version="8", start=2 * FIVE)]
    assert {key[1][1] for key in shown(together, later, again)} == {"10", "0-rollback"}


def test_a_version_of_thousands_of_digits_is_only_a_name() -> None:
    found = shown([metric("psi", 0.1, version=version) for version in ("9" * 6_000, "7", "8")])
    assert {len(key[1][1]) for key in found} == {1, 6_000}


def test_performance_is_shown_by_its_time_basis_and_never_per_class() -> None:
    found = shown(
        [
            metric("f1", 0.8, basis=TimeBasis.LABEL, class_=None),
            metric("f1", 0.9, basis=TimeBasis.LABEL, class_="cat"),
            metric("accuracy", 0.7, basis=TimeBasis.LABEL),
            metric("confusion_matrix", None, basis=TimeBasis.LABEL),
        ]
    )
    assert found == {
        ("model_performance", ("credit", "1", "all", "f1", "5m", "label")): 0.8,
        ("model_performance", ("credit", "1", "all", "accuracy", "5m", "label")): 0.7,
    }


def test_the_ratio_takes_the_lowest_threshold_that_matches_and_is_absent_without_one() -> None:
    rules = (
        RulePolicy("a", "csi", above=0.4),
        RulePolicy("b", "csi", above=0.1, feature="income"),
        RulePolicy("c", "csi", above=0.01, model="other"),
        RulePolicy("d", "psi", below=0.5),
        RulePolicy("e", "psi", above=0.0),
    )
    found = shown(
        [metric("csi", 0.2, feature="income"), metric("csi", 0.2, feature="age"), metric("psi", 0.2)],
        policy=ExportPolicy(rules=rules),
    )
    ratios = {key[1][3]: value for key, value in found.items() if key[0] == "drift_ratio"}
    assert ratios == {"income": pytest.approx(2.0), "age": pytest.approx(0.5)}


def test_beyond_the_limit_gauges_are_left_out_counted_once_and_always_the_same_ones() -> None:
    policy = ExportPolicy(max_series=5)
    events = [metric("csi", 0.1, feature=f"f{number}") for number in range(4)] + [metric("predictions", 9.0, n=9)]
    first = advance(ModelView(), events, policy)
    assert (len(first.gauges), first.newly_left_out) == (5, 5)
    assert {name for name, _ in first.gauges} >= {"streammonitor_window_samples"}
    second = advance(first, list(reversed(events)), policy)
    assert second.gauges == first.gauges
    assert second.newly_left_out == 0


_EVENTS = st.lists(
    st.builds(
        lambda name, window, value, revision: metric(
            name, value, start=window * FIVE, revision=revision, feature="x" if name == "csi" else None
        ),
        st.sampled_from(["psi", "csi", "predictions"]),
        st.integers(0, 3),
        st.sampled_from([0.1, 0.2, 0.3]),
        st.just(0),
    ),
    max_size=20,
    unique_by=lambda event: (event.metric, event.window.start),
)


@given(_EVENTS, st.integers(1, 5), st.randoms(use_true_random=False))
def test_any_split_and_order_of_commits_shows_the_newest_window(events, parts, random) -> None:  # type: ignore[no-untyped-def]
    shuffled = list(events)
    random.shuffle(shuffled)
    split = [shuffled[number::parts] for number in range(parts)]
    newest = max((event.window.start for event in events), default=None)
    oracle = {
        (event.metric, event.value if event.metric != "predictions" else 100.0)
        for event in events
        if event.window.start == newest
    }
    found = {
        (labels[4] if name == "drift_score" else "predictions", value)
        for (name, labels), value in shown(*split).items()
        if name in ("drift_score", "window_samples")
    }
    assert found == oracle
