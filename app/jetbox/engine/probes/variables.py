"""Notices when a variable of this process is not what it was."""

from __future__ import annotations

import os


class Variables:
    """Counts the changes."""

    def __init__(self) -> None:
        self._known: dict[str, object] = {}
        self._count = 0

    def __call__(self) -> int:
        """Another number than before where any variable is different."""
        # To compare `os.environ` itself is to decode every variable, which takes longer than all else of a hit.
        raw = getattr(os.environ, "_data", os.environ)
        if raw != self._known:
            self._known = dict(raw)
            self._count += 1
        return self._count
