"""What must hold of the broker before a stage starts; each violation is one sentence with what mends it."""

from __future__ import annotations

from dataclasses import replace

from stream_monitor.app.broker import admin_client, topic_names
from stream_monitor.app.setup import Setup
from stream_monitor.errors import SetupError
from stream_monitor.kafka.failures import CREATE_TOPICS
from stream_monitor.kafka.topics import check_co_partitioned, partition_counts, topic_specs


def checked_setup(setup: Setup) -> Setup:
    """The setup with the number of panes partitions that the topic really has, which the config may not know."""
    names = topic_names(setup)
    counts = partition_counts(admin_client(setup))
    missing = [spec.name for spec in topic_specs(names) if spec.name not in counts]
    if missing:
        raise SetupError(f"missing topics: {', '.join(missing)}", mend=CREATE_TOPICS)
    if names.labels is not None:
        check_co_partitioned(counts, names.predictions, names.labels)
    if counts[names.panes] != counts[names.state]:
        raise SetupError(
            f"{names.panes} and {names.state} need the same number of partitions; "
            f"they have {counts[names.panes]} and {counts[names.state]}",
            mend="delete both before first use and create them anew: " + CREATE_TOPICS,
        )
    return replace(setup, policies=replace(setup.policies, panes_partitions=counts[names.panes]))
