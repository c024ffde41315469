"""Reads a config file: YAML without object construction, no key twice in a mapping, a bounded size.

Bounded is also what aliases unfold to: nine lines of nine aliases each are a few hundred bytes and a billion values.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from stream_monitor.errors import ConfigError, Problem

MAX_BYTES = 1 << 20
MAX_VALUES = 100_000  # with every alias written out
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


class _Loader(yaml.SafeLoader):
    """SafeLoader that refuses a repeated key; plain YAML lets the last one win, which hides a mistake.

    Compared are the constructed keys, since 1 and true are one key of a Python mapping. Values are constructed from
    the inside out, so that one which holds itself is refused. What int() or a date says to `!!int x` or to the 45th of
    a month, which PyYAML lets through, is a YAMLError with its line.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.deep_construct = True

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except _UNREADABLE:
            kind = node.tag.rpartition(":")[2]
            # The value is not shown: it may be a secret.
            raise yaml.constructor.ConstructorError(None, None, f"a value that is no {kind}", node.start_mark) from None

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


def load_yaml(text: str) -> Any:
    """One document. Raises YAMLError and RecursionError."""
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _unfolded(node, {}) > MAX_VALUES:
            raise yaml.constructor.ConstructorError(None, None, f"aliases that unfold to more than {MAX_VALUES} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _unfolded(node: yaml.Node, known: dict[int, int | None]) -> int:
    """How many values a node is with every alias written out. Each node is visited once."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise yaml.constructor.ConstructorError(None, None, "a recursive value", node.start_mark)
        return size
    known[id(node)] = None
    children = node.value if isinstance(node, yaml.SequenceNode) else (each for pair in node.value for each in pair)
    known[id(node)] = size = 1 + sum(_unfolded(child, known) for child in children)
    return size


def read_config_file(path: Path) -> dict[str, Any]:
    """The file's top-level mapping (empty for an empty file); ConfigError if it is none."""
    try:
        with path.open("rb") as file:  # not stat: a device or pipe has no size
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            found = f"more than {MAX_BYTES} bytes"
            raise ConfigError([Problem(str(path), found, f"a YAML file of at most {MAX_BYTES} bytes")])
        text = data.decode("utf-8")
    except FileNotFoundError:
        accepted = "an existing YAML file; `stream-monitor init` writes a first one"
        raise ConfigError([Problem(str(path), "no such file", accepted)]) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "text that is not UTF-8"
        raise ConfigError([Problem(str(path), str(reason), "a readable YAML file in UTF-8")]) from None
    try:
        content = load_yaml(text)
    except yaml.YAMLError as error:
        raise ConfigError([Problem(str(path), _one_line(error), "YAML")]) from None
    except RecursionError:
        raise ConfigError([Problem(str(path), "mappings nested too deeply", "YAML")]) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError([Problem(str(path), f"a {type(content).__name__}", "a YAML mapping of sections")])
    return content


def _one_line(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "something that is not YAML"
    return f"{what} in line {mark.line + 1}" if mark is not None else str(what)
