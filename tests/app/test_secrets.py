"""Secrets come from the config, a variable or a file, and none of them leaves the process."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from stream_monitor.app.config import MonitorConfig, load_config
from stream_monitor.app.redaction import redact, remember
from stream_monitor.app.secrets import KAFKA_SECRETS, MAX_BYTES, SECRETS, file_key, section_of
from stream_monitor.errors import ConfigError

SECRET = "https://canary.example/c4nary-s3cret"  # fits every field that is a secret
BASE = {
    "react": {"webhook": {"url": "http://x"}},
    "prometheus": {"basic_auth": {"username": "me", "password": "12345678"}},
}


def config(folder: Path, path: tuple[str, ...], value: object, key: str | None = None) -> Path:
    """A config in which `value` stands at the path, under another last key if one is given."""
    data = json.loads(json.dumps(BASE))
    section = data
    for part in path[:-1]:
        section = section.setdefault(part, {})
    section.pop(path[-1], None)
    section[key or path[-1]] = value
    (folder / "c.yaml").write_text(yaml.safe_dump(data))
    return folder / "c.yaml"


def found(config: MonitorConfig, path: tuple[str, ...]) -> object:
    section = section_of(config.model_dump(), path)
    assert section is not None
    return section[path[-1]]


def variable(path: tuple[str, ...]) -> str:
    return "STREAM_MONITOR_" + "__".join(path).replace(".", "_").upper()


@pytest.mark.parametrize("path", SECRETS, ids=".".join)
def test_every_secret_may_stand_in_the_config_a_variable_or_a_file_named_by_either(
    path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    assert found(load_config(config(tmp_path, path, SECRET)), path) == SECRET
    assert found(load_config(config(tmp_path, path, "secret", file_key(path)[-1])), path) == SECRET
    file = config(tmp_path, path, "http://another/one")
    with monkeypatch.context() as environment:
        environment.setenv(variable(path), SECRET)
        assert found(load_config(file), path) == SECRET
    with monkeypatch.context() as environment:
        environment.setenv(variable(file_key(path)), str(tmp_path / "secret"))
        assert found(load_config(file), path) == SECRET, "the variable's file replaces the value of the config"
        environment.setenv(variable(path), SECRET)
        with pytest.raises(ConfigError, match="found both"):
            load_config(file)
    file = config(tmp_path, path, "missing", file_key(path)[-1])
    monkeypatch.setenv(variable(path), SECRET)
    assert found(load_config(file), path) == SECRET, "the variable replaces the file that the config names"


@pytest.mark.parametrize("path", SECRETS, ids=".".join)
def test_no_representation_of_a_config_shows_a_secret(path: tuple[str, ...], tmp_path: Path) -> None:
    loaded = load_config(config(tmp_path, path, SECRET))
    assert "c4nary" not in repr(loaded)
    assert "c4nary" not in str(loaded)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"", "an empty file"),
        (b"\n", "an empty file"),
        (b"x" * (MAX_BYTES + 1), f"more than {MAX_BYTES} bytes"),
        (b"\xff\xfe", "not UTF-8"),
        (b"a\0b", "NUL"),
    ],
)
def test_a_secrets_file_that_will_not_do_is_the_only_problem_named(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    for path in SECRETS:
        with pytest.raises(ConfigError) as caught:
            load_config(config(tmp_path, path, "secret", file_key(path)[-1]))
        (problem,) = caught.value.problems
        assert problem.path == ".".join(file_key(path))
        assert said in problem.found
        assert "a readable file" in problem.accepted


@pytest.mark.parametrize("value", [5, None, "", ["x"], "a\0b"])
def test_the_name_of_a_secrets_file_is_text(value: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="accepted: the path of a file"):
        load_config(config(tmp_path, ("privacy", "hash_key"), value, "hash_key_file"))


def test_a_folder_or_a_pipe_is_no_secrets_file(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    with pytest.raises(ConfigError, match="not a file"):
        load_config(config(tmp_path, ("privacy", "hash_key"), "secret", "hash_key_file"))
    with pytest.raises(ConfigError, match="not a file"):
        load_config(config(tmp_path, ("privacy", "hash_key"), "/dev/zero", "hash_key_file"))


@pytest.mark.parametrize(("content", "secret"), [("a b\n", "a b"), ("a\n\n", "a\n"), ("a\r\n", "a"), (" a ", " a ")])
def test_one_newline_at_the_end_is_no_part_of_the_secret(content: str, secret: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(content.encode())
    path = ("kafka", "sasl.password")
    assert found(load_config(config(tmp_path, path, "secret", file_key(path)[-1])), path) == secret


@pytest.mark.parametrize("text", ["0123", "null", "true", "a: b", "#x", "-----BEGIN KEY-----\nab\n-----END KEY-----\n"])
def test_a_secret_of_the_environment_is_taken_as_it_is_and_not_as_yaml(
    text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("")
    monkeypatch.setenv("STREAM_MONITOR_KAFKA__SASL_PASSWORD", text)
    assert load_config(tmp_path / "c.yaml").kafka["sasl.password"] == text


@pytest.mark.parametrize("name", KAFKA_SECRETS)
def test_a_number_for_a_secret_is_refused_since_yaml_may_have_changed_it(name: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"kafka: {{{name}: 0123}}")
    with pytest.raises(ConfigError, match="found a value that is not shown; accepted: text, in quotes"):
        load_config(tmp_path / "c.yaml")


class TestRedaction:
    @pytest.fixture(autouse=True)
    def _forgotten(self) -> object:
        yield
        remember(())

    def test_a_secret_is_found_however_it_is_written(self) -> None:
        secret = 'pä"s s\\w/örd'
        remember([secret, "https://hook.example/services/T0KEN?key=K3Y", "Bearer abcdef"], users=["me"])
        for text in (
            secret,
            json.dumps({"x": secret}),
            json.dumps({"x": secret}, ensure_ascii=False),
            repr(secret),
            quote(secret),
            quote(secret, safe=""),
            base64.b64encode(f"me:{secret}".encode()).decode(),
        ):
            assert "[redacted]" in redact(f"a {text} b")
            assert "örd" not in redact(text)
        assert redact("GET /services/T0KEN?key=K3Y") == "GET [redacted]"
        assert redact("abcdef") == "[redacted]"
        assert redact("https://hook.example/ and hook.example") == "https://hook.example/ and hook.example"

    def test_each_line_of_a_key_is_secret(self) -> None:
        remember(["-----BEGIN KEY-----\nQUJDREVGR0hJSktMTU5P\n-----END KEY-----\n"])
        assert redact("line QUJDREVGR0hJSktMTU5P") == "line [redacted]"
        assert redact("-----BEGIN KEY-----") == "-----BEGIN KEY-----"

    def test_what_is_too_short_to_tell_from_a_word_is_left(self) -> None:
        remember(["abc"])
        assert redact("abc abcd") == "abc abcd"

    def test_the_default_key_which_everybody_knows_is_no_secret(self, tmp_path: Path) -> None:
        (tmp_path / "c.yaml").write_text("privacy: {hash_key: stream-monitor}")
        load_config(tmp_path / "c.yaml")
        assert redact("stream-monitor run") == "stream-monitor run"

    @pytest.mark.parametrize(
        "text",
        [
            "kafka: {sasl.pasword: c4nary}",
            "react: [{webhook: {headers: {Authorization: c4nary}}}]",
            "privacy: {hash_keyy: c4nary}",
            "kafka: sasl.password=c4nary",
            "prometheus: {basic_auth: {password: [c4nary]}}",
            "prometheus: {bearer_token: {x: c4nary}}",
            "react: {webhook: http://c4nary}",
            "models: [{name: a, sasl.password: c4nary}]",
        ],
    )
    def test_a_secret_at_a_wrong_place_is_not_shown_either(self, text: str, tmp_path: Path) -> None:
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(ConfigError) as caught:
            load_config(tmp_path / "c.yaml")
        assert "c4nary" not in redact(str(caught.value))
