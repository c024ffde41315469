"""How much memory a config can make the stages need, before anything runs; and whether that is within the budget.

An upper estimate of one ingest and one evaluate process, and one of repartition where there is one: every model at
its limits, all models in one process. What a model is made of is known from its profile; one without is taken to have
`FEATURES_ASSUMED` features, and one without segments `VERSIONS_ASSUMED` versions at a time. What depends on the rate
alone, join entries, is said by the million.

Checked against measurements: evaluate takes 112 kB a series of 20 features and windows of an hour sliding by 5 minutes
(estimated 127), ingest with labels at 30,000 events a second 360 MiB (estimated 600, of which 256 for a flood).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_monitor.app.config import MonitorConfig
from stream_monitor.app.model_config import ModelConfig
from stream_monitor.app.policies import model_policy, policies_of
from stream_monitor.app.sizes import format_size
from stream_monitor.errors import Problem
from stream_monitor.events.outcome import known_classes
from stream_monitor.pipeline.policy import ModelPolicy
from stream_monitor.reference.profile import Profile

MIB = 1 << 20
FEATURES_ASSUMED = 20
VERSIONS_ASSUMED = 10
JOIN_BYTES_A_MILLION = 2_000_000  # filters and indexes, which stay in memory
_LARGEST_SHOWN = 3

_PROCESS = 125 * MIB  # the interpreter with all that is imported
_CLIENT = 64 * MIB  # what librdkafka has fetched and not handed over, what it has to send, and a batch at work
_JOIN_STORE = 140 * MIB  # cache, tables in memory and RocksDB's own
# Of what ingest holds for a flush, messages are made: both are there at once. Of dead letters three copies are.
_UNFLUSHED, _LETTERS = 2, 3
_MODEL = 1 * MIB  # decoders, bins, reference

# Of a series in evaluate, as Python's objects: what it has beside its panes, and each pane (written, 150 bytes a
# feature). The process takes 2.5 times as much: tables that grow, what a closing makes, holes in the heap.
_SERIES, _PANE, _FEATURE = 6_000, 200, 150
_LABEL_PANE, _CLASS = 1_500, 300
_RESIDENT = 2.5
_RAW_FEATURE = 15_000  # of a pane of the overall series, as long as there is no profile


@dataclass(frozen=True, slots=True)
class Part:
    """`bytes` of a stage, what they are for, and the keys to lower; None where no key makes them less."""

    stage: str
    what: str
    bytes: int
    keys: str | None

    def __str__(self) -> str:
        mend = "no key lowers it" if self.keys is None else f"lower {self.keys}"
        return f"{self.stage} {format_size(self.bytes)} for {self.what} ({mend})"


@dataclass(frozen=True, slots=True)
class Estimate:
    """What the stages can need in one process each."""

    parts: tuple[Part, ...]
    joins: bool

    def of(self, stage: str) -> int:
        return sum(part.bytes for part in self.parts if part.stage == stage)

    @property
    def total(self) -> int:
        return sum(part.bytes for part in self.parts)

    def __str__(self) -> str:
        more = f" and {format_size(JOIN_BYTES_A_MILLION)} a million join entries" if self.joins else ""
        names = dict.fromkeys(part.stage for part in self.parts)
        stages = ", ".join(f"{stage} {format_size(self.of(stage))}" for stage in names)
        return f"Memory at all limits: {stages}{more}"


def estimate(config: MonitorConfig, profiles: Mapping[str, Profile]) -> Estimate:
    limits, policies = config.limits, policies_of(config)
    joins = any(model.join is not None for model in policies.models.values())
    letters = config.dead_letters.max_bytes_per_flush
    parts = [
        Part("ingest", "the process", _PROCESS + _CLIENT + _MODEL * len(config.models), "the number of models"),
        Part("ingest", "what waits for a flush", _UNFLUSHED * limits.max_unflushed_bytes, "limits.max_unflushed_bytes"),
        Part("ingest", "dead letters", _LETTERS * letters, "dead_letters.max_bytes_per_flush"),
        Part("evaluate", "the process", _PROCESS + _CLIENT, None),
    ]
    if joins:
        parts.append(Part("ingest", "the join store", _JOIN_STORE, None))
    if config.repartition:
        held = _UNFLUSHED * limits.max_unflushed_bytes + _LETTERS * letters
        keys = "limits.max_unflushed_bytes, dead_letters.max_bytes_per_flush"
        parts.append(Part("repartition", "the process", _PROCESS + _CLIENT, None))
        parts.append(Part("repartition", "what waits for a flush", held, keys))
    for index, model in enumerate(config.models):
        parts.append(_model_part(index, model, limits.max_series, profiles.get(model.name)))
    unlisted = VERSIONS_ASSUMED * series_bytes(policies.unlisted, 0, 0)
    parts.append(
        Part("evaluate", "models that register themselves", limits.max_models * int(unlisted), "limits.max_models")
    )
    return Estimate(tuple(parts), joins)


def _model_part(index: int, model: ModelConfig, max_series: int, profile: Profile | None) -> Part:
    policy = model_policy(model)
    features = FEATURES_ASSUMED if profile is None else len(profile.features)
    classes = len(known_classes(policy.outcome) or (profile.classes if profile is not None else ()))
    series = max_series + VERSIONS_ASSUMED if policy.segments else VERSIONS_ASSUMED
    each = series_bytes(policy, features, classes)
    raw = panes_kept(policy) * features * _RAW_FEATURE
    where = f"models[{index}]"
    segments = f"limits.max_series, the number of {where}.segments" if policy.segments else f"{where}.windows"
    return Part(
        "evaluate",
        f"model {model.name}: {series:,} series of {panes_kept(policy):,} panes and {features:,} features",
        int(series * each) + _MODEL + (0 if profile is not None else raw),
        f"{segments}, or the largest of {where}.windows" if policy.segments else segments,
    )


def panes_kept(policy: ModelPolicy) -> int:
    """Panes of a series that are there at once: those of the largest window, and until it is corrected no more."""
    largest = max(spec.size_ms for spec in policy.windows)
    kept_ms = largest + policy.allowed_lateness_ms + policy.max_out_of_order_ms
    return -(-kept_ms // policy.pane_ms) + 1


def series_objects(policy: ModelPolicy, features: int, classes: int) -> int:
    """Bytes of one series in evaluate, as Python's objects."""
    pane = _PANE + _FEATURE * features
    if policy.joins_labels:
        pane += _LABEL_PANE + _CLASS * classes
    return _SERIES + panes_kept(policy) * pane


def series_bytes(policy: ModelPolicy, features: int, classes: int) -> float:
    """Resident bytes of one series in evaluate."""
    return _RESIDENT * series_objects(policy, features, classes)


def budget_problems(config: MonitorConfig, found: Estimate) -> list[Problem]:
    """One problem where a config can need more than its budget, which names what takes the most."""
    budget = config.limits.memory_budget
    if found.total <= budget:
        return []
    largest = sorted(found.parts, key=lambda part: -part.bytes)[:_LARGEST_SHOWN]
    needed = format_size(found.total)
    return [
        Problem(
            "limits.memory_budget",
            f"{format_size(budget)}, where the config can need {needed}: {'; '.join(map(str, largest))}",
            f"{needed} or more, or lower limits",
        )
    ]
