"""`python -m benches [NAME …]`: measurements on a real broker, the one that the tests use.

Without a name: all but the long ones. Stdout has one JSON object a bench, the last line that of the last bench; what
is for people goes to stderr. Exit code 1: a bench failed, or a ratio fell behind reference.json.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import sys
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benches import reference
from benches.harness import Options, Result, say, table
from tests.broker.source import NoBroker


@dataclass(frozen=True, slots=True)
class Bench:
    """A file of this folder with a function `run`; imported when it runs: what it needs is needed only then."""

    name: str
    about: str
    long: bool

    def run(self, options: Options) -> Result:
        module = importlib.import_module(f"benches.{self.name.replace('-', '_')}")
        found: Result = module.run(options)
        return found


def benches(folder: Path = Path(__file__).parent) -> dict[str, Bench]:
    """All benches by name, told by their source alone."""
    found = {}
    for file in sorted(folder.glob("*.py")):
        tree = ast.parse(file.read_text(), str(file))
        if not any(isinstance(node, ast.FunctionDef) and node.name == "run" for node in tree.body):
            continue
        name = file.stem.replace("_", "-")
        about = (ast.get_docstring(tree) or "").partition("\n")[0]
        found[name] = Bench(name, about, _says_long(tree))
    return found


def _says_long(tree: ast.Module) -> bool:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == ["LONG"]:
            return bool(ast.literal_eval(node.value))
    return False


def main() -> int:
    known = benches()
    given = _arguments(known)
    if given.list:
        for bench in known.values():
            print(f"{bench.name:<14}{'long  ' if bench.long else '      '}{bench.about}")
        return 0
    chosen = [known[name] for name in given.names] or [bench for bench in known.values() if not bench.long]
    options = Options(given.events, 1 if given.quick else given.rounds, given.quick)
    committed = reference.read()
    comparable = not given.quick and given.events is None
    sentences: list[str] = []
    all_began = time.monotonic()
    for bench in chosen:
        say(f"\n== {bench.name}: {bench.about}")
        began = time.monotonic()
        try:
            found = bench.run(options)
        except NoBroker as error:
            say(str(error))
            return 1
        except Exception:
            say(traceback.format_exc())
            sentences.append(f"{bench.name}: failed")
            continue
        say("\n" + table(found, verdicts=not given.quick))
        if given.write_reference:
            reference.write(reference.renewed(bench.name, found["ratios"], reference.read()))
        elif comparable:
            sentences += reference.fallen(bench.name, found["ratios"], committed)
        seconds = round(time.monotonic() - began)
        print(json.dumps({"bench": bench.name, **found, "rounds": options.rounds, "seconds": seconds}), flush=True)
    say(f"{len(chosen)} of {len(known)} benches in {time.monotonic() - all_began:.0f} s")
    for sentence in sentences:
        say(sentence)
    return 1 if sentences else 0


def _arguments(known: Mapping[str, Bench]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(known)}; default: all but the long ones"
    )
    parser.add_argument("--list", action="store_true", help="say what each measures, and end")
    parser.add_argument("--events", type=int, help="predictions, instead of the bench's own number")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default %(default)s)")
    parser.add_argument("--quick", action="store_true", help="try it: one round, little data, nothing compared")
    parser.add_argument(
        "--write-reference", action="store_true", help="renew reference.json instead of comparing with it"
    )
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"there is no bench {unknown[0]!r}; there are {', '.join(known)}")
    if given.write_reference and (given.quick or given.events is not None):
        parser.error("a reference is of a whole run: --write-reference goes neither with --quick nor with --events")
    if given.rounds < 1 or (given.events is not None and given.events < 1):
        parser.error("--rounds and --events must be at least 1")
    return given


if __name__ == "__main__":
    sys.exit(main())
