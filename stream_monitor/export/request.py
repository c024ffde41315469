"""The head of an HTTP request: bytes in, a request or the named reason why it is refused. No IO.

Read is what a scraper and a probe send, GET and HEAD without a body, and nothing beyond: bare line feeds, folded
headers, absolute addresses and repeated headers of meaning are refused, since two readers might take them differently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from typing import Final

MAX_TARGET: Final = 2_048
MAX_HEADERS: Final = 64
END: Final = b"\r\n\r\n"

_LINE: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) ([!-~]+) HTTP/1\.[01]")
# Blanks around the value are cut off afterwards: a pattern that did it would take seconds for a head full of them.
_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~\x80-\xff]*)")
_ONCE: Final = frozenset({"host", "authorization", "content-length", "transfer-encoding"})


class Reason(StrEnum):
    """Why a client was turned away; bounded, so it can be counted."""

    MALFORMED = "malformed"
    METHOD = "method"
    BODY = "body"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    TOO_MANY_CLIENTS = "too_many_clients"
    TOO_MANY_SCRAPES = "too_many_scrapes"
    UNAUTHORIZED = "unauthorized"
    TLS = "tls"


@dataclass(frozen=True, slots=True)
class Request:
    """`headers` by lower-case name; a value may hold credentials."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def accepts_gzip(self) -> bool:
        """Whether gzip is named without q=0."""
        for each in self.headers.get("accept-encoding", "").lower().split(","):
            coding, _, weight = each.partition(";")
            if coding.strip() == "gzip":
                return not re.fullmatch(r"q=0(\.0*)?", weight.replace(" ", ""))
        return False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The answer to what is not read."""

    reason: Reason
    status: HTTPStatus


def parse(head: bytes) -> Request | Refusal:
    """`head`: all up to and with the empty line."""
    first, *lines = head.removesuffix(END).split(b"\r\n")
    found = _LINE.fullmatch(first)
    if found is None:
        return Refusal(Reason.MALFORMED, HTTPStatus.BAD_REQUEST)
    method, target = found[1].decode(), found[2].decode()
    if len(target) > MAX_TARGET:
        return Refusal(Reason.TOO_LARGE, HTTPStatus.REQUEST_URI_TOO_LONG)
    if len(lines) > MAX_HEADERS:
        return Refusal(Reason.TOO_LARGE, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    headers: dict[str, str] = {}
    for line in lines:
        pair = _HEADER.fullmatch(line)
        if pair is None:
            return Refusal(Reason.MALFORMED, HTTPStatus.BAD_REQUEST)
        name, value = pair[1].decode().lower(), pair[2].strip(b" \t").decode("latin-1")
        if name in headers and name in _ONCE:
            return Refusal(Reason.MALFORMED, HTTPStatus.BAD_REQUEST)
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    if not target.startswith("/"):
        return Refusal(Reason.MALFORMED, HTTPStatus.BAD_REQUEST)
    if method not in ("GET", "HEAD"):
        return Refusal(Reason.METHOD, HTTPStatus.METHOD_NOT_ALLOWED)
    if "transfer-encoding" in headers or headers.get("content-length", "0") != "0":
        return Refusal(Reason.BODY, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return Request(method, target.partition("?")[0], headers)
