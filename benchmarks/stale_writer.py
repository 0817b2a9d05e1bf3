"""Changes files without pause, and keeps a history of it that another process reads meanwhile.

    python benchmarks/stale_writer.py HOME SEED

A change is written down before it begins, and counted as done after it is complete. It puts another number into
one place of many: a file, the mode of one, a file of a folder that comes and goes, what a link leads to, a
configuration file in the workspace or above it, a branch.
"""

from __future__ import annotations

import mmap
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.stale_world import git

FILES = 12
MODE, FOLDER, LINK, LINKED_FOLDER, BEHIND, SETTINGS, ABOVE, BRANCH = range(FILES, FILES + 8)
PLACES = BRANCH + 1
PATHS = (
    *(f"f{n}" for n in range(FILES)),
    "mode",
    "made/deep/n",
    "link",
    "current/n",
    "behind",
    "ruff.toml",
    "../pyproject.toml",
    "branched",
)
"""Where each number is found, below the workspace; of `mode` it is the mode."""
TARGETS = 4
GONE, EMPTY = -1, -2
"""Numbers of a file that is not there, and of one that holds nothing yet."""
LENGTH = 16
"""Bytes of a number as it is written: none ever lies on two pages, so that it is read whole."""
MOST_BYTES = 40 * LENGTH
"""A file that has grown to this is written anew."""
MOST = 2_000_000
"""Changes that the history has room for."""
KINDS = (
    "same size",
    "same size, times set back",
    "append",
    "rename over",
    "delete",
    "mode",
    "new folder",
    "link turned",
    "link to a folder turned",
    "file behind a link",
    "configuration",
    "configuration above",
    "branch",
)


def kinds() -> set[str]:
    """Those that are made here; there may be no git."""
    return set(KINDS) if shutil.which("git") else set(KINDS) - {"branch"}


_STARTED, _DONE, _STOP, _FIRST = range(4)
"""Places in the history, in words of 64 bits; from the last on, three for each change."""


