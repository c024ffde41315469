"""No right that `stream-monitor acls` prints is one too many: without any one the role fails and says what it lacks.

Twice for each right of a stage: taken away altogether, which the stage notices when it starts; and weakened to
Describe with that question left out, so that it is the work itself that fails.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Consumer

from stream_monitor.app.preflight import checked_setup
from stream_monitor.app.setup import load_setup
from stream_monitor.errors import SetupError
from tests.broker.secured import SecuredBroker
from tests.broker.topics import TopicSpace
from tests.cli import test_run
from tests.cli.conftest import Run
from tests.cli.files import write_inputs
from tests.cli.test_run import produce, running
from tests.secured.access import Grant, give, printed, take
from tests.secured.files import write_config

pytestmark = pytest.mark.broker

COUNTS = {"ingest": 8, "evaluate": 10, "react": 2, "topics": 27, "doctor": 10, "producer": 2, "reader": 4}
STAGES = ("ingest", "evaluate", "react")
# Not react: Faust writes a traceback, or tries again for ever, where a right goes that was there at the start.
EACH = [(role, number) for role in ("ingest", "evaluate") for number in range(COUNTS[role])]


@pytest.fixture
def config(tmp_path: Path, secured: SecuredBroker, topics: TopicSpace) -> Callable[[str], Path]:
    """The config of a role's user; `admin` may do anything."""
    return lambda role: write_config(tmp_path, secured.sasl(role), topics, role)


def weakened(grant: Grant) -> list[Grant]:
    return [] if grant.operation == "Describe" else [grant._replace(operation="Describe")]


def assert_clear(text: str, grant: Grant, config: Path) -> None:
    """One sentence that names the resource and the command that mends it."""
    error = next(line for line in text.splitlines() if line.startswith("Error: "))
    assert "Traceback" not in text
    assert grant.name in error, error
    assert f"stream-monitor acls -c {config}" in error, error


def test_who_may_do_nothing_is_told_everything_at_once(
    run: Run, config: Callable[[str], Path], topics: TopicSpace
) -> None:
    assert run("topics", "create", "-c", config("admin")).exit_code == 0
    with pytest.raises(SetupError) as caught:
        checked_setup(load_setup(config("nobody")), ("ingest", "react"))
    said = str(caught.value)
    for role in ("ingest", "react"):
        for grant in printed(config(role), role):
            # Transactional ids cannot be asked about.
            assert (str(grant) in said) == (grant.resource != "transactional-id"), grant
    assert said.endswith("stream-monitor acls -c FILE --role ingest --role react")
    doctor = run("doctor", "-c", config("nobody"), "--role", "evaluate")
    assert doctor.exit_code == 1
    assert f"the broker does not allow Read on topic {topics.name('predictions')}" in doctor.stdout
    assert f"Write on topic {topics.name('mon.state')}" in doctor.stdout
    assert f"stream-monitor acls -c {config('nobody')} --role doctor --role evaluate" in doctor.stdout
    made = run("topics", "create", "-c", config("nobody"))
    assert (made.exit_code, "not authorized by the topic's access list: creating" in made.stderr) == (1, True)
    assert "missing" not in doctor.stdout + made.stderr, "what may not be seen is not missing"


def test_the_counts_above_are_those_of_the_command(config: Callable[[str], Path]) -> None:
    assert {role: len(printed(config(role), role)) for role in COUNTS} == COUNTS


@pytest.mark.chaos
@pytest.mark.parametrize("role", STAGES)
def test_a_stage_that_lacks_one_right_says_so_at_the_start(
    run: Run, config: Callable[[str], Path], topics: TopicSpace, role: str
) -> None:
    assert run("topics", "create", "-c", config("admin")).exit_code == 0
    grants = printed(config(role), role)
    give(topics.admin, grants)
    setup = load_setup(config(role))
    for lacked in grants:
        if lacked.resource == "transactional-id":
            continue  # cannot be asked about: the other test of this file sees the stage fail
        take(topics.admin, [lacked])
        with pytest.raises(SetupError) as caught:
            checked_setup(setup, (role,))
        assert str(caught.value).count(" on ") == 1
        assert f"{lacked} → grant what this prints: stream-monitor acls -c FILE --role {role}" in str(caught.value)
        give(topics.admin, [lacked])
    checked_setup(setup, (role,))


