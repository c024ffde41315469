"""Turns what pydantic found wrong into `Problem(path, found, accepted)`, every one of them, in a person's words.

The accepted text is the field's own description; unknown keys get the nearest known one. Values of secret-looking
fields are never shown.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from stream_monitor.app.durations import ACCEPTED
from stream_monitor.errors import Problem

_SECRET = re.compile(
    r"pas+w|pwd|passphrase|secret|hash_key|token|webhook|authorization|headers|ssl\.key|\.key\.pem|credential"
    r"|basic_auth|oauthbearer\.(config|extensions)",
    re.IGNORECASE,
)
_YAML_WORDS = {None: "null", True: "true", False: "false"}
_SHOWN = 80  # characters of a wrong value: enough to find it, too few to flood a terminal

_VARIABLE = "STREAM_MONITOR_ and the keys on the way joined by __; entries of lists are numbered from 0"

Location = tuple[int | str, ...]


def problems_of(error: ValidationError, root: type[BaseModel]) -> list[Problem]:
    """One Problem an error, in the order of the config's sections."""
    return [_problem(details, root) for details in error.errors(include_url=False)]


def path_text(location: Location) -> str:
    """("models", 0, "windows", 1, "size") → "models[0].windows[1].size"."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "(whole file)"


def is_secret(path: str) -> bool:
    """Whether what stands at this path, or below it, may be a secret, by its name."""
    return _SECRET.search(path) is not None


def shown(value: object, path: str = "") -> str:
    """A wrong value as an error may show it: short, one line, no secrets."""
    if is_secret(path) or _holds_secret(value):
        return "a value that is not shown"
    text = _YAML_WORDS[value] if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _holds_secret(value: object) -> bool:
    """A mapping or list at the wrong place may hold what would be a secret at the right one."""
    if isinstance(value, Mapping):
        return any(is_secret(str(key)) or _holds_secret(item) for key, item in value.items())
    if isinstance(value, str):  # "sasl.password=…" where a mapping was meant
        return is_secret(value)
    return isinstance(value, (list, tuple)) and any(map(_holds_secret, value))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The accepted words, the nearest first said aloud."""
    names = list(known)
    near = get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{hint}one of {', '.join(names)}"


def _problem(details: Mapping[str, Any], root: type[BaseModel]) -> Problem:
    location: Location = details["loc"]
    kind: str = details["type"]
    path = path_text(location)
    if kind == "extra_forbidden":
        owner, _ = _field_at(root, location[:-1])
        if path.startswith("STREAM_MONITOR_"):
            return Problem(path, "a variable that fits no place of the config", _VARIABLE)
        return Problem(path, "an unknown key", did_you_mean(str(location[-1]), _keys(owner)))
    annotation, field = _field_at(root, location)
    found = "nothing" if kind == "missing" else shown(details["input"], path)
    return Problem(path, found, _accepted(kind, details, annotation, field))


def _accepted(kind: str, details: Mapping[str, Any], annotation: Any, field: FieldInfo | None) -> str:
    context = details.get("ctx") or {}
    if kind == "value_error":
        return str(context["error"])
    if kind == "model_type":
        return f"a mapping with keys {', '.join(_keys(annotation))}"
    if kind in ("enum", "literal_error"):
        return str(context["expected"]).replace("'", "")
    if field is not None and field.description:
        return field.description
    message: str = details["msg"]
    return ACCEPTED if kind == "duration" else message[:1].lower() + message[1:]


def _keys(annotation: Any) -> list[str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [field.alias or name for name, field in annotation.model_fields.items()]
    return []


def _field_at(root: Any, location: Location) -> tuple[Any, FieldInfo | None]:
    """The annotation at a location and the innermost field that describes it."""
    current: Any = root
    field: FieldInfo | None = None
    for part in location:
        current = _bare(current)
        if isinstance(current, type) and issubclass(current, BaseModel):
            fields = {f.alias or name: f for name, f in current.model_fields.items()}
            field = fields.get(str(part))
            if field is None:
                return None, None
            current = field.annotation
        elif get_origin(current) in (list, tuple):
            current = get_args(current)[0]
        elif get_origin(current) is dict:
            current = get_args(current)[1]
        else:
            return None, field
    return _bare(current), field


def _bare(annotation: Any) -> Any:
    """Without `| None` and Annotated."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            members = [member for member in get_args(annotation) if member is not types.NoneType]
            if len(members) != 1:
                return annotation
            annotation = members[0]
        else:
            return annotation
