from __future__ import annotations

import os
import pickle

import pytest
from river.drift import ADWIN, PageHinkley
from river.stats import Var

from stream_monitor.detectors import allowlist
from stream_monitor.errors import FormatError


class _Evil:
    def __init__(self, function: object, *arguments: object) -> None:
        self._call = (function, arguments)

    def __reduce__(self) -> object:
        return self._call


@pytest.mark.parametrize(
    "value",
    [
        _Evil(os.system, "true"),
        _Evil(eval, "1"),
        _Evil(getattr, ADWIN(), "__class__"),
        _Evil(getattr, PageHinkley(), "__init__"),
        Var(),
        {"nested": [_Evil(os.getcwd)]},
    ],
)
def test_anything_but_a_detector_is_refused(value: object) -> None:
    with pytest.raises(FormatError):
        allowlist.loads(pickle.dumps(value))


@pytest.mark.parametrize("data", [b"", b"garbage", pickle.dumps(ADWIN())[:-20], b"cos\nsystem\n."])
def test_broken_bytes_are_a_format_error(data: bytes) -> None:
    with pytest.raises(FormatError):
        allowlist.loads(data)


def test_detectors_pass() -> None:
    for mode in ("up", "down", "both"):
        assert isinstance(allowlist.loads(allowlist.dumps(PageHinkley(mode=mode))), PageHinkley)
    assert isinstance(allowlist.loads(allowlist.dumps({"a": ADWIN()}))["a"], ADWIN)
