"""What is forgotten of a long session: a hundred thousand parts let go of at once would hold the loop."""

from __future__ import annotations

import asyncio
import time
from typing import Any

AT_ONCE_S, AT_ONCE = 0.002, 500
"""How long that may take in one go, and how many parts between two looks at the clock."""


def let_go(*parts: list[Any]) -> None:
    """Empty these lists little by little; nobody else may need them."""
    until = time.monotonic() + AT_ONCE_S
    for each in parts:
        while each and time.monotonic() < until:
            del each[-AT_ONCE:]
    if any(parts):
        asyncio.get_running_loop().call_soon(let_go, *parts)
