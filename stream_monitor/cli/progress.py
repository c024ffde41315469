"""Progress of long work: a bar on a terminal, a plain line now and then when piped. Always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

_PLAIN_EVERY_S = 5.0


@contextmanager
def progress(what: str, total: int, *, clock: Callable[[], float] = time.monotonic) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with each step's size, in the units of `total`."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True, refresh_per_second=4) as bar:
            task = bar.add_task(what, total=total)
            yield lambda step: bar.advance(task, step)
        return
    done, said = 0, clock()

    def advance(step: int) -> None:
        nonlocal done, said
        done += step
        if clock() - said >= _PLAIN_EVERY_S:
            said = clock()
            typer.echo(f"{what}: {100 * done // max(total, 1)} %", err=True)

    yield advance
