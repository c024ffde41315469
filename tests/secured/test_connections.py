"""Every way to prove who one is, with both clients; and every way to fail, each one sentence within seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from stream_monitor.agents.policy import ReactPolicy
from stream_monitor.agents.reaction import Reaction
from stream_monitor.app.connection import connected
from stream_monitor.errors import SetupError
from stream_monitor.events.alert import AlertEvent
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.policy import LoopPolicy
from tests.agents.receiver import alert
from tests.agents.test_react import running as reacting
from tests.agents.test_react import until
from tests.broker.certificates import Authority
from tests.broker.secured import SecuredBroker
from tests.broker.topics import TopicSpace
from tests.cli.conftest import Run
from tests.cli.test_run import running as running_process
from tests.kafka.counting import CountingStage
from tests.kafka.test_loop import read_counted, running, wait_for
from tests.secured.files import write_config

pytestmark = pytest.mark.broker

WAYS: dict[str, Callable[[SecuredBroker], dict[str, object]]] = {
    "PLAIN": lambda secured: secured.sasl("admin", "PLAIN"),
    "SCRAM-SHA-256": lambda secured: secured.sasl("admin", "SCRAM-SHA-256"),
    "SCRAM-SHA-512": lambda secured: secured.sasl("admin", "SCRAM-SHA-512"),
    "OAUTHBEARER": lambda secured: secured.oauth("admin"),
    "client certificate": lambda secured: secured.mtls("admin"),
}


@pytest.mark.chaos
@pytest.mark.parametrize("way", WAYS)
def test_a_transaction_commits_and_a_reaction_reacts(
    secured: SecuredBroker, topics: TopicSpace, tmp_path: Path, way: str
) -> None:
    client = WAYS[way](secured)
    source, output, alerts = topics.create("in"), topics.create("out"), topics.create("alerts")
    topics.produce(source, [b"one", b"two"])
    topics.produce(alerts, [(b"f", alert("heard").encode())])
    policy = LoopPolicy("count", "0", topics.name("group"), (source,), client, topics.prefix, flush_interval_ms=100)
    heard: list[str] = []

    async def hear(event: AlertEvent) -> None:
        heard.append(event.id)

    reactions = (Reaction.on_alert("hear", hear),)
    group = topics.name("react")
    reaction = ReactPolicy(
        client, alerts_topic=alerts, group=group, data_dir=tmp_path, log_alerts=False, reactions=reactions
    )
    loop = Loop(CountingStage(output), policy)
    with running(loop) as raised, reacting(reaction):
        wait_for(lambda: raised or loop.snapshot.consumed.get(source) == 2)
        until(lambda: heard == ["heard"], "the alert was heard")
    assert not raised
    assert sum(each.n for each in read_counted(topics, output)) == 2


@dataclass(frozen=True)
class Refusal:
    """A client that must be refused: how it differs from a good one, what is said, and what is said to mend it."""

    client: Callable[[SecuredBroker, Path], dict[str, object]]
    said: str
    mend: str


def _wrong_password(mechanism: str) -> Callable[[SecuredBroker, Path], dict[str, object]]:
    return lambda secured, _: {**secured.sasl("admin", mechanism), "sasl.password": "not-the-password"}


def _strangers_certificate(secured: SecuredBroker, folder: Path) -> dict[str, object]:
    made = Authority(folder, "stranger").signed("admin")
    return {
        **secured.mtls("admin"),
        "ssl.certificate.location": str(made.certificate),
        "ssl.key.location": str(made.key),
    }


def _at(listener: str) -> Callable[[SecuredBroker, Path], dict[str, object]]:
    return lambda secured, _: {
        "bootstrap.servers": secured.addresses[listener],
        "security.protocol": "SSL",
        "ssl.ca.location": str(secured.authority),
    }


CREDENTIALS = "correct kafka: sasl.mechanism, sasl.username and sasl.password"
TOKENS = "correct kafka: sasl.oauthbearer.client.id, .client.secret and .token.endpoint.url"
OWN_CERTIFICATE = "set kafka: ssl.certificate.location and ssl.key.location"

REFUSALS = {
    "wrong password, PLAIN": Refusal(_wrong_password("PLAIN"), "does not accept these credentials", CREDENTIALS),
    "wrong password, SCRAM": Refusal(
        _wrong_password("SCRAM-SHA-512"), "invalid credentials with SASL mechanism SCRAM-SHA-512", CREDENTIALS
    ),
    "unknown user": Refusal(
        lambda secured, _: secured.sasl("stranger"), "does not accept these credentials", CREDENTIALS
    ),
    "wrong client secret": Refusal(
        lambda secured, _: {**secured.oauth("admin"), "sasl.oauthbearer.client.secret": "not-the-secret"},
        "no token for the Kafka brokers",
        TOKENS,
    ),
    "token endpoint away": Refusal(
        lambda secured, _: {**secured.oauth("admin"), "sasl.oauthbearer.token.endpoint.url": "http://127.0.0.1:1/"},
        "no token for the Kafka brokers",
        TOKENS,
    ),
    "unknown authority": Refusal(
        lambda secured, folder: {
            **secured.sasl("admin"),
            "ssl.ca.location": str(Authority(folder, "another").certificate),
        },
        "is not signed by a trusted authority",
        "set kafka: ssl.ca.location",
    ),
    "expired certificate": Refusal(_at("expired"), "has expired", "renew the broker's certificate"),
    "another host's certificate": Refusal(
        _at("misnamed"), "is for another host", "name the broker in kafka: bootstrap"
    ),
    "no client certificate": Refusal(_at("mtls"), "does not accept this client's certificate", OWN_CERTIFICATE),
    "expired client certificate": Refusal(
        lambda secured, _: secured.mtls("late", days=-1), "does not accept this client's certificate", OWN_CERTIFICATE
    ),
    "a stranger's client certificate": Refusal(
        _strangers_certificate, "does not accept this client's certificate", OWN_CERTIFICATE
    ),
}
SLOW_REFUSALS = {  # nobody says no: the time in which an answer may come must pass
    "no TLS": Refusal(
        lambda secured, _: {"bootstrap.servers": secured.addresses["sasl"]},
        "speaks TLS, and kafka: security.protocol is plaintext",
        "set kafka: security.protocol to ssl or sasl_ssl",
    ),
    "TLS without SASL": Refusal(_at("sasl"), "so it may want sasl_ssl", "bootstrap.servers"),
}


def test_each_refusal_is_one_sentence_with_what_mends_it_within_seconds(secured: SecuredBroker, tmp_path: Path) -> None:
    def sentence(name: str) -> tuple[str, float]:
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        client = REFUSALS[name].client(secured, folder)
        began = time.monotonic()
        with pytest.raises(SetupError) as caught:
            connected(client, timeout_s=60.0)
        return str(caught.value), time.monotonic() - began

    with ThreadPoolExecutor(len(REFUSALS)) as pool:
        found = dict(zip(REFUSALS, pool.map(sentence, REFUSALS), strict=True))
    for name, (said, seconds) in found.items():
        refusal = REFUSALS[name]
        assert refusal.said in said, (name, said)
        assert f" → {refusal.mend}" in said, (name, said)
        assert "\n" not in said
        assert "not-the" not in said, "no secret is shown"
        # Far below the time in which a broker that is merely away may come: it was the refusal that ended it.
        assert seconds < 30, (name, seconds)


@pytest.mark.chaos
@pytest.mark.parametrize("name", [*REFUSALS, *SLOW_REFUSALS])
def test_each_refusal_ends_run_doctor_and_topics_create(
    run: Run, secured: SecuredBroker, topics: TopicSpace, tmp_path: Path, name: str
) -> None:
    refusal = {**REFUSALS, **SLOW_REFUSALS}[name]
    config = write_config(tmp_path, refusal.client(secured, tmp_path), topics)
    with running_process(config) as (process, log):
        assert process.wait(60) == 1
        (line,) = log.read_text().splitlines()
    assert line.startswith("Error: ")
    assert refusal.said in line
    said = run("doctor", "-c", config)
    assert (said.exit_code, refusal.said in said.stdout, refusal.mend in said.stdout) == (1, True, True), said.stdout
    made = run("topics", "create", "-c", config)
    assert (made.exit_code, refusal.said in made.stderr, len(made.stderr.splitlines())) == (1, True, 1), made.stderr
