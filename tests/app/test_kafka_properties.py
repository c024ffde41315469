"""No property of librdkafka runs code, sends files away or changes the counts because a config says so."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
import yaml

from stream_monitor.app.config import parse_config
from stream_monitor.app.kafka_properties import property_problems, unknown_property_problems
from stream_monitor.app.kafka_refused import (
    JUDGED_FAMILIES,
    OBJECT_SUFFIXES,
    OBJECTS,
    OWNED,
    PASSED_SECURITY,
    reason_against,
)
from stream_monitor.errors import ConfigError

# The verdict on every property of librdkafka that is not owned by the loop and takes a value.
REFUSED = """
    plugin.library.paths ssl.engine.location ssl.engine.id ssl.providers
    sasl.kerberos.service.name sasl.kerberos.principal sasl.kerberos.kinit.cmd sasl.kerberos.keytab
    sasl.kerberos.min.time.before.relogin
    enable.sasl.oauthbearer.unsecure.jwt
    sasl.oauthbearer.assertion.file sasl.oauthbearer.assertion.jwt.template.file
    test.mock.num.brokers test.mock.broker.rtt internal.termination.signal
""".split()  # noqa: SIM905
OF_NO_CONCERN = """
    builtin.features client.id client.software.name bootstrap.servers message.max.bytes message.copy.max.bytes
    receive.message.max.bytes metadata.recovery.strategy metadata.recovery.rebootstrap.trigger.ms
    metadata.request.timeout.ms topic.metadata.refresh.interval.ms metadata.max.age.ms
    topic.metadata.refresh.fast.interval.ms topic.metadata.refresh.fast.cnt topic.metadata.refresh.sparse
    topic.metadata.propagation.max.ms topic.blacklist debug socket.timeout.ms socket.blocking.max.ms
    socket.send.buffer.bytes socket.receive.buffer.bytes socket.keepalive.enable socket.nagle.disable socket.max.fails
    broker.address.ttl broker.address.family socket.connection.setup.timeout.ms connections.max.idle.ms
    enable.sparse.connections reconnect.backoff.jitter.ms reconnect.backoff.ms reconnect.backoff.max.ms
    statistics.interval.ms log_level log.thread.name enable.random.seed log.connection.close
    api.version.request api.version.request.timeout.ms api.version.fallback.ms broker.version.fallback
    allow.auto.create.topics security.protocol client.rack client.dns.lookup enable.metrics.push
    heartbeat.interval.ms coordinator.query.interval.ms queued.min.messages queued.max.messages.kbytes
    fetch.wait.max.ms fetch.queue.backoff.ms fetch.message.max.bytes max.partition.fetch.bytes fetch.max.bytes
    fetch.min.bytes fetch.error.backoff.ms check.crcs max.poll.records share.acknowledgement.mode
    enable.gapless.guarantee queue.buffering.max.messages queue.buffering.max.kbytes queue.buffering.max.ms linger.ms
    message.send.max.retries retries retry.backoff.ms retry.backoff.max.ms queue.buffering.backpressure.threshold
    compression.codec compression.type compression.level batch.num.messages batch.size sticky.partitioning.linger.ms
    request.timeout.ms message.timeout.ms delivery.timeout.ms queuing.strategy produce.offset.report
    consume.callback.max.messages
