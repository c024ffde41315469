"""A group of commands: how its help looks, and how its commands end.

Help is plain text: the import of rich, which would draw boxes around it, took half of its time. Tables, bars and the
demo's screen do use rich, once there is something to show.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from stream_monitor.cli.failures import say
from stream_monitor.cli.options import config_named
from stream_monitor.errors import StreamMonitorError


class Commands(TyperGroup):
    """A command group whose commands may raise StreamMonitorError."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _in_our_words(error.message)
            raise
        except StreamMonitorError as error:
            say(error, config_named(ctx))
            raise typer.Exit(error.exit_code) from None
        except BrokenPipeError:
            # The reader of our output (head, less) has gone; the flush at exit must not meet the closed pipe again.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Each command with its whole sentence: the inherited list cuts it off at the end of the line."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(1_000)) for name, command in found if command])


# What the option parser says of a wrong number → what an error of ours would say is accepted.
_WORDS = (
    (re.compile(r"Input should be greater than or equal to (\S+)"), r"accepted: \1 or more"),
    (re.compile(r"Input should be less than or equal to (\S+)"), r"accepted: at most \1"),
    (re.compile(r"Input should be a valid integer.*"), "accepted: a whole number"),
    (re.compile(r"Input should be a valid number.*"), "accepted: a number"),
    (re.compile(r"Value error, ('.*') is not one of ('.*')\.?"), r"found \1; accepted: one of \2."),
)


def _in_our_words(text: str) -> str:
    for pattern, words in _WORDS:
        text = pattern.sub(words, text)
    return text


def command_group(help: str, *, name: str | None = None) -> typer.Typer:  # noqa: A002 - as typer calls it
    """An empty group; without a command it shows its help."""
    return typer.Typer(
        name=name,
        cls=Commands,
        help=help,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
