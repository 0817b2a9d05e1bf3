"""The page of what servers do is whole: each row is shown by tests, and they exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "conformance.md").read_text()
ROWS: list[tuple[str, str, str]] = re.findall(r"^\| ([A-Z]\d+) \| (.+) \| (.+?) \|$", PAGE, re.MULTILINE)
SIZES = {"W": 31, "C": 13, "P": 19, "T": 7, "M": 19, "R": 19, "A": 18, "S": 4, "O": 22, "Q": 6}


@cache
def names_in(path: Path) -> frozenset[str]:
    """Names of the tests in a file; none where there is no such file."""
    if not path.is_file():
        return frozenset()
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = (node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds))
    return frozenset(name for name in found if name.startswith("test_"))


def is_test(what: str) -> bool:
    path, _, name = what.partition("::")
    return path.startswith("tests/") and name in names_in(ROOT / path)


def test_every_row_stands_once() -> None:
    assert [name for name, _, _ in ROWS] == [f"{part}{n}" for part, most in SIZES.items() for n in range(1, most + 1)]
    assert len(re.findall(r"^\| [A-Z]\d", PAGE, re.MULTILINE)) == len(ROWS)


def test_every_row_is_shown_by_tests_that_exist() -> None:
    troubles = {}
    for name, what, shown in ROWS:
        tests = re.findall(r"`([^`]+)`", shown)
        if shown != ", ".join(f"`{test}`" for test in tests) or not tests or len(what) < 8:
            troubles[name] = shown
        elif missing := [test for test in tests if not is_test(test)]:
            troubles[name] = f"not there: {missing}"
    assert troubles == {}
