from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river.drift import ADWIN, PageHinkley

from stream_monitor.detectors.detector import Detector, _Saved
from stream_monitor.detectors.policy import PARAMETERS, DetectorPolicy
from stream_monitor.errors import FormatError

ADWIN_POLICY = DetectorPolicy()
PAGE_HINKLEY = DetectorPolicy(kind="page_hinkley")
POLICIES = (ADWIN_POLICY, PAGE_HINKLEY, DetectorPolicy("residual", "adwin"), DetectorPolicy("score", "page_hinkley"))


def errors(rng: np.random.Generator, *rates_and_lengths: tuple[float, int]) -> list[float]:
    return [float(x) for rate, n in rates_and_lengths for x in rng.random(n) < rate]


def alarms(policy: DetectorPolicy, values: list[float]) -> list[int]:
    detector = Detector(policy)
    return [at for at, value in enumerate(values) if detector.update([value])]


def test_adwin_is_rivers_adwin_once_warmed_up() -> None:
    values = errors(np.random.default_rng(0), (0.1, 1_000), (0.5, 1_000))
    river = ADWIN(delta=0.002, clock=32, grace_period=30)
    expected = None
    for at, value in enumerate(values):
        river.update(value)
        if river.drift_detected:
            expected = at
            break
    assert expected is not None
    assert alarms(ADWIN_POLICY, values)[0] == expected


def test_page_hinkley_is_rivers_on_the_standardised_signal() -> None:
    values = np.random.default_rng(1).normal(100, 7, 1_500)
    values[1_000:] += 10
    river = PageHinkley(delta=0.15, threshold=50, alpha=1.0, mode="up")
    expected = None
    for at in range(200, len(values)):
        river.update((values[at] - values[:at].mean()) / values[:at].std())  # none lies beyond 10 deviations
        if river.drift_detected:
            expected = at
            break
    assert expected is not None
    assert alarms(PAGE_HINKLEY, list(values))[0] == expected


@pytest.mark.parametrize("policy", POLICIES)
@given(split=st.integers(0, 2_400), seed=st.integers(0, 20))
@settings(max_examples=8, deadline=None)
def test_bytes_round_trips_behave_identically(policy: DetectorPolicy, split: int, seed: int) -> None:
    values = errors(np.random.default_rng(seed), (0.1, 800), (0.6, 800), (0.1, 800))
    straight = Detector(policy)
    straight.update(values[:split])
    restored = Detector.from_bytes(straight.to_bytes(), policy)
    assert restored.to_bytes() == straight.to_bytes()
    for value in values[split:]:
        assert restored.update([value]) == straight.update([value])
    assert restored.to_bytes() == straight.to_bytes()


@pytest.mark.parametrize("policy", POLICIES)
def test_missing_and_absurd_values_are_skipped(policy: DetectorPolicy) -> None:
    values = errors(np.random.default_rng(2), (0.1, 1_500), (0.6, 500))
    dirty: list[float | None] = []
    for value in values:
        dirty += [math.nan, value, None, math.inf, -math.inf, 1e300]
    clean, soiled = Detector(policy), Detector(policy)
    clean.update(values)
    soiled.update(dirty)
    assert soiled.to_bytes() == clean.to_bytes()


@pytest.mark.parametrize("kind", ["adwin", "page_hinkley"])
def test_the_direction_decides_which_changes_are_told(kind: str) -> None:
    values = errors(np.random.default_rng(3), (0.5, 1_500), (0.1, 1_500))
    found = {d: alarms(DetectorPolicy("error", kind, d), values) for d in ("worse", "better", "any")}  # type: ignore[arg-type]
    assert found["worse"] == []
    assert found["better"] == found["any"]
    assert len(found["better"]) == 1
    assert alarms(DetectorPolicy("error", kind), values) == []  # type: ignore[arg-type]


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("kind", ["adwin", "page_hinkley"])
def test_the_unit_of_a_residual_changes_nothing(kind: str, scale: float) -> None:
    residuals = np.random.default_rng(4).normal(0, 1, 3_000)
    residuals[2_000:] += 1.0
    policy = DetectorPolicy("residual", kind)  # type: ignore[arg-type]
    found = alarms(policy, list(residuals * scale))
    assert len(found) == 1
    assert 2_000 <= found[0] < 2_300


