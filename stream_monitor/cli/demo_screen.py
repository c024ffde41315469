"""The demo's screen: one frame from one story, for a terminal of 80 × 24 or more."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from stream_monitor.app.demo_plan import MODEL, DemoPlan
from stream_monitor.app.demo_story import AlertLine, Story, Trend, described
from stream_monitor.app.generate import Phase
from stream_monitor.app.generate_sent import Sent

_BLOCKS = "▁▂▃▄▅▆▇█"
_TREND = 16  # windows shown
_THRESHOLD = 0.2  # of the default rules on CSI and PSI
_FULL = 1.0  # CSI of a full block
_ALERTS = 4
_COLOURS = {"pending": "yellow", "firing": "bold red", "resolved": "green"}


def spark(values: Sequence[float], low: float, high: float) -> str:
    """The newest values as blocks from `low` to `high`."""
    last = len(_BLOCKS) - 1
    return "".join(
        _BLOCKS[round(min(1.0, max(0.0, (value - low) / (high - low))) * last)] for value in values[-_TREND:]
    )


def frame(story: Story, sent: Sent, phase: Phase, elapsed_s: float, *, playing: bool, url: str) -> RenderableType:
    """Everything at one moment."""
    return Group(
        _head(story.plan, elapsed_s),
        _course(story.plan, phase, playing=playing),
        Padding(Text(story.caption(playing=playing), style="italic"), (0, 0, 0, 1)),
        Rule(style="dim"),
        _stream(story, sent),
        _trends(story),
        Rule(style="dim"),
        _alerts(list(story.alerts.values())),
        Text.assemble(
            (" /metrics  ", "bold"), (f"{url}/metrics", "cyan underline"), ("  (open until the demo ends)", "dim")
        ),
    )


def _head(plan: DemoPlan, elapsed_s: float) -> RenderableType:
    grid = Table.grid(expand=True)
    grid.add_column()
    grid.add_column(justify="right")
    grid.add_row(
        Text.assemble(
            (" stream-monitor demo ", "bold reverse"),
            f"  credit model, {plan.rate:g} predictions/s",
        ),
        Text(f"{minutes(elapsed_s)} / {minutes(plan.duration_ms / 1000)} ", style="dim"),
    )
    return grid


def _course(plan: DemoPlan, phase: Phase, *, playing: bool) -> Text:
    """Where in the plot we are."""
    steps = ["calm", "incomes rise", "debts mean the opposite", "end"] if plan.drift else ["calm", "end"]
    now = len(steps) - 1 if not playing else phase.shifted + phase.drifted
    text = Text(" ")
    for place, step in enumerate(steps):
        style = "bold green" if place == now == 0 else "bold magenta" if place == now else "dim"
        text.append(f"{'●' if place <= now else '○'} {step}", style=style)
        if place < len(steps) - 1:
            text.append(" ── ", style="dim")
    return text


def _stream(story: Story, sent: Sent) -> Text:
    return Text.assemble(
        (" sent      ", "bold"),
        f"{sent.predictions:,} predictions, {sent.repeats:,} of them twice, {sent.labels:,} labels\n",
        (" counted   ", "bold"),
        f"{story.counted:,} predictions in {story.windows} closed windows of {story.plan.window_ms / 1000:g} s",
    )


def _trends(story: Story) -> Table:
    table = Table(box=None, pad_edge=True, padding=(0, 1, 0, 1), header_style="dim")
    table.add_column("drift from the training data")
    table.add_column("window by window", width=_TREND)
    table.add_column("now", justify="right", width=5)
    table.add_column("by chance", justify="right", width=9)
    table.add_column("alert", width=8)
    for feature in MODEL.features:
        _drift_row(table, story, "csi", feature, feature)
    _drift_row(table, story, "psi", None, "the model's score")
    accuracy = story.trends.get(("accuracy", None), Trend())
    values, newest = accuracy.in_order(), accuracy.newest
    bad = newest is not None and newest < 0.8
    table.add_row(
        Text("accuracy", style="bold red" if bad else ""),
        Text(spark(values, 0.4, 1.0), style="red" if bad else "green"),
        "" if newest is None else f"{newest:.2f}",
        "",
        _state(story.firing("change_detected", None)),
    )
    return table


def _drift_row(table: Table, story: Story, metric: str, feature: str | None, name: str) -> None:
    trend = story.trends.get((metric, feature), Trend())
    beyond = trend.newest is not None and trend.newest > _THRESHOLD
    table.add_row(
        Text(f"{name} ({metric.upper()})", style="bold red" if beyond else ""),
        Text(spark(trend.in_order(), 0.0, _FULL), style="red" if beyond else "green"),
        "" if trend.newest is None else f"{trend.newest:.2f}",
        "" if trend.chance is None else f"≤{trend.chance:.2f}",
        _state(story.firing(metric, feature)),
    )


def _state(state: str) -> Text:
    return Text(state.upper() if state == "firing" else state, style=_COLOURS.get(state, ""))


def _alerts(alerts: list[AlertLine]) -> RenderableType:
    if not alerts:
        return Text(" no alert so far", style="dim")
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 1))
    for alert in alerts[-_ALERTS:]:
        at = alert.fired_s if alert.fired_s is not None else alert.pending_s
        reacted = ""
        if alert.fired_s is not None and alert.reacted_s is not None:
            reacted = f"react +{max(0.0, alert.reacted_s - alert.fired_s):.1f} s"
        table.add_row(
            minutes(at or 0.0),
            _state(alert.state),
            Text(alert.rule, style="bold"),
            described(alert),
            Text(reacted, "dim"),
        )
    return table


def minutes(seconds: float) -> str:
    return f"{int(seconds) // 60:02}:{int(seconds) % 60:02}"
