"""Searches text in files: a process of its own, run as a script.

A regular expression of the model may take for ever, and holds the interpreter while it
does; here it holds nobody up, and an alarm of the system ends it.

It reads one JSON object from standard input: `path` (sys.path), `seconds`, `root`, `below`,
`file`, `prefix` (of shown paths), `glob`, `pattern`, `ignore_case`, `everything` (hard links out
of the root, too), `matches`, `line_chars`, `output_bytes`, `file_bytes`. It writes lines
`path:line:text`, then a zero byte and a JSON object.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from jetbox.engine.workspace.links import Links

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_FLUSH_EVERY = 20


def main() -> None:
    """Answer the request; the process ends by SIGALRM when its time is over."""
    request = json.load(sys.stdin.buffer)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, request["seconds"])
    sys.path[:] = request["path"]
    out = sys.stdout.buffer
    try:
        pattern = re.compile(request["pattern"], re.IGNORECASE if request["ignore_case"] else 0)
    except (re.error, RecursionError, OverflowError) as error:
        trailer: dict[str, Any] = {"error": str(error), "position": getattr(error, "pos", None)}
    else:
        trailer = _search(request, pattern, out)
    out.write(b"\0" + json.dumps(trailer).encode())
    out.flush()


def _search(request: dict[str, Any], pattern: re.Pattern[str], out: BinaryIO) -> dict[str, Any]:
    matches = 0
    passed = Passed()
    room = request["output_bytes"]
    for path, text in _texts(request, passed):
        for number, line in enumerate(text.split("\n"), 1):
            found = pattern.search(line)
            if found is None or (not line and not found.string):
                continue
            row = f"{request['prefix']}{path}:{number}:{_cut(line, found.start(), request['line_chars'])}\n"
            data = row.encode("utf-8", errors="replace").replace(b"\0", b"?")
            room -= len(data)
            if matches >= request["matches"] or room < 0:
                return {**passed.told(), "matches": matches, "more": True}
            out.write(data)
            matches += 1
            if matches % _FLUSH_EVERY == 1:
                out.flush()
    return {**passed.told(), "matches": matches, "more": False}


class Passed:
    """Counts the files, and those of them that are not searched."""

    def __init__(self) -> None:
        self.files = self.large = self.linked = 0
        self.linked_name = ""

    def told(self) -> dict[str, Any]:
        return vars(self)


def _texts(request: dict[str, Any], passed: Passed) -> Iterator[tuple[str, str]]:
    """Shown path and text of every file that is searched."""
    links: Links | None = None
    for path, descriptor, status in _files(request):
        passed.files += 1
        with open(descriptor, "rb") as file:
            if status.st_nlink > 1 and not request["everything"]:
                links = links or _links(request["root"])
                if links.lead_out(path, status):
                    passed.linked += 1
                    passed.linked_name = passed.linked_name or path
                    continue
            if status.st_size > request["file_bytes"]:
                passed.large += 1
                continue
            text = _text(file.read(request["file_bytes"] + 1))
        if text is not None:
            yield path, text


def _links(root: str) -> Links:
    from jetbox.engine.workspace.links import Links

    return Links(root)


def _files(request: dict[str, Any]) -> Iterator[tuple[str, int, os.stat_result]]:
    """Shown path, descriptor and status of every regular file that is to be searched."""
    from jetbox.engine.workspace.globs import Globs
    from jetbox.engine.workspace.ignore import IgnoreRules, open_below

    if request["file"]:
        folder, _, name = request["file"].rpartition("/")
        parent = open_below(request["root"], folder)
        if parent is not None:
            yield from _opened(request["file"], name, parent)
            os.close(parent)
        return
    wanted = Globs(request["glob"]) if request["glob"] else None
    below = request["below"]
    skip = 0 if below == "." else len(below) + 1
    for entry in IgnoreRules(request["root"]).walk(below):
        if not entry.link and (wanted is None or wanted.match(entry.path[skip:])):
            yield from _opened(entry.path, entry.path.rpartition("/")[2], entry.folder)


def _opened(path: str, name: str, folder: int) -> Iterator[tuple[str, int, os.stat_result]]:
    from stat import S_ISREG

    try:
        if not S_ISREG(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
            return
        descriptor = os.open(name, _OPEN, dir_fd=folder)
    except OSError:
        return
    status = os.fstat(descriptor)
    if S_ISREG(status.st_mode):
        yield path, descriptor, status
    else:
        os.close(descriptor)


def _text(data: bytes) -> str | None:
    """The text of a file; None for a binary one."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", errors="replace")
    elif b"\0" in data[:8192]:
        return None
    else:
        text = data.decode("utf-8-sig", errors="replace")
    if text.endswith("\n"):
        text = text[:-1]
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _cut(line: str, at: int, width: int) -> str:
    """The part of a long line that holds the match."""
    if len(line) <= width:
        return line
    start = max(min(at - width // 4, len(line) - width), 0)
    return ("…" if start else "") + line[start : start + width] + ("…" if start + width < len(line) else "")


if __name__ == "__main__":
    main()
