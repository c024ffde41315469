"""Log lines are JSON when piped; warnings of other libraries come the same way."""

import io
import json
import logging
import time
from collections.abc import Iterator

import pytest
import structlog
from confluent_kafka import Producer

from stream_monitor.app.logs import configure_logs
from stream_monitor.app.redaction import remember
from stream_monitor.kafka.client_log import CLIENT_LOG, Seldom, logged


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def test_piped_lines_are_json_whoever_writes_them() -> None:
    out = io.StringIO()
    configure_logs(out)
    structlog.get_logger("x").info("running", parts=["ingest"])
    logging.getLogger("aiokafka").warning("broker %s is slow", "b1")
    logging.getLogger("aiokafka").info("chatter")
    ours, theirs = (json.loads(line) for line in out.getvalue().splitlines())
    assert (ours["event"], ours["parts"], ours["level"]) == ("running", ["ingest"], "info")
    assert (theirs["event"], theirs["logger"], theirs["level"]) == ("broker b1 is slow", "aiokafka", "warning")
    assert ours["timestamp"].endswith("Z")


def test_a_failure_carries_its_traceback_in_one_line() -> None:
    out = io.StringIO()
    configure_logs(out)
    try:
        raise KeyError("x")
    except KeyError as error:
        structlog.get_logger().error("unexpected failure", exc_info=error)
    (line,) = out.getvalue().splitlines()
    assert "KeyError" in json.loads(line)["exception"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_the_sentence_without_ids_and_nulls() -> None:
    out = Terminal()
    configure_logs(out)
    structlog.get_logger().info(
        "alert firing", summary="income drifts", fingerprint="f0", labels={"a": 1}, ends_at=None
    )
    (line,) = out.getvalue().splitlines()
    assert "alert firing" in line
    assert "income drifts" in line
    assert not any(word in line for word in ("fingerprint", "labels", "ends_at"))


@pytest.mark.parametrize("out", [io.StringIO(), Terminal()], ids=["piped", "terminal"])
def test_no_line_holds_a_secret_neither_ours_nor_a_librarys_nor_a_traceback(out: io.StringIO) -> None:
    remember(['c4nary "s3cret"'])
    configure_logs(out)
    try:
        password = 'c4nary "s3cret"'
        raise RuntimeError(f"refused {password}")
    except RuntimeError as error:
        structlog.get_logger().error("failure", exc_info=error, where={"deep": [error]})
        logging.getLogger("aiokafka").error("login as %s", password, exc_info=error)
    CLIENT_LOG.error("%s [%s] %s", "SASL", f"rdkafka#{id(out)}", f"with {password}")
    remember(())
    assert out.getvalue().count("[redacted]") >= 5
    assert "s3cret" not in out.getvalue()


def test_librdkafkas_own_lines_come_as_json_and_a_flood_of_them_is_counted() -> None:
    out = io.StringIO()
    configure_logs(out)
    client = Producer(logged({"bootstrap.servers": "127.0.0.1:1"}))
    deadline = time.monotonic() + 30
    while "librdkafka" not in out.getvalue() and time.monotonic() < deadline:
        client.poll(0.1)
    first = json.loads(out.getvalue().splitlines()[0])
    assert (first["logger"], first["level"]) == ("stream_monitor.librdkafka", "error")
    assert "Connection refused" in first["event"]


def test_of_each_kind_of_line_one_in_ten_seconds_is_let_through() -> None:
    now = [0.0]
    seldom = Seldom(10.0, lambda: now[0])

    def said(kind: str, level: int = logging.WARNING) -> str | None:
        record = logging.LogRecord("x", level, "", 0, "%s [%s] %s", (kind, "client", "text"), None)
        return record.getMessage() if seldom.filter(record) else None

    assert said("FAIL") == "FAIL [client] text"
    assert [said("FAIL"), said("FAIL")] == [None, None]
    assert said("SASL") == "SASL [client] text", "another kind"
    assert [said("FAIL", logging.DEBUG)] * 2 == ["FAIL [client] text"] * 2, "debug lines were asked for"
    now[0] = 10.0
    assert said("FAIL") == "FAIL [client] text (and 2 more of this kind before)"
    assert said("FAIL") is None
