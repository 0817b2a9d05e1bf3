"""Named styles, painted with the theme's colours: rows become strips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.segment import Segment
from rich.style import Style
from textual.color import Color, ColorParseError
from textual.strip import Strip

from jetbox.ui.text.inline import LINK
from jetbox.ui.text.rows import Row, cells

STYLES: dict[str, tuple[str, str, str]] = {
    # name: colour variable, background variable, attributes
    "": ("foreground", "", ""),
    "bold": ("foreground", "", "bold"),
    "italic": ("foreground", "", "italic"),
    "bold.italic": ("foreground", "", "bold italic"),
    "strike": ("muted", "", "strike"),
    "link": ("secondary", "", "underline"),
    "dim": ("muted", "", ""),
    "dim.italic": ("muted", "", "italic"),
    "faint": ("faint", "", ""),
    "title": ("muted", "", "bold"),
    "brand": ("primary", "", "bold"),
    "accent": ("accent", "", ""),
    "heading.one": ("heading", "", "bold underline"),
    "heading": ("heading", "", "bold"),
    "heading.three": ("heading", "", "italic"),
    "code": ("code", "", ""),
    "code.block": ("code", "code-background", ""),
    "code.label": ("faint", "code-background", ""),
    "code.keyword": ("primary", "code-background", ""),
    "code.string": ("success", "code-background", ""),
    "code.number": ("accent", "code-background", ""),
    "code.comment": ("muted", "code-background", "italic"),
    "code.name": ("secondary", "code-background", ""),
    "list": ("muted", "", ""),
    "quote": ("muted", "", "italic"),
    "user": ("user", "", "bold"),
    "user.mark": ("primary", "", "bold"),
    "tool": ("tool", "", ""),
    "tool.argument": ("foreground", "", ""),
    "ok": ("success", "", ""),
    "failed": ("error", "", ""),
    "failed.bold": ("error", "", "bold"),
    "warning": ("warning", "", ""),
    "hit": ("hit", "", ""),
    "added": ("diff-added", "", ""),
    "removed": ("diff-removed", "", ""),
    "diff.added": ("diff-added", "diff-added-background", ""),
    "diff.removed": ("diff-removed", "diff-removed-background", ""),
    "diff.added.word": ("diff-added", "diff-added-background+diff-added", "bold"),
    "diff.removed.word": ("diff-removed", "diff-removed-background+diff-removed", "bold"),
    "diff.same": ("muted", "", ""),
    "diff.number": ("faint", "", ""),
    "tier.instant": ("tier-instant", "", ""),
    "tier.fast": ("tier-fast", "", ""),
    "tier.acceptable": ("tier-acceptable", "", ""),
    "tier.noticeable": ("tier-noticeable", "", ""),
    "tier.slow": ("tier-slow", "", ""),
    "tier.running": ("primary", "", ""),
    "phase.context": ("phase-context", "", ""),
    "phase.queue and load": ("phase-load", "", ""),
    "phase.prompt eval": ("phase-prompt", "", ""),
    "phase.thinking": ("phase-thinking", "", ""),
    "phase.decode": ("phase-decode", "", ""),
    "phase.waiting for you": ("phase-user", "", ""),
    "phase.tools": ("phase-tools", "", ""),
    "phase.probe": ("phase-probe", "", ""),
    "phase.other": ("phase-other", "", ""),
    "mode.ask": ("mode-ask", "", ""),
    "mode.edits": ("mode-edits", "", ""),
    "mode.auto": ("mode-auto", "", ""),
    "key": ("primary", "", ""),
    "match": ("background", "warning", ""),
    "match.current": ("background", "primary", "bold"),
    "chosen": ("foreground", "panel", ""),
    "below": ("background", "primary", ""),
    "thumb": ("faint", "", ""),
    "track": ("panel", "", ""),
    "selected": ("background", "primary", ""),
}

VARIABLES = frozenset(
    name for fore, back, _ in STYLES.values() for names in (fore, back) for name in names.split("+") if name
)
"""The theme's variables that the screen needs."""

_WITHOUT_COLOUR = {
    "user": "bold",
    "heading": "bold",
    "failed": "bold",
    "failed.bold": "bold",
    "warning": "bold",
    "diff.added": "bold",
    "diff.removed": "dim",
    "removed": "dim",
    "dim": "dim",
    "dim.italic": "dim italic",
    "faint": "dim",
    "quote": "dim italic",
    "diff.number": "dim",
    "selected": "reverse",
    "diff.added.word": "bold underline",
    "diff.removed.word": "dim strike",
    "match": "reverse",
    "match.current": "reverse bold underline",
    "chosen": "reverse",
    "below": "reverse",
    "code.comment": "dim",
    "code.label": "dim",
    "strike": "dim strike",
    "brand": "bold",
    "title": "bold",
}

