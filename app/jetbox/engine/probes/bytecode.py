"""Byte code that may be older than its source is gone before a command runs that could import it.

Python takes byte code whose source has the same size and the same time in whole seconds: an edit within that
second, or one with the time put back, would be judged by the text before it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from jetbox.engine.probes.fingerprint import Tree

PREFIX = "PYTHONPYCACHEPREFIX"
NOWHERE = {PREFIX: os.devnull}
"""No byte code is found, and none can be left."""

_LISTING = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


async def sources_only(tree: Tree, passed: Iterable[str]) -> dict[str, str]:
    """Have what is imported next be the sources as they are; variables that the importing process needs for that.

    `passed` are the names of variables that it sees of ours.
    """
    files = tree.last
    folders = {path.rpartition("/")[0] for path in files.files if path.endswith(".py") and not path.startswith("../")}
    if PREFIX in passed or not files.proved or tree.turned:
        return NOWHERE
    if not folders:
        return {}
    from jetbox.engine.probes.reading import in_thread

    return {} if await in_thread(lambda: forget_stale(tree.root, folders)) else NOWHERE


def forget_stale(root: str, folders: Iterable[str]) -> bool:
    """Unlink byte code of these folders that may be older than its source; False where some may be left. Blocks.

    No link is followed: this works outside of the sandbox, and what lies in the workspace can change meanwhile.
    """
    done = True
    opened = [("", os.open(root, _LISTING))]
    try:
        for path in sorted(f"{folder}/" if folder else "" for folder in folders):
            while not path.startswith(opened[-1][0]):
                os.close(opened.pop()[1])
            try:
                for name in path[len(opened[-1][0]) :].split("/")[:-1]:
                    above, handle = opened[-1]
                    opened.append((f"{above}{name}/", os.open(name, _LISTING, dir_fd=handle)))
                cache = os.open("__pycache__", _LISTING, dir_fd=opened[-1][1])
            except FileNotFoundError:
                continue
            except OSError:
                done = False
                continue
            try:
                done &= _forgotten(opened[-1][1], cache)
            finally:
                os.close(cache)
    finally:
        for _, handle in opened:
            os.close(handle)
    return done


def _forgotten(folder: int, cache: int) -> bool:
    """Look through one `__pycache__`; False where something in it may be stale and stays."""
    from jetbox.engine.probes.inside import sources

    done = True
    for name in os.listdir(cache):
        if name.endswith(".pyc") and not _fresh(folder, cache, name, sources("", name)):
            try:
                os.unlink(name, dir_fd=cache)
            except FileNotFoundError:
                continue
            except OSError:
                done = False
    return done


def _fresh(folder: int, cache: int, name: str, candidates: list[str]) -> bool:
    """True where it was written well after each source that it may be of last changed."""
    from jetbox.engine.probes.inside import RECENT_NS

    changed = 0
    for source in candidates:
        for follow in (True, False):
            try:
                changed = max(changed, os.stat(source, dir_fd=folder, follow_symlinks=follow).st_ctime_ns)
            except OSError:
                continue
    try:
        # One from a time that is yet to come was written before the clock was set back.
        return changed + RECENT_NS < os.stat(name, dir_fd=cache, follow_symlinks=False).st_ctime_ns <= time.time_ns()
    except OSError:
        return True
