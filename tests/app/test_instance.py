"""An instance owns its directory; a second process with its name is told so."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stream_monitor.app.instance import Instance, default_instance_id
from stream_monitor.errors import SetupError, StateLockedError, UsageError

HOLDER = """
import sys, time
from pathlib import Path
from stream_monitor.app.instance import Instance
with Instance(Path(sys.argv[1]), "a"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_an_instance_owns_a_directory_of_its_name(tmp_path: Path) -> None:
    with Instance(tmp_path / "state", "a") as first, Instance(tmp_path / "state", "b") as second:
        assert first.directory == tmp_path / "state" / "a"
        assert second.directory.is_dir()


def test_nobody_else_may_look_into_its_directory(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir(mode=0o755)
    (tmp_path / "given" / "old").mkdir()
    (tmp_path / "given" / "old").chmod(0o755)
    for state_dir, name in ((tmp_path / "made", "a"), (tmp_path / "given", "old")):
        with Instance(state_dir, name) as instance:
            assert instance.directory.stat().st_mode & 0o777 == 0o700
            assert (instance.directory / "lock").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "given").stat().st_mode & 0o777 == 0o755, "what others made keeps its permissions"


def test_the_default_name_is_the_hosts(tmp_path: Path) -> None:
    with Instance(tmp_path) as instance:
        assert instance.name == default_instance_id()


def test_a_second_process_is_refused_by_name_and_process_id(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(StateLockedError, match=f"'a' is running already: process {holder.pid}"),
            Instance(tmp_path, "a"),
        ):
            pass
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        with Instance(tmp_path, "a"):
            pass  # a kill leaves no lock behind
    finally:
        holder.kill()
        holder.communicate()


def test_a_name_is_free_again_after_use(tmp_path: Path) -> None:
    for _ in range(2):
        with Instance(tmp_path, "a"):
            pass


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 101, "é"])
def test_names_that_would_leave_the_state_directory_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="instance name"):
        Instance(tmp_path, name)


def test_a_state_directory_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot be written"), Instance(tmp_path / "file", "a"):
        pass
