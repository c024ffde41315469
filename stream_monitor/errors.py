"""Every error the monitor raises on purpose.

    StreamMonitorError                 exit code 1
    ├── ConfigError                    exit code 78, all problems of a config at once
    ├── UsageError                     exit code 2
    ├── FormatError                    bytes of an unknown or broken internal format
    ├── ProfileError                   a reference profile that cannot be read or built
    ├── SetupError                     broker, topics or keys are not as they must be
    ├── StateLockedError               another process owns the state directory
    ├── StoreError                     the disk under the join store fails
    ├── RestoreError                   state and committed offsets do not agree
    └── RejectFlood                    too many events are rejected, and the config says to stop then

A message states the rule, the value found and what is accepted; `mend` is the command or edit that helps.
"""

from __future__ import annotations

from dataclasses import dataclass


class StreamMonitorError(Exception):
    """Base of all errors raised on purpose; `exit_code` is what the command line exits with."""

    exit_code = 1

    def __init__(self, message: str, *, mend: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.message} → {self.mend}" if self.mend else self.message


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a config: where, what was found, what is accepted."""

    path: str
    found: str
    accepted: str

    def __str__(self) -> str:
        return f"{self.path}: found {self.found}; accepted: {self.accepted}"


class ConfigError(StreamMonitorError):
    exit_code = 78

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class UsageError(StreamMonitorError):
    exit_code = 2


class FormatError(StreamMonitorError):
    pass


class ProfileError(StreamMonitorError):
    pass


class SetupError(StreamMonitorError):
    pass


class StateLockedError(StreamMonitorError):
    pass


class StoreError(StreamMonitorError):
    pass


class RestoreError(StreamMonitorError):
    pass


class RejectFlood(StreamMonitorError):
    pass
