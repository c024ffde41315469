"""A change detector over one signal of a series: river's ADWIN or Page-Hinkley, made safe to keep and restore.

Promises: NaN, infinities and values beyond ±1e100 (whose squares overflow) are skipped, since one would blind the
detector for ever; bytes round trips give identical behaviour; reading bytes runs no code but the detector classes'
own. After each change the detector starts anew. Costs: about 1 µs a value for ADWIN, 2 for Page-Hinkley; 3 kB of
state. Leaves to others: the order of the values (the pane's sample by label time, prediction_id).

Defaults by simulation: 100 stable 0/1 streams of 10,000 errors for each rate of 0.005, 0.02, 0.1 and 0.3, both
directions watched, and 60 jumps from 0.1 to 0.3 after 2,000 (tests/detectors/test_false_alarms.py holds them, shorter).
  ADWIN delta 0.002 (river's own): no false alarm in 400 streams; the jump is found after 111 events in the median,
  207 at most.
  Page-Hinkley delta 0.15, threshold 50 standard deviations, warm-up 200: two false alarms in 400 streams, both at a
  rate of 0.02; the jump is found after 88 events in the median, 187 at most. river's own delta 0.005 and threshold 50
  are in units of the signal: 50 errors at 0.195 each need 256 events at best, and fit no other signal.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from math import isfinite
from typing import Any, Protocol, Self

import msgspec

from stream_monitor.detectors import allowlist
from stream_monitor.detectors.policy import DetectorPolicy
from stream_monitor.detectors.river_drift import ADWIN, PageHinkley
from stream_monitor.detectors.scaling import RangeScale, Standard
from stream_monitor.errors import FormatError
from stream_monitor.events.unreadable import UNREADABLE

FORMAT_VERSION = 2  # 1 had no digest
MAX_VALUE = 1e100
_TRIAL = (0.0, 1.0) * 40  # more values than ADWIN's clock, so that it looks for a change once


class _Core(Protocol):
    """Takes one scaled value: +1 if the mean has risen, −1 if it has fallen, 0 if nothing is found."""

    def update(self, value: float) -> int: ...


class _Adwin:
    def __init__(self, policy: DetectorPolicy) -> None:
        self._adwin = ADWIN(
            delta=policy.parameter("delta"),
            clock=int(policy.parameter("clock")),
            grace_period=int(policy.parameter("grace_period")),
        )

    def update(self, value: float) -> int:
        before = self._adwin.estimation
        self._adwin.update(value)
        if not self._adwin.drift_detected:
            return 0
        # At the change ADWIN has dropped the older part of its window; what is left is the new mean.
        return 1 if self._adwin.estimation > before else -1


class _PageHinkley:
    """Two one-sided tests side by side: river's two-sided one does not say which side it was."""

    def __init__(self, policy: DetectorPolicy) -> None:
        self._up, self._down = (
            PageHinkley(
                delta=policy.parameter("delta"),
                threshold=policy.parameter("threshold"),
                # river forgets its sums by 0.9999 an event, which cancels delta after some 10,000 events and lets
                # any stable signal alarm in the end.
                alpha=1.0,
                mode=mode,
            )
            for mode in ("up", "down")
        )

    def update(self, value: float) -> int:
        self._up.update(value)
        self._down.update(value)
        return int(self._up.drift_detected) - int(self._down.drift_detected)


class _Saved(msgspec.Struct, frozen=True):
    v: int
    kind: str
    parameters: dict[str, float]
    scale: dict[str, Any]
    core: bytes
    digest: bytes = b""

    def digested(self) -> bytes:
        """Hash of all the rest. Broken bytes in the core would end the process, as river's allocates what they say."""
        return blake2b(
            msgspec.msgpack.encode((self.kind, self.parameters, self.scale, self.core)), digest_size=8
        ).digest()


class Detector:
    """One detector of one signal of one series."""

    def __init__(self, policy: DetectorPolicy) -> None:
        self.policy = policy
        self._start()

    def _start(self) -> None:
        warmup = int(self.policy.parameter("warmup"))
        self._scale: RangeScale | Standard
        self._core: _Core
        if self.policy.kind == "adwin":
            self._scale, self._core = RangeScale(warmup), _Adwin(self.policy)
        else:
            self._scale, self._core = Standard(warmup), _PageHinkley(self.policy)

    def update(self, values: Iterable[float | None]) -> bool:
        """Take in the values in order; true if at least one change in the watched direction was found. FormatError if
        the state that it was restored from proves broken."""
        watched = {"worse": (1,), "better": (-1,), "any": (1, -1)}[self.policy.watched]
        found = False
        with allowlist.refusing():  # of a state that was read: some are found broken only after many values
            for value in values:
                if value is None or not abs(value) <= MAX_VALUE:  # also true of NaN
                    continue
                for scaled in self._scale.offer(value):
                    if isfinite(scaled) and (change := self._core.update(scaled)):
                        found = found or change in watched
                        self._start()
                        break
        return found

    def to_bytes(self) -> bytes:
        saved = _Saved(
            v=FORMAT_VERSION,
            kind=self.policy.kind,
            parameters=self.policy.resolved(),
            scale=msgspec.to_builtins(self._scale),
            core=allowlist.dumps(vars(self._core)),
        )
        return msgspec.msgpack.encode(msgspec.structs.replace(saved, digest=saved.digested()))

    @classmethod
    def from_bytes(cls, data: bytes, policy: DetectorPolicy) -> Self:
        """FormatError if the bytes are of another format, another policy, or name a class not allowed."""
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
        except UNREADABLE as error:
            raise FormatError(f"detector state cannot be read: {error}") from error
        if saved.v == FORMAT_VERSION - 1:
            raise FormatError("detector state has format 1, which cannot be checked", mend="start the detector anew")
        if saved.v != FORMAT_VERSION:
            raise FormatError(f"detector state has format {saved.v}; accepted: {FORMAT_VERSION}")
        if saved.digest != saved.digested():
            raise FormatError(f"detector state of {len(data)} bytes is broken: its digest does not fit")
        if (saved.kind, saved.parameters) != (policy.kind, policy.resolved()):
            raise FormatError(
                f"detector state is of {saved.kind} {saved.parameters}; accepted: {policy.kind} {policy.resolved()}",
                mend="start the detector anew, its configuration has changed",
            )
        cls(policy)._take_up(saved).update(_TRIAL)  # parts that cannot take values are broken, whatever their types
        return cls(policy)._take_up(saved)

    def _take_up(self, saved: _Saved) -> Self:
        try:
            self._scale = msgspec.convert(saved.scale, type(self._scale))
        except msgspec.ValidationError as error:
            raise FormatError(f"detector state has a broken scale: {error}") from error
        if not self._scale.is_sound(int(self.policy.parameter("warmup"))):
            raise FormatError(f"detector state has a broken scale: {saved.scale}"[:200])
        core = allowlist.loads(saved.core)
        accepted = {name: type(part) for name, part in vars(self._core).items()}
        if not isinstance(core, dict) or {name: type(part) for name, part in core.items()} != accepted:
            raise FormatError(f"detector state must hold {', '.join(accepted)} of a {self.policy.kind}")
        vars(self._core).update(core)
        return self
