from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from stream_monitor.cli.main import app

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Runs one command in this process; fails on an exception that is not an exit."""

    def call(*words: object) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)

    return call
