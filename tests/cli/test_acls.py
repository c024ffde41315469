"""acls: what it prints for a person, and whom it gives rights to."""

from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.cli.files import write_config


@pytest.mark.parametrize(
    ("principal", "meant"),
    [("bob", "User:bob"), ("User:", "User:NAME"), (":bob", "User:bob"), (" User:bob", "User:bob"), ("", "User:NAME")],
)
def test_a_principal_that_kafka_would_refuse_is_refused(run: Run, tmp_path: Path, principal: str, meant: str) -> None:
    said = run("acls", "-c", write_config(tmp_path, reference="{}"), "--principal", principal)
    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.strip().endswith(f"Kafka wants a type and a name, such as {meant}")


@pytest.mark.parametrize("principal", ["User:bob", "User:CN=Bob B,O=Us", "User:*"])
def test_commands_name_the_principal_and_the_file_they_connect_with(run: Run, tmp_path: Path, principal: str) -> None:
    words = ("acls", "-c", write_config(tmp_path, reference="{}"), "--principal", principal, "--format", "commands")
    first, second, *commands = run(*words, "--role", "reader").stdout.splitlines()
    assert first == "# admin.properties: how somebody connects who may change access lists"
    assert second == "# reader"
    assert all(line.startswith("kafka-acls.sh --bootstrap-server ") and principal in line for line in commands)
