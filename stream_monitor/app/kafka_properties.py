"""The `kafka:` section: names and values that may go to librdkafka, and what librdkafka itself says about them.

Everything passes through but what kafka_refused.py names. A name must be spelled as librdkafka spells it: capitals,
blanks around it or a NUL, at which C would end it, are refused and not mended, so that no spelling gets around a
verdict. Values are scalars without a NUL.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from stream_monitor.app.kafka_refused import (
    JUDGED_FAMILIES,
    PASSED_SECURITY,
    reason_against,
    together_against,
    value_against,
)
from stream_monitor.app.problems import is_secret, shown
from stream_monitor.app.secrets import KAFKA_SECRETS
from stream_monitor.errors import ConfigError, Problem

_SCALARS = "a string, a number, true or false"
_NAME = re.compile(r"[a-z0-9._]+")
_SPELLING = "a librdkafka property: lower-case letters, digits, dots and underscores"

_OFTEN_MEANT = """
    bootstrap.servers security.protocol sasl.mechanism sasl.mechanisms sasl.username sasl.password ssl.ca.location
    ssl.certificate.location ssl.key.location ssl.key.password ssl.endpoint.identification.algorithm client.id
    client.rack heartbeat.interval.ms fetch.min.bytes fetch.wait.max.ms
    fetch.message.max.bytes queued.max.messages.kbytes linger.ms compression.type compression.codec
    message.max.bytes socket.timeout.ms statistics.interval.ms broker.address.family debug log_level
""".split()  # noqa: SIM905


def property_problems(properties: Mapping[Any, object], path: str = "kafka") -> list[Problem]:
    """All refused properties of one `kafka:` section, each with the reason; names that are no text are not judged."""
    problems: list[Problem] = []
    for name, value in properties.items():
        if not isinstance(name, str):
            continue
        where = f"{path}.{name}"
        if (accepted := _accepted_instead(name, value)) is not None:
            problems.append(Problem(_printable(where), shown(value, where), accepted))
    for name, accepted in together_against(properties).items():
        problems.append(Problem(f"{path}.{name}", "both" if name in properties else "nothing", accepted))
    return problems


def _accepted_instead(name: str, value: object) -> str | None:
    key = re.sub(r"[^a-z0-9._]", "", name.lower())
    if (refused := reason_against(key)) is not None:
        return refused
    if not _NAME.fullmatch(name):
        return _SPELLING
    if name.startswith(JUDGED_FAMILIES) and name not in PASSED_SECURITY:
        near = get_close_matches(name, PASSED_SECURITY, n=1)
        return f"a security property that is known{f'; did you mean {near[0]!r}?' if near else ''}"
    if name in KAFKA_SECRETS and not isinstance(value, str):
        return "text, in quotes where YAML would make a number of it"
    if not isinstance(value, (str, int, float)):
        return _SCALARS
    if isinstance(value, str) and "\0" in value:
        return "text without the character NUL"
    if name == "bootstrap.servers" and not (isinstance(value, str) and value.strip(", ")):
        return "HOST:PORT of a broker; of several, with commas between them"
    return value_against(name, value)


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def unknown_property_problems(properties: Mapping[str, object], path: str = "kafka") -> list[Problem]:
    """What librdkafka itself says about the names and values; it is asked one by one, without connecting.

    Costs an import of confluent_kafka and about a millisecond a property. `property_problems` must be empty
    before, since asking librdkafka about a dangerous property would already act on it.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    problems: list[Problem] = []
    for name, value in properties.items():
        if name == "bootstrap.servers":
            continue
        where = f"{path}.{name}"
        try:
            AdminClient({name: as_librdkafka(value), "log_level": 0})
        except KafkaException as error:
            reason = str(error.args[0].str() if error.args and hasattr(error.args[0], "str") else error).strip()
            if "No such configuration property" in reason:
                near = get_close_matches(name, _OFTEN_MEANT, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                # A misspelled secret is one too.
                found = shown(value, where) if near and not is_secret(near[0]) else "an unknown property"
                problems.append(Problem(where, found, f"a librdkafka property{hint}"))
            elif "Invalid value" in reason or "outside allowed range" in reason or "value" in reason.lower():
                problems.append(Problem(where, shown(value, where), f"what librdkafka takes, which says: {reason}"))
            # Anything else depends on the other properties (a certificate without its key); the connection says it.
    return problems


@contextmanager
def refused_as_config_error(properties: Mapping[str, object], path: str = "kafka") -> Iterator[None]:
    """Around the making of a client: what librdkafka refuses becomes the sentences that `validate` says of it."""
    from confluent_kafka import KafkaError, KafkaException

    try:
        yield
    except KafkaException as error:
        if error.args[0].code() != KafkaError._INVALID_ARG:
            raise
        problems = unknown_property_problems(properties, path)
        if not problems:  # each is accepted by itself: a file that cannot be read, a certificate without its key
            reason = str(error.args[0].str()).strip()
            problems = [Problem(path, f"what librdkafka refuses: {reason}", "properties that fit together")]
        raise ConfigError(problems) from None


def as_librdkafka(value: object) -> str | int | float:
    """YAML's true and false in librdkafka's spelling."""
    if isinstance(value, bool):
        return "true" if value else "false"
    assert isinstance(value, (str, int, float))
    return value
