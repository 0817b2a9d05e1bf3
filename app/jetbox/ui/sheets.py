"""Style sheets, parsed a rule at a time: Textual reads a source in one go."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from textual.css.parse import parse
from textual.css.stylesheet import CssSource

if TYPE_CHECKING:
    from textual.css.model import RuleSet
    from textual.css.stylesheet import Stylesheet
    from textual.css.types import CSSLocation

OVERLAYS = Path(__file__).with_name("over.tcss")
"""The styles of what lies over the workbench."""


def read_rules(sheet: Stylesheet, place: CSSLocation, source: CssSource) -> Iterator[None]:
    """Parse this source, to where the style sheet looks before it parses one itself."""
    rules: list[RuleSet] = []
    for rule in parse(
        source.scope,
        source.content,
        place,
        variable_tokens=sheet._variable_tokens,
        is_default_rules=source.is_defaults,
        tie_breaker=source.tie_breaker,
    ):
        rules.append(rule)
        yield
    key = (source.content, place, source.is_defaults, source.tie_breaker, source.scope)
    sheet._parse_cache[key] = rules


def style_overlays(sheet: Stylesheet) -> None:
    """Take the styles of what lies over the workbench: of what is there already they say nothing."""
    if not sheet.has_source(str(OVERLAYS), ""):
        sheet.read(OVERLAYS)
        sheet.parse()


def overlays_ahead(sheet: Stylesheet) -> Iterator[None]:
    """The same, a rule at a time."""
    if not sheet.has_source(str(OVERLAYS), ""):
        yield from read_rules(sheet, (str(OVERLAYS), ""), CssSource(OVERLAYS.read_text("utf-8"), False, 0))
        style_overlays(sheet)
