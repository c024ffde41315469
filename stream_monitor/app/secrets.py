"""Which keys of a config are secrets, and how each may stand in a file of its own.

`hash_key_file: /run/secrets/key` instead of `hash_key`; below `kafka`, where names have dots, `sasl.password.file`
instead of `sasl.password`. The variables are STREAM_MONITOR_PRIVACY__HASH_KEY_FILE and
STREAM_MONITOR_KAFKA__SASL_PASSWORD_FILE. Relative paths start at the config's folder. A file holds the secret as it
is, in UTF-8, but for one newline at its end, which editors and `echo` leave there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from stream_monitor.errors import Problem

MAX_BYTES: Final = 65_536

KAFKA_SECRETS: Final = (
    "sasl.password",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.password",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.assertion.private.key.passphrase",
)
SECRETS: Final[tuple[tuple[str, ...], ...]] = (
    *(("kafka", name) for name in KAFKA_SECRETS),
    ("privacy", "hash_key"),
    ("react", "webhook", "url"),
    ("react", "webhook", "bearer_token"),
    ("prometheus", "bearer_token"),
    ("prometheus", "basic_auth", "password"),
)
# Stands for a secret whose file is at fault, so that only the file is reported: it fits every field that is one.
_UNREADABLE: Final = "http://unreadable.invalid/"


def file_key(path: tuple[str, ...]) -> tuple[str, ...]:
    """Where the name of this secret's file stands."""
    return (*path[:-1], path[-1] + (".file" if path[0] == "kafka" else "_file"))


# Either way of giving a secret → the other one.
COUNTERPARTS: Final[Mapping[tuple[str, ...], tuple[str, ...]]] = {
    **{path: file_key(path) for path in SECRETS},
    **{file_key(path): path for path in SECRETS},
}


def read_secret_files(merged: dict[str, Any], folder: Path) -> list[Problem]:
    """Put what stands in the files named by `merged` into it, in place of their names; what is wrong with them."""
    problems: list[Problem] = []
    for path in SECRETS:
        section = section_of(merged, path)
        key, named = path[-1], file_key(path)[-1]
        if section is None or named not in section:
            continue
        where, name = ".".join(file_key(path)), section.pop(named)
        if section.get(key) is not None:
            problems.append(Problem(where, f"both {key} and {named}", "one of them"))
            continue
        if not isinstance(name, str) or not name or "\0" in name:
            problems.append(Problem(where, f"a {type(name).__name__}", "the path of a file"))
            section[key] = _UNREADABLE
            continue
        text, fault = _read(folder / name)
        if fault is not None:
            problems.append(Problem(where, f"{folder / name}: {fault}", _ACCEPTED))
        section[key] = _UNREADABLE if fault is not None else text
    return problems


def section_of(merged: Mapping[str, Any], path: tuple[str, ...]) -> dict[str, Any] | None:
    """The mapping that the last key of this path stands in; None where there is none."""
    found: Any = merged
    for part in path[:-1]:
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def secrets_in(merged: Mapping[str, Any]) -> Iterator[str]:
    """The text of every secret of a config, right or wrong, wherever it stands: by its path, else by its key."""
    for path in SECRETS:
        section = section_of(merged, path)
        if section is not None and isinstance(found := section.get(path[-1]), str):
            yield found
    yield from _by_key(merged, of_secret=False)


def _by_key(value: object, *, of_secret: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            name = str(key).lower()
            secret = any(word in name for word in _WORDS) and not name.endswith((".file", "_file"))
            yield from _by_key(item, of_secret=of_secret or secret or name == "headers")
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _by_key(item, of_secret=of_secret)
    elif of_secret and isinstance(value, (str, int)) and not isinstance(value, bool):
        yield str(value)


def _read(file: Path) -> tuple[str, str | None]:
    """The secret, or what is wrong with its file."""
    try:
        if not file.is_file():  # a pipe would block, a folder cannot be read
            return "", "no such file" if not file.exists() else "not a file"
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        return "", str(error.strerror)
    if len(data) > MAX_BYTES:
        return "", f"more than {MAX_BYTES} bytes"
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return "", "text that is not UTF-8"
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        return "", "an empty file"
    return text, "text with the character NUL" if "\0" in text else None


_ACCEPTED: Final = f"a readable file with the secret, in UTF-8, 1 to {MAX_BYTES} bytes"
_WORDS: Final = (
    "passw",
    "pasw",
    "pwd",
    "passphrase",
    "secret",
    "hash_key",
    "bearer_token",
    "authorization",
    "key.pem",
    "api_key",
)
