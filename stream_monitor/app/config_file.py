"""Reads a config file: YAML without object construction, no key twice in a mapping, a bounded size."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from stream_monitor.errors import ConfigError, Problem

MAX_BYTES = 1 << 20


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a repeated key; plain YAML lets the last one win, which hides a mistake.

    Compared are the constructed keys, since 1 and true are one key of a Python mapping. Values are constructed from
    the inside out, so that one which holds itself is refused.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.deep_construct = True

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag.endswith(":merge"):
                continue
            key = self.construct_object(key_node)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.constructor.ConstructorError(None, None, f"key {key_node.value!r} twice (line {line})")
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_config_file(path: Path) -> dict[str, Any]:
    """The file's top-level mapping (empty for an empty file); ConfigError if it is none."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError([Problem(str(path), f"{size} bytes", f"a YAML file of at most {MAX_BYTES} bytes")])
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        accepted = "an existing YAML file; `stream-monitor init` writes a first one"
        raise ConfigError([Problem(str(path), "no such file", accepted)]) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "text that is not UTF-8"
        raise ConfigError([Problem(str(path), str(reason), "a readable YAML file in UTF-8")]) from None
    try:
        data = yaml.load(text, Loader=_Loader)  # a SafeLoader subclass
    except yaml.YAMLError as error:
        raise ConfigError([Problem(str(path), _one_line(error), "YAML")]) from None
    except RecursionError:
        raise ConfigError([Problem(str(path), "mappings nested too deeply", "YAML")]) from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError([Problem(str(path), f"a {type(data).__name__}", "a YAML mapping of sections")])
    return data


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "something that is not YAML"
    return f"{what} in line {mark.line + 1}" if mark is not None else str(what)
