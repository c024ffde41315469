"""Which librdkafka properties a config may set.

Everything passes through but two groups. *Dangerous* ones make librdkafka load a library, run a command or swap the
broker for a simulated one: a config file must not be able to execute code. *Owned* ones carry the exactly-once
promise of the transactional loop; a different value would silently break the counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

from stream_monitor.app.problems import shown
from stream_monitor.errors import ConfigError, Problem
from stream_monitor.kafka.policy import REFUSED

_SCALARS = "a string, a number, true or false"

_DANGEROUS = {
    "plugin.library.paths": "it loads code into the process",
    "ssl.engine.location": "it loads code into the process",
    "ssl.engine.id": "it selects code to load into the process",
    "ssl.providers": "it loads code into the process",
    "sasl.kerberos.kinit.cmd": "it runs a shell command",
}
_DANGEROUS_PREFIXES = {"test.": "it replaces the broker by a simulated one"}

# What librdkafka also knows under other names, or what the loop leaves at the client's default on purpose.
_OWNED = {
    "group.protocol.type": "the stages need the classic protocol's range assignor",
    "group.remote.assignor": "the stages need the classic protocol's range assignor",
    "auto.commit.enable": "offsets are committed in the stages' own transactions",
    "auto.commit.interval.ms": "offsets are committed in the stages' own transactions",
    "offset.store.method": "offsets are committed in the stages' own transactions",
    "offset.store.path": "offsets are committed in the stages' own transactions",
    "request.required.acks": "transactions need acks=all",
    **REFUSED,
}
# Callbacks are objects of the embedding program, never values of a file.
_CALLBACK_SUFFIXES = ("_cb", "_callback_data")
_CALLBACKS = {"opaque", "logger", "on_commit", "on_delivery", "interceptors", "background_event_cb"}

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
        key = name.strip().lower()
        prefix = next((p for p in _DANGEROUS_PREFIXES if key.startswith(p)), None)
        if key in _DANGEROUS or prefix:
            reason = _DANGEROUS.get(key) or _DANGEROUS_PREFIXES[prefix or ""]
            problems.append(Problem(where, shown(value, where), f"nothing: this property is refused because {reason}"))
        elif key in _OWNED:
            accepted = f"nothing: the monitor sets this property itself, {_OWNED[key]}"
            problems.append(Problem(where, shown(value, where), accepted))
        elif key in _CALLBACKS or key.endswith(_CALLBACK_SUFFIXES):
            problems.append(Problem(where, shown(value, where), "nothing: callbacks cannot be set from a config"))
        elif not isinstance(value, (str, int, float)):
            problems.append(Problem(where, shown(value, where), _SCALARS))
    return problems


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
                problems.append(Problem(where, shown(value, where), f"a librdkafka property{hint}"))
            elif "Invalid value" in reason or "outside allowed range" in reason or "value" in reason.lower():
                problems.append(Problem(where, shown(value, where), reason))
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
