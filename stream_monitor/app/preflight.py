"""What must hold of the broker before a stage starts; each violation is one sentence with what mends it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stream_monitor.app.broker import topic_names
from stream_monitor.app.connection import connected
from stream_monitor.app.rights import rights_of, rights_of_all, run_roles
from stream_monitor.app.setup import Setup
from stream_monitor.errors import SetupError
from stream_monitor.kafka.allowed import require_rights
from stream_monitor.kafka.failures import CREATE_TOPICS
from stream_monitor.kafka.rights import topics_of
from stream_monitor.kafka.topics import check_co_partitioned


def checked_setup(setup: Setup, roles: Sequence[str] | None = None, *, ask_rights: bool = True) -> Setup:
    """The setup with the number of panes partitions that the topic really has, which the config may not know.

    Looks only at what these roles need. `ask_rights`: whether the broker can be asked what this client may do.
    """
    names, roles = topic_names(setup), roles or run_roles(setup)
    connection = connected(setup.client)
    counts = connection.partitions
    if ask_rights:
        require_rights(connection.admin, {role: rights_of(setup, role) for role in roles})
    missing = [topic for topic in topics_of(rights_of_all(setup, roles)) if topic not in counts]
    if missing:
        raise SetupError(f"missing topics: {', '.join(missing)}", mend=CREATE_TOPICS)
    if "ingest" in roles and names.keyed_labels is not None:
        check_co_partitioned(counts, names.keyed_predictions, names.keyed_labels)
    if names.panes not in counts:
        return setup
    if "evaluate" in roles and counts[names.panes] != counts[names.state]:
        raise SetupError(
            f"{names.panes} and {names.state} need the same number of partitions; "
            f"they have {counts[names.panes]} and {counts[names.state]}",
            mend="delete both before first use and create them anew: " + CREATE_TOPICS,
        )
    return replace(setup, policies=replace(setup.policies, panes_partitions=counts[names.panes]))
