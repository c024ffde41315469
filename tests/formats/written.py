"""Objects of every internal format, and the file that holds their bytes as a release wrote them.

`python -m tests.formats.written` adds bytes that the file does not hold, and a state where a format number is new; it
never takes any away.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path

from stream_monitor.alerts import judge, lifecycle
from stream_monitor.alerts.rule import RulePolicy
from stream_monitor.detectors import detector
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.events.names import TimeBasis
from stream_monitor.events.policy import OutcomePolicy, Task
from stream_monitor.join.entry import Entry, LabelRecord, PredictionRecord
from stream_monitor.join.packed import pack
from stream_monitor.join.policy import JoinPolicy
from stream_monitor.join.store import stamp
from stream_monitor.kafka import head, join_store
from stream_monitor.pipeline import messages
from stream_monitor.pipeline.ingest import LABELS, PREDICTIONS
from stream_monitor.pipeline.messages import Delta, PaneDelta, Progress, SourceRange
from stream_monitor.pipeline.policy import ModelPolicy, Policies, ReferencePolicy
from stream_monitor.reference import profile
from stream_monitor.sketches import packed
from stream_monitor.sketches.pane import PredictionPane
from stream_monitor.windows.grid import WindowSpec
from stream_monitor.windows.watermark import SourceProgress
from tests.pipeline.test_profile_change import OLD, T0
from tests.pipeline.world import World, label, prediction

FILE = Path(__file__).with_name("written.json")
MINUTE = 60_000

FORMATS = {
    "panes message": messages.FORMAT,
    "pane": packed.PANE_VERSION,
    "head": head.FORMAT,
    "active alert": judge.FORMAT_VERSION,
    "alert state": lifecycle.FORMAT_VERSION,
    "detector": detector.FORMAT_VERSION,
    "join store": join_store.FORMAT_VERSION,
    "profile": profile.FORMAT_VERSION,
}

DELTA = Delta(
    messages.FORMAT,
    "m",
    [SourceRange("predictions", 0, 3, 7)],
    [PaneDelta("1", {"c": "x"}, TimeBasis.PREDICTION, T0, PredictionPane(n=4).to_bytes())],
    pane_ms=MINUTE,
)
PROGRESS = Progress(
    messages.FORMAT,
    "0",
    [SourceProgress("predictions", 0, 3, 7, {"m": T0}, True, ["m"])],
    {"predictions": 2},
    4,
    {"too_large": 1},
)
PREDICTED = PredictionRecord("1", T0, "1", 0.5, None, None, {"c": "x"}, 7, deadline_ms=T0 + MINUTE)
TRUTH = LabelRecord(T0 + 5, "0", None, 9)
ENTRIES = {
    "predicted": Entry([PREDICTED], []),
    "labelled": Entry([], [TRUTH], waiting=True),
    "general": Entry([PREDICTED], [TRUTH, LabelRecord(T0 + 6, "1", None, 11)], waiting=True),
}


def policies() -> Policies:
    model = ModelPolicy(
        name="m",
        outcome=OutcomePolicy(task=Task.BINARY, positive_class="1"),
        reference=ReferencePolicy(kind="profile"),
        windows=(WindowSpec(MINUTE, MINUTE), WindowSpec(5 * MINUTE, MINUTE)),
        max_out_of_order_ms=0,
        join=JoinPolicy(10 * MINUTE, 0),
        segments=(("c",),),
        detectors=(DetectorPolicy("error", "adwin"), DetectorPolicy("error", "page_hinkley")),
    )
    many = RulePolicy("many", "predictions", above=0.0, for_windows=1, severity="warning")
    return Policies(models={"m": model}, rules=(many,), panes_partitions=1, live_horizon_ms=None)


def world() -> World:
    w = World(policies(), {"m": OLD}, partitions=1)
    w.clock = T0
    return w


def put(w: World, minute: int, n: int = 40) -> None:
    for i in range(n):
        at = T0 + minute * MINUTE + i * 100
        value = prediction(f"{at}", at / 1000, features={"income": float(i)}, score=i / n, tags={"c": "xy"[i % 2]})
        w.logs[PREDICTIONS][0].append(value)
        w.logs[LABELS][0].append(label(f"{at}", at / 1000 + 1, label=str(i % 2)))


def turn(w: World) -> None:
    w.clock += 1_000
    for role in (PREDICTIONS, LABELS):
        w.ingest(0, role, 1_000)
    w.flush(0)
    w.evaluate(0, 1_000)


def state_of_three_minutes() -> dict[bytes, bytes]:
    w = world()
    for minute in range(3):
        put(w, minute)
        turn(w)
    return w.state[0]


def written() -> dict[str, object]:
    """Name and format → bytes, or for the state bytes by key."""
    entry_format = f"format {join_store.FORMAT_VERSION}"
    state_format = f"format {head.FORMAT}"
    return {
        f"delta, format {messages.FORMAT}": messages.encode(DELTA),
        f"progress, format {messages.FORMAT}": messages.encode(PROGRESS),
        f"profile, format {profile.FORMAT_VERSION}": OLD.to_json(),
        f"head, {state_format}": head.Head(head.FORMAT, 12, 3).to_bytes(),
        f"state, {state_format}": state_of_three_minutes(),
        **{f"entry {name}, {entry_format}": pack(entry, stamp(T0)) for name, entry in ENTRIES.items()},
    }


def committed() -> tuple[dict[str, int], dict[str, list[object]]]:
    """The newest format numbers in the file, and what it holds by name, each in the order in which it was written."""
    held = json.loads(FILE.read_text())
    numbers = held.pop("formats")
    return numbers, {name: [_decoded(value) for value in values] for name, values in held.items()}


def _decoded(value: object) -> object:
    if isinstance(value, dict):
        return {key.encode(): b64decode(each) for key, each in value.items()}
    return b64decode(str(value))


def _encoded(value: object) -> object:
    if isinstance(value, dict):
        return {key.decode(): b64encode(each).decode() for key, each in sorted(value.items())}
    assert isinstance(value, bytes)
    return b64encode(value).decode()


def main() -> None:
    held = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name, value in written().items():
        values = held.setdefault(name, [])
        # Of a state, dates and pickles differ from one time to the next.
        is_new = held.get("formats") != FORMATS if isinstance(value, dict) else _encoded(value) not in values
        if is_new:
            values.append(_encoded(value))
    held["formats"] = FORMATS
    FILE.write_text(json.dumps(held, indent=1) + "\n")


if __name__ == "__main__":
    main()
