"""Environment variables that override the config file: `STREAM_MONITOR_KAFKA__BOOTSTRAP_SERVERS=broker:9092`.

`__` goes one level down, a number picks an entry of a list, names are in capitals. Values are read as YAML, as in
the file; secrets are taken as they are, and may stand in a file named by the same variable with `_FILE` (secrets.py).
Below `kafka` a single `_` stands for the dot that shells do not allow in names. Names without `__` that
are no key of the config are left alone: Kubernetes gives every pod STREAM_MONITOR_PORT and the like by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel

from stream_monitor.app.config_file import load_yaml
from stream_monitor.app.secrets import COUNTERPARTS, SECRETS, section_of

PREFIX = "STREAM_MONITOR_"
_OURS_ALONE = ("STREAM_MONITOR_TEST_", "STREAM_MONITOR_CONFIG")  # read by the tests and the command line


def overlay(file: Mapping[str, Any], environ: Mapping[str, str], root: type[BaseModel]) -> dict[str, Any]:
    """A copy of the file's mapping with the overrides of `environ`.

    A variable whose path does not fit the config becomes an unknown key under its own name, so that validation reports
    it with everything else.
    """
    merged: dict[str, Any] = _copy(file)
    given = {name: path for name in sorted(environ) if (path := _path(name, root)) is not None}
    for path in given.values():
        # A secret of the environment replaces the file's, in whichever of both ways either is given.
        if path in COUNTERPARTS and (section := section_of(merged, path)) is not None:
            section.pop(COUNTERPARTS[path][-1], None)
    for name, path in given.items():
        if not _put(merged, list(path), _value(environ[name], secret=path in SECRETS)):
            merged[name] = environ[name]
    return merged


def _path(name: str, root: type[BaseModel]) -> tuple[str, ...] | None:
    """The keys on the way to what a variable sets; None if it is no override."""
    if not name.startswith(PREFIX) or name.startswith(_OURS_ALONE):
        return None
    parts = name[len(PREFIX) :].lower().split("__")
    if len(parts) == 1 and parts[0] not in root.model_fields:
        return None
    return (parts[0], *(part.replace("_", ".") for part in parts[1:])) if parts[0] == "kafka" else tuple(parts)


def _value(text: str, *, secret: bool) -> Any:
    if secret:  # YAML would make numbers of 0123 and null of null
        return text
    try:
        return load_yaml(text)
    except (yaml.YAMLError, RecursionError):
        return text


def _copy(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


def _put(container: Any, parts: list[str], value: Any) -> bool:
    """Set the value at the path, making mappings and list entries on the way; False if the path does not fit."""
    part, rest = parts[0], parts[1:]
    key: Any = part
    if isinstance(container, list) and part.isdecimal() and int(part) <= len(container):
        key = int(part)
        if key == len(container):
            container.append(None)
    elif not isinstance(container, dict) or not part:
        return False
    if not rest:
        container[key] = value
        return True
    inside = container[key] if isinstance(container, list) else container.get(key)
    if inside is None:
        inside = container[key] = [] if rest[0].isdecimal() else {}
    return _put(inside, rest, value)
