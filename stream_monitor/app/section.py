"""What all sections of the config share: unknown keys refused, frozen, and the field types of the YAML.

A field's `description` is what an error shows as *accepted*, so each says it in a person's words, range included.
Cross checks between fields of one section are field validators that read the earlier fields, not model validators:
those would be skipped as soon as any other field is wrong, and a wrong config must list all its errors at once.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from stream_monitor.app.durations import ACCEPTED, parse_duration
from stream_monitor.app.sizes import parse_size


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)


def _positive(milliseconds: int) -> int:
    if milliseconds <= 0:
        raise ValueError(f"{ACCEPTED}, more than 0")
    return milliseconds


# Defaults are written as in YAML ("5m") and validated like it, so code and starter file read alike.
Duration = Annotated[int, BeforeValidator(parse_duration)]
PositiveDuration = Annotated[int, BeforeValidator(parse_duration), AfterValidator(_positive)]
Size = Annotated[int, BeforeValidator(parse_size)]


def _class_name(value: object) -> object:
    """Classes are canonical strings; YAML reads 1, 1.0 and true as other types."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return value


ClassName = Annotated[str, BeforeValidator(_class_name), Field(min_length=1, max_length=200)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


def default(value: Any, accepted: str, **constraints: Any) -> Any:
    """A field with a default and the sentence an error shows as accepted."""
    return Field(default=value, description=accepted, **constraints)
