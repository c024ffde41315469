"""A made-up stream of predictions and labels in time: delayed, out of order, with repeats, and changing when told.

Promises: a pure function of policy and start: the same records in the same order however the time is sliced, each with
the moment at which it is to be sent; prediction ids are unique over starts. Costs about 4.5 µs a prediction of 20
features and 3.5 µs a label; in memory 32 bytes a label not yet due (while sorted four times that) and 700 bytes a
prediction not yet due (those of one block, and of `out_of_order_ms`), whatever the number of models. Leaves to others:
sending (generate_kafka.py, generate_files.py) and what the events say (generate_world.py).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_monitor.app.generate_due import Due, Records, records
from stream_monitor.app.generate_json import EventWriter
from stream_monitor.app.generate_timing import Timing, draw_timing
from stream_monitor.app.generate_world import BLOCK, Columns, World, WorldPolicy

Role = Literal["predictions", "labels"]
ROLES: tuple[Role, Role, Role] = ("predictions", "predictions", "labels")  # by kind of record
PREDICTION, REPEAT, LABEL = range(3)
MAX_RATE = 1_000_000.0
MOST_RECORDS = 4 * BLOCK  # of a batch: when the last prediction is out, all labels still waiting are due at once


class Phase(NamedTuple):
    """Which changes hold."""

    shifted: bool
    drifted: bool


@dataclass(frozen=True, slots=True)
class StreamPolicy:
    """Times are milliseconds; those of the changes count from the start, null: never.

    rate             predictions a second, over all models in turn
    label_delay_ms   median; each label comes after half to twice of it (null: no labels)
    label_share      of predictions that get a label
    out_of_order_ms  events are sent up to this late
    duplicate_share  of predictions that are sent twice
    shift_after_ms   when the covariate shift begins; it is complete `shift_ramp_ms` later
    drift_after_ms   when the concept drifts
    repeat_ms        after so long all is calm again and the changes begin anew
    events           predictions in all (null: no end)
    """

    worlds: tuple[WorldPolicy, ...] = (WorldPolicy(),)
    rate: float = 200.0
    seed: int = 1
    label_delay_ms: int | None = 2_000
    label_share: float = 1.0
    out_of_order_ms: int = 500
    duplicate_share: float = 0.01
    shift_after_ms: int | None = None
    shift_ramp_ms: int = 0
    drift_after_ms: int | None = None
    repeat_ms: int | None = None
    events: int | None = None

    def __post_init__(self) -> None:
        if not self.worlds:
            raise ValueError("a stream needs at least one model")
        if len({world.model_name for world in self.worlds}) < len(self.worlds):
            raise ValueError("the models of a stream have different names")
        if not 0 < self.rate <= MAX_RATE:
            raise ValueError(f"rate must be above 0, at most {MAX_RATE:,.0f} a second, found {self.rate}")
        for name, share in (("label share", self.label_share), ("duplicate share", self.duplicate_share)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name} is a share from 0 to 1, found {share}")
        if self.events is not None and self.events < 1:
            raise ValueError(f"a stream has at least 1 event, found {self.events}")

    @property
    def longest_wait_ms(self) -> int:
        """No record is sent later than this after the moment of its prediction."""
        return 2 * (self.label_delay_ms or 0) + 2 * self.out_of_order_ms

    def phase(self, since_ms: int) -> Phase:
        """What holds for predictions made `since_ms` after the start."""
        at = since_ms if self.repeat_ms is None else since_ms % self.repeat_ms
        return Phase(
            shifted=self.shift_after_ms is not None and at >= self.shift_after_ms,
            drifted=self.drift_after_ms is not None and at >= self.drift_after_ms,
        )

    def changes(self, since_ms: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The same for many, in degrees: how far the shift has come, 0 to 1, and whether the concept has drifted."""
        since = since_ms.astype(np.float64)
        if self.repeat_ms is not None:
            since %= self.repeat_ms
        shift, drifted = np.zeros(len(since)), np.zeros(len(since), np.bool_)
        if self.shift_after_ms is not None:
            past = since - self.shift_after_ms
            ramp = np.minimum(1.0, past / self.shift_ramp_ms) if self.shift_ramp_ms else 1.0
            shift = np.where(past >= 0, ramp, 0.0)
        if self.drift_after_ms is not None:
            drifted = since >= self.drift_after_ms
        return shift, drifted


