"""What would hold the loop is done in slices: keys are looked at between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVarTuple

Args = TypeVarTuple("Args")

AT_ONCE_S = 0.002
"""How long a slice takes."""


class Slice:
    """One of them, which begins now."""

    def __init__(self) -> None:
        self._until = time.monotonic() + AT_ONCE_S

    @property
    def over(self) -> bool:
        """Whether it is time for what waits."""
        return time.monotonic() > self._until


def go_on_later(work: Callable[[*Args], object], *of: *Args) -> None:
    """Do more when keys were looked at; Textual would take its messages one after another without a look at them."""
    asyncio.get_running_loop().call_soon(work, *of)
