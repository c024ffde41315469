"""Which deviations are more than chance gives, when many are looked at.

Promises: Benjamini-Hochberg as published (1995); the expected share of false discoveries in a window is at most
the level, and without any drift so is the chance of even one. Costs: a sort. Leaves to others: which hypotheses
are in the family (alerts/observe.py), effect size (the rule's threshold).
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_LEVEL = 0.05
DAY_MS = 86_400_000


def benjamini_hochberg(p_values: Sequence[float], level: float) -> list[bool]:
    """For each p-value: is it among the k smallest, k the largest with p₍k₎ ≤ level·k/m?"""
    m = len(p_values)
    cut = -1.0
    for rank, p in enumerate(sorted(p_values), start=1):
        if p <= level * rank / m:
            cut = p
    return [p <= cut for p in p_values]


def windows_per_day(slides_ms: Sequence[int]) -> float:
    """How many windows one model closes a day, over all its window specs; all series of a window are one family."""
    return sum(DAY_MS / slide for slide in slides_ms)


def budget_level(target_per_day: float, windows_per_day: float) -> float:
    """The level for each window so that all windows of a day give at most `target_per_day` false alarms.

    At most 0.05: with one window a week the budget alone would let anything pass.
    """
    if target_per_day < 0 or windows_per_day <= 0:
        raise ValueError(
            f"target_per_day must be at least 0 and windows_per_day above 0, found {target_per_day}, {windows_per_day}"
        )
    return min(MAX_LEVEL, target_per_day / windows_per_day)