PATTERNS = {
    # phase: its filling where there are no colours, and where there is no Unicode either
    "context": ("░", "."),
    "queue and load": ("▒", ":"),
    "prompt eval": ("▓", "+"),
    "thinking": ("~", "~"),
    "decode": ("█", "#"),
    "waiting for you": ("?", "?"),
    "tools": ("=", "="),
    "probe": ("%", "%"),
    "other": ("·", "-"),
}
_FILLED = "█■#"
"""Signs that only their colour gives a meaning."""


class Paint:
    """Styles by name, over one background."""

    def __init__(self, variables: Mapping[str, str], *, colour: bool = True, ascii: bool = False) -> None:
        """With `ascii` a cut is marked by a sign that every terminal has."""
        self._styles: dict[str, Style] = {}
        self._mixed: dict[tuple[str, str], Style] = {}
        """Styles over the fillings that they were seen on: one that is the same again is not told anew."""
        self._ascii = ascii
        self._colour = colour
        self._fillings = {
            f"phase.{name}": str.maketrans(dict.fromkeys(_FILLED, pair[ascii])) for name, pair in PATTERNS.items()
        }
        ground = colour_of(variables, "background") if colour else None
        for name, (fore, back, attributes) in STYLES.items():
            self._styles[name] = _style(name, variables, fore, back, attributes, ground, colour)
        self.base = self._styles[""]

    def __getitem__(self, name: str) -> Style:
        return self._styles[name]

    def ground(self, name: str) -> Style:
        """Only what a style puts beneath a text; without colours the style itself."""
        style = self._styles[name]
        return Style(bgcolor=style.bgcolor) if style.bgcolor is not None else style

    def strip(self, row: Row, width: int) -> Strip:
        """A row as a strip of exactly `width` cells."""
        fill = self._styles[row.fill]
        pieces = [(text.translate(_NARROW), style) for text, style in row.pieces] if self._ascii else row.pieces
        if not self._colour:
            pieces = [(text.translate(self._fillings.get(style, {})), style) for text, style in pieces]
        segments = [Segment(text, self._over(fill, style, row.fill)) for text, style in pieces if text]
        used = sum(cells(segment.text) for segment in segments)
        if used < width:
            segments.append(Segment(" " * (width - used), fill))
            used = width
        strip = Strip(segments, used)
        return strip if used == width else strip.adjust_cell_length(width, self.base)

    def strips(self, rows: Iterable[Row], width: int) -> list[Strip]:
        """Rows as strips."""
        return [self.strip(row, width) for row in rows]

    def _over(self, fill: Style, name: str, fill_name: str) -> Style:
        style = self._styles.get(name)
        if style is None:
            return self._linked(name)
        if not fill_name or not self._colour or STYLES[name][1]:
            return style
        mixed = self._mixed.get((fill_name, name))
        if mixed is None:
            mixed = self._mixed[fill_name, name] = style + Style(bgcolor=fill.bgcolor)
        return mixed

    def _linked(self, name: str) -> Style:
        """The style of a link: its name ends in the address."""
        assert name.startswith(LINK), name
        return self._styles["link"] + Style(link=name[len(LINK) :])


def _style(
    name: str,
    variables: Mapping[str, str],
    fore: str,
    back: str,
    attributes: str,
    ground: Color | None,
    colour: bool,
) -> Style:
    if not colour:
        return Style.parse(_WITHOUT_COLOUR.get(name, attributes) or "none")
    if fore == "background" and back and ground is not None and ground.ansi is not None:
        # What the terminal's own background is, nobody knows: it is swapped, not written.
        fore, back, attributes = back, "", f"reverse {attributes}"
    if "+" in back and ground is not None and ground.ansi is not None:
        back, attributes = back.partition("+")[0], f"{attributes} underline"
    behind = colour_of(variables, back) if back else ground
    front = colour_of(variables, fore)
    return Style.parse(attributes or "none") + Style(
        color=front.rich_color if front else None, bgcolor=behind.rich_color if behind else None
    )


_NARROW = str.maketrans("…×–—·", "~x---")
"""Signs in words of ours, cell for cell, for terminals that have none."""
MIXED = 0.2
"""How much of the second colour is in `one+other`."""


def colour_of(variables: Mapping[str, str], name: str) -> Color | None:
    """A colour by the name of its variable; `one+other` mixes some of the other into it."""
    first, plus, second = name.partition("+")
    if plus:
        ground, over = colour_of(variables, first), colour_of(variables, second)
        return ground.blend(over, MIXED) if ground is not None and over is not None else ground
    try:
        return Color.parse(variables[name])
    except (KeyError, ColorParseError):
        return None
