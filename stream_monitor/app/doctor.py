"""What can keep a monitor from running, looked at one by one, each with the command or edit that mends it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from stream_monitor.app.instance import Instance
from stream_monitor.app.setup import Setup, load_setup
from stream_monitor.errors import ConfigError, SetupError, StateLockedError, StreamMonitorError
from stream_monitor.kafka.failures import denial
from stream_monitor.kafka.keys import KeyCheck


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report."""

    subject: str
    ok: bool
    detail: str
    mend: str | None = None

    @staticmethod
    def failed(subject: str, error: StreamMonitorError) -> Finding:
        return Finding(subject, False, error.message, error.mend)


def examine(file: Path, instance: str | None = None, roles: Sequence[str] = ()) -> Iterator[Finding]:
    """All findings in the order one would mend them. Costs up to some ten seconds where no broker answers.

    `roles`: of `stream-monitor run`, which the client of this config is to be allowed.
    """
    yield _python()
    yield _dependencies()
    try:
        setup = load_setup(file, ask_librdkafka=True)
    except ConfigError as error:
        for problem in error.problems:
            yield Finding("config", False, f"{problem.path}: found {problem.found}", f"accepted: {problem.accepted}")
        return
    yield Finding("config", True, f"{file}; models: {len(setup.policies.models)}, rules: {len(setup.policies.rules)}")
    state = _state(setup, instance)
    yield state
    yield _port(setup, running="in use" in state.detail)
    yield from _broker(setup, file, roles)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] <= (3, 14)
    return Finding("python", fits, version, None if fits else "use Python 3.11 to 3.14")


def _dependencies() -> Finding:
    missing = []
    for requirement in metadata.requires("stream-monitor") or []:
        name, _, marker = requirement.partition(";")
        name = name.strip().split(" ")[0].split("[")[0]
        for mark in "<>=!~(":
            name = name.split(mark)[0]
        if "extra" in marker:
            continue
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding("packages", False, f"missing: {', '.join(missing)}", "pip install stream-monitor")
    return Finding("packages", True, f"confluent-kafka {metadata.version('confluent-kafka')} and all others are there")


def _state(setup: Setup, name: str | None) -> Finding:
    try:
        with Instance(setup.config.state_dir, name) as instance:
            return Finding("state", True, f"{instance.directory} can be written and locked")
    except StateLockedError as error:
        return Finding("state", True, f"in use: {error.message}")
    except StreamMonitorError as error:
        return Finding.failed("state", error)


def _port(setup: Setup, *, running: bool) -> Finding:
    host, port = setup.config.prometheus.host, setup.config.prometheus.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if running:
            return Finding("prometheus", True, f"{host}:{port} is in use, as the instance runs")
        mend = "stop what listens there, or set prometheus.port to another port (0: any free one)"
        return Finding("prometheus", False, f"{host}:{port} cannot be used: {error.strerror}", mend)
    return Finding("prometheus", True, f"{host}:{port} is free")


def _broker(setup: Setup, file: Path, roles: Sequence[str]) -> Iterator[Finding]:
    from stream_monitor.app.broker import topic_names, wanted_topics
    from stream_monitor.app.connection import connected
    from stream_monitor.kafka.topics import check_co_partitioned

    servers = setup.client["bootstrap.servers"]
    try:
        connection = connected(setup.client, mend="start Kafka, or correct kafka: bootstrap.servers")
    except StreamMonitorError as error:
        yield Finding("broker", False, f"{servers}: {error.message}", error.mend)
        return
    counts = connection.partitions
    yield Finding("broker", True, f"{servers} answers")
    access = _access(setup, connection.admin, roles)
    yield access
    if not access.ok:
        return
    names = topic_names(setup)
    missing = [spec.name for spec in wanted_topics(setup, counts) if spec.name not in counts]
    if missing:
        mend = f"stream-monitor topics create -c {file}"
        yield Finding("topics", False, f"missing: {', '.join(missing)}", mend)
        return
    yield Finding("topics", True, f"all {len(wanted_topics(setup, counts))} are there")
    if names.keyed_labels is not None:
        try:
            check_co_partitioned(counts, names.keyed_predictions, names.keyed_labels)
            yield Finding("partitions", True, f"{counts[names.keyed_predictions]} of both predictions and labels")
        except StreamMonitorError as error:
            yield Finding.failed("partitions", error)
    if names.repartition:
        yield Finding("keys", True, "anything: repartition places the events by their prediction_id")
        return
    sources = [name for name in (names.predictions, names.labels) if name is not None]
    check = KeyCheck({name: counts[name] for name in sources})
    for topic in sources:
        yield _keys(setup, topic, check, labels=topic == names.labels)


def _access(setup: Setup, admin: Any, roles: Sequence[str]) -> Finding:
    """What this client lacks of what it needs: for the roles asked about, else for a doctor."""
    from stream_monitor.app.rights import rights_of, run_roles
    from stream_monitor.kafka.allowed import denied, lacking

    every = run_roles(setup)
    needed = {role: rights_of(setup, role) for role in ("doctor", *every)}
    missing = lacking(admin, (right for rights in needed.values() for right in rights))
    asked = {role: rights for role, rights in needed.items() if role == "doctor" or role in roles}
    if (error := denied(asked, missing)) is not None:
        return Finding.failed("access", error)
    may = [role for role in every if missing.isdisjoint(needed[role])]
    # The broker does not tell of transactional ids.
    return Finding("access", True, f"this client may run {', '.join(may) or 'no stage'}, as far as the broker tells")


def _keys(setup: Setup, topic: str, check: KeyCheck, *, labels: bool) -> Finding:
    from confluent_kafka import KafkaException

    from stream_monitor.app.sampling import sample_keys

    try:
        sample = sample_keys(setup.client, topic, setup.decode, check, labels=labels)
    except KafkaException as error:
        denied = denial(error.args[0], f"reading {topic}", "doctor")
        if denied is not None:
            return Finding.failed("keys", denied)
        return Finding("keys", False, f"{topic} cannot be read: {error.args[0].str()}")
    except SetupError as error:
        return Finding.failed("keys", error)
    if sample.wrong is not None:
        detail = f"{sample.wrong_keys} of {sample.read} sampled records of {topic} have another key: {sample.wrong}"
        return Finding("keys", False, detail, "let the producers send prediction_id as the record's key")
    if sample.read and sample.rejected == sample.read:
        detail = f"none of {sample.read} sampled records of {topic} is an event"
        return Finding("keys", False, detail, "compare with `stream-monitor schema`, or set mapping")
    return Finding("keys", True, f"{sample.read} records of {topic} sampled, {sample.rejected} of them no events")
