"""What was configured about one change detector. Frozen; defaults by simulation, see detector.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

Signal = Literal["error", "score", "residual"]
Kind = Literal["adwin", "page_hinkley"]
Direction = Literal["worse", "better", "any"]

# Accepted parameters and their defaults, under river's names; `warmup` is ours, see scaling.py. Page-Hinkley's
# delta and threshold are in standard deviations of the signal: in its own units they would fit no second one.
PARAMETERS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "adwin": MappingProxyType({"delta": 0.002, "clock": 32, "grace_period": 30, "warmup": 100}),
        "page_hinkley": MappingProxyType({"delta": 0.15, "threshold": 50.0, "warmup": 200}),
    }
)


@dataclass(frozen=True, slots=True)
class DetectorPolicy:
    """A detector of changes in the mean of one signal of the labelled sample.

    signal      "error" (0/1 wrong for classes, |actual − predicted| for values), "score" or "residual"
    kind        "adwin" or "page_hinkley"
    direction   "worse": the error rises, "better": it falls, "any". Null: "worse" for the error, else "any";
                score and residual know no better or worse
    parameters  overrides of PARAMETERS[kind]
    """

    signal: Signal = "error"
    kind: Kind = "adwin"
    direction: Direction | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _accept("signal", self.signal, ("error", "score", "residual"))
        _accept("kind", self.kind, tuple(PARAMETERS))
        if self.direction is not None:
            directions = ("worse", "better", "any") if self.signal == "error" else ("any",)
            _accept(f"direction of signal {self.signal}", self.direction, directions)
        for name, value in self.parameters.items():
            _accept(f"parameter of {self.kind}", name, tuple(PARAMETERS[self.kind]))
            if not value > 0:
                raise ValueError(f"{self.kind} parameter {name} must be above 0, found {value}")

    @property
    def watched(self) -> Direction:
        return self.direction or ("worse" if self.signal == "error" else "any")

    def parameter(self, name: str) -> float:
        return float(self.parameters.get(name, PARAMETERS[self.kind][name]))

    def resolved(self) -> dict[str, float]:
        """All parameters, defaults included; state kept under others is not this detector's."""
        return {name: self.parameter(name) for name in PARAMETERS[self.kind]}


def _accept(what: str, found: str, accepted: tuple[str, ...]) -> None:
    if found not in accepted:
        raise ValueError(f"unknown {what} {found!r}; accepted: {', '.join(accepted)}")
