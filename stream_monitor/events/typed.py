"""Structs generated from feature layouts, so that one typed parse yields rows ready for columns.

A model's event struct is tagged with its model name: a union of them dispatches in the same single parse.
The generated structs have the attributes of PredictionRow; `model_name` is the class's, not stored per row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Union, cast

import msgspec
from msgspec import Struct, defstruct

from stream_monitor.events.columns import FeatureLayout
from stream_monitor.events.fields import (
    CategoryText,
    Integer,
    Name,
    PredictionId,
    Seconds,
    Tags,
    Timestamp,
)
from stream_monitor.events.prediction import UNKNOWN_VERSION, PredictionBody, PredictionRow

_NUMERIC = float | bool | None
# What msgspec refuses in field names: they would need escapes in JSON.
_UNPARSED = re.compile(r'[\x00-\x1f"\\]')
_CATEGORICAL = CategoryText | Integer | float | bool | None


class TypedModel:
    """The two structs of one model: its flat features and its event.

    `is_parsed` False: some name cannot be a field of a typed parse; rows of these structs are made leniently.
    """

    __slots__ = ("event", "features", "is_parsed", "layout")

    def __init__(self, model_name: str, layout: FeatureLayout) -> None:
        self.layout = layout
        self.is_parsed = not any(map(_UNPARSED.search, layout.names))
        self.features = features_struct(layout, renamed=self.is_parsed)
        self.event = _event_struct(model_name, self.features)

    def row(self, *values: Any) -> PredictionRow:
        """A row from its attributes, in the order of the generated struct's fields; they are not checked."""
        return cast(PredictionRow, self.event(*values))


def features_struct(layout: FeatureLayout, *, renamed: bool = True) -> type[Struct]:
    """A struct of the layout's features in its order; absent and null are None. ValueError for a name that msgspec
    cannot parse, unless the fields keep names of ours."""
    # Field names are ours (f0, f1, …) since a feature's name need not be an identifier.
    fields = [(f"f{i}", _NUMERIC if kind == "numeric" else _CATEGORICAL, None) for i, kind in enumerate(layout.kinds)]
    rename = {f"f{i}": name for i, name in enumerate(layout.names)} if renamed else None
    return defstruct("Features", fields, rename=rename, gc=False)


def event_decoder(models: Mapping[str, TypedModel]) -> msgspec.json.Decoder[Any]:
    """One decoder for all models whose layout can be parsed; the tag says which.

    Raises msgspec.ValidationError for another model's event.
    """
    members: Iterable[type[Struct]] = [model.event for model in models.values() if model.is_parsed]
    # A lone tagged struct accepts events without the tag; a union insists on it.
    return msgspec.json.Decoder(Union[(*members, _Nobody)])


def _event_struct(model_name: str, features: type[Struct]) -> type[Struct]:
    fields: list[Any] = [
        ("prediction_id", PredictionId),
        ("timestamp", Timestamp),
        ("prediction", PredictionBody),
        ("features", features, msgspec.field(default_factory=features)),
        ("model_version", Name, UNKNOWN_VERSION),
        ("latency_seconds", Seconds | None, None),
        ("tags", Tags | None, None),
    ]
    return defstruct(
        "TypedPrediction",
        fields,
        namespace={"model_name": model_name},
        tag=model_name,
        tag_field="model_name",
        gc=False,
    )


class _Nobody(Struct, tag="\x00no model has this name", tag_field="model_name"):
    # Whoever sends that very name is refused here too and read leniently, as any model without a layout.
    nothing: Annotated[str, msgspec.Meta(min_length=1, max_length=0)]
