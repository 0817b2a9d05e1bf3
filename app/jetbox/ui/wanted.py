"""Where the user wants to go when this screen has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple


class Wanted(NamedTuple):
    """Another session."""

    how: Literal["resume", "replay"]
    session: Path
    """Its folder."""
    workspace: str = ""
