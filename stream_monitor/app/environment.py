"""Environment variables that override the config file: `STREAM_MONITOR_KAFKA__BOOTSTRAP_SERVERS=broker:9092`.

`__` goes one level down, a number picks an entry of a list, names are in capitals. Values are read as YAML, as in
the file. Below `kafka` a single `_` stands for the dot that shells do not allow in names. Names without `__` that
are no key of the config are left alone: Kubernetes gives every pod STREAM_MONITOR_PORT and the like by itself.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

PREFIX = "STREAM_MONITOR_"
_OURS_ALONE = ("STREAM_MONITOR_TEST_", "STREAM_MONITOR_CONFIG")  # read by the tests and the command line


class FileAndEnvironment(PydanticBaseSettingsSource):
    """The one source of the settings: the file's mapping with the environment laid over it.

    One source instead of pydantic-settings' usual two, since those merge mappings but replace whole lists, and a
    model's settings stand in a list. A variable whose path does not fit the config becomes an unknown key under
    its own name, so that validation reports it with everything else.
    """

    def __init__(self, settings: type[BaseSettings], file: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self._file = file

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:
        return self._file.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return overlay(self._file, os.environ, self.settings_cls)


def overlay(file: Mapping[str, Any], environ: Mapping[str, str], root: type[BaseModel]) -> dict[str, Any]:
    """A copy of the file's mapping with the overrides of `environ`."""
    merged: dict[str, Any] = _copy(file)
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name.startswith(_OURS_ALONE):
            continue
        parts = name[len(PREFIX) :].lower().split("__")
        if len(parts) == 1 and parts[0] not in root.model_fields:
            continue
        if parts[0] == "kafka":
            parts = [parts[0], *(part.replace("_", ".") for part in parts[1:])]
        try:
            value = yaml.safe_load(environ[name])
        except yaml.YAMLError:
            value = environ[name]
        if not _put(merged, parts, value):
            merged[name] = value
    return merged


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
