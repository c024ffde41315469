"""The faults there are. A new one is a function in a file `tests/chaos/faults_<what>.py`; nothing else is edited:

    @fault(weight=2)
    def disk_is_full(field: Field) -> None:
        victim = field.victim("ingest")
        strike = field.strike(victim)       # waits until its input is unread, notes how much
        …                                   # break it
        field.struck(strike)                # says one line, keeps it for the report
        field.launch(victim)                # mend it; a worker that ended by itself is started again anyway

A fault leaves everything running, though not recovered: the next one may land in the recovery of this one.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.chaos.field import Field

Play = Callable[["Field"], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """`weight`: how often it comes in the mix, against others. `seconds`: about how long it plays. `ends`: workers may
    end by themselves with exit code 1 in it and a while after, as one that was fenced does. `cluster`: it needs three
    brokers that can be killed."""

    name: str
    play: Play
    weight: int
    seconds: float
    ends: bool
    cluster: bool


FAULTS: dict[str, Fault] = {}


def fault(
    *, weight: int = 1, seconds: float = 5.0, ends: bool = False, cluster: bool = False
) -> Callable[[Play], Play]:
    """Registers a function under its name, with hyphens."""

    def register(play: Play) -> Play:
        name = play.__name__.replace("_", "-")
        FAULTS[name] = Fault(name, play, weight, seconds, ends, cluster)
        return play

    return register


def all_faults(*, cluster: bool) -> list[Fault]:
    """Those that can be played, in the order of their names."""
    import tests.chaos as package

    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("faults_"):
            importlib.import_module(f"tests.chaos.{module.name}")
    return [FAULTS[name] for name in sorted(FAULTS) if cluster or not FAULTS[name].cluster]
