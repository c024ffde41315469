"""What evaluate holds is what it has written: every change of state finds its way into a record."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from stream_monitor.detectors.detector import Detector, _Saved
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.errors import FormatError
from stream_monitor.pipeline.evaluate import EvaluateFold
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.model import ModelFold
from stream_monitor.pipeline.records import StateRecord
from tests.pipeline.test_exact_counts import policies, send_all, stream
from tests.pipeline.world import World


def held(model: ModelFold) -> dict[object, object]:
    """Everything of a model that outlives a restart, written panes as bytes."""
    found: dict[object, object] = {"meta": model.meta}
    for key, series in model.series.items():
        found[key] = series.meta
        for basis in model.bases:
            found |= {(key, basis, start): series.panes(basis).record(start) for start in list(series.panes(basis))}
    for version in {version for version, _ in model.series if version is not None}:
        found |= {(version, place): model.detectors.to_bytes(version, place) for place in model.detectors.places()}
    return found | {"alerts": model.judge.active, "newest": model.newest, "learned": model.learner.to_bytes()}


def read_back(world: World) -> EvaluateFold:
    records = [StateRecord(key, value) for key, value in world.state[0].items()]
    return EvaluateFold.restore(world.policies, world.profiles, records, partition=0, position=1)


@pytest.mark.parametrize("seed", range(4))
def test_a_fold_read_back_holds_what_the_one_that_wrote_it_holds(seed: int) -> None:
    rng = random.Random(seed)
    chosen = policies()
    model = replace(
        chosen.models["m"], detectors=(DetectorPolicy("error", "page_hinkley"),), retire_after_ms=20_000 << seed
    )
    world = World(replace(chosen, models={"m": model}, panes_partitions=1))
    send_all(world, *stream(rng, 300))
    compared = 0
    for _ in range(120):
        world.clock += rng.randrange(4_000)
        partition = rng.randrange(world.partitions)
        for role in (PREDICTIONS, LABELS):
            world.ingest(partition, role, rng.randrange(12))
        world.flush(partition)
        world.evaluate(0, rng.randrange(3))
        again = read_back(world)
        for name, live in world.folds[0]._models.items():
            assert held(again._models[name]) == held(live)
            compared += len(live.series)
    assert compared > 300


class _Evil:
    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> object:
        return Path.touch, (self._marker,)


def test_a_hostile_pickle_in_a_state_record_is_an_error_that_names_it_and_runs_nothing(tmp_path: Path) -> None:
    policy = DetectorPolicy("error", "adwin")
    chosen = policies()
    model = replace(chosen.models["m"], detectors=(policy,))
    saved = msgspec.msgpack.decode(Detector(policy).to_bytes(), type=_Saved)
    hostile = msgspec.structs.replace(saved, core=pickle.dumps({"_adwin": _Evil(tmp_path / "ran")}))
    hostile = msgspec.structs.replace(hostile, digest=hostile.digested())  # it is no secret
    record = StateRecord(b'["detector", "m", "1", 0]', msgspec.msgpack.encode(hostile))
    with pytest.raises(FormatError, match=r"state record b'\[\"detector\", \"m\", \"1\", 0\]'.*detector state names "):
        EvaluateFold.restore(replace(chosen, models={"m": model}), {}, [record], partition=0)
    assert not (tmp_path / "ran").exists()
