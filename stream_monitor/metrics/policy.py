"""What was configured about metrics. Frozen; no behaviour beyond refusing nonsense."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricPolicy:
    """Fewer rows than these give `insufficient_data` (the value is still given, rules ignore it).

    min_samples     rows of the window, for every metric but plain counts
    min_per_class   rows of each of the two classes, for AUC, Gini and KS separation
    """

    min_samples: int = 30
    min_per_class: int = 30

    def __post_init__(self) -> None:
        for name in ("min_samples", "min_per_class"):
            if (value := getattr(self, name)) < 1:
                raise ValueError(f"{name} must be at least 1, found {value}")
