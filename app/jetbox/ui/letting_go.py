"""What is forgotten of a long session: a hundred thousand parts let go of at once would hold the loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from textual._styles_cache import StylesCache

from jetbox.ui.slices import in_slices

AT_ONCE = 500
"""Parts between two looks at the clock."""


def let_go(*parts: list[Any]) -> None:
    """Empty these lists little by little; nobody else may need them."""
    in_slices(_emptied(parts))


def _emptied(parts: Iterable[list[Any]]) -> Iterator[None]:
    for each in parts:
        while each:
            del each[-AT_ONCE:]
            yield


def let_painted_go() -> None:
    """Let go of the lines of widgets that are gone: Textual's cache of colours has the last 1,024 in its keys."""
    StylesCache.get_inner_outer.cache_clear()
