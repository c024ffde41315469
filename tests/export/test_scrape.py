"""What a scrape says: parses, passes promtool, says what the board holds, and its counters only grow."""

from __future__ import annotations

import gc
import gzip
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from stream_monitor.errors import SetupError
from stream_monitor.events.names import TimeBasis
from stream_monitor.export import names
from stream_monitor.export.board import Board
from stream_monitor.export.collector import registry_of
from stream_monitor.export.commits import (
    EvaluateCommitted,
    HistogramIncrement,
    IngestCommitted,
    LoopWorked,
    ModelInfo,
)
from stream_monitor.export.garbage import GarbageWatch
from stream_monitor.export.http import MonitoringServer
from stream_monitor.export.policy import HttpPolicy
from stream_monitor.pipeline.latency import BOUNDS_SECONDS
from tests.export.events import alert, metric
from tests.export.promtool import promtool

ANY_PORT = HttpPolicy(port=0)


def collected() -> GarbageWatch:
    with GarbageWatch() as watch:
        gc.collect()
    return watch


GARBAGE = collected()


def full_board() -> Board:
    """Every family with at least one sample, names that need escaping among them."""
    board = Board()
    board.publish_evaluate(
        EvaluateCommitted(
            0,
            board.clock(),
            metrics=[
                metric("predictions", 10.0),
                metric("psi", 0.3),
                metric("csi", 0.25, feature='in"come\\\n'),
                metric("missing_ratio", 0.5, feature="age"),
                metric("accuracy", 0.9, basis=TimeBasis.LABEL),
            ],
            alerts=[alert()],
            watermarks_ms={("credit", "prediction"): 1_000},
            models=[ModelInfo("credit", "binary", "training", "abc")],
            changes={("credit", "error", "adwin"): 1},
            limited={("credit", "series"): 1},
            trimmed={"metrics": 1},
        )
    )
    publish_ingest(board)
    board.publish_loop(LoopWorked("ingest", {"process": 0.25}, [5_000, 7], [0.02], {"panes": 3}, 1, 1, {"memory": 1}))
    board.count_reaction("webhook", "done")
    board.count_http_refusal("method")
    return board


def publish_ingest(board: Board) -> None:
    increment = HistogramIncrement.of([0.003, 100.0, 1e9], BOUNDS_SECONDS)
    board.publish_ingest(
        IngestCommitted(
            board.clock(),
            consumed={"predictions": 3},
            rejected={("predictions", "too_large"): 1},
            left_out={("predictions", "too_large"): 1},
            predictions={("credit", "1"): 2},
            joined={("credit", "joined"): 1},
            join_entries=1,
            join_bytes=70,
            held_bytes=900,
            lag={("predictions", 0): 5},
            processing_seconds=[0.1],
            latency={"credit": increment},
            label_delay={"credit": increment},
        )
    )


@pytest.fixture
def board() -> Board:
    return full_board()


@pytest.fixture
def server(board: Board) -> Iterator[MonitoringServer]:
    running = MonitoringServer(ANY_PORT, registry_of(board, GARBAGE, version="0.1.0"))
    running.start()
    yield running
    running.stop()


