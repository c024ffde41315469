"""The composition root of `run`: the stages of one process, its endpoint, and how they end.

Promises: one sentence and exit code 1 for whatever stops it but a signal; SIGTERM and SIGINT drain. Leaves to
others: what the stages do (kafka/, agents/), threads (parts.py), processes (workers.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from stream_monitor import __version__
from stream_monitor.agents.worker import ReactWorker
from stream_monitor.app.arenas import few_arenas
from stream_monitor.app.broker import topic_names
from stream_monitor.app.exporting import export_policy, http_policy, react_policy
from stream_monitor.app.instance import Instance
from stream_monitor.app.logs import configure_logs
from stream_monitor.app.parts import Part, run_parts, stop_on_signals
from stream_monitor.app.preflight import checked_setup
from stream_monitor.app.rights import RUN_ROLES as ROLES
from stream_monitor.app.rights import run_roles
from stream_monitor.app.setup import Setup, load_setup
from stream_monitor.app.stages import LoopChanges, evaluate_part, ingest_part, repartition_part
from stream_monitor.app.workers import orphan_watch, worker_command, worker_part
from stream_monitor.errors import UsageError
from stream_monitor.export.board import Board
from stream_monitor.export.collector import registry_of
from stream_monitor.export.garbage import GarbageWatch
from stream_monitor.export.http import MonitoringServer

log = structlog.get_logger("stream_monitor.app")


def run_monitor(
    file: Path, *, role: str | None = None, instance: str | None = None, workers: int = 0, port: int | None = None
) -> None:
    """Run until a signal comes; raises what made it stop otherwise."""
    few_arenas()
    setup = load_setup(file)
    configure_logs()
    stop = stop_on_signals()
    with Instance(setup.config.state_dir, instance) as owned:
        roles = run_roles(setup) if role is None else (role,)
        setup = checked_setup(setup, roles)
        board = Board(export_policy(setup))
        parts = [
            *worker_parts(file, setup, owned, workers, port),
            *compose(setup, owned, board, [each for each in roles if not (workers and each == "ingest")]),
        ]
        serve(setup, parts, board, stop, port=port)


def compose(
    setup: Setup, owned: Instance, board: Board, roles: Sequence[str], loop_changes: LoopChanges | None = None
) -> list[Part]:
    """The parts of these roles; they share the board. `loop_changes` is for a broker that is not a real one."""
    unknown = [role for role in roles if role not in ROLES]
    if unknown:
        raise UsageError(f"There is no role {unknown[0]!r}; accepted: {', '.join(ROLES)}")
    if "repartition" in roles and not setup.config.repartition:
        raise UsageError("The role repartition needs `repartition: true` in the config; found false")
    makers: dict[str, Callable[[], Part]] = {
        "repartition": lambda: repartition_part(setup, owned, board, loop_changes),
        "ingest": lambda: ingest_part(setup, owned, board, loop_changes),
        "evaluate": lambda: evaluate_part(setup, owned, board, loop_changes),
        "react": lambda: react_part(setup, owned, board),
    }
    return [makers[role]() for role in roles]


def worker_parts(file: Path, setup: Setup, owned: Instance, workers: int, port: int | None) -> list[Part]:
    """N ingest processes ID-0 … ID-N−1, whose endpoints listen on the ports after this one's."""
    first = setup.config.prometheus.port if port is None else port
    parts = []
    for index in range(workers):
        name = f"{owned.name}-{index}"
        parts.append(worker_part(name, worker_command(str(file), name, first + 1 + index if first else 0)))
    return parts


def serve(setup: Setup, parts: Sequence[Part], board: Board, stop: threading.Event, *, port: int | None = None) -> None:
    """Open the endpoint and run the parts until `stop`; ready once every part is."""
    with GarbageWatch() as garbage:
        server = MonitoringServer(
            http_policy(setup, port),
            registry_of(board, garbage, version=__version__),
            ready={name: holds for part in parts for name, holds in {part.name: part.ready, **part.conditions}.items()},
            healthy={"running": lambda: not stop.is_set()},
            on_refused=board.count_http_refusal,
        )
        server.start()
        log.info("running", parts=[part.name for part in parts], metrics=f"{server.url}/metrics")
        watch = orphan_watch()
        try:
            run_parts(list(parts) if watch is None else [*parts, watch], stop)
        finally:
            server.stop()
    log.info("stopped")


def react_part(setup: Setup, owned: Instance, board: Board) -> Part:
    policy = react_policy(setup, topic_names(setup), owned.directory)
    worker = ReactWorker(policy, on_outcome=board.count_reaction)
    return Part("react", worker.run, worker.ready)
