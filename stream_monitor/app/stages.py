"""The Kafka stages as parts: adapters, policies and publishers put together."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace

from stream_monitor.app.broker import admin_client, topic_names
from stream_monitor.app.garbage import collect_seldom
from stream_monitor.app.instance import Instance
from stream_monitor.app.parts import Part
from stream_monitor.app.publishing import EvaluatePublisher, IngestPublisher, RepartitionPublisher
from stream_monitor.app.rights import rights_of
from stream_monitor.app.setup import Setup
from stream_monitor.export.board import Board
from stream_monitor.kafka.evaluate import EvaluateSettings, EvaluateStage, evaluate_policy
from stream_monitor.kafka.ingest import IngestSettings, IngestStage, ingest_loop, ingest_policy
from stream_monitor.kafka.join_store import RocksJoinStore
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.repartition import RepartitionSettings, RepartitionStage, repartition_policy
from stream_monitor.kafka.rights import topics_of
from stream_monitor.kafka.topic_watch import describe
from stream_monitor.kafka.topics import TopicNames, require

LoopChanges = Mapping[str, object]  # fields of LoopPolicy that differ from the defaults


def ingest_part(setup: Setup, owned: Instance, board: Board, changes: LoopChanges | None = None) -> Part:
    """Ingest with the join store under the instance's directory."""
    names = topic_names(setup)
    setup = behind_repartition(setup, names)
    publisher = IngestPublisher(board, setup.policies.topics)

    def run(stop: threading.Event) -> None:
        collect_seldom()
        joins = any(model.join is not None for model in setup.policies.models.values())
        store = RocksJoinStore(owned.directory / "join", setup.config.limits.max_join_entries) if joins else None
        settings = IngestSettings(
            names,
            setup.client,
            _counts(setup, "ingest"),
            owned.name,
            dead_letters=setup.config.dead_letters.enabled,
            stop_on_flood=setup.config.dead_letters.stop_on_flood,
        )
        stage = IngestStage(
            setup.policies,
            setup.decode,
            setup.profiles,
            settings,
            store=store,
            on_commit=publisher.on_commit,
            stopping=stop.is_set,
        )
        try:
            policy = ingest_policy(names, setup.client, owned.name, **_paces(setup), **(changes or {}))
            ingest_loop(stage, policy, on_snapshot=publisher.on_snapshot).run(stop)
        finally:
            stage.close()
            board.drop_worker()
            if store is not None:
                store.close()

    return Part("ingest", run, lambda: publisher.committed)


def behind_repartition(setup: Setup, names: TopicNames) -> Setup:
    """What ingest is told where it reads the keyed topics: whether a time is plausible was judged before."""
    if not names.repartition:
        return setup
    topics = {"predictions": names.keyed_predictions, "labels": names.keyed_labels or ""}
    return replace(
        setup,
        policies=replace(setup.policies, repartition=True, topics=topics),
        decode=replace(setup.decode, max_past_ms=None, max_future_ms=None, per_model={}),
    )


def repartition_part(setup: Setup, owned: Instance, board: Board, changes: LoopChanges | None = None) -> Part:
    """Events of topics keyed by anything, to the keyed topics that ingest reads."""
    names = topic_names(setup)
    publisher = RepartitionPublisher(board, setup.policies.topics)

    def run(stop: threading.Event) -> None:
        collect_seldom()
        letters = setup.config.dead_letters
        counts = _counts(setup, "repartition")
        settings = RepartitionSettings(names, counts, owned.name, letters.enabled, letters.stop_on_flood)
        stage = RepartitionStage(setup.policies, setup.decode, settings, on_commit=publisher.on_commit)
        policy = repartition_policy(names, setup.client, owned.name, **_paces(setup), **(changes or {}))
        try:
            Loop(stage, policy, on_snapshot=publisher.on_snapshot).run(stop)
        finally:
            board.drop_worker("repartition")

    return Part("repartition", run, lambda: publisher.committed)


def evaluate_part(setup: Setup, owned: Instance, board: Board, changes: LoopChanges | None = None) -> Part:
    """Evaluate; its state is all in Kafka."""
    names = topic_names(setup)
    publisher = EvaluatePublisher(board, setup.policies, setup.profiles)

    def run(stop: threading.Event) -> None:
        collect_seldom()
        # The embedded broker describes no topics.
        knows = (changes or {}).get("group_keeps_offsets", True)
        state_id = describe(admin_client(setup), [names.state])[names.state].topic_id if knows else ""
        stage = EvaluateStage(
            setup.policies,
            setup.profiles,
            EvaluateSettings(names, setup.client, _counts(setup, "evaluate"), state_id=state_id),
            on_commit=publisher.on_commit,
            on_revoked=publisher.on_revoked,
            stopping=stop.is_set,
        )
        policy = evaluate_policy(names, setup.client, owned.name, **_paces(setup), **(changes or {}))
        Loop(stage, policy, on_snapshot=publisher.on_snapshot).run(stop)

    return Part("evaluate", run, lambda: publisher.committed, {"unknown-schema": lambda: publisher.knows_schemas})


def _paces(setup: Setup) -> dict[str, int | None]:
    """When a loop flushes, and what it calls idle."""
    config = setup.config
    return {
        "flush_interval_ms": config.flush_interval,
        "early_flush_gap_ms": config.early_flush_gap,
        "idle_timeout_ms": config.idle_timeout,
    }


def _counts(setup: Setup, role: str) -> dict[str, int]:
    """Partitions of all topics that the role touches: it may be allowed to see no others."""
    return require(admin_client(setup), topics_of(rights_of(setup, role)))
