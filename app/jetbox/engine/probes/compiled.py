"""Compiles sources that were edited in a process that waits to make a run, before it is told what to run.

The source of this module is handed to the workspace's interpreter as that of `forking` is; it imports nothing but
the standard library, and runs on Python 3.8 and later. Nothing of the workspace is executed here. What was compiled
is taken for a source that is the same to the byte when it is imported, and for no other.
"""

from __future__ import annotations

import builtins
import os
import stat
import sys
import warnings
from importlib.machinery import SourceFileLoader
from types import CodeType
from typing import Any, Dict, Optional, Tuple  # noqa: UP035 - evaluated by old interpreters

MOST_BYTES = 256 * 1024
"""Of one source; a larger one would keep the run waiting that may be asked for meanwhile."""


class Compiled:
    """Code by the path of its source."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._made: Dict[str, Tuple[bytes, CodeType]] = {}  # noqa: UP006

    def add(self, name: str) -> None:
        """Compile what stands in this file now, unless that is done already, or would have something to say."""
        path = os.path.join(self._root, name)
        data = text(path)
        made = self._made.get(path)
        if data is None or (made is not None and made[0] == data):
            return
        self._made.pop(path, None)
        try:
            with warnings.catch_warnings():
                # The run is to give them, where somebody may look at them.
                warnings.simplefilter("error")
                self._made[path] = (data, compile(data, path, "exec", dont_inherit=True))
        except (SyntaxError, ValueError, RecursionError, MemoryError, Warning):
            return

    def enter(self) -> None:
        """Let the import system find each of them once, where it would compile that same text."""
        if not self._made:
            return
        made, compiler, digits = self._made, builtins.compile, most_digits()
        real = SourceFileLoader.source_to_code

        def source_to_code(loader: Any, data: Any, path: Any, *more: Any, **words: Any) -> Any:
            found = made.pop(path, None) if isinstance(path, str) else None
            if not made and vars(SourceFileLoader).get("source_to_code") is source_to_code:
                del SourceFileLoader.source_to_code
            # What would be called by now, if we were not there: somebody may have put his own in its place.
            if not isinstance(loader, SourceFileLoader):
                return real(loader, data, path, *more, **words)
            instead = super(SourceFileLoader, loader).source_to_code
            other = getattr(instead, "__func__", None) is not real or builtins.compile is not compiler
            other = other or most_digits() != digits
            if found is None or other or more or words or type(data) is not bytes or data != found[0]:
                return instead(data, path, *more, **words)
            # Whoever listens hears of it when it is wanted.
            sys.audit("compile", data, path)
            return found[1]

        SourceFileLoader.source_to_code = source_to_code  # type: ignore[assignment, method-assign]


def most_digits() -> int:
    """How long a number in a source may be, in the versions of Python that have a limit."""
    asked = getattr(sys, "get_int_max_str_digits", None)
    return asked() if asked is not None else 0


def text(path: str) -> Optional[bytes]:  # noqa: UP045
    """The bytes of a source; None where it is none, or cannot be read."""
    try:
        # It may have become a pipe by now; opening that must not wait.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        seen = os.fstat(handle)
        if not stat.S_ISREG(seen.st_mode) or seen.st_size > MOST_BYTES:
            return None
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    except OSError:
        return None
    finally:
        os.close(handle)
