"""Each promise of docs/guarantees.md names tests that exist, in italics those that `make test` leaves out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = sorted(set(re.findall(r"(\*?)`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs" / "guarantees.md").read_text())))


def test_it_names_tests() -> None:
    assert len(NAMED) > 30


@pytest.mark.parametrize(("italic", "file", "name"), NAMED, ids=[f"{file}::{name}" for _, file, name in NAMED])
def test_a_test_that_is_named_exists_and_is_run_when_the_page_says(italic: str, file: str, name: str) -> None:
    module = ast.parse((ROOT / file).read_text())
    tests = {node.name: node for node in ast.walk(module) if isinstance(node, ast.FunctionDef)}
    assert name in tests
    marks = [ast.unparse(node) for node in tests[name].decorator_list if "parametrize" not in ast.unparse(node)]
    marks += [
        ast.unparse(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark"
    ]
    assert bool(italic) == any("mark.chaos" in mark for mark in marks)