class Emission(NamedTuple):
    """One record to send at `at_ms`. `repeat`: the prediction was sent before."""

    at_ms: int
    role: Role
    key: bytes
    value: bytes
    event_ms: int
    model: str
    repeat: bool


class Batch(NamedTuple):
    """Records in the order of sending, as columns. `kinds`: PREDICTION, REPEAT or LABEL; `models`: places in worlds."""

    at_ms: NDArray[np.int64]
    event_ms: NDArray[np.int64]
    kinds: NDArray[np.int64]
    models: NDArray[np.int64]
    keys: list[bytes]
    values: list[bytes]


class EventStream:
    """The stream from `start_ms` on. State: how far it is, and what is made but not yet due.

    Prediction number `place` is of model `place % models`. Models that differ in nothing but the name are drawn
    together, a block of rows for all of them in turn, so that many cost no more than one.
    """

    def __init__(self, policy: StreamPolicy, start_ms: int) -> None:
        self.policy = policy
        self.start_ms = start_ms
        shapes: list[WorldPolicy] = []  # not a dict: a policy with aliases of classes has no hash
        which: list[int] = []
        for world in policy.worlds:
            shape = replace(world, model_name="")
            if shape not in shapes:
                shapes.append(shape)
            which.append(shapes.index(shape))
        self._cohort_of = np.array(which)
        self._cohorts = [
            _Cohort(policy, start_ms, np.flatnonzero(self._cohort_of == number)) for number in range(len(shapes))
        ]
        self._names = np.array([world.model_name for world in policy.worlds], dtype=object)
        # The start keeps the ids of two runs apart.
        self._ids = np.array([f"{world.model_name}-{start_ms:x}-" for world in policy.worlds], dtype=object)
        self._due = Due()
        self._texts: dict[int, bytes] = {}  # of predictions not yet sent, by number of the record

    @property
    def done(self) -> bool:
        """True when everything has been handed out; never of a stream without end."""
        return not self._due and all(cohort.upcoming_ms == math.inf for cohort in self._cohorts)

    def batches(self, now_ms: float) -> Iterator[Batch]:
        """What is to be sent up to `now_ms`, in order of time; `math.inf` for all of it, as fast as it is read.

        What a batch holds counts as handed out.
        """
        while True:
            cohort = min(self._cohorts, key=lambda each: each.upcoming_ms)
            upcoming = cohort.upcoming_ms
            ready = self._due.take(min(now_ms, upcoming - 1))
            for first in range(0, len(ready), MOST_RECORDS):
                yield self._batch(ready[first : first + MOST_RECORDS])
            if upcoming > now_ms or upcoming == math.inf:
                return
            self._make(cohort)

    def until(self, now_ms: float) -> Iterator[Emission]:
        """As batches(), record by record."""
        worlds = self.policy.worlds
        for batch in self.batches(now_ms):
            columns = (batch.at_ms.tolist(), batch.event_ms.tolist(), batch.kinds.tolist(), batch.models.tolist())
            for at, event, kind, model, key, value in zip(*columns, batch.keys, batch.values, strict=True):
                yield Emission(at, ROLES[kind], key, value, event, worlds[model].model_name, kind == REPEAT)

    def _make(self, cohort: _Cohort) -> None:
        """One block more of these models: texts of predictions, and when everything of it is due."""
        block = cohort.take()
        places, moments, timing = block.places[: block.size], block.moments[: block.size], block.timing
        models = places % len(self.policy.worlds)
        texts = cohort.writer.predictions(
            block.columns, self._names[models], block.versions, self._ids_of(places, models), moments
        )
        first, again = records(block.size), np.flatnonzero(timing.repeated[: block.size] >= 0)
        first["at"], first["number"], first["event"] = moments + timing.sent[: block.size], 3 * places, moments
        first["truth"] = block.columns.truth[: block.size]
        repeats = first.take(again)
        repeats["at"] += timing.repeated[again]
        repeats["number"] += REPEAT
        known = np.flatnonzero(timing.labelled[: block.size] >= 0)
        labels = first.take(known)
        labels["event"] += timing.labelled[known]
        labels["at"] = labels["event"] + timing.label_sent[known]
        labels["number"] += LABEL
        self._texts.update(zip(first["number"].tolist(), texts, strict=True))
        self._texts.update(zip(repeats["number"].tolist(), [texts[row] for row in again.tolist()], strict=True))
        self._due.add(np.concatenate((first, repeats, labels)))

    def _batch(self, ready: Records) -> Batch:
        places, kinds = np.divmod(ready["number"], 3)
        models = places % len(self.policy.worlds)
        ids = self._ids_of(places, models)
        values: list[bytes] = [self._texts.pop(number, b"") for number in ready["number"].tolist()]
        for number, cohort in enumerate(self._cohorts):
            rows = np.flatnonzero((kinds == LABEL) & (self._cohort_of[models] == number))
            found = ready.take(rows)
            texts = cohort.writer.labels(
                self._names[models[rows]], [ids[row] for row in rows.tolist()], found["event"], found["truth"]
            )
            for row, text in zip(rows.tolist(), texts, strict=True):
                values[row] = text
        return Batch(ready["at"], ready["event"], kinds, models, [each.encode() for each in ids], values)

    def _ids_of(self, places: NDArray[np.int64], models: NDArray[np.int64]) -> list[str]:
        return list(map(operator.add, self._ids[models].tolist(), map(str, places.tolist())))


