"""What the brokers allow this client, by their own word, before anything is tried.

Costs a request for topics and one for groups. Transactional ids cannot be asked about: they are tried at the start.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import TimeoutError as NoAnswer
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from stream_monitor.errors import SetupError
from stream_monitor.kafka.failures import acls_command, denial
from stream_monitor.kafka.rights import Resource, Right, topics_of

# A group whose coordinator is not there yet (a new cluster) gets no answer within one request, however long one waits.
_TRIES = 4
_TRY_S = 3.0
# Longer than anybody waits for it: of a request that timed out, librdkafka (its #5397) frees what it then uses when the
# coordinator comes back after all, which aborts the process.
_REQUEST_S = 300.0


def lacking(admin: AdminClient, rights: Iterable[Right]) -> set[Right]:
    """Which of the rights on existing topics and on groups this client does not have.

    What the brokers say nothing about (an older one, a topic that is not there, no answer in 12 s) is not counted.
    """
    wanted = list(rights)
    groups = [right.name for right in wanted if right.resource is Resource.GROUP and not right.prefixed]
    allowed = {
        Resource.TOPIC: _asked(
            lambda names, **o: admin.describe_topics(TopicCollection(names), **o), topics_of(wanted)
        ),
        Resource.GROUP: _asked(admin.describe_consumer_groups, list(dict.fromkeys(groups))),
    }
    found = set()
    for right in wanted:
        may = allowed.get(right.resource, {}).get(right.name)
        if may is not None and right.operation.replace("Configs", "_Configs").upper() not in may:
            found.add(right)
    return found


def require_rights(admin: AdminClient, roles: Mapping[str, Sequence[Right]]) -> None:
    """SetupError that names every right that is lacking for these roles, and the command that prints them."""
    missing = lacking(admin, (right for rights in roles.values() for right in rights))
    if (error := denied(roles, missing)) is not None:
        raise error


def denied(roles: Mapping[str, Sequence[Right]], missing: Collection[Right]) -> SetupError | None:
    """What is said where some of the roles' rights are missing; None where none is."""
    lacked = {role: [right for right in rights if right in missing] for role, rights in roles.items()}
    short = [role for role, rights in lacked.items() if rights]
    if not short:
        return None
    named = dict.fromkeys(str(right) for rights in lacked.values() for right in rights)
    return SetupError(
        f"this client may not do what {' and '.join(short)} do{'' if len(short) > 1 else 'es'}: the broker does not "
        f"allow {'; '.join(named)}",
        mend=acls_command(*short),
    )


def _asked(describe: Any, names: list[str]) -> dict[str, set[str]]:
    """By name the operations that are allowed, without the names that nothing is said about."""
    found: dict[str, set[str]] = {}
    for _ in range(_TRIES):
        if not names:
            break
        again = []
        for name, answer in describe(names, include_authorized_operations=True, request_timeout=_REQUEST_S).items():
            try:
                operations = answer.result(_TRY_S).authorized_operations
            except KafkaException as error:
                if denial(error.args[0]) is not None:
                    found[name] = set()
                elif _may_answer_later(error.args[0]):
                    again.append(name)
            except NoAnswer:
                again.append(name)
            else:
                if operations:
                    found[name] = {each.name for each in operations}
        names = again
        time.sleep(0.1 if names else 0.0)
    return found


def _may_answer_later(error: Any) -> bool:
    return error.retriable() or error.code() in (KafkaError._TIMED_OUT, KafkaError.NOT_COORDINATOR)
