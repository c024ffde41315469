"""Log lines are JSON when piped; warnings of other libraries come the same way."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from stream_monitor.app.logs import configure_logs


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
