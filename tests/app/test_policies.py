"""The config says in seconds and names what the frozen policies say in milliseconds and types."""

import yaml

from stream_monitor.alerts.rule import DEFAULT_RULES
from stream_monitor.app.config import MonitorConfig, parse_config
from stream_monitor.app.policies import decode_policy, policies_of
from stream_monitor.events.policy import Task, TimeBounds
from stream_monitor.pipeline.policy import Policies
from stream_monitor.windows.grid import WindowSpec
from tests.app.examples import CONTRACT


def config(text: str) -> MonitorConfig:
    return parse_config(yaml.safe_load(text) or {})


def policies(text: str) -> Policies:
    return policies_of(config(text))


def test_the_contracts_example() -> None:
    model = policies(CONTRACT).models["credit"]
    assert (model.outcome.task, model.outcome.positive_class) == (Task.BINARY, "1")
    assert model.windows == (WindowSpec(300_000, 300_000), WindowSpec(3_600_000, 300_000))
    assert model.reference.kind == "profile"
    assert (model.max_out_of_order_ms, model.allowed_lateness_ms) == (10_000, 120_000)
    assert model.segments == (("country",),)
    assert [detector.kind for detector in model.detectors] == ["adwin", "page_hinkley"]
    assert model.join is not None
    assert (model.join.join_window_ms, model.join.deduplicate_ms) == (86_400_000, 86_400_000)


def test_without_rules_the_built_in_ones_hold_and_an_empty_list_means_none() -> None:
    assert policies("").rules == DEFAULT_RULES
    assert policies("rules: []").rules == ()


def test_rules_carry_every_key() -> None:
    (rule,) = policies("""
        rules:
          - {name: r, metric: f1, below: 0.5, clear: 0.6, for: 3, severity: critical, model: m, feature: f, class: c,
             segment: {tags.plan: x, country: DE}, window: 1h/5m, cooldown: 1h, keep_firing_for: 5m, stale_after: 1d}
    """).rules
    assert (rule.metric, rule.below, rule.clear, rule.for_windows) == ("f1", 0.5, 0.6, 3)
    assert (rule.model, rule.feature, rule.class_, rule.segment) == ("m", "f", "c", "country=DE,plan=x")
    assert (rule.window, rule.cooldown_ms, rule.keep_firing_for_ms, rule.stale_after_ms) == (
        "1h/5m",
        3_600_000,
        300_000,
        86_400_000,
    )


def test_segments_of_rules_may_be_written_as_labels() -> None:
    text = "rules: [{{name: r, metric: psi, above: 1, segment: {}}}]"
    assert policies(text.format("all")).rules[0].segment == "all"
    assert policies(text.format("'plan=x,country=DE'")).rules[0].segment == "country=DE,plan=x"


def test_without_labels_nothing_is_joined_and_detectors_have_nothing_to_watch() -> None:
    model = policies("models: [{name: m}]").models["m"]
    assert model.join is None
    assert model.detectors == ()
    assert not model.joins_labels


def test_deduplication_works_without_labels() -> None:
    model = policies("models: [{name: m, deduplicate: {window: 1h}}]").models["m"]
    assert model.join is not None
    assert (model.join.join_window_ms, model.join.deduplicate_ms) == (None, 3_600_000)


def test_the_join_keeps_entries_for_what_comes_far_out_of_order() -> None:
    model = policies("models: [{name: m, labels: {}, max_out_of_order: 2h}]").models["m"]
    assert model.join is not None
    assert model.join.slack_ms == 7_320_000


def test_time_bounds_are_each_models_own() -> None:
    policy = decode_policy(config("models: [{name: m, max_past: null, max_future: 5m}]"))
    assert policy.bounds("m") == TimeBounds(None, 300_000)
    assert policy.bounds("another") == TimeBounds(604_800_000, 60_000)


def test_the_rest_of_the_config_arrives() -> None:
    found = policies("""
        topics: {predictions: p, labels: l, panes_partitions: 7}
        limits: {max_models: 3, max_series: 5}
        live_horizon: null
        idle_timeout: 5s
        revision_interval: 0
        privacy: {hash_key: k}
        dead_letters: {include_value: false}
        alerts: {target_false_alarms_per_day: 2, reject_flood: 0.5, stalled_after: 1m}
    """)
    assert (found.topics["predictions"], found.topics["labels"], found.panes_partitions) == ("p", "l", 7)
    assert (found.max_models, found.max_series, found.live_horizon_ms, found.idle_timeout_ms) == (3, 5, None, 5_000)
    assert (found.revision_interval_ms, found.hash_key, found.dead_letters.redact) == (0, b"k", True)
    assert (found.target_false_alarms_per_day, found.reject_flood_share, found.stalled_after_ms) == (2, 0.5, 60_000)