@pytest.mark.chaos
@pytest.mark.parametrize(("role", "number"), EACH)
def test_a_stage_fails_at_the_work_for_which_it_lacks_a_right(
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
    config: Callable[[str], Path],
    topics: TopicSpace,
    tmp_path: Path,
    role: str,
    number: int,
) -> None:
    assert run("topics", "create", "-c", config("admin")).exit_code == 0
    grants = printed(config(role), role)
    lacked = grants.pop(number)
    give(topics.admin, [*grants, *weakened(lacked)])
    _, predictions, labels = write_inputs(tmp_path, n=1_500)
    produce(topics, "predictions", predictions)
    produce(topics, "labels", labels)
    topics.produce(topics.name("predictions"), [(b"x", b"not an event")])
    monkeypatch.setattr(test_run, "COMMAND", [sys.executable, "-m", "tests.secured.unguarded", "run"])
    before = {"ingest": (), "evaluate": ("ingest",)}[role]
    helpers = [running(config("admin"), "--role", each, "--instance", each) for each in before]
    for helper in helpers:
        helper.__enter__()
    try:
        with running(config(role), "--role", role, "--instance", "x") as (process, log):
            assert process.wait(120) == 1, log.read_text()
    finally:
        for helper in helpers:
            helper.__exit__(None, None, None)
    assert_clear(log.read_text(), lacked, config(role))


@pytest.mark.chaos
def test_topics_create_needs_each_of_its_rights(run: Run, config: Callable[[str], Path], topics: TopicSpace) -> None:
    grants = printed(config("topics"), "topics")
    give(topics.admin, grants)
    for lacked in [each for each in grants if each.operation == "Create"]:
        take(topics.admin, [lacked])
        said = run("topics", "create", "-c", config("topics"))
        assert said.exit_code == 1
        assert_clear(said.stderr, lacked, config("topics"))
        give(topics.admin, [lacked])
        made = [each for each in topics.admin.list_topics().topics if each.startswith(topics.prefix)]
        answers = topics.admin.delete_topics(made) if made else {}
        for answer in answers.values():
            answer.result(30)
    assert run("topics", "create", "-c", config("topics")).exit_code == 0
    for lacked in [each for each in grants if each.operation != "Create"]:
        take(topics.admin, [lacked])
        made = run("topics", "create", "-c", config("topics"))
        assert made.exit_code == 1, lacked
        assert_clear(made.stderr, lacked, config("topics"))
        give(topics.admin, [lacked])


@pytest.mark.chaos
def test_the_doctor_needs_each_of_its_rights(run: Run, config: Callable[[str], Path], topics: TopicSpace) -> None:
    assert run("topics", "create", "-c", config("admin")).exit_code == 0
    grants = printed(config("doctor"), "doctor")
    give(topics.admin, grants)
    for lacked in grants:
        take(topics.admin, [lacked])
        said = run("doctor", "-c", config("doctor"))
        assert said.exit_code == 1, lacked
        assert str(lacked) in said.stdout
        assert f"stream-monitor acls -c {config('doctor')} --role doctor" in said.stdout
        give(topics.admin, [lacked])
    assert run("doctor", "-c", config("doctor")).exit_code == 0


@pytest.mark.chaos
def test_producers_and_readers_need_each_of_their_rights(
    run: Run, secured: SecuredBroker, config: Callable[[str], Path], topics: TopicSpace
) -> None:
    assert run("topics", "create", "-c", config("admin")).exit_code == 0
    for role in ("producer", "reader"):
        give(topics.admin, printed(config(role), role))
    for lacked in printed(config("producer"), "producer"):
        take(topics.admin, [lacked])
        said = run("generate", "-c", config("producer"), "--events", 50, "--rate", "max")
        assert said.exit_code == 1
        assert_clear(said.stderr, lacked, config("producer"))
        give(topics.admin, [lacked])
    assert run("generate", "-c", config("producer"), "--events", 50, "--rate", "max").exit_code == 0
    for lacked in printed(config("reader"), "reader"):
        take(topics.admin, [lacked])
        topic = lacked.name if lacked.resource == "topic" else topics.name("mon.metrics")
        assert read_error(secured, topics, topic) in ("TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED")
        give(topics.admin, [lacked])


def read_error(secured: SecuredBroker, topics: TopicSpace, topic: str) -> str:
    """The first error that a reader of the topic meets."""
    consumer = Consumer({**secured.sasl("reader"), "group.id": topics.name("mon.reader-1")})
    consumer.subscribe([topic])
    try:
        while True:
            message = consumer.poll(60.0)
            assert message is not None, f"{topic} could be read"
            if message.error() is not None:
                return str(message.error().name())
    finally:
        consumer.close()
