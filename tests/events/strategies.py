"""Events as hypothesis makes them: plain, odd, and broken."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from stream_monitor.events.columns import FeatureLayout

RECORD_MS = 1_795_169_730_000  # 2026-11-20T10:15:30Z
LAYOUT = FeatureLayout(("income", "age", "region", "a.b"), ("numeric", "numeric", "categorical", "numeric"))
OTHER_LAYOUT = FeatureLayout(("region", "income"), ("categorical", "categorical"))
LAYOUTS = {"credit": LAYOUT, "fraud": OTHER_LAYOUT}

# Beyond 64 bits msgspec may round an integer to a float one unit in the last place off; see lenient.py.
integers = st.integers(-(2**63), 2**63 - 1)
floats = st.floats(allow_nan=False, allow_infinity=False)
text = st.text(max_size=8)
scalars = st.one_of(st.none(), st.booleans(), integers, floats, text)
junk = st.one_of(
    scalars,
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 2**64, 10**400, -(10**30), "x" * 2_000]),
    st.lists(scalars, max_size=3),
    st.dictionaries(text, scalars, max_size=3),
)


def sometimes(good: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Mostly good values, now and then junk."""
    return st.integers(0, 9).flatmap(lambda i: junk if i == 0 else good)


def _optional(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def timestamps() -> st.SearchStrategy[Any]:
    return st.one_of(
        st.sampled_from(["2026-11-20T10:15:30.123Z", "2026-11-20T11:15:29.9999+01:00"]),
        st.integers(RECORD_MS // 1_000 - 3_600, RECORD_MS // 1_000),
        st.floats(RECORD_MS / 1_000 - 3_600, RECORD_MS / 1_000),
    )


def bodies(value: Any = sometimes) -> st.SearchStrategy[dict[str, Any]]:
    return _optional(
        label=value(scalars),
        score=value(st.none() | st.floats(0, 1)),
        scores=value(st.none() | st.dictionaries(text, st.floats(0, 1), max_size=4)),
        value=value(st.none() | floats | integers),
    )


def predictions(value: Any = sometimes) -> st.SearchStrategy[dict[str, Any]]:
    """Prediction events; `value=lambda s: s` makes none that is wrong."""
    names = st.sampled_from([*LAYOUT.names, "unlisted", "trace"])
    required = {
        "model_name": value(st.sampled_from(["credit", "fraud", "unlisted"])),
        "prediction_id": value(st.text(min_size=1, max_size=8)),
        "timestamp": value(timestamps()),
        "prediction": value(bodies(value)),
    }
    optional = {
        "features": value(st.dictionaries(names, value(scalars), max_size=6)),
        "model_version": value(st.text(min_size=1, max_size=4)),
        "latency_seconds": value(st.none() | st.floats(0, 10)),
        "tags": value(st.none() | st.dictionaries(text, text, max_size=3)),
        "trace_id": junk,
    }
    return _broken(required, optional, value)


def labels(value: Any = sometimes) -> st.SearchStrategy[dict[str, Any]]:
    required = {
        "model_name": value(st.sampled_from(["credit", "fraud"])),
        "prediction_id": value(st.text(min_size=1, max_size=8)),
        "timestamp": value(timestamps()),
        "actual": value(
            st.fixed_dictionaries({"label": value(scalars)}) | st.fixed_dictionaries({"value": value(floats)})
        ),
    }
    optional = {
        "prediction": value(bodies(value)),
        "model_version": value(st.text(min_size=1, max_size=4)),
        "prediction_timestamp": value(timestamps()),
        "tags": value(st.none() | st.dictionaries(text, text, max_size=3)),
    }
    return _broken(required, optional, value)


def _broken(required: Any, optional: Any, value: Any) -> st.SearchStrategy[dict[str, Any]]:
    if value is sometimes:
        dropped = st.sampled_from([None] * 9 + list(required))
        return st.builds(
            lambda event, gone: {k: v for k, v in event.items() if k != gone},
            st.fixed_dictionaries(required, optional=optional),
            dropped,
        )
    return st.fixed_dictionaries(required, optional=optional)


def encoded(event: Any) -> bytes:
    """As many Python producers write it: NaN and Infinity as literals, lone surrogates as escapes."""
    return json.dumps(event).encode()
