"""A made-up stream of predictions and labels in time: delayed, out of order, with repeats, and changing when told.

Promises: a pure function of policy and start: the same emissions in the same order however the time is sliced, each
with the moment at which it is to be sent; prediction ids are unique over starts. Costs about 20 µs an event and the
memory of the labels not yet due. Leaves to others: sending (generate_kafka.py) and what the events say
(generate_world.py).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from stream_monitor.app.generate_world import BLOCK, Row, World, WorldPolicy
from stream_monitor.events.times import format_timestamp

Role = Literal["predictions", "labels"]
_TIMING = 1  # keeps the draws of times apart from those of rows


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
        if not 0 < self.rate <= 1_000_000:
            raise ValueError(f"rate must be above 0, at most 1,000,000 a second, found {self.rate}")

    def phase(self, since_ms: int) -> Phase:
        """What holds for predictions made `since_ms` after the start."""
        at = since_ms if self.repeat_ms is None else since_ms % self.repeat_ms
        return Phase(
            shifted=self.shift_after_ms is not None and at >= self.shift_after_ms,
            drifted=self.drift_after_ms is not None and at >= self.drift_after_ms,
        )


class Emission(NamedTuple):
    """One record to send at `at_ms`. `repeat`: the prediction was sent before."""

    at_ms: int
    role: Role
    key: bytes
    value: bytes
    event_ms: int
    model: str
    repeat: bool


class EventStream:
    """The stream from `start_ms` on. State: how far it is, and what is made but not yet due."""

    def __init__(self, policy: StreamPolicy, start_ms: int) -> None:
        self.policy = policy
        self._start_ms = start_ms
        self._models = [_Model(world, policy, place, start_ms) for place, world in enumerate(policy.worlds)]
        self._made = 0
        self._due: list[tuple[int, int, Emission]] = []  # by time, then by a number no other has

    @property
    def done(self) -> bool:
        """True when everything has been handed out; never of a stream without end."""
        return self._exhausted and not self._due

    def until(self, now_ms: float) -> Iterator[Emission]:
        """What is to be sent up to `now_ms`, in order of time; `math.inf` for all of it, as fast as it is read."""
        while True:
            upcoming = math.inf if self._exhausted else self.moment(self._made)
            if self._due and self._due[0][0] < upcoming:
                if self._due[0][0] > now_ms:
                    return
                yield heapq.heappop(self._due)[2]
            elif upcoming <= now_ms and not self._exhausted:
                self._make(self._made)
                self._made += 1
            else:
                return

    def moment(self, place: int) -> int:
        """Event time of prediction number `place`, in ms."""
        return self._start_ms + int(place * 1000 / self.policy.rate)

    @property
    def _exhausted(self) -> bool:
        return self.policy.events is not None and self._made >= self.policy.events

    def _make(self, place: int) -> None:
        models = len(self._models)
        model = self._models[place % models]
        following = range(place, place + models * BLOCK, models)
        row, timing = model.take(place // models, lambda: [self.moment(each) for each in following])
        emissions = model.emissions(place, self.moment(place), row, timing)
        for kind, emission in enumerate(emissions):
            heapq.heappush(self._due, (emission.at_ms, 3 * place + kind, emission))


class _Timing(NamedTuple):
    """Delays of one event in ms; null: that record is not sent."""

    sent: float
    repeated: float | None
    labelled: float | None
    label_sent: float


class _Model:
    """One model's rows, a block at a time."""

    def __init__(self, world: WorldPolicy, policy: StreamPolicy, place: int, start_ms: int) -> None:
        self._world = World(world, policy.seed + place)
        self._policy = policy
        self._seed = (policy.seed + place, _TIMING)
        self._start_ms = start_ms
        self._rows: list[Row] = []
        self._timing: list[_Timing] = []

    def take(self, place: int, moments: Callable[[], Sequence[int]]) -> tuple[Row, _Timing]:
        """Row number `place` of this model; `moments` of it and those after it, asked for at the start of a block."""
        number, offset = divmod(place, BLOCK)
        if offset == 0:
            shift, drifted = self._changes(np.array(moments()))
            self._rows = self._world.block(number, shift, drifted)
            self._timing = self._delays(number)
        return self._rows[offset], self._timing[offset]

    def emissions(self, place: int, moment: int, row: Row, timing: _Timing) -> Iterator[Emission]:
        """The prediction, perhaps again, and its label."""
        world = self._world.policy
        id_ = f"{world.model_name}-{self._start_ms:x}-{place}"
        key = id_.encode()
        value = orjson.dumps(
            {
                "model_name": world.model_name,
                "model_version": world.model_version,
                "prediction_id": id_,
                "timestamp": format_timestamp(moment),
                "features": row.features,
                "prediction": row.prediction,
                "latency_seconds": row.latency_seconds,
                "tags": {"country": row.country},
            }
        )
        sent = moment + int(timing.sent)
        yield Emission(sent, "predictions", key, value, moment, world.model_name, False)
        if timing.repeated is not None:
            yield Emission(sent + int(timing.repeated), "predictions", key, value, moment, world.model_name, True)
        if timing.labelled is not None:
            known = moment + int(timing.labelled)
            label = orjson.dumps(
                {
                    "model_name": world.model_name,
                    "prediction_id": id_,
                    "timestamp": format_timestamp(known),
                    "actual": row.actual,
                }
            )
            at = known + int(timing.label_sent)
            yield Emission(at, "labels", key, label, known, world.model_name, False)

    def _changes(self, moments: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        policy = self._policy
        since = (moments - self._start_ms).astype(np.float64)
        if policy.repeat_ms is not None:
            since %= policy.repeat_ms
        shift, drifted = np.zeros(BLOCK), np.zeros(BLOCK, np.bool_)
        if policy.shift_after_ms is not None:
            begun = since >= policy.shift_after_ms
            ramp = (since - policy.shift_after_ms) / policy.shift_ramp_ms if policy.shift_ramp_ms else np.ones(BLOCK)
            shift = np.where(begun, np.minimum(1.0, ramp), 0.0)
        if policy.drift_after_ms is not None:
            drifted = since >= policy.drift_after_ms
        return shift, drifted

    def _delays(self, number: int) -> list[_Timing]:
        policy = self._policy
        draw = np.random.default_rng([*self._seed, number])
        sent, again, label_sent = draw.random((3, BLOCK)) * policy.out_of_order_ms
        # Skewed as real delays are: half of them below the median, none beyond twice of it.
        stretch = 2.0 ** draw.uniform(-1, 1, BLOCK)
        repeated = draw.random(BLOCK) < policy.duplicate_share
        labelled = (draw.random(BLOCK) < policy.label_share) & (policy.label_delay_ms is not None)
        delays = stretch * (policy.label_delay_ms or 0)
        return [
            _Timing(*each)
            for each in zip(
                sent.tolist(),
                [value if yes else None for value, yes in zip(again.tolist(), repeated, strict=True)],
                [value if yes else None for value, yes in zip(delays.tolist(), labelled, strict=True)],
                label_sent.tolist(),
                strict=True,
            )
        ]
