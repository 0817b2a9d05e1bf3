"""Which test files need no run after one more change: they passed early, and nothing that they used is another."""

from __future__ import annotations

from collections.abc import Iterable, Set
from stat import S_ISLNK, S_ISREG

from jetbox.engine.probes.base import Change, Verdict
from jetbox.engine.probes.snapshot import Snapshot


class Standing:
    """What early runs said since the latest whole verdict, as long as another run would say the same.

    Unseen is what a test asks of a source by its name, such as the time and the size, and what it has a process read
    that was there before.
    """

    def __init__(self) -> None:
        self._since: Verdict | None = None
        self._files = Snapshot("", {})
        """Those that it is known to hold of."""
        self._passed: dict[str, frozenset[str]] = {}
        """By test file, the sources that its run made use of, and the folders that it listed."""
        self._latest: dict[str, frozenset[str]] = {}
        """The same of the latest run, of which it is not known yet whether the files held still for it."""

    def held(self, change: Change) -> Set[str]:
        """Test files of which it holds after this change."""
        if self._latest and change.early == self._files.digest:
            self._passed |= self._latest
        self._latest = {}
        if change.verdict != self._since:
            self._since, self._passed = change.verdict, {}
        elif self._passed:
            changed = change.now.changed(self._files)
            # What comes, goes or is no source can have been looked for, or read by means that nobody sees.
            sources = all(_source(path, self._files, change.now) for path in changed)
            kept = {test: used for test, used in self._passed.items() if not _meets(used, changed)}
            self._passed = kept if sources else {}
        self._files = change.now
        return self._passed.keys()

    def ran(self, change: Change, passed: Iterable[str], used: Iterable[str] | None) -> None:
        """These test files passed in a run after this change, which made use of these sources; None where that is
        not all."""
        if used is not None and change.now.digest == self._files.digest:
            self._latest = dict.fromkeys(passed, frozenset(used))

    def forget(self) -> None:
        """Runs are made in another way from now on."""
        self._passed, self._latest = {}, {}


def _source(path: str, before: Snapshot, now: Snapshot) -> bool:
    """True for Python of the workspace whose text alone is another."""
    above = path.rpartition("/")[0]
    while above:
        if S_ISLNK(now.files.get(above, (0, ""))[0]):
            return False  # It has another path, by which it may have been opened.
        above = above.rpartition("/")[0]
    modes = {files.files.get(path, (0, ""))[0] for files in (before, now)}
    return path.endswith(".py") and len(modes) == 1 and all(map(S_ISREG, modes))


def _meets(used: Set[str], changed: Set[str]) -> bool:
    """True where one of these was used, or lies in a folder that was listed."""
    for path in changed:
        above = path
        while above:
            if above in used:
                return True
            above = above[:-1]
            above = above[: above.rfind("/") + 1]
    return bool(changed) and "/" in used
