"""The rights of each role under one config; see kafka/rights.py for what a right is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from stream_monitor.agents.worker import groups_of, topics_read
from stream_monitor.app.broker import topic_names
from stream_monitor.app.exporting import react_policy
from stream_monitor.app.setup import Setup
from stream_monitor.kafka.rights import (
    Operation,
    Resource,
    Right,
    doctor_rights,
    evaluate_rights,
    ingest_rights,
    producer_rights,
    reader_rights,
    repartition_rights,
    topics_rights,
)

RUN_ROLES = ("repartition", "ingest", "evaluate", "react")
ROLES = (*RUN_ROLES, "topics", "doctor", "producer", "reader")


def run_roles(setup: Setup) -> list[str]:
    """The roles of `run` that this config needs."""
    return [role for role in RUN_ROLES if role != "repartition" or setup.config.repartition]


def rights_of(setup: Setup, role: str) -> tuple[Right, ...]:
    """What `role` needs, by topic, group and transactional id; `role` is one of ROLES."""
    names = topic_names(setup)
    letters = setup.config.dead_letters.enabled
    makers: dict[str, Callable[[], tuple[Right, ...]]] = {
        "repartition": lambda: repartition_rights(names, dead_letters=letters),
        "ingest": lambda: ingest_rights(names, dead_letters=letters),
        "evaluate": lambda: evaluate_rights(names),
        "react": lambda: _react_rights(setup),
        "topics": lambda: topics_rights(names),
        "doctor": lambda: doctor_rights(names),
        "producer": lambda: producer_rights(names),
        "reader": lambda: reader_rights(names),
    }
    return makers[role]()


def rights_of_all(setup: Setup, roles: Iterable[str]) -> tuple[Right, ...]:
    """Of several roles, each right once."""
    found = {(each.resource, each.name, each.operation): each for role in roles for each in rights_of(setup, role)}
    return tuple(found.values())


def _react_rights(setup: Setup) -> tuple[Right, ...]:
    policy = react_policy(setup, topic_names(setup), Path())
    why = "shares the partitions and commits offsets"
    return (
        *(Right(Resource.TOPIC, topic, Operation.READ, "reads what to react to") for topic in topics_read(policy)),
        *(Right(Resource.GROUP, group, Operation.READ, why) for group in groups_of(policy)),
    )