def get(url: str, **headers: str) -> tuple[int, str, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            body = answer.read()
            if answer.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            return answer.status, body.decode(), answer.headers["Content-Type"]
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers["Content-Type"]


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.mark.promtool
def test_promtool_finds_no_fault_in_a_full_scrape_nor_in_an_empty_one(server: MonitoringServer) -> None:
    _, text, _ = get(server.url + "/metrics")
    assert promtool("check", "metrics", stdin=text.encode()) == ""
    empty = MonitoringServer(ANY_PORT, registry_of(Board(), GarbageWatch(), version="0.1.0"))
    empty.start()
    try:
        _, text, _ = get(empty.url + "/metrics")
    finally:
        empty.stop()
    assert promtool("check", "metrics", stdin=text.encode()) == ""


def test_every_name_of_the_names_file_is_in_a_full_scrape_with_its_type_help_and_labels(
    server: MonitoringServer,
) -> None:
    _, text, content_type = get(server.url + "/metrics")
    assert content_type.startswith("text/plain")
    found = {family.name: family for family in text_string_to_metric_families(text)}
    assert set(found) == {family.name.removesuffix("_total") for family in names.FAMILIES}
    for family in names.FAMILIES:
        said = found[family.name.removesuffix("_total")]
        assert (said.type, said.documentation) == (family.kind, family.help)
        assert {sample.name for sample in said.samples} == set(family.sample_names)
        assert {frozenset(sample.labels) - {"le"} for sample in said.samples} == {frozenset(family.labels)}


def test_the_numbers_are_those_of_the_board_and_names_survive_escaping(server: MonitoringServer) -> None:
    found = samples(get(server.url + "/metrics")[1])
    csi = {name: value for (name, labels), value in found.items() if ("feature", 'in"come\\\n') in labels}
    assert csi == {"streammonitor_drift_score": 0.25, "streammonitor_drift_ratio": 1.25}
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name == "streammonitor_prediction_latency_seconds_bucket"
    }
    assert (buckets["0.0025"], buckets["0.005"], buckets["600.0"], buckets["+Inf"]) == (0, 1, 2, 3)


def test_openmetrics_and_gzip_are_given_to_who_asks_for_them(server: MonitoringServer) -> None:
    headers = {"Accept": "application/openmetrics-text; version=1.0.0", "Accept-Encoding": "gzip"}
    _, text, content_type = get(server.url + "/metrics", **headers)
    assert content_type.startswith("application/openmetrics-text")
    assert {family.name for family in parse_openmetrics(text)} == {
        family.name.removesuffix("_total") for family in names.FAMILIES
    }


def test_counters_and_histograms_only_grow_whatever_is_dropped(server: MonitoringServer, board: Board) -> None:
    growing = {name for family in names.FAMILIES if family.kind != "gauge" for name in family.sample_names}
    before = samples(get(server.url + "/metrics")[1])
    publish_ingest(board)
    board.drop_partition(0)
    board.drop_worker()
    after = samples(get(server.url + "/metrics")[1])
    counters = [key for key in before if key[0] in growing]
    assert len(counters) > 50
    assert all(after[key] >= before[key] for key in counters)
    assert [key for key in after if key[0] not in growing] == [("streammonitor_build_info", (("version", "0.1.0"),))]


def test_ready_names_what_is_missing_and_a_predicate_that_raises_is_missing_too() -> None:
    state = {"assigned": False}

    def broken() -> bool:
        raise RuntimeError("gone")

    ready = {"assigned": lambda: state["assigned"], "broker": broken}
    server = MonitoringServer(ANY_PORT, registry_of(Board(), GarbageWatch(), version="0"), ready=ready)
    server.start()
    try:
        assert get(server.url + "/-/healthy")[:2] == (200, "healthy\n")
        assert get(server.url + "/-/ready")[:2] == (503, "not ready: assigned, broker\n")
        state["assigned"] = True
        assert get(server.url + "/-/ready")[:2] == (503, "not ready: broker\n")
        assert get(server.url + "/nowhere")[0] == 404
    finally:
        server.stop()


def test_a_port_that_is_taken_is_one_clear_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = MonitoringServer(HttpPolicy(port=port), registry_of(Board(), GarbageWatch(), version="0"))
        with pytest.raises(SetupError, match=rf"needs a free port; 127\.0\.0\.1:{port} is taken → .*prometheus\.port"):
            server.start()
        server.stop()


def test_an_address_that_is_not_this_machines_is_named() -> None:
    server = MonitoringServer(HttpPolicy(host="203.0.113.1", port=0), registry_of(Board(), GarbageWatch(), version="0"))
    with pytest.raises(SetupError, match=r"cannot listen on 203\.0\.113\.1:0 .* → .*prometheus\.host"):
        server.start()


def test_the_port_is_free_again_after_stop() -> None:
    first = MonitoringServer(ANY_PORT, registry_of(Board(), GarbageWatch(), version="0"))
    first.start()
    first.stop()
    second = MonitoringServer(HttpPolicy(port=first.port), registry_of(Board(), GarbageWatch(), version="0"))
    second.start()
    second.stop()
    assert second.port == first.port
