"""Changes files without pause, and keeps a history of it that another process reads meanwhile.

    python benchmarks/stale_writer.py HOME SEED

A change is written down before it begins, and counted as done after it is complete.
"""

from __future__ import annotations

import mmap
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

FILES = 12
MOST = 2_000_000
"""Changes that the history has room for."""

_STARTED, _DONE, _STOP, _FIRST = range(4)
"""Places in the history, in words of 64 bits; from the last on, two for each change."""


class History:
    """Which file was changed to which number by each change; a number of -1 is a file that was deleted."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            with path.open("wb") as file:
                file.truncate(8 * (_FIRST + 2 * MOST))
        with path.open("r+b") as file:
            # Words that are stored and loaded whole: the reader never sees half a number.
            self._words = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")

    @property
    def started(self) -> int:
        """Changes that were begun."""
        return self._words[_STARTED]

    @property
    def done(self) -> int:
        """Changes that are complete."""
        return self._words[_DONE]

    @property
    def stopped(self) -> bool:
        """The writer shall end."""
        return bool(self._words[_STOP])

    def full(self) -> bool:
        """There is no room for another change."""
        return self.started >= MOST

    def begin(self, file: int, number: int) -> None:
        """The next change begins."""
        at = _FIRST + 2 * self.started
        self._words[at], self._words[at + 1] = file, number
        self._words[_STARTED] += 1

    def end(self) -> None:
        """It is complete."""
        self._words[_DONE] = self.started

    def stop(self) -> None:
        """Let the writer end."""
        self._words[_STOP] = 1

    def changes(self, after: int, upto: int) -> Iterator[tuple[int, int]]:
        """File and number of the changes in between."""
        for n in range(after, upto):
            at = _FIRST + 2 * n
            yield self._words[at], self._words[at + 1]


def numbers(root: Path) -> list[int]:
    """What each file holds."""
    found = []
    for n in range(FILES):
        try:
            found.append(int((root / f"f{n}").read_bytes() or -2))
        except FileNotFoundError:
            found.append(-1)
    return found


def change(path: Path, number: int, rng: random.Random) -> None:
    """One way of many to put another number into a file, in one step that is seen whole or not at all."""
    way = rng.randrange(4) if path.exists() else 3
    if number < 0:
        path.unlink(missing_ok=True)
    elif way < 3:
        # In place, same size; sometimes with the times that it had.
        handle = os.open(path, os.O_WRONLY)
        before = os.fstat(handle)
        os.pwrite(handle, b"%012d" % number, 0)
        if way == 2:
            os.utime(handle, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.close(handle)
    else:
        # Not below the workspace: it would be one file more there.
        new = path.parent.parent / "new"
        new.write_bytes(b"%012d" % number)
        os.replace(new, path)


def main() -> None:
    """Write until told to stop."""
    home, rng = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
    history = History(home / "history")
    number = 0
    while not history.stopped and not history.full():
        file = rng.randrange(FILES)
        path = home / "ws" / f"f{file}"
        number += 1
        value = -1 if rng.random() < 0.1 else number
        history.begin(file, value)
        change(path, value, rng)
        history.end()
        if rng.random() < 0.7:
            time.sleep(rng.random() * rng.choice((0.0, 0.0005, 0.003)))


if __name__ == "__main__":
    main()
