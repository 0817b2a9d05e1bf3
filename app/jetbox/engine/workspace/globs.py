"""Glob patterns with `**` and `{a,b}`, matched name by name in bounded time."""

from __future__ import annotations

import fnmatch
import re

ALTERNATIVES = 64
"""Most patterns that braces may stand for."""


class Globs:
    """A pattern; one without a slash matches a file's name in every folder."""

    def __init__(self, pattern: str) -> None:
        self._patterns = [_segments(p) for p in _expand(pattern)]

    def match(self, path: str) -> bool:
        """True for a relative path (with `/`) that the pattern means."""
        names = path.split("/")
        return any(_matches(pattern, names) for pattern in self._patterns)


Segment = re.Pattern[str] | None
"""None stands for `**`: any number of folders."""


def _expand(pattern: str) -> list[str]:
    done: list[str] = []
    todo = [pattern]
    while todo and len(done) + len(todo) <= ALTERNATIVES:
        text = todo.pop()
        found = re.search(r"\{([^{}]*,[^{}]*)\}", text)
        if found is None:
            done.append(text)
            continue
        todo += [text[: found.start()] + part + text[found.end() :] for part in found[1].split(",")]
    return done + todo


def _segments(pattern: str) -> list[Segment]:
    text = pattern.removeprefix("./")
    if text.endswith("/"):
        text += "**"
    if "/" not in text:
        text = "**/" + text
    segments: list[Segment] = []
    for name in text.split("/"):
        if name in ("", "."):
            continue
        if name != "**":
            segments.append(_compiled(name))
        elif not segments or segments[-1] is not None:
            segments.append(None)
    if segments and segments[-1] is None:
        segments.append(_compiled("*"))
    return segments


def _compiled(name: str) -> re.Pattern[str]:
    # fnmatch makes its wildcards atomic: no pattern backtracks for long.
    return re.compile(fnmatch.translate(name.replace("**", "*")))


def _matches(pattern: list[Segment], names: list[str]) -> bool:
    """Row by row: which suffixes of the names the rest of the pattern matches."""
    rest = [False] * len(names) + [True]
    for segment in reversed(pattern):
        row = [False] * (len(names) + 1)
        for at in range(len(names), -1, -1):
            if segment is None:
                row[at] = rest[at] or (at < len(names) and row[at + 1])
            else:
                row[at] = at < len(names) and rest[at + 1] and segment.match(names[at]) is not None
        rest = row
    return rest[0]
