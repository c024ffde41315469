"""An HTTP answer as bytes: one a connection, and nothing in it for a browser to run, keep, frame or guess about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

SECURITY: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
PLAIN: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers` come on top of those that every answer has; no Server, which would name a version."""

    status: HTTPStatus
    body: bytes = b""
    content_type: str = PLAIN
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, status: HTTPStatus, *, more: Mapping[str, str] | None = None) -> Answer:
        """An answer that says its own status and nothing else."""
        return cls(status, f"{status.value} {status.phrase}\n".encode(), headers=more or {})

    def encode(self, *, body: bool = True) -> bytes:
        """Without the body for HEAD, whose Content-Length is that of GET."""
        headers = {
            "Content-Type": self.content_type,
            "Content-Length": str(len(self.body)),
            "Connection": "close",
            **SECURITY,
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status.value} {self.status.phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + (self.body if body else b"")
