"""The `rules:` section of the config: a metric beyond a threshold for some windows."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from stream_monitor.app.durations import ACCEPTED
from stream_monitor.app.metric_names import check_metric_name
from stream_monitor.app.section import Duration, Name, PositiveDuration, Section, default
from stream_monitor.events.alert import Severity

_NUMBER = "a number; exactly one of above and below"


class RuleConfig(Section):
    """`above` xor `below`; selectors that are null match everything."""

    name: Name = Field(description="a rule name of 1 to 200 characters")
    metric: Annotated[str, AfterValidator(check_metric_name)] = Field(description="the name of a metric")
    above: float | None = default(None, _NUMBER, allow_inf_nan=False)
    below: float | None = default(None, _NUMBER, allow_inf_nan=False)
    clear: float | None = default(None, "a number on the quiet side of the threshold", allow_inf_nan=False)
    for_: int = default(1, "a whole number of windows, 1 or more", alias="for", ge=1, le=100_000)
    severity: Severity = default("warning", "info, warning or critical")
    model: Name | None = default(None, "a model name, or null for all")
    feature: Name | None = default(None, "a feature name, or null for all")
    class_: Name | None = default(None, "a class, or null for all", alias="class")
    segment: dict[str, str] | None = default(None, 'a mapping such as {country: DE}, "all", or null for every segment')
    window: str | None = default(None, 'a window such as "5m" or "1h/5m", or null for all')
    cooldown: Duration = default("0s", ACCEPTED)
    keep_firing_for: Duration = default("0s", ACCEPTED)
    stale_after: PositiveDuration | None = default(None, f"{ACCEPTED}, or null for 10 windows")

    @field_validator("below")
    @classmethod
    def _one_threshold(cls, below: float | None, info: ValidationInfo) -> float | None:
        if "above" in info.data and (info.data["above"] is None) == (below is None):
            raise ValueError("exactly one of above and below")
        return below

    @field_validator("clear")
    @classmethod
    def _quiet_side(cls, clear: float | None, info: ValidationInfo) -> float | None:
        above, below = info.data.get("above"), info.data.get("below")
        if clear is not None and above is not None and clear > above:
            raise ValueError(f"a number not greater than above, {above:g}")
        if clear is not None and below is not None and clear < below:
            raise ValueError(f"a number not smaller than below, {below:g}")
        return clear

    @field_validator("segment", mode="before")
    @classmethod
    def _label_form(cls, value: object) -> object:
        """ "all", "country=DE,plan=x" and {country: DE} all name a segment; keys may keep their "tags."."""
        if value == "all":
            return {}
        if isinstance(value, str):
            parts = [part.split("=", 1) for part in value.split(",")]
            if any(len(part) != 2 or not part[0].strip() for part in parts):
                raise ValueError('"all", or key=value pairs such as "country=DE,plan=x"')
            value = {key.strip(): text for key, text in parts}
        if isinstance(value, dict):
            return {str(key).removeprefix("tags."): text for key, text in value.items()}
        return value
