"""Finds files by a few letters of their path: a process of its own, run as a script.

Walking and comparing tens of thousands of paths holds the interpreter; here it holds nobody up.

It reads lines of JSON from standard input: at first `path` (sys.path) and `root`, then `id`, `query` and
`count` for each question. Of several that wait the last one is answered: a line with `id` and `paths`.
"""

from __future__ import annotations

import json
import os
import re
import select
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FRESH_S = 5.0
"""How long a walk is good for."""


def main() -> None:
    """Answer until standard input is closed."""
    lines = _Lines()
    begin = lines.next()
    if begin is None:
        return
    sys.path[:] = begin["path"]
    paths: list[str] = []
    walked = 0.0
    while (asked := lines.next(last=True)) is not None:
        if not walked or time.monotonic() - walked > FRESH_S:
            paths = _walk(begin["root"])
            walked = time.monotonic()
        answer = {"id": asked["id"], "paths": best(paths, asked["query"], asked["count"])}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


class _Lines:
    """Lines of standard input, read past any buffer, so that what waits can be seen."""

    def __init__(self) -> None:
        self._held = b""

    def next(self, *, last: bool = False) -> dict[str, Any] | None:
        """The next line, or the last of those that wait; None at the end."""
        while b"\n" not in self._held or (last and select.select([0], [], [], 0)[0]):
            data = os.read(0, 65536)
            if not data:
                return None
            self._held += data
        lines = self._held.split(b"\n")
        self._held = lines[-1] if last else b"\n".join(lines[1:])
        found: dict[str, Any] = json.loads(lines[-2] if last else lines[0])
        return found


def _walk(root: str) -> list[str]:
    from jetbox.engine.workspace.ignore import IgnoreRules

    return [entry.path for entry in IgnoreRules(root).walk() if entry.path.isprintable()]


def best(paths: list[str], query: str, count: int) -> list[str]:
    """The paths that hold the letters of the query in their order, the likeliest first."""
    wanted = query.casefold()
    if not wanted:
        return sorted(paths, key=lambda path: (path.count("/"), path))[:count]
    loose = re.compile(".*?".join(re.escape(char) for char in wanted))
    return sorted(
        (path for path in paths if loose.search(path.casefold())),
        key=lambda path: (_distance(path.casefold(), wanted), path),
    )[:count]


def _distance(path: str, wanted: str) -> tuple[int, int, int]:
    """Small where the letters stand together, at a beginning, and in the file's own name."""
    name = path[path.rfind("/") + 1 :]
    if name.startswith(wanted):
        return 0, len(name), len(path)
    at = name.find(wanted)
    if at >= 0:
        return (1 if name[at - 1] in "_-. " else 2), at, len(path)
    at = path.find(wanted)
    if at >= 0:
        return (3 if at == 0 or path[at - 1] in "/_-." else 4), len(path), at
    return 5, _spread(path, wanted), len(path)


def _spread(path: str, wanted: str) -> int:
    """How far apart the letters stand, taken from the end; a gap behind the beginning of a word costs little."""
    at, cost = len(path), 0
    for char in reversed(wanted):
        found = path.rfind(char, 0, at)
        if found < 0:
            return 9 * len(path)
        begins = found == 0 or path[found - 1] in "/_-."
        if at == len(path):
            cost = 0 if begins else 1
        else:
            cost += min(1 if begins else 9, at - found - 1)
        at = found
    return cost


if __name__ == "__main__":
    main()
