"""Calls as Python writes them: `name(a=1)` on a line of its own, several of them, or a list.

Constants alone are taken for arguments, and none without its name: what would have to be worked out
is no call. Each is cut out of the text by its brackets, so that a string may hold whatever a file holds.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

NAME = r"[A-Za-z_][\w.\-]*"
PRINTED = r"print\(\s{0,80}(?=default_api\.)"
"""Gemini's way: `print(default_api.f(a=1))`."""
BEGIN = rf"(?m:^) {{0,3}}(?:{PRINTED}|\[)?{NAME}\(\s*(?:\w+\s*=|\))"
"""Further in, a line is code that is shown."""
MOST = 32
"""More calls at once nobody means."""

_PIECE = re.compile(
    r"\"\"\"[^\\\"]*+(?:(?:\\.|\"(?!\"\"))[^\\\"]*+)*(?P<long>(?:\"\"\")?)|"
    r"'''[^\\']*+(?:(?:\\.|'(?!''))[^\\']*+)*(?P<long1>(?:''')?)|"
    r"\"[^\"\\\n]*+(?:\\.[^\"\\\n]*+)*(?P<double>\"?)|'[^'\\\n]*+(?:\\.[^'\\\n]*+)*(?P<single>'?)|[()\[\]{}]",
    re.DOTALL,
)
"""A string, or a bracket outside of one."""
_CONSTANTS = {"true": True, "false": False, "null": None}
_CALL = re.compile(rf"{NAME}(?=\()")
_BETWEEN = re.compile(r"[ \t]*;?\s*")


class Written(NamedTuple):
    """One call."""

    name: str
    arguments: dict[str, Any]
    end: int
    """Where the text behind it goes on."""


def read_calls(text: str, at: int) -> list[Written]:
    """The list of calls, or the calls one after another, that begin there; empty where they are none."""
    if text.startswith("[", at):
        end = _closed(text, at)
        return _parsed(text[at:end], end) if end >= 0 else []
    found: list[Written] = []
    while len(found) <= MOST and (begin := _CALL.match(text, at)):
        end = _closed(text, begin.end())
        calls = _parsed(text[at:end], end) if end >= 0 else []
        if not calls:
            break
        found += calls
        between = _BETWEEN.match(text, end)
        at = between.end() if between else end
    return found


def stands_alone(text: str, at: int) -> bool:
    """Whether the call that begins there is all of its line, or of its lines; it may lack its end."""
    begin = re.compile(rf"\s*\[?{NAME}(?=\()").match(text, at)
    if begin is None:
        return False
    end = _closed(text, begin.end())
    return end < 0 or not text[end:].partition("\n")[0].strip(" \t;,]")


def _closed(text: str, at: int) -> int:
    """Behind the bracket that closes the one there; -1 where none does."""
    depth = 0
    for piece in _PIECE.finditer(text, at):
        if piece.lastgroup and not piece[piece.lastgroup]:
            return -1  # a string that is not closed
        depth += {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}.get(piece[0], 0)
        if not depth:
            return piece.end()
    return -1


def _parsed(source: str, end: int) -> list[Written]:
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes that Python does not know
            tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    nodes = tree.elts if isinstance(tree, ast.List) else [tree]
    found = [_written(node, end) for node in nodes]
    return [call for call in found if call is not None] if None not in found else []


def _written(node: Any, end: int) -> Written | None:
    import ast

    node = _printed(node)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute) or node.args:
        return None
    name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
    try:
        arguments = {word.arg: _constant(word.value) for word in node.keywords if word.arg is not None}
    except (ValueError, TypeError, RecursionError):
        return None
    whole = len(arguments) == len(node.keywords) and _is_json(arguments)
    return Written(name, arguments, end) if whole else None


def _printed(node: Any) -> Any:
    """What is printed of Gemini's functions; the node itself where it is something else."""
    import ast

    match node:
        case ast.Call(func=ast.Name(id="print"), args=[ast.Call(func=ast.Attribute(value=name)) as call], keywords=[]):
            return call if isinstance(name, ast.Name) and name.id == "default_api" else node
    return node


def _constant(node: Any) -> Any:
    """What a node says without being worked out, JSON's constants among Python's.

    Raises:
        ValueError, TypeError, RecursionError
    """
    import ast

    class Constants(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.expr:
            return ast.Constant(_CONSTANTS[name.id]) if name.id in _CONSTANTS else name

    return ast.literal_eval(Constants().visit(node))


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(each) for key, each in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | int | float)
