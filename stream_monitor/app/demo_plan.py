"""What the demo plays and what must come of it, as a frozen plan. Pure.

Windows are short so that a minute shows a whole life: some calm ones, then a covariate shift, two shifted windows
until its alert fires, then a concept drift and the labels that give it away.
"""

from __future__ import annotations

from dataclasses import dataclass

from stream_monitor.app.generate import StreamPolicy
from stream_monitor.app.generate_world import WorldPolicy
from stream_monitor.errors import UsageError

MODEL = WorldPolicy("credit", "7", numeric=4, categorical=2)
SHORTEST_MS = 30_000
_END_MS = 10_000  # kept free at the end: the last labels, then the windows that close because nothing comes any more
_CALM_WINDOWS = 2
_SHIFTED_WINDOWS = 3  # before the concept drifts


@dataclass(frozen=True, slots=True)
class Expectation:
    """An alert that must fire. `why` says which change of the stream causes it."""

    rule: str
    feature: str | None
    why: str


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """`drift` False: the same stream without the changes. Times in ms."""

    duration_ms: int = 60_000
    drift: bool = True
    rate: float = 250.0
    seed: int = 1

    def __post_init__(self) -> None:
        if self.duration_ms < SHORTEST_MS:
            raise UsageError(
                f"the demo needs at least {SHORTEST_MS // 1000} s to show everything, "
                f"found {self.duration_ms / 1000:g} s"
            )

    @property
    def window_ms(self) -> int:
        """4 s in a demo of a minute; 2 s in the shortest."""
        return min(4_000, self.duration_ms // 15_000 * 1_000)

    @property
    def label_delay_ms(self) -> int:
        return min(1_500, self.window_ms // 2)

    @property
    def expected(self) -> tuple[Expectation, ...]:
        if not self.drift:
            return ()
        return (
            Expectation("input-drift", MODEL.shifted_feature, "incomes rose"),
            Expectation("concept-drift", None, "debts came to mean the opposite"),
        )

    def stream(self, start_ms: int) -> StreamPolicy:
        """The changes begin where windows do, so that each window is of one kind."""
        window = self.window_ms
        shift_ms = -(-(start_ms + _CALM_WINDOWS * window) // window) * window - start_ms
        return StreamPolicy(
            (MODEL,),
            rate=self.rate,
            seed=self.seed,
            label_delay_ms=self.label_delay_ms,
            out_of_order_ms=500,
            shift_after_ms=shift_ms if self.drift else None,
            shift_ramp_ms=window,
            drift_after_ms=shift_ms + _SHIFTED_WINDOWS * window if self.drift else None,
            events=int((self.duration_ms - _END_MS) * self.rate / 1000),
        )

    def config(self) -> str:
        """The monitor's config file, as a user would write it. The topics' and rules' names are the defaults."""
        seconds = self.window_ms // 1000
        return f"""\
models:
  - name: {MODEL.model_name}
    task: binary
    positive_class: "1"
    reference: {{profile: profile.json}}
    windows: [{{size: {seconds}s}}]
    max_out_of_order: 1s
    allowed_lateness: 20s
    labels: {{join_window: 10m}}
    detectors: [{{signal: error, kind: adwin}}]
flush_interval: 500ms
revision_interval: 1s
idle_timeout: 2s
react: {{log: false}}
prometheus: {{port: 0}}
state_dir: state
"""
