"""Watches the folders of a workspace with `watchfiles`, in threads of their own.

What it tells comes late and may miss something: it is for people, and proves nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence

import msgspec

STEP_MS = 50
"""So long nothing has to happen before what happened is told; also how soon a watch ends."""
MOST_MS = 400
FOLDERS = 5_000
"""In a larger workspace nothing is watched: setting up takes some 25 µs a folder, and holds everything up."""
FILES = 100_000
LIGHT = frozenset({"__pycache__", ".ipynb_checkpoints", ".pytest_cache", ".ruff_cache"})
"""Folders out of scope that are small enough to be watched with what is around them."""

Raw = Iterable[tuple[int, str]]
"""Kinds as `watchfiles` counts them, and absolute paths."""
Ignored = Callable[[str, str, bool], bool]
"""Says of a folder, a name in it, and whether that is a folder, if it is out of scope."""


class CannotWatch(Exception):
    """The workspace cannot be watched; the text says why."""


class Look(msgspec.Struct, frozen=True):
    """What is in scope at one time."""

    files: frozenset[str]
    """Relative to the root, with `/`."""
    single: tuple[str, ...]
    """Folders to watch without what is below them, since something heavy is."""
    whole: tuple[str, ...]
    """Folders to watch with all that is below them."""


def look(root: str, ignored: Ignored) -> Look:
    """Walk the workspace; blocks.

    Raises:
        CannotWatch: it is too large.
    """
    files: list[str] = []
    below: dict[str, list[str]] = {"": []}
    heavy: set[str] = {""}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        for entry, is_folder in _entries(os.path.join(root, folder)):
            path = f"{folder}/{entry}" if folder else entry
            if ignored(os.path.join(root, folder), entry, is_folder):
                if is_folder and entry not in LIGHT:
                    heavy.add(folder)
            elif is_folder:
                below[folder].append(path)
                below[path] = []
                waiting.append(path)
            else:
                files.append(path)
        if len(below) > FOLDERS or len(files) > FILES:
            raise CannotWatch(f"it has more than {FOLDERS:,} folders or {FILES:,} files")
    # A folder is as heavy as anything in it; the root never is one to watch with all that is below.
    for folder in tuple(heavy):
        parts = folder.split("/")
        heavy.update("/".join(parts[:at]) for at in range(len(parts)))
    whole = [path for folder in heavy for path in below[folder] if path not in heavy]
    return Look(frozenset(files), tuple(sorted(heavy)), tuple(sorted(whole)))


def _entries(folder: str) -> list[tuple[str, bool]]:
    try:
        with os.scandir(folder) as found:
            return [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    except OSError:
        return []


class Watch:
    """One thread that watches some folders until it is told to stop; it ends soon after, and is not waited for."""

    def __init__(
        self,
        paths: Sequence[str],
        *,
        recursive: bool,
        on_raw: Callable[[Raw], None],
        on_ready: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """The callbacks are called in the thread."""
        self._paths = paths
        self._recursive = recursive
        self._on_raw = on_raw
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._stopped = False
        self._ready = False
        threading.Thread(target=self._run, name="observer", daemon=False).start()

    def stop(self) -> None:
        """Tell nothing more, and end."""
        self._stopped = True

    def is_set(self) -> bool:
        """Asked by `watchfiles` at each step, so for the first time when it watches."""
        if not self._ready:
            self._ready = True
            self._on_ready()
        return self._stopped

    def _run(self) -> None:
        try:
            from watchfiles import watch

            found = watch(
                *self._paths,
                recursive=self._recursive,
                watch_filter=None,
                debounce=MOST_MS,
                step=STEP_MS,
                rust_timeout=0,
                stop_event=self,
                raise_interrupt=False,
                ignore_permission_denied=True,
            )
            for changes in found:
                if not self._stopped:
                    self._on_raw([(int(kind), path) for kind, path in changes])
        except (OSError, RuntimeError, ImportError) as error:
            if not self._stopped:
                self._on_failure(error)
