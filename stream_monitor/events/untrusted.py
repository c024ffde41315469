"""JSON of unknown origin → Python values, with nesting refused before a recursive parser sees it.

Accepts what Python producers write beyond JSON: NaN, Infinity, a byte order mark. Integers beyond 64 bits become
floats. Costs a linear scan, then orjson; json only where orjson refuses.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import orjson

from stream_monitor.events.rejects import Reject, RejectReason

# The closing quote is optional so that an unterminated string is consumed at once: with a required one, each
# escaped quote in it would be tried as a new start, which is quadratic in an attacker's hands.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# Digits of 2**63; longer integers are floats.
_INTEGER_DIGITS = 19


class Rejected(Exception):
    """An event that is not taken; carries why. Never leaves the decoders."""

    def __init__(self, reason: RejectReason, sentence: str) -> None:
        super().__init__(sentence)
        self.reject = Reject(reason, sentence)


def parse_untrusted(data: bytes, max_depth: int) -> Any:
    """The value of one JSON document; raises Rejected (too_deep, malformed_json)."""
    # No document nests deeper than it has opening brackets, and few have many.
    if data.count(b"{") + data.count(b"[") > max_depth:
        depth = nesting_depth(data)
        if depth > max_depth:
            raise Rejected(
                RejectReason.TOO_DEEP,
                f"objects and lists are nested {depth} deep; at most {max_depth} are read",
            )
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return _parse_python_dialect(data)


def nesting_depth(data: bytes) -> int:
    """The most brackets open at once outside strings; for broken JSON, at least what a parser would descend."""
    brackets = np.frombuffer(_STRINGS.sub(b"", data).translate(None, _NOT_BRACKETS), dtype=np.uint8)
    if not brackets.size:
        return 0
    opening = (brackets == ord("{")) | (brackets == ord("["))
    return max(0, int(np.cumsum(np.where(opening, 1, -1)).max()))


def _parse_python_dialect(data: bytes) -> Any:
    try:
        text = data.decode("utf-8-sig")
        document = json.loads(text, parse_int=_parse_integer)
        if "\\u" in text:
            # json reads lone surrogates, which nothing downstream could write again.
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected(RejectReason.MALFORMED_JSON, f"not UTF-8 at byte {error.start}") from None
    except UnicodeEncodeError:
        raise Rejected(RejectReason.MALFORMED_JSON, "a \\u escape is half of a surrogate pair") from None
    except json.JSONDecodeError as error:
        raise Rejected(RejectReason.MALFORMED_JSON, f"not JSON: {error.msg} at character {error.pos}") from None
    return document


def _parse_integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INTEGER_DIGITS else float(digits)