class _Block(NamedTuple):
    """Only the first `size` of its rows belong to the stream: it may end within a block."""

    size: int
    places: NDArray[np.int64]
    moments: NDArray[np.int64]
    versions: list[str]
    columns: Columns
    timing: Timing


class _Cohort:
    """Models that differ in nothing but the name, in turn; a block of rows at a time. `members`: places in worlds."""

    def __init__(self, policy: StreamPolicy, start_ms: int, members: NDArray[np.int64]) -> None:
        first = int(members[0])
        self.world = World(policy.worlds[first], policy.seed + first)
        tags = [tag.name for tag in self.world.policy.tags]
        self.writer = EventWriter(self.world.policy.features, tags, self.world.classes)
        self._policy = policy
        self._start_ms = start_ms
        self._members = members
        self._seed = policy.seed + first
        self._blocks = 0
        self.upcoming_ms = float(self._moments(self._places()[:1])[0])  # of the next block's first row; inf at the end

    def take(self) -> _Block:
        """The next block."""
        policy, number, places = self._policy, self._blocks, self._places()
        size = BLOCK if policy.events is None else int(np.searchsorted(places, policy.events))
        moments = self._moments(places)
        versions = np.array(self.world.policy.versions, dtype=object)
        turn = (number * BLOCK + np.arange(size)) // len(self._members) % len(versions)
        timing = draw_timing(
            self._seed,
            number,
            out_of_order_ms=policy.out_of_order_ms,
            duplicate_share=policy.duplicate_share,
            label_delay_ms=policy.label_delay_ms,
            label_share=policy.label_share,
        )
        columns = self.world.block(number, *policy.changes(moments - self._start_ms))
        self._blocks += 1
        following = self._places()[:1]
        over = policy.events is not None and following[0] >= policy.events
        self.upcoming_ms = math.inf if over else float(self._moments(following)[0])
        return _Block(size, places, moments, versions[turn].tolist(), columns, timing)

    def _places(self) -> NDArray[np.int64]:
        """Of the next block's rows in the whole stream."""
        turns, which = np.divmod(self._blocks * BLOCK + np.arange(BLOCK), len(self._members))
        return turns * len(self._policy.worlds) + self._members[which]

    def _moments(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Event times."""
        return self._start_ms + (places * 1000 / self._policy.rate).astype(np.int64)
