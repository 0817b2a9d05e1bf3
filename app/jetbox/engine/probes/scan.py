"""What a Python file imports, and the shape of it, from its text alone: nothing of it is executed.

Started as a program, it reads paths as one JSON list from its standard input and writes one JSON
list; for many files that is kinder to the event loop than a thread, which has to share the
interpreter's lock with it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import NamedTuple

LARGE = 2 * 1024 * 1024
"""Bytes above which a file is searched for lines with imports, and not parsed."""

DYNAMIC = {"import_module", "__import__", "importorskip"}
"""Functions that import what their first argument names."""
_MAYBE_DYNAMIC = re.compile(rb"import_module|__import__|importorskip|pytest_plugins")
_LINE = re.compile(r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+([^#\n]*)|import[ \t]+([\w., \t]+))", re.MULTILINE)

UNREADABLE = (SyntaxError, ValueError, LookupError, RecursionError, MemoryError)
"""What a text can raise that is no Python."""

Function = tuple[int, int, str]
"""First line, with its decorators, last line, and a hash of its text."""
Scanned = tuple[str, str, tuple[str, ...], bool, tuple[Function, ...]]
"""Content hash, shape, imports, whether it could be parsed, and the functions that are in no other one.

An import is `a.b` (import a.b), `a.b:c` (from a.b import c) or `..b:c`. The shape is a hash of all
that is executed when the file is imported: the text outside the bodies of functions.
"""


class Body(NamedTuple):
    """A function that is in no other one."""

    first: int
    """Its first line, with its decorators."""
    last: int
    begin: int
    """Where its body begins in the text, and where it ends; in bytes."""
    end: int
    text: str
    """A hash of it."""


class Statement(NamedTuple):
    """A statement at the top of a file."""

    at: int
    """Where its first line begins in the text, in bytes; a decorator's where it has some."""
    line: int
    alone: bool
    """It begins that line."""
    imports: frozenset[str]
    functions: tuple[Body, ...]


def digest(data: bytes) -> str:
    """The content hash, as snapshots have it."""
    return blake2b(data, digest_size=16).hexdigest()


def scan(data: bytes) -> Scanned:
    """Look at one file; never raises for what it holds."""
    try:
        if len(data) > LARGE:
            raise ValueError("too large to parse")
        text = decoded(data)
        return summed_up(data, text.encode(), statements(text, dynamic=maybe_dynamic(data)))
    except UNREADABLE:
        content = digest(data)
        return content, content, tuple(sorted(set(_lines(data)))), False, ()


def scan_file(path: str) -> Scanned | None:
    """The file as it is on the disk; None where it cannot be read."""
    data = content_of(path)
    return None if data is None else scan(data)


def content_of(path: str) -> bytes | None:
    """What is in a file; None where it cannot be read, or is none."""
    import os
    import stat

    try:
        # A file may have become a pipe by now; opening that must not wait.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | getattr(os, "O_CLOEXEC", 0))
        with open(handle, "rb") as file:
            return file.read() if stat.S_ISREG(os.fstat(handle).st_mode) else None
    except OSError:
        return None


def maybe_dynamic(data: bytes) -> bool:
    """Whether it may import what is named in literals."""
    return _MAYBE_DYNAMIC.search(data) is not None


def statements(text: str, *, dynamic: bool, at: int = 0, line: int = 1) -> list[Statement]:
    """The statements of a text, or of the part of one that begins there; `dynamic` as in `maybe_dynamic`.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it cannot be parsed.
    """
    for kind in (SyntaxWarning, DeprecationWarning):
        # What is odd in a file of the workspace is nothing to tell here; some literals of it are, as of Python 3.12.
        warnings.filterwarnings("ignore", category=kind, module="<unknown>")
    tree = ast.parse(text)
    data = text.encode()
    starts = [0]
    for row in data.split(b"\n"):
        starts.append(starts[-1] + len(row) + 1)
    found = []
    for each in tree.body:
        imports = set(_imports([each]))
        if dynamic:
            imports.update(_dynamic(each))
        decorators: list[ast.expr] = getattr(each, "decorator_list", [])
        first = min([each.lineno, *(decorator.lineno for decorator in decorators)])
        begin = starts[first - 1]
        alone = data[begin : begin + 1] == b"@" if decorators else each.col_offset == 0
        bodies = tuple(_body(function, data, starts, at, line - 1) for function in _functions(each))
        found.append(Statement(at + begin, first + line - 1, alone, frozenset(imports), bodies))
    return found


