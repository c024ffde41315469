"""Keeps this process's secrets out of what it says: log lines, errors, tracebacks, reports.

Promises: a secret of the config in force, of at least 4 characters, is replaced wherever it stands as it is or as
JSON, Python, a URL or HTTP's basic credentials would write it. Shorter ones cannot be told from ordinary words. Costs:
one regular expression over each line. It is the last line of defence: nothing is meant to say a secret at all.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import quote, urlsplit

REDACTED: Final = "[redacted]"
SHORTEST: Final = 4

_NOTHING: Final = re.compile(r"(?!)")
_known: re.Pattern[str] = _NOTHING  # replaced as a whole, read by any thread


def remember(secrets: Iterable[str], *, users: Iterable[str] = ()) -> None:
    """From now on these are the secrets; those of an earlier config are forgotten."""
    global _known
    found = set(secrets)
    forms = {form for secret in found for form in _forms(secret)}
    forms |= {b64encode(f"{user}:{secret}".encode()).decode() for user in users for secret in found}
    longest_first = sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)
    _known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else _NOTHING


def redact(text: str) -> str:
    """The text without secrets."""
    return _known.sub(REDACTED, text)


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield repr(secret)[1:-1]
    yield quote(secret, safe="")
    yield quote(secret)
    # Of a key in PEM a single line is too much; of an address, its password and what stands behind the host.
    yield from (line for line in secret.splitlines() if len(line) >= 16 and not line.startswith("-----"))
    scheme, _, credentials = secret.partition(" ")
    if scheme.lower() in ("bearer", "basic", "token"):
        yield credentials
    if secret.startswith(("http://", "https://")):
        try:
            parts = urlsplit(secret)
        except ValueError:
            return
        yield parts.password or ""
        behind = parts.path + (f"?{parts.query}" if parts.query else "")
        yield from (part for part in (behind, parts.path, parts.query) if len(part) >= 8)
