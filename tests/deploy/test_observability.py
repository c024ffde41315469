"""Prometheus and Grafana files: valid, and about metrics that are really exported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_monitor.export import names
from tests.export.promtool import promtool

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES: dict[str, Any] = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
DASHBOARDS = sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
SCRAPE_LABELS = {"job", "instance", "le"}

EXPORTED = {name: family for family in names.FAMILIES for name in family.sample_names}


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def dashboard_queries() -> list[str]:
    found = []
    for path in DASHBOARDS:
        dashboard = json.loads(path.read_text())
        found += [target["expr"] for panel in panels(dashboard) for target in panel["targets"]]
        found += [each["definition"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    return found


def rule_queries() -> list[str]:
    return [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("query", [*dashboard_queries(), *rule_queries()])
def test_every_metric_and_label_of_a_query_is_exported(query: str) -> None:
    used = set(re.findall(rf"{names.PREFIX}\w+", query))
    assert used <= set(EXPORTED)
    known = SCRAPE_LABELS.union(*(EXPORTED[name].labels for name in used))
    matched = re.findall(r"[{,]\s*(\w+)\s*[=!]~?", query)
    grouped = re.findall(r"(?:by|on)\s*\(([^)]*)\)", query)
    asked = set(matched) | {label.strip() for labels in grouped for label in labels.split(",")}
    asked |= set(re.findall(r"label_values\(.*, (\w+)\)", query))
    assert asked <= known
    assert used or "up{" in query


def test_the_first_dashboard_shows_what_was_promised() -> None:
    shown = " ".join(dashboard_queries())
    for name in (
        "drift_ratio",
        "drift_score",
        "model_performance",
        "prediction_latency_seconds_bucket",
        "labels_joined_total",
        "consumer_lag_messages",
        "alert_active",
        "loop_seconds_total",
    ):
        assert names.PREFIX + name in shown


def test_panels_do_not_overlap_and_use_the_provisioned_data_source() -> None:
    (path,) = DASHBOARDS
    dashboard = json.loads(path.read_text())
    cells = [
        (x, y)
        for panel in panels(dashboard)
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    ids = [panel["id"] for panel in panels(dashboard)]
    assert len(ids) == len(set(ids))
    source = yaml.safe_load((ROOT / "deploy/grafana/provisioning/datasources/prometheus.yml").read_text())
    variables = {each["name"]: each for each in dashboard["templating"]["list"]}
    assert variables["datasource"]["current"]["value"] == source["datasources"][0]["uid"]
    assert {panel["datasource"]["uid"] for panel in panels(dashboard)} == {"${datasource}"}


def test_grafana_finds_the_dashboard_where_compose_mounts_it() -> None:
    provider = yaml.safe_load((ROOT / "deploy/grafana/provisioning/dashboards/dashboards.yml").read_text())
    path = provider["providers"][0]["options"]["path"]
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    assert f"./deploy/grafana/dashboards:{path}:ro" in grafana["volumes"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert home.parent == Path(path)
    assert home.name in [found.name for found in DASHBOARDS]


@pytest.mark.promtool
def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    promtool("check", "rules", str(PROMETHEUS / "rules.yml"))


@pytest.mark.promtool
def test_promtool_accepts_every_query_of_the_dashboard(tmp_path: Path) -> None:
    queries = [query for query in dashboard_queries() if not query.startswith("label_values")]
    rules = [{"record": f"q{number}", "expr": query} for number, query in enumerate(queries)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(queries)} rules found" in promtool("check", "rules", str(path))


@pytest.mark.promtool
def test_the_rules_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    """promtool's own unit tests of rules, over made-up series."""
    drift = '{job="stream-monitor", model_name="credit", model_version="1", feature="income", metric="csi"}'
    watermark = '{job="stream-monitor", model_name="credit", time_basis="prediction"}'
    healthy = [
        {"series": f"streammonitor_drift_ratio{drift}", "values": "0.9x60"},
        {"series": f"streammonitor_watermark_timestamp_seconds{watermark}", "values": "0+60x60"},
        {
            "series": 'streammonitor_events_consumed_total{job="stream-monitor", topic="predictions"}',
            "values": "0+60x60",
        },
        {"series": 'streammonitor_consumer_lag_messages{job="stream-monitor", topic="predictions"}', "values": "9x60"},
        {"series": 'up{job="stream-monitor"}', "values": "1x60"},
        {
            "series": 'streammonitor_loop_seconds_total{job="stream-monitor", role="ingest", step="wait"}',
            "values": "0+30x60",
        },
        {
            "series": 'streammonitor_transactions_aborted_total{job="stream-monitor", role="ingest"}',
            "values": "0+0x30 1+0x30",
        },
    ]
    broken = [
        {**healthy[0], "values": "1.5x60"},
        {**healthy[1], "values": "60x60"},
        healthy[2],
        {**healthy[3], "values": "200000x60"},
        {**healthy[4], "values": "0x60"},
        {**healthy[5], "values": "0+1x60"},
        {**healthy[6], "values": "0+1x60"},
    ]
    # What fires is counted by PromQL itself: annotations and labels need not be repeated here.
    fires = {"ModelDrift", "WatermarkStalled", "ConsumerLag", "MonitorDown", "LoopSaturated", "TransactionsAborted"}
    tests = []
    for series, expected in ((healthy, set()), (broken, fires)):
        tests.append(
            {
                "interval": "1m",
                "input_series": series,
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertstate="firing", alertname="{rule["alert"]}"}}) or vector(0)',
                        "eval_time": "40m",
                        "exp_samples": [{"labels": "{}", "value": 1 if rule["alert"] in expected else 0}],
                    }
                    for rule in RULES["groups"][0]["rules"]
                ],
            }
        )
    path = tmp_path / "test.yml"
    settings = {"rule_files": [str(PROMETHEUS / "rules.yml")], "evaluation_interval": "1m", "tests": tests}
    path.write_text(yaml.safe_dump(settings))
    promtool("test", "rules", str(path))
