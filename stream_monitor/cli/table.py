"""Tables: rich ones on a terminal, aligned plain text when piped."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer


def print_table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*header)
        for line in lines:
            # As Text: names come from data and must not be read as markup.
            table.add_row(*(Text(cell) for cell in line))
        Console().print(table)
        return
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    for line in (header, *lines):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