""".split()  # noqa: SIM905
PASSED = [*PASSED_SECURITY, *OF_NO_CONCERN]


def problems(properties: dict[Any, object]) -> list[str]:
    return [str(problem) for problem in property_problems(properties)]


def librdkafka_properties(folder: Path) -> set[str]:
    """All names that the installed librdkafka has: those it documents, with aliases, and those it hides."""
    libraries = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    (path,) = [*libraries.glob("librdkafka*.so*"), None][:1]
    if path is None:
        pytest.skip("confluent-kafka was not installed from a Linux wheel: its librdkafka is not found")
    library, libc = ctypes.CDLL(str(path)), ctypes.CDLL(None)
    libc.fdopen.restype = ctypes.c_void_p
    out = libc.fdopen(os.open(folder / "list", os.O_WRONLY | os.O_CREAT), b"w")
    library.rd_kafka_conf_properties_show(ctypes.c_void_p(out))
    libc.fclose(ctypes.c_void_p(out))
    rows = [line.split("|") for line in (folder / "list").read_text().splitlines() if "|" in line]
    names = {row[0].strip() for row in rows} - {"Property"}
    for kind in ("", "topic_"):
        make, dump = getattr(library, f"rd_kafka_{kind}conf_new"), getattr(library, f"rd_kafka_{kind}conf_dump")
        make.restype, dump.restype = ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p)
        count = ctypes.c_size_t()
        pairs = dump(ctypes.c_void_p(make()), ctypes.byref(count))
        names |= {pairs[index].decode() for index in range(0, count.value, 2)}
    return {name for name in names if not set(name) <= {"-"}}


def test_there_is_a_verdict_on_every_property_of_the_installed_librdkafka(tmp_path: Path) -> None:
    known = librdkafka_properties(tmp_path)
    assert len(known) > 150
    judged = {*REFUSED, *PASSED, *OWNED, *OBJECTS}
    assert {name for name in known if name not in judged and not name.endswith(OBJECT_SUFFIXES)} == set()
    assert {name for name in PASSED if reason_against(name)} == set()


@pytest.mark.parametrize(
    "name", [*REFUSED, *OWNED, *sorted(OBJECTS), "error_cb", "oauth_cb", "ssl_engine_callback_data"]
)
def test_what_is_refused_is_refused_from_file_and_environment_alike(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = problems({name: "x"})
    assert said.startswith(f"kafka.{name}: found ")
    assert "; accepted: nothing: " in said
    monkeypatch.setenv("STREAM_MONITOR_KAFKA", yaml.safe_dump({name: "x"}))
    with pytest.raises(ConfigError, match="accepted: nothing: "):
        parse_config({})
    monkeypatch.delenv("STREAM_MONITOR_KAFKA")
    if "_" not in name:  # a variable's name has no other sign between the words
        monkeypatch.setenv("STREAM_MONITOR_KAFKA__" + name.replace(".", "_").upper(), "x")
        with pytest.raises(ConfigError, match="accepted: nothing: "):
            parse_config({})


@pytest.mark.parametrize(
    "name",
    [
        "Plugin.Library.Paths",
        " plugin.library.paths",
        "plugin.library.paths\n",
        "plugin.library.paths\0.harmless",  # C would read it up to the NUL
        "plugin\0.library.paths",
        "plugin.library.paths\u200b",
        "enable.auto.commit\0x",
        "client.id ",
        "topic.acks\t",
        "",
        "ｐlugin.library.paths",
    ],
)
def test_no_spelling_gets_around_a_verdict(name: str) -> None:
    (said,) = problems({name: "x"})
    assert "nothing: this property is refused" in said or "lower-case letters" in said
    assert said.isprintable()


@pytest.mark.parametrize("family", JUDGED_FAMILIES)
def test_what_a_newer_librdkafka_adds_to_a_security_family_waits_for_its_verdict(family: str) -> None:
    assert "a security property that is known" in problems({f"{family}.not.yet.there": "x"})[0]


@pytest.mark.parametrize(
    ("properties", "accepted"),
    [
        ({"sasl.mechanism": "GSSAPI"}, "GSSAPI would run a shell command"),
        ({"sasl.mechanisms": "gssapi"}, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"),
        ({"security.protocol": "SASL_SSL"}, "sasl.mechanism: found nothing; accepted: PLAIN"),
        ({"sasl.mechanism": "PLAIN", "sasl.mechanisms": "PLAIN"}, "not both"),
        ({"enable.ssl.certificate.verification": False}, "found false; accepted: true: anybody could pretend to be"),
        ({"enable.ssl.certificate.verification": "f"}, "ssl.ca.location"),
        ({"sasl.oauthbearer.metadata.authentication.type": "azure_imds"}, "cloud identity"),
        ({"sasl.oauthbearer.token.endpoint.url": "http://169.254.169.254/token"}, "an https:// address"),
        ({"sasl.oauthbearer.token.endpoint.url": "https://me:pw@idp/token"}, "an https:// address"),
        ({"sasl.oauthbearer.token.endpoint.url": "file:///etc/passwd"}, "an https:// address"),
        ({"sasl.oauthbearer.token.endpoint.url": "https://[x"}, "an https:// address"),
        ({"heartbeat.interval.ms": 10_000}, "1 to 3000: a session times out after 9000 ms"),
        ({"heartbeat.interval.ms": "often"}, "a whole number from 1 to 3000"),
        ({"client.id": "a\0b"}, "without the character NUL"),
        ({"client.id": ["a"]}, "a string, a number"),
        ({"default.topic.config": {"acks": 1}}, "callbacks and objects"),
        ({"bootstrap.servers": ""}, "found ''; accepted: HOST:PORT"),
        ({"bootstrap.servers": " , "}, "HOST:PORT"),
        ({"bootstrap.servers": 9092}, "found 9092; accepted: HOST:PORT"),
        ({"ssl.key.locatoin": "x"}, "did you mean 'ssl.key.location'?"),
    ],
)
def test_some_are_refused_for_their_value_or_their_company(properties: dict[Any, object], accepted: str) -> None:
    (said,) = problems(properties)
    assert accepted in said
    assert "pw" not in said


def test_a_value_that_librdkafka_refuses_is_told_from_what_it_says() -> None:
    (problem,) = unknown_property_problems({"fetch.max.bytes": "lots"})
    assert problem.found == "'lots'"
    assert problem.accepted.startswith("what librdkafka takes, which says: ")


@pytest.mark.parametrize(
    "properties",
    [
        {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": "u",
            "ssl.ca.location": "x",
        },
        {"bootstrap.servers": "a:9092, [::1]:9092,b"},
        {"security.protocol": "ssl", "ssl.certificate.location": "c.pem", "ssl.key.location": "k.pem"},
        {"heartbeat.interval.ms": 3_000},
        {"sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.token.endpoint.url": "http://localhost:8080/token"},
        {
            "sasl.oauthbearer.token.endpoint.url": "https://idp.example/token",
            "enable.ssl.certificate.verification": True,
        },
        {"sasl.oauthbearer.metadata.authentication.type": "none", "debug": "all", "linger.ms": 5, "check.crcs": True},
    ],
)
def test_what_a_connection_needs_passes(properties: dict[Any, object]) -> None:
    assert problems(properties) == []
