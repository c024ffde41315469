"""Help: it names everything, cuts nothing off, and starts quickly, since commands import what they need themselves."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.files import write_config

COMMANDS = ("demo", "init", "validate", "topics", "profile", "schema", "run", "backtest", "doctor", "generate")
HEAVY = {
    "aiohttp", "aiokafka", "asyncio", "confluent_kafka", "faust", "msgspec", "numpy", "orjson", "prometheus_client",
    "pydantic", "rich", "river", "rocksdict", "scipy", "structlog", "yaml",
}  # fmt: skip


def imported(*words: str) -> set[str]:
    """Top-level modules that one command leaves imported in a process of its own; what it prints goes to stderr."""
    program = (
        "import sys\n"
        "real, sys.stdout = sys.stdout, sys.stderr\n"
        f"sys.argv = ['stream-monitor', *{words!r}]\n"
        "from stream_monitor.cli.main import main\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=real)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return set(said.stdout.split())


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option: str) -> None:
    assert not imported(option) & HEAVY


@pytest.mark.parametrize("words", [("backtest",), ("profile", "build")])
def test_help_of_a_command_imports_nothing_heavy_but_what_typer_reads_options_with(words: tuple[str, ...]) -> None:
    assert not imported(*words, "--help") & HEAVY - {"pydantic"}


def test_a_config_is_checked_without_what_only_a_run_needs(tmp_path: Path) -> None:
    needless = {"aiohttp", "aiokafka", "faust", "prometheus_client", "rich", "river", "rocksdict", "scipy"}
    config = write_config(tmp_path, reference="{}")
    assert not imported("validate", "-c", str(config)) & needless


def test_help_names_every_command_with_its_whole_sentence(run: Run) -> None:
    text = run("--help").stdout
    for command in COMMANDS:
        assert f"\n  {command} " in text
    assert "..." not in text.replace("[ARGS]...", "")
    assert "needs no Kafka and leaves nothing behind." in " ".join(text.split())


@pytest.mark.parametrize("words", [("topics",), ("profile",), ()])
def test_a_group_without_a_command_shows_its_help(run: Run, words: tuple[str, ...]) -> None:
    said = run(*words)
    assert said.exit_code == 2
    assert "Commands:" in said.output


def test_help_of_a_command_says_what_is_required_and_what_the_default_is(run: Run) -> None:
    text = " ".join(run("profile", "build", "--help").stdout.split())
    assert "--model NAME A model of the config. [required]" in text
    assert "default: stream-monitor.yaml" in text
