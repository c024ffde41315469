"""Renaming of input fields by dotted path: our field → where it stands in the input.

A key that itself holds dots is found too: at each level the longest literal key wins. What is not mapped, or not
there under its mapped path, is read under our own name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Rename = Callable[[dict[str, Any]], dict[str, Any]]
_ABSENT = object()


def compile_mapping(mapping: Mapping[str, str]) -> Rename | None:
    """A function from an input document to a new one with our fields in place; None if nothing is mapped.

    The input document is left as it was.
    """
    if not mapping:
        return None
    # A whole object first, then single fields within it: {"prediction": "out", "prediction.score": "p"}.
    moves = sorted(((ours.split("."), theirs) for ours, theirs in mapping.items()), key=lambda m: len(m[0]))

    def rename(document: dict[str, Any]) -> dict[str, Any]:
        result = dict(document)
        for ours, theirs in moves:
            value = _find(document, theirs)
            if value is not _ABSENT:
                _place(result, ours, value)
        return result

    return rename


def _find(node: Any, path: str) -> Any:
    if not isinstance(node, dict):
        return _ABSENT
    if path in node:
        return node[path]
    end = path.rfind(".")
    while end > 0:
        head = path[:end]
        if head in node:
            found = _find(node[head], path[end + 1 :])
            if found is not _ABSENT:
                return found
        end = path.rfind(".", 0, end)
    return _ABSENT


def _place(result: dict[str, Any], path: list[str], value: Any) -> None:
    *parents, last = path
    for key in parents:
        child = result.get(key)
        # Copied on the way down: the input's own objects are shared with it.
        result[key] = dict(child) if isinstance(child, dict) else {}
        result = result[key]
    result[last] = value
