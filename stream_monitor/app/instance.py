"""An instance: a name that owns `state_dir/NAME`, by an exclusive lock that the kernel drops when the process dies.

Its name is part of transactional ids and static membership, so two processes with one name would fence each other
off for ever; the lock turns that into one sentence at start. It guards one machine: on several, names must differ,
as host names do.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from pathlib import Path
from types import TracebackType

from stream_monitor.errors import SetupError, StateLockedError, UsageError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def default_instance_id() -> str:
    """The host's name, in the characters an instance name may have."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).lstrip("._-")[:100]
    return cleaned or "localhost"


def checked_instance_id(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"The instance name {name!r} is not accepted: 1 to 100 letters, digits, dots, underscores or hyphens, "
            "a letter or digit first"
        )
    return name


class Instance:
    """The owned directory; use it as a context manager. Costs one file descriptor."""

    def __init__(self, state_dir: Path, name: str | None = None) -> None:
        self.name = checked_instance_id(name) if name is not None else default_instance_id()
        self.directory = state_dir / self.name
        self._lock: int | None = None

    def __enter__(self) -> Instance:
        lock_file = self.directory / "lock"
        try:
            # The join store holds ids and outcomes of single predictions: nobody else may look in.
            self.directory.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.directory.mkdir(mode=0o700, exist_ok=True)
            if self.directory.stat().st_uid == os.geteuid():  # made by an earlier version, or with a wide umask
                self.directory.chmod(0o700)
            lock = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise SetupError(
                f"The state directory {self.directory} cannot be written: {error.strerror}",
                mend="set state_dir to a directory this user may write",
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(lock)
            raise StateLockedError(
                f"Instance {self.name!r} is running already: process {owner} holds {lock_file}",
                mend="stop it first, or start this one with another --instance",
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        self._lock = lock
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The file stays: removing it would let a third process lock a new file while a second waits on the old one.
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
