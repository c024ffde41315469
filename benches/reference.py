"""The committed ratios of an earlier run, and whether a new run fell behind them.

`reference.json`: bench → ratio → {"value", "better"}. Ratios alone: absolute figures differ between machines. A ratio
falls where it is more than `TOLERANCE` worse than the reference, in the direction that is worse for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("reference.json")
TOLERANCE = 0.15

Ratios = Mapping[str, Mapping[str, Any]]  # of one bench, as `harness.ratio` makes them


def read(file: Path = FILE) -> dict[str, Any]:
    return dict(json.loads(file.read_text())) if file.exists() else {}


def fallen(bench: str, ratios: Ratios, reference: Mapping[str, Ratios]) -> list[str]:
    """One sentence a ratio that fell, or that the run no longer gives."""
    sentences = []
    for name, before in reference.get(bench, {}).items():
        if name not in ratios:
            sentences.append(f"{bench}: {name} is in the reference and was not measured")
            continue
        value, was, better = ratios[name]["value"], before["value"], before["better"]
        worse = value < was * (1 - TOLERANCE) if better == "higher" else value > was * (1 + TOLERANCE)
        if worse:
            change = value / was - 1
            sentences.append(
                f"{bench}: {name} is {value:.3g}, {change:+.0%} of the reference's {was:.3g} "
                f"(better: {better}; accepted: {TOLERANCE:.0%})"
            )
    return sentences


def renewed(bench: str, ratios: Ratios, reference: Mapping[str, Ratios]) -> dict[str, Any]:
    """The reference with this bench's ratios in the place of its former ones."""
    mine = {name: {"value": float(f"{each['value']:.3g}"), "better": each["better"]} for name, each in ratios.items()}
    return {**reference, bench: mine}


def write(reference: Mapping[str, Ratios], file: Path = FILE) -> None:
    file.write_text(json.dumps(reference, indent=2, sort_keys=True) + "\n")
