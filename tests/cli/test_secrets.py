"""Every command, told secrets and made to fail or not, says none of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stream_monitor.app import run as app_run
from stream_monitor.app.connection import connected
from tests.cli.conftest import Run
from tests.cli.files import write_config, write_inputs

CANARY = "c4nary-7f3a"
SECRETS = f"""
kafka:
  bootstrap.servers: 127.0.0.1:1
  security.protocol: SASL_PLAINTEXT
  sasl.mechanism: PLAIN
  sasl.username: monitor
  sasl.password: {CANARY}-sasl
  ssl.key.password: {CANARY}-key
  debug: security,conf
privacy: {{hash_key: {CANARY}-hash}}
react: {{webhook: {{url: "http://u:{CANARY}-url@127.0.0.1:1/{CANARY}-path", headers: {{X-Key: {CANARY}-header}},
                  bearer_token: {CANARY}-hook}}}}
prometheus: {{port: 0, bearer_token: {CANARY}-0123456789, basic_auth: {{username: me, password: {CANARY}-basic}}}}
"""
COMMANDS = [
    "validate -c CONFIG",
    "doctor -c CONFIG",
    "topics create -c CONFIG",
    "run -c CONFIG",
    "backtest -c CONFIG --predictions PREDICTIONS --labels LABELS -o OUT",
    "profile build REFERENCE -c CONFIG --model credit -o OUT/p.json",
    "profile show OUT/p.json",
    "generate -c CONFIG --events 1",
    "schema",
]


def test_no_command_says_a_secret(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    reference, predictions, labels = write_inputs(tmp_path, n=200)
    config = write_config(tmp_path, reference="{}", more=SECRETS + f"state_dir: {tmp_path / 'state'}\n")
    words = {"CONFIG": config, "PREDICTIONS": predictions, "LABELS": labels, "REFERENCE": reference}
    monkeypatch.setattr(app_run, "configure_logs", lambda: None)
    # There is no broker: what is said of that does not depend on how long one waits.
    monkeypatch.setitem(connected.__kwdefaults__, "timeout_s", 0.1)
    written = ""
    for command in COMMANDS:
        line = command.replace("OUT", str(tmp_path / "out"))
        said = run(*(words.get(word, word) for word in line.split()))
        assert said.output, command
        written += said.output
    for text in ("kafka: {sasl.pasword: X}", "prometheus: {bearer_token: [X]}", "react: {webhook: {url: 'ftp://X'}}"):
        (tmp_path / "wrong.yaml").write_text(text.replace("X", CANARY))
        said = run("validate", "-c", tmp_path / "wrong.yaml")
        assert said.exit_code == 78
        written += said.output
    written += "".join(file.read_text() for file in (tmp_path / "out").iterdir())
    written += "".join(capfd.readouterr())
    assert "is valid" in written
    assert "no Kafka broker answers" in written
    assert CANARY not in written


CRASH = """
import sys
from stream_monitor.app import setup
def load(path, **_):
    from stream_monitor.app.config import load_config
    raise RuntimeError(f"unforeseen: {load_config(path).kafka}")
setup.load_setup = load
from stream_monitor.cli.main import main
main()
"""


def test_a_traceback_that_nobody_foresaw_is_without_them_too(tmp_path: Path) -> None:
    config = write_config(tmp_path, reference="{}", more=SECRETS)
    command = [sys.executable, "-c", CRASH, "validate", "-c", str(config)]
    said = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ})
    assert said.returncode == 1
    assert "RuntimeError: unforeseen: " in said.stderr
    assert "[redacted]" in said.stderr
    assert CANARY not in said.stderr + said.stdout