def summed_up(data: bytes, text: bytes, found: Iterable[Statement]) -> Scanned:
    """What a file comes to whose statements these are; `text` is its text as UTF-8."""
    shape = blake2b(digest_size=8)
    imports: set[str] = set()
    functions = []
    at = 0
    for statement in found:
        imports |= statement.imports
        for body in statement.functions:
            shape.update(text[at : body.begin].rstrip() + b"\0")
            at = body.end
            functions.append((body.first, body.last, body.text))
    shape.update(text[at:])
    return digest(data), shape.hexdigest(), tuple(sorted(imports)), True, tuple(functions)


def decoded(data: bytes) -> str:
    """Its text, with the ends of lines that the parser sees.

    Raises:
        SyntaxError, ValueError, LookupError: it is in no encoding that Python knows.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def _imports(body: list[ast.stmt]) -> Iterator[str]:
    """Imports at any depth, but those that type checkers alone see."""
    waiting: list[ast.AST] = [*body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{'.' * node.level}{node.module or ''}:{alias.name}"
        elif isinstance(node, ast.If) and _for_types(node.test):
            waiting.extend(node.orelse)
        else:
            for name in ("body", "orelse", "finalbody", "handlers", "cases"):
                inner = getattr(node, name, None)
                if isinstance(inner, list):
                    waiting.extend(inner)


def _for_types(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else ""
    return name == "TYPE_CHECKING"


def _dynamic(tree: ast.AST) -> Iterator[str]:
    """Modules that are named in literals, where they are certain to be imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            called = node.func
            name = (
                called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
            )
            values = [node.args[0]] if name in DYNAMIC else []
        elif isinstance(node, ast.Assign):
            plugins = any(isinstance(target, ast.Name) and target.id == "pytest_plugins" for target in node.targets)
            listed = node.value.elts if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
            values = listed if plugins else []
        else:
            continue
        for value in values:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                named = value.value
                if named.replace(".", "").isidentifier() and not named.startswith("."):
                    yield named


def _body(
    function: ast.FunctionDef | ast.AsyncFunctionDef, data: bytes, starts: list[int], at: int, above: int
) -> Body:
    first, last = function.body[0], function.end_lineno or function.lineno
    # A body can begin with a definition, and that with a decorator.
    upper = min([first.lineno, *(each.lineno for each in getattr(first, "decorator_list", ()))])
    begin = starts[upper - 1] + (first.col_offset if upper == first.lineno else 0)
    end = starts[last - 1] + (function.end_col_offset or 0)
    text = blake2b(data[starts[function.lineno - 1] + function.col_offset : end], digest_size=6).hexdigest()
    top = min([function.lineno, *(each.lineno for each in function.decorator_list)])
    return Body(top + above, last + above, at + begin, at + end, text)


def _functions(statement: ast.stmt) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions that are in no other function, in the order of the text."""
    found: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
    waiting: list[ast.AST] = [statement]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.append(node)
        else:
            for name in ("body", "orelse", "finalbody", "handlers", "cases"):
                inner = getattr(node, name, None)
                if isinstance(inner, list):
                    waiting.extend(inner)
    return sorted(found, key=lambda node: (node.lineno, node.col_offset))


def _lines(data: bytes) -> Iterator[str]:
    """Imports of a text that is no Python, or not ours."""
    for origin, names, plain in _LINE.findall(data.decode("utf-8", "replace")):
        if plain:
            yield from (words[0] for part in plain.split(",") if (words := part.split()))
        else:
            listed = names.replace("(", " ").replace(")", " ").split(",")
            yield from (f"{origin}:{words[0]}" for part in listed if (words := part.split()))
            if "(" in names:
                yield f"{origin}:*"


def main() -> None:
    """Answer one list of paths with one list of what is in them."""
    import gc
    import json
    import sys

    gc.disable()  # trees hold no cycles, and looking for some takes a third of the time
    paths = json.loads(sys.stdin.buffer.read())
    sys.stdout.write(json.dumps([scan_file(path) for path in paths]))


if __name__ == "__main__":
    main()
