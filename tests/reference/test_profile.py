from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from stream_monitor.errors import ProfileError
from stream_monitor.events.policy import Task
from stream_monitor.reference.build import build_profile
from stream_monitor.reference.layout import bin_layout, feature_layout
from stream_monitor.reference.profile import NumericFeature, Profile, sealed

COLUMNS: dict[str, list[object]] = {
    "age": [float(i % 90) for i in range(400)],
    "region": ["EU", "US", "EU", None] * 100,
}


def profile() -> Profile:
    return build_profile(
        model_name="credit",
        task=Task.BINARY,
        columns=COLUMNS,
        outputs=[(i % 97) / 97 for i in range(400)],
        actuals=["1" if i % 97 > 60 else "0" for i in range(400)],
        positive_class="1",
        created_at=1_790_000_000_000,
    )


def edited(change: Callable[[dict[str, Any]], object]) -> bytes:
    content = json.loads(profile().to_json())
    change(content)
    return json.dumps(content).encode()


def test_json_round_trip_is_exact() -> None:
    written = profile()
    assert Profile.from_json(written.to_json()) == written
    assert Profile.from_json(written.to_json().decode()) == written


def test_the_same_data_have_the_same_id_and_only_bins_decide_the_schema() -> None:
    first = profile()
    assert profile().id == first.id
    assert sealed(msgspec.structs.replace(first, created_at=1)).id == first.id
    assert first.effective(120_000).id == first.id
    age = first.features[0]
    assert isinstance(age, NumericFeature)
    counts = (*age.counts[:5], age.counts[5] + 1, age.counts[6] - 1, *age.counts[7:])
    moved = msgspec.structs.replace(age, counts=counts)
    other = sealed(msgspec.structs.replace(first, features=(moved, *first.features[1:])))
    assert (other.id != first.id, other.schema_id == first.schema_id) == (True, True)
    edges = (*age.edges[:5], age.edges[5] + 0.25, *age.edges[6:])
    cut = msgspec.structs.replace(age, edges=edges)
    assert sealed(msgspec.structs.replace(first, features=(cut, *first.features[1:]))).schema_id != first.schema_id


def test_layouts_follow_the_profile() -> None:
    made = profile()
    layout = bin_layout(made)
    assert layout.schema_id == made.schema_id
    assert [spec.name for spec in layout.specs] == ["age", "region", "__output__"]
    assert feature_layout(made).kinds == ("numeric", "categorical")


def pick(content: dict[str, Any], feature: int) -> dict[str, Any]:
    found: dict[str, Any] = content["features"][feature]
    return found


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p.update(v=2), "profile format 2 is unknown, accepted is 1"),
        (lambda p: p.update(n=401), "was changed by hand"),
        (lambda p: p.update(id="0123"), "was changed by hand: its id says 0123"),
        (lambda p: p.update(schema_id="0123"), "its schema_id says 0123"),
        (lambda p: p.update(colour="red"), "unknown field `colour`"),
        (lambda p: p.pop("task"), "missing required field `task`"),
        (lambda p: p.update(task="clustering"), "Invalid enum value 'clustering'"),
        (lambda p: pick(p, 0).update(type="image"), "Invalid value 'image'"),
        (lambda p: pick(p, 0)["edges"].reverse(), "feature 'age': edges must be finite and strictly increasing"),
        (lambda p: pick(p, 0)["edges"].pop(), "bins, found"),
        (lambda p: pick(p, 0)["counts"].pop(), "counts sum to|bins, found"),
        (lambda p: pick(p, 0).update(n=3), "feature 'age': counts sum to 400, n is 3"),
        (lambda p: pick(p, 0).update(missing=-1), "counts must not be negative"),
        (lambda p: pick(p, 0).update(psi_groups=[[0, 500]]), "psi_groups must be increasing"),
        (lambda p: pick(p, 0).update(psi_groups=[[0, 5], [4, 6]]), "do not overlap"),
        (lambda p: pick(p, 1).update(categories=["EU", "EU"]), "categories must differ"),
        (lambda p: pick(p, 1).update(categories=["EU"]), "1 categories, but 2 counts"),
        (lambda p: pick(p, 1).update(name="age"), "feature 'age' is there twice"),
        (lambda p: p["output"].update(name="score"), "the output is named '__output__', found 'score'"),
        (lambda p: p["score_edges"]["1"].reverse(), "score edges of class '1'"),
    ],
)
def test_a_broken_or_edited_profile_is_refused_with_the_reason(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    with pytest.raises(ProfileError, match=message) as raised:
        Profile.from_json(edited(change))
    assert "profile build" in str(raised.value)


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b'{"v": "1"}', b'{"v": 1}'])
def test_what_is_no_profile_is_a_profile_error(data: bytes) -> None:
    with pytest.raises(ProfileError):
        Profile.from_json(data)


def test_a_profile_with_infinite_edges_cannot_be_sealed() -> None:
    made = profile()
    age = msgspec.structs.replace(made.features[0], edges=(*made.features[0].edges[:-1], float("inf")))  # type: ignore[union-attr]
    with pytest.raises(ProfileError, match="cannot become a profile"):
        sealed(msgspec.structs.replace(made, features=(age,)))
