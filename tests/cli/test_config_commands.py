"""init, validate, schema, and how commands end."""

import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from stream_monitor import __version__
from stream_monitor.app import run as app_run
from tests.app.examples import CONTRACT
from tests.cli.conftest import Run
from tests.cli.files import write_config


def test_a_fresh_config_is_valid(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "new" / "monitor.yaml"
    assert run("init", file).exit_code == 0
    result = run("validate", "-c", file)
    assert result.exit_code == 0
    assert "my-model" in result.stdout


def test_validate_says_in_one_line_how_much_memory_the_config_can_need(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "monitor.yaml"
    file.write_text("models: [{name: credit, labels: {join_window: 1h}, segments: [[tags.country]]}]")
    (line,) = [line for line in run("validate", "-c", file).stdout.splitlines() if line.startswith("Memory at all")]
    assert re.fullmatch(
        r"Memory at all limits: ingest \d+ MiB, evaluate \d+ MiB and 1\.91 MiB a million join entries; "
        r"limits\.memory_budget is 8 GiB\.",
        line,
    )


def test_init_never_overwrites(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "monitor.yaml"
    file.write_text("mine")
    result = run("init", file)
    assert result.exit_code == 1
    assert "left alone" in result.stderr
    assert file.read_text() == "mine"


def test_validate_lists_all_problems_and_exits_78(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "monitor.yaml"
    file.write_text("topicz: {}\nprometheus: {port: x}\nmodels: [{task: binary}]\n")
    result = run("validate", "-c", file)
    assert result.exit_code == 78
    assert "4 problems" in result.stderr
    for path in ("topicz", "prometheus.port", "models[0].name", "models[0].positive_class"):
        assert path in result.stderr


def test_validate_wants_the_profiles_to_be_there(run: Run, tmp_path: Path) -> None:
    result = run("validate", "-c", write_config(tmp_path))
    assert result.exit_code == 78
    assert "models[0].reference.profile" in result.stderr
    assert "stream-monitor profile build" in result.stderr


@pytest.mark.parametrize("content", [b"", b"{}", b'{"v": 99}', b"\xff", b'{"v": 1, "x": 1}'])
def test_a_broken_profile_is_a_problem_of_the_config(run: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "credit.json").write_bytes(content)
    result = run("validate", "-c", write_config(tmp_path))
    assert result.exit_code == 78
    assert "credit.json" in result.stderr


def test_validate_asks_librdkafka_about_its_properties(run: Run, tmp_path: Path) -> None:
    file = write_config(
        tmp_path, reference="{}", more="kafka: {fetch.min.bytez: 1, security.protocol: foo, linger.ms: 5}\n"
    )
    result = run("validate", "-c", file)
    assert result.exit_code == 78
    assert "did you mean 'fetch.min.bytes'?" in result.stderr
    assert "kafka.security.protocol" in result.stderr
    assert "linger" not in result.stderr


@pytest.mark.parametrize(
    ("property_", "said"),
    [
        ("bootstrap.severs: x", "kafka.bootstrap.severs: found 'x'; accepted: a librdkafka property; did you mean"),
        # Each is accepted by itself.
        ("security.protocol: ssl, ssl.ca.location: none.pem", "kafka: found what librdkafka refuses: "),
    ],
)
@pytest.mark.parametrize("command", ["topics create", "run", "generate"])
def test_commands_say_of_a_wrong_property_what_validate_says(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, property_: str, said: str
) -> None:
    monkeypatch.setattr(app_run, "stop_on_signals", threading.Event)
    monkeypatch.setattr(app_run, "configure_logs", lambda: None)
    file = write_config(tmp_path, reference="{}", more=f"kafka: {{bootstrap.servers: 'localhost:1', {property_}}}\n")
    file.write_text(file.read_text() + f"state_dir: {tmp_path / 'state'}\n")
    result = run(*command.split(), "-c", file)
    assert result.exit_code == 78
    assert said in result.stderr
    assert "1 problem:" in result.stderr


def test_the_contracts_example_asks_only_for_its_profile(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "monitor.yaml"
    file.write_text(CONTRACT)
    assert "has 1 problem:" in run("validate", "-c", file).stderr


def test_a_missing_config_says_how_to_make_one(run: Run, tmp_path: Path) -> None:
    result = run("validate", "-c", tmp_path / "none.yaml")
    assert result.exit_code == 78
    assert "stream-monitor init" in result.stderr


def test_the_config_may_be_named_by_the_environment(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_MONITOR_CONFIG", str(write_config(tmp_path, reference="{}")))
    assert run("validate").exit_code == 0


def test_schema_prints_json_schemas(run: Run) -> None:
    everything = json.loads(run("schema").stdout)
    assert {"prediction", "label", "metric", "alert"} <= set(everything)
    assert json.loads(run("schema", "label").stdout) == everything["label"]
    wrong = run("schema", "nonsense")
    assert wrong.exit_code == 2
    assert "accepted: prediction" in wrong.stderr


def test_unknown_commands_and_options_are_usage_errors(run: Run) -> None:
    assert run("nonsense").exit_code == 2
    assert run("validate", "--nonsense").exit_code == 2
    assert run("run", "--role", "nonsense").exit_code == 2


def test_the_installed_command_knows_its_version_and_writes_no_colour_into_a_pipe(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stream_monitor.cli.main"]
    said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout == f"stream-monitor {__version__}\n"
    wrong = subprocess.run(
        [*command, "validate", "-c", str(tmp_path / "none.yaml")], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 78
    assert "\x1b" not in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    line = f"{sys.executable} -m stream_monitor.cli.main schema | head -c 10"
    said = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, text=True, check=False)
    assert said.returncode == 0
    assert said.stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run --workers 99", "'--workers': accepted: at most 64"),
        ("run --workers -1", "'--workers': accepted: 0 or more"),
        ("run --port x", "'--port': accepted: a whole number"),
        ("generate --missing x", "'--missing': accepted: a number"),
        ("run --role x", "'--role': found 'x'; accepted: one of 'repartition', 'ingest', 'evaluate', 'react'."),
    ],
)
def test_a_wrong_value_for_an_option_is_answered_in_our_words(run: Run, words: str, said: str) -> None:
    result = run(*words.split())
    assert result.exit_code == 2
    assert said in result.stderr
