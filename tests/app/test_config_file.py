"""Whatever stands in a config file, it is read or refused as a config, and in no time."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from stream_monitor.app.config_file import read_config_file
from stream_monitor.errors import ConfigError

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)
WIDE = f"a: &a [{','.join('x' * 1_500)}]\nmodels: [{{name: m, segments: [{','.join(['*a'] * 1_500)}]}}]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 2026-99-99", "a value that is no timestamp in line 1"),
        ("\na: " + "9" * 5_000, "a value that is no int in line 2"),
        ("a: !!int abc", "a value that is no int"),
        ("a: !!bool x", "a value that is no bool"),
        ("a: !!float x", "a value that is no float"),
        ("a: !!timestamp x", "a value that is no timestamp"),
        ("a: &a [*a]", "a recursive value"),
        (BOMB, "aliases that unfold to more than 100000 values"),
        (WIDE, "aliases that unfold to more than 100000 values"),
    ],
)
def test_what_yaml_itself_would_choke_on_is_refused_with_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    started = time.monotonic()
    with pytest.raises(ConfigError) as refusal:
        read_config_file(path)
    assert said in str(refusal.value)
    assert time.monotonic() - started < 20


def test_aliases_within_reason_are_what_they_stand_for(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("common: &c {size: 5m}\nmodels:\n  - {name: a, windows: [*c]}\n  - {name: b, windows: [*c]}\n")
    assert [model["windows"] for model in read_config_file(path)["models"]] == [[{"size": "5m"}]] * 2
