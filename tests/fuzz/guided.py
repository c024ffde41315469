"""One target under atheris: `python -m tests.fuzz.guided NAME FAULTS [libFuzzer arguments]`.

Faults do not end the run: one input of each kind is kept, made small, under FAULTS. Hangs and too much memory do end
it; libFuzzer leaves the input as an artifact.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["stream_monitor", "yaml"]):
    from tests.fuzz.harness import failure, file_name, load, smallest

    _target = load(sys.argv[1])


def main() -> None:
    faults = Path(sys.argv[2])
    known: set[str] = set()

    def one(data: bytes) -> None:
        kind = failure(_target.check, data)
        if kind is not None and kind not in known:
            known.add(kind)
            data = smallest(_target.check, data, kind)
            (faults / file_name(data)).write_bytes(data)
            print(f"FAULT {kind} {data[:200]!r}", flush=True)

    atheris.Setup([sys.argv[0], *sys.argv[3:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
