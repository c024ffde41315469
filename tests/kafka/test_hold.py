"""A partition that the stage cannot go on with is held, on a real broker: the others go on, nothing of it is lost."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from stream_monitor.events.alert import AlertEvent
from stream_monitor.events.metric import MetricEvent
from stream_monitor.events.names import TimeBasis
from stream_monitor.kafka.evaluate import EvaluateCommit, EvaluateSettings, EvaluateStage, evaluate_policy
from stream_monitor.kafka.loop import Loop
from stream_monitor.kafka.stage import TP, OutRecord, Run
from stream_monitor.kafka.topics import TopicNames, create_topics, topic_specs
from stream_monitor.pipeline.horizon import Span
from stream_monitor.pipeline.messages import FORMAT, Delta, PaneDelta, Progress, SourceRange, encode
from stream_monitor.reference.profile import Profile
from stream_monitor.sketches.pane import PredictionPane
from stream_monitor.windows.watermark import SourceProgress
from tests.broker.topics import TopicSpace
from tests.kafka.counting import CountingStage
from tests.kafka.test_loop import assert_each_once, policy_for, read_counted, running, wait_for
from tests.pipeline.test_profile_change import MINUTE, NEW, OLD, T0, policies

pytestmark = pytest.mark.broker


class StopsAt(CountingStage):
    """Cannot go on at one offset of partition 0, until told; aborts one transaction while it stands there."""

    def __init__(self, output: str, at: int) -> None:
        super().__init__(output)
        self.at: int | None = at
        self.aborts_next = False

    def process(self, batch: list[Run]) -> Mapping[TP, int]:
        held = {}
        for run in batch:
            folded = run
            if run.tp.partition == 0 and self.at is not None and run.offsets[-1] >= self.at:
                held[run.tp] = next(offset for offset in run.offsets if offset >= self.at)
                most = run.offsets.index(held[run.tp])
                folded = Run(run.tp, run.offsets[:most], run.messages[:most])
            if folded.offsets:
                super().process([folded])
        return held

    def drain(self, now_ms: int, spans: Mapping[TP, Span]) -> list[OutRecord]:
        records = super().drain(now_ms, spans)
        if records and self.aborts_next:
            self.aborts_next = False
            return [*records, OutRecord(self.output, None, b"x" * 20_000_000)]
        return records


def test_other_partitions_go_on_and_the_held_one_is_read_again_after_an_abort(topics: TopicSpace) -> None:
    source, output = topics.create("in", 2), topics.create("out")
    for partition in (0, 1):
        topics.produce(source, [b"x"] * 1000, partition=partition)
    stage = StopsAt(output, at=300)
    loop = Loop(stage, policy_for(topics, source))
    with running(loop) as raised:
        wait_for(lambda: raised or loop.snapshot.consumed.get(source) == 1300)
        assert loop.snapshot.positions == {TP(source, 0): 300, TP(source, 1): 1000}
        topics.produce(source, [b"y"] * 50, partition=0)
        topics.produce(source, [b"y"] * 50, partition=1)
        wait_for(lambda: raised or loop.snapshot.consumed.get(source) == 1350)
        assert loop.snapshot.positions == {TP(source, 0): 300, TP(source, 1): 1050}
        stage.at, stage.aborts_next = None, True
        topics.produce(source, [b"z"] * 50, partition=1)
        wait_for(lambda: raised or loop.snapshot.consumed.get(source) == 2150)
    assert not raised
    assert loop.snapshot.aborts == 1
    assert_each_once(topics, source, read_counted(topics, output))


def test_evaluate_waits_at_a_schema_it_does_not_know_and_goes_on_once_it_does(topics: TopicSpace) -> None:
    names = TopicNames(topics.name("predictions"), None, topics.prefix)
    specs = topic_specs(names, source_partitions=1, panes_partitions=2)
    create_topics(topics.admin, specs)
    counts = {spec.name: spec.partitions for spec in specs}
    client = {"bootstrap.servers": topics.bootstrap}

    def flush(partition: int, number: int, model: str, schema: str) -> None:
        at = T0 + number * MINUTE
        pane = PredictionPane(n=10)
        pane.add_binned(schema, (NEW_SLOTS if schema == NEW.schema_id else OLD_SLOTS).copy())
        ranges = [SourceRange("predictions", 0, number * 10, number * 10 + 10)]
        delta = Delta(FORMAT, model, ranges, [PaneDelta("1", {}, TimeBasis.PREDICTION, at, pane.to_bytes())])
        source = SourceProgress("predictions", 0, number * 10, number * 10 + 10, {model: at}, False, [model])
        progress = Progress(FORMAT, "0", [source], {"predictions": 1})
        topics.produce(names.panes, [encode(delta), encode(progress)], partition=partition)

    commits: list[EvaluateCommit] = []

    def evaluate(profile: Profile) -> Loop:
        told = policies()
        profiles = {"m": profile, "other": OLD}
        stage = EvaluateStage(told, profiles, EvaluateSettings(names, client, counts), on_commit=commits.append)
        policy = evaluate_policy(names, client, "0", flush_interval_ms=100, session_timeout_ms=6_000)
        return Loop(stage, policy)

    def published(model: str) -> list[float | None]:
        events = [MetricEvent.decode(r.value) for r in topics.read_committed(names.metrics) if r.value]
        return [e.value for e in events if e.metric == "predictions" and e.model_name == model]

    def alerts() -> list[tuple[str, str]]:
        events = [AlertEvent.decode(r.value) for r in topics.read_committed(names.alerts) if r.value]
        return [(a.state, a.labels["model_name"]) for a in events if a.labels["alertname"] == "unknown-schema"]

    loop = evaluate(OLD)
    with running(loop) as raised:
        flush(0, 0, "m", OLD.schema_id)
        flush(0, 1, "m", NEW.schema_id)
        flush(0, 2, "m", NEW.schema_id)
        wait_for(lambda: raised or any(commit.output.summary.held for commit in commits))
        for number in range(7):
            flush(1, number, "other", OLD.schema_id)
        wait_for(lambda: raised or published("other"))
    assert not raised
    assert alerts() == [("firing", "m")]
    assert published("m") == []
    assert topics.committed(policy_group(names), names.panes)[0] == 2, "it stands before the unknown delta"
    commits.clear()
    with running(evaluate(OLD)) as raised:  # started anew without the profile: shown again, said once
        wait_for(lambda: raised or any(commit.output.summary.held for commit in commits))
        (commit,) = [commit for commit in commits if commit.output.summary.held]
        assert [alert.rule for alert in commit.active.values()] == ["unknown-schema"]
    assert not raised
    with running(evaluate(NEW)) as raised:
        wait_for(lambda: raised or len(published("m")) == 2)
    assert not raised
    assert alerts() == [("firing", "m"), ("resolved", "m")]
    assert published("m") == [10.0, 10.0]


def policy_group(names: TopicNames) -> str:
    return evaluate_policy(names, {}, "0").group


def _slots(profile: Profile) -> object:
    import numpy as np

    from stream_monitor.reference.layout import bin_layout

    layout = bin_layout(profile)
    counts = np.zeros(layout.size, np.int64)
    for feature in (*profile.features, profile.output):
        assert feature is not None
        counts[layout.slice(feature.name).start] = 10
    return counts


OLD_SLOTS, NEW_SLOTS = _slots(OLD), _slots(NEW)