class History:
    """Which place was changed to which number by each change, and how; a number of -1 is a file that is gone."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        if create:
            with path.open("wb") as file:
                file.truncate(8 * (_FIRST + 3 * MOST))
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

    def begin(self, place: int, number: int, kind: str) -> None:
        """The next change begins."""
        at = _FIRST + 3 * self.started
        self._words[at], self._words[at + 1], self._words[at + 2] = place, number, KINDS.index(kind)
        self._words[_STARTED] += 1

    def end(self) -> None:
        """It is complete."""
        self._words[_DONE] = self.started

    def stop(self) -> None:
        """Let the writer end."""
        self._words[_STOP] = 1

    def changes(self, after: int, upto: int) -> Iterator[tuple[int, int, str]]:
        """Place, number and kind of the changes in between."""
        for n in range(after, upto):
            place, number, kind = self._words[_FIRST + 3 * n : _FIRST + 3 * n + 3]
            yield place, number, KINDS[kind]


def numbers(root: Path) -> list[int]:
    """What each place holds."""
    return [_number(root / path, mode=place == MODE) for place, path in enumerate(PATHS)]


def _number(path: Path, *, mode: bool) -> int:
    try:
        if mode:
            return path.stat().st_mode & 0o777
        # The mark of a comment may come before the digits.
        return int(path.read_bytes()[2 - LENGTH :] or EMPTY)
    except FileNotFoundError:
        return GONE


def written(number: int) -> bytes:
    """A number as a file holds it, which is a comment in a configuration file."""
    return b"# %0*d" % (LENGTH - 2, number)


class Writer:
    """Changes one place after the other, each in a step that is seen whole or not at all.

    Only git writes as it likes: while it switches, its file may be gone or empty.
    """

    def __init__(self, home: Path, rng: random.Random) -> None:
        self.root, self._home, self._rng = home / "ws", home, rng
        self._count = 0
        # What is made outside the workspace is no file of it until it is put in its place.
        self._new = home / "new"
        self._branch = 0
        self._branches = "branch" in kinds()
        (home / "away").mkdir()
        for n in range(TARGETS):
            (home / "away" / f"folder{n}").mkdir()
            for path in (home / "away" / f"file{n}", home / "away" / f"folder{n}" / "n"):
                path.write_bytes(written(n))

    def run(self, history: History) -> None:
        """Write until told to stop."""
        self.begin(history)
        while not history.stopped and not history.full():
            self.step(history)
            if self._rng.random() < 0.7:
                time.sleep(self._rng.random() * self._rng.choice((0.0, 0.0005, 0.003)))

    def begin(self, history: History) -> None:
        """Make a repository, where there is git, with a file that is 1 on one branch and 0 on the other."""
        path = self.root / PATHS[BRANCH]
        for number, branch in ((1, "one"), (0, "zero")) if self._branches else ():
            history.begin(BRANCH, number, "branch")
            start = ("checkout", "-q", "-b") if number == 0 else ("init", "-q", "-b")
            git(self.root, *start, branch)
            path.write_bytes(written(number))
            git(self.root, "add", path.name)
            git(self.root, "commit", "-q", "-m", branch)
            history.end()

    def step(self, history: History) -> None:
        """One change."""
        kind, place, number, act = self._next()
        history.begin(place, number, kind)
        act()
        history.end()

    def _next(self) -> tuple[str, int, int, Callable[[], object]]:
        """The kind of the next change, its place, the number that will be there, and the change itself."""
        self._count += 1
        number, chance = self._count, self._rng.random()
        if chance < 0.005 and self._branches:
            self._branch = branch = 1 - self._branch
            return "branch", BRANCH, branch, lambda: git(self.root, "checkout", "-q", ("zero", "one")[branch])
        if chance < 0.6:
            place = self._rng.randrange(FILES)
            kind, number, act = self._in_file(self.root / PATHS[place], number, delete=0.1)
            return kind, place, number, act
        if chance < 0.65:
            mode = 0o600 | self._rng.randrange(0o200)
            return "mode", MODE, mode, lambda: self._mode(mode)
        if chance < 0.75:
            there = (self.root / PATHS[FOLDER]).exists()
            number = GONE if there else number
            return "new folder", FOLDER, number, lambda: self._folder(number)
        if chance < 0.85:
            target = self._rng.randrange(TARGETS)
            if self._rng.random() < 0.5:
                return "link turned", LINK, target, lambda: self._turn("link", f"file{target}")
            return "link to a folder turned", LINKED_FOLDER, target, lambda: self._turn("current", f"folder{target}")
        if chance < 0.9:
            return "file behind a link", BEHIND, number, lambda: self._behind(number)
        place, kind = self._rng.choice(((SETTINGS, "configuration"), (ABOVE, "configuration above")))
        _, number, act = self._in_file(self.root / PATHS[place], number, delete=0.1)
        return kind, place, number, act

    def _in_file(self, path: Path, number: int, *, delete: float) -> tuple[str, int, Callable[[], object]]:
        """One way of many to put another number into a file."""
        if self._rng.random() < delete:
            return "delete", GONE, lambda: path.unlink(missing_ok=True)
        size = path.stat().st_size if path.exists() else MOST_BYTES
        way = self._rng.randrange(5) if size < MOST_BYTES else 4
        if way == 3:
            return "append", number, lambda: self._append(path, number)
        if way == 4:
            return "rename over", number, lambda: self._rename_over(path, number)
        kind = "same size, times set back" if way == 2 else "same size"
        return kind, number, lambda: self._in_place(path, number, times=way == 2)

    def _in_place(self, path: Path, number: int, *, times: bool) -> None:
        handle = os.open(path, os.O_WRONLY)
        before = os.fstat(handle)
        os.pwrite(handle, written(number), before.st_size - LENGTH)
        if times:
            os.utime(handle, ns=(before.st_atime_ns, before.st_mtime_ns))
        os.close(handle)

    def _append(self, path: Path, number: int) -> None:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND)
        os.write(handle, written(number))
        os.close(handle)

    def _rename_over(self, path: Path, number: int) -> None:
        self._new.write_bytes(written(number))
        os.replace(self._new, path)

    def _mode(self, mode: int) -> None:
        path = self.root / PATHS[MODE]
        if path.exists():
            path.chmod(mode)
            return
        self._new.write_bytes(b"")
        self._new.chmod(mode)
        os.replace(self._new, path)

    def _folder(self, number: int) -> None:
        """Made in its place, so that it may have a file before anyone watches it; gone from the inside out."""
        path = self.root / PATHS[FOLDER]
        if number == GONE:
            path.unlink()
            shutil.rmtree(self.root / "made")
        elif self._rng.random() < 0.5:
            path.parent.mkdir(parents=True)
            self._rename_over(path, number)
        else:
            made = self._home / "made"
            (made / "deep").mkdir(parents=True)
            (made / "deep" / "n").write_bytes(written(number))
            made.rename(self.root / "made")

    def _turn(self, name: str, target: str) -> None:
        self._new.symlink_to(self._home / "away" / target)
        os.replace(self._new, self.root / name)

    def _behind(self, number: int) -> None:
        path = self._home / "away" / "behind"
        if not path.exists():
            self._rename_over(path, number)
            self._turn("behind", "behind")
        elif self._rng.random() < 0.5:
            self._rename_over(path, number)
        else:
            self._in_place(path, number, times=self._rng.random() < 0.5)


def main() -> None:
    """Write until told to stop."""
    home, rng = Path(sys.argv[1]), random.Random(int(sys.argv[2]))
    Writer(home, rng).run(History(home / "history"))


if __name__ == "__main__":
    main()
