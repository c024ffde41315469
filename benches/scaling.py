"""The scaling model: runs at 1 to 16 partitions and 10 to 10,000 series, fitted, and carried to 10 million events/s.

Each run drains one made-up load through ingest, then its panes through evaluate, each in a process of its own; CPU
time, memory and what lies on the topics are counted. The laws of scaling_model.py are fitted to all runs, with their
residuals; scaling_plan.py says from them what larger loads would need. docs/scaling.md explains and discusses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

from benches.events import TWENTY, Shape
from benches.harness import Options, Result, bench_space, ratio, result, say
from benches.scaling_case import Case, Found, measured
from benches.scaling_model import Model, fit
from benches.scaling_plan import Load, Plan, planned

LONG = True
FIVE, HUNDRED, TWO_HUNDRED = Shape(4, 1), Shape(80, 20), Shape(160, 40)
LOADS = [
    Load(rate, models, segments, features)
    for models, segments, features in ((10, 9, 20), (100, 9, 20), (100, 99, 20), (100, 9, 200))
    for rate in (10_000, 100_000, 1_000_000, 10_000_000)
]


def run(options: Options) -> Result:
    found: list[Found] = []
    with bench_space("scaling") as space:
        chosen = cases(options)
        for number, case in enumerate(chosen):
            found.append(measured(space, case, number))
            say(f"  {number + 1} of {len(chosen)}: {case}: {found[-1]}")
    model = fit(found)
    plans = [planned(model, load) for load in LOADS]
    say("\n" + law_table(model) + "\n\n" + plan_table(plans))
    by_partitions = {f.case.partitions: f for f in found[:5]}
    one, sixteen = (by_partitions[n].ingest["cpu_seconds"] for n in (1, 16))
    laws = model.laws()
    return result(
        figures={f"{name}: typical error": law.typical_error for name, law in laws.items()},
        ratios={"ingest_cpu_of_16_partitions": ratio(sixteen / one, "lower")},
        laws={name: law.coefficients for name, law in laws.items()},
        largest_errors={name: round(law.largest_error, 3) for name, law in laws.items()},
        wire=dict(model.wire),
        plans=[asdict(plan) for plan in plans],
    )


def cases(options: Options) -> list[Case]:
    """Partitions first; then series, as models and as segments; then features; then many small flushes."""
    n = options.count(120_000, quick=20_000)
    sweep = [Case(partitions, 10, 0, TWENTY, n) for partitions in (1, 2, 4, 8, 16)]
    series = [Case(4, m, s, TWENTY, n) for m, s in ((1, 9), (1, 99), (10, 9), (100, 0))]
    features = [Case(4, 10, 9, shape, n // 2, minutes=6) for shape in (FIVE, HUNDRED, TWO_HUNDRED)]
    flushes = [Case(16, 100, 0, TWENTY, n, minutes=6, flush_ms=50), Case(4, 10, 9, TWENTY, n, flush_ms=1_000)]
    # One family of windows ends once, or none: each end costs milliseconds a series.
    large = [Case(4, m, s, TWENTY, n, minutes=6) for m, s in ((1, 999), (10, 99), (100, 9))]
    largest = [Case(4, m, s, TWENTY, n, minutes=4) for m, s in ((1, 9_999), (10, 999), (100, 99))]
    return [*sweep, *series, *features, *flushes, *([] if options.quick else [*large, *largest])]


def law_table(model: Model) -> str:
    lines = []
    for name, law in model.laws().items():
        lines.append(f"{name}: typical error {law.typical_error:.1%}, largest {law.largest_error:+.0%}")
        lines += [f"    {_coefficient(name, value):>14}  {term}" for term, value in law.coefficients.items()]
    lines.append(
        "bytes on the network a byte: " + ", ".join(f"{name} {value:.2f}" for name, value in model.wire.items())
    )
    return "\n".join(lines)


def _coefficient(law: str, value: float) -> str:
    if law.endswith("_cpu"):
        return f"{value * 1e6:,.3f} µs"
    if law.endswith("_mib"):
        return f"{value * 1024:,.2f} kiB"
    return f"{value:,.2f} B"


def plan_table(plans: Sequence[Plan]) -> str:
    """As docs/scaling.md shows it."""
    heads = (
        "events/s",
        "models × segments × features",
        "flush",
        "ingest, evaluate processes",
        "cores of the hottest model",
        "partitions",
        "deltas/s",
        "MB/s: source, panes, state, metrics",
        "GB a day: source, results",
        "MiB: an ingest, an evaluate",
        "core-s, money a million",
    )
    rows = [heads, ("---",) * len(heads)]
    for plan in plans:
        load = plan.load
        network = (plan.source_mb_s, plan.panes_mb_s, plan.state_mb_s, plan.metrics_mb_s)
        rows.append(
            (
                _short(load.events_s),
                f"{load.models} × {1 + load.segments} × {load.features}",
                f"{plan.flush_s} s",
                f"{plan.workers:,}, {plan.evaluates:,}",
                _short(plan.hottest),
                _short(plan.partitions),
                _short(plan.deltas_s),
                ", ".join(map(_short, network)),
                f"{_short(plan.source_gb_day)}, {_short(plan.results_gb_day)}",
                f"{_short(plan.ingest_mib)}, {_short(plan.evaluate_mib)}",
                f"{_short(plan.core_s_per_million)}, {plan.cost_per_million:.5f}",
            )
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:.2g}"
