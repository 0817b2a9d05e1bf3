"""A call's arguments that stand between tags, each with its name in the tag before it."""

from __future__ import annotations

import re
from typing import NamedTuple

_SPACES = re.compile(r"\s*")


class Tags(NamedTuple):
    """How arguments are written between tags."""

    opens: re.Pattern[str]
    """With the argument's name."""
    closes: re.Pattern[str]
    ends: re.Pattern[str]
    """What stands behind the last of them."""
    within: str
    """What opens a tag that is closed as an argument is."""


def arguments_between(text: str, at: int, tags: Tags, *, block: bool) -> tuple[dict[str, str], int] | None:
    """The arguments there and the place behind them; None where one is not closed.

    Scanned, not parsed as XML: values hold whatever a file holds. `block`: a value is without the newline before it too
    where none begins it. Where a name comes twice, or a value that begins on a line of its own ends within one, tags
    stand in a value: that is none.
    """
    found: dict[str, str] = {}
    while opening := tags.opens.match(text, at):
        closing = _closing(text, opening.end(), tags)
        if closing is None:
            return None
        value = text[opening.end() : closing.start()]
        newline = "\r\n" if value.startswith("\r\n") else "\n"
        at = past_spaces(text, closing.end())
        within = block and value.startswith(newline) and not value.endswith("\n") and tags.opens.match(text, at)
        if within or opening["key"] in found:
            return None
        if block or value.startswith(newline):
            value = value.removeprefix(newline).removesuffix(newline)
        found[opening["key"]] = value
    return found, at


def _closing(text: str, at: int, tags: Tags) -> re.Match[str] | None:
    """The tag that closes a value: another argument, or the end of all, stands behind it.

    What opens within the value is closed first: the value holds a call, or its own end is missing.
    """
    within = 0
    for tag in re.compile(f"(?:{tags.closes.pattern})|(?P<within>{tags.within})").finditer(text, at):
        behind = past_spaces(text, tag.end())
        if tag["within"]:
            within += 1
        elif within:
            within -= 1
        elif tags.opens.match(text, behind) or tags.ends.match(text, behind):
            return tag
    return None


def past_spaces(text: str, at: int) -> int:
    """Where the text goes on there behind spaces and ends of lines."""
    spaces = _SPACES.match(text, at)
    return spaces.end() if spaces else at