def test_a_model_that_never_errs_and_then_does_is_found() -> None:
    rng = np.random.default_rng(5)
    for policy in (ADWIN_POLICY, PAGE_HINKLEY):
        found = alarms(policy, [0.0] * 20_000 + errors(rng, (0.3, 2_000)))
        assert found
        assert found[0] >= 20_000
    detector = Detector(ADWIN_POLICY)
    detector.update([0.0] * 20_000)
    assert len(detector.to_bytes()) < 3_000


def test_two_errors_after_a_long_time_without_any_are_no_change() -> None:
    for policy in (ADWIN_POLICY, PAGE_HINKLEY):
        assert alarms(policy, ([0.0] * 5_000 + [1.0]) * 4) == []


def test_state_of_another_policy_format_or_class_is_refused() -> None:
    data = Detector(ADWIN_POLICY).to_bytes()
    with pytest.raises(FormatError, match="adwin"):
        Detector.from_bytes(data, PAGE_HINKLEY)
    with pytest.raises(FormatError, match="delta"):
        Detector.from_bytes(data, DetectorPolicy(parameters={"delta": 0.1}))
    fields = msgspec.msgpack.decode(data)
    with pytest.raises(FormatError, match="format 99"):
        Detector.from_bytes(msgspec.msgpack.encode({**fields, "v": 99}), ADWIN_POLICY)
    with pytest.raises(FormatError):
        Detector.from_bytes(data[:-1], ADWIN_POLICY)
    with pytest.raises(FormatError, match="scale"):
        Detector.from_bytes(sealed({**fields, "scale": {"warmup": "x"}}), ADWIN_POLICY)
    page_hinkley = msgspec.msgpack.decode(Detector(PAGE_HINKLEY).to_bytes())
    with pytest.raises(FormatError, match="must hold _adwin"):
        Detector.from_bytes(sealed({**fields, "core": page_hinkley["core"]}), ADWIN_POLICY)


def sealed(fields: dict[str, Any]) -> bytes:
    """A state as somebody would write it who knows how."""
    saved = msgspec.convert(fields, _Saved)
    return msgspec.msgpack.encode(msgspec.structs.replace(saved, digest=saved.digested()))


def test_no_broken_byte_of_a_state_reaches_the_pickle() -> None:
    """River's core allocates what a state says: a gigabyte length ends the process, past every `except`."""
    detector = Detector(ADWIN_POLICY)
    detector.update([0.0, 1.0] * 200)
    data = detector.to_bytes()
    fields = msgspec.msgpack.decode(data)
    for at in range(0, len(fields["core"]), 7):
        core = fields["core"][:at] + bytes([fields["core"][at] ^ 0x40]) + fields["core"][at + 1 :]
        with pytest.raises(FormatError, match="digest"):
            Detector.from_bytes(msgspec.msgpack.encode({**fields, "core": core}), ADWIN_POLICY)
    with pytest.raises(FormatError, match="format 1") as refusal:
        Detector.from_bytes(msgspec.msgpack.encode({**fields, "v": 1}), ADWIN_POLICY)
    assert refusal.value.mend == "start the detector anew"


@pytest.mark.parametrize(
    ("policy", "scale"),
    [
        (ADWIN_POLICY, {"repeats": 1 << 60}),
        (ADWIN_POLICY, {"waiting": [0.0] * 200}),
        (ADWIN_POLICY, {"span": float("nan")}),
        (PAGE_HINKLEY, {"m2": -1.0}),
        (PAGE_HINKLEY, {"n": -1}),
    ],
)
def test_a_scale_that_no_values_lead_to_is_refused(policy: DetectorPolicy, scale: dict[str, Any]) -> None:
    fields = msgspec.msgpack.decode(Detector(policy).to_bytes())
    with pytest.raises(FormatError, match="broken scale"):
        Detector.from_bytes(sealed({**fields, "scale": {**fields["scale"], **scale}}), policy)


def test_a_policy_refuses_what_it_does_not_know() -> None:
    for wrong in (
        {"signal": "accuracy"},
        {"kind": "ddm"},
        {"signal": "score", "direction": "worse"},
        {"parameters": {"lambda": 1}},
        {"parameters": {"delta": 0}},
    ):
        with pytest.raises(ValueError, match=r"accepted|above 0"):
            DetectorPolicy(**wrong)  # type: ignore[arg-type]
    assert set(PARAMETERS) == {"adwin", "page_hinkley"}
