"""What is forgotten of a long session: a hundred thousand parts let go of at once would hold the loop."""

from __future__ import annotations

from collections import deque
from typing import Any

from textual._styles_cache import StylesCache

from jetbox.engine.events import Stamped
from jetbox.engine.session import Batch
from jetbox.ui.slices import Slice, go_on_later

AT_ONCE = 500
"""Parts between two looks at the clock."""


def let_go(*parts: list[Any]) -> None:
    """Empty these lists little by little; nobody else may need them."""
    now = Slice()
    for each in parts:
        while each and not now.over:
            del each[-AT_ONCE:]
    if any(parts):
        go_on_later(let_go, *parts)


def parted(batch: Batch) -> tuple[deque[Stamped], bool]:
    """What came, to be taken from its left, and whether it replaces all before.

    Nobody else holds it: what was taken is gone before the next is taken, though a whole session came at once.
    """
    return deque(batch.events), batch.reset


def let_painted_go() -> None:
    """Let go of the lines of widgets that are gone: Textual's cache of colours has the last 1,024 in its keys."""
    StylesCache.get_inner_outer.cache_clear()
