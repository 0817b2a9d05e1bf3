"""Every sign that the screen draws, in Unicode and for terminals that have none."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from jetbox.ui.locale import has_unicode


class Glyphs(msgspec.Struct, frozen=True):
    """One sign per meaning; each is one cell wide unless its comment says otherwise."""

    prompt: str = "❯"
    round: str = "◆"
    ok: str = "✓"
    failed: str = "✗"
    denied: str = "⊘"
    cancelled: str = "–"
    waiting: str = "·"
    running: str = "▸"
    folded: str = "▸"
    unfolded: str = "▾"
    rising: str = "▴"
    falling: str = "▾"
    ran: str = "⚡"
    """Two cells."""
    hit: str = "↻"
    unproven: str = "↻?"
    """Two cells."""
    partial: str = "◐"
    skipped: str = "⏭"
    loaded: str = "●"
    unloaded: str = "○"
    bullet: str = "•"
    quote: str = "▎"
    rule: str = "─"
    separator: str = "│"
    thumb: str = "▐"
    block: str = "█"
    full: str = "▓"
    empty: str = "░"
    more: str = "…"
    dot: str = "·"
    square: str = "■"
    question: str = "?"
    bang: str = "!"
    play: str = "▶"
    pause: str = "■"
    knob: str = "●"
    sparks: str = "▁▂▃▄▅▆▇█"
    ascii: bool = False


UNICODE = Glyphs()

ASCII = Glyphs(
    prompt=">",
    round="*",
    ok="+",
    failed="x",
    denied="-",
    cancelled="-",
    waiting=".",
    running=">",
    folded=">",
    unfolded="v",
    rising="^",
    falling="v",
    ran="! ",
    hit="=",
    unproven="=?",
    partial="~",
    skipped="-",
    loaded="o",
    unloaded=".",
    bullet="-",
    quote="|",
    rule="-",
    separator="|",
    thumb="#",
    block="#",
    full="#",
    empty=".",
    more="...",
    dot="-",
    square="#",
    question="?",
    bang="!",
    play=">",
    pause="=",
    knob="o",
    sparks="_.-=+*%#",
    ascii=True,
)

_WORDS = {"─": "-", "│": "|", "·": "-", "…": "...", "–": "-", "—": "-", "×": "x", "⚡": "! "}
_SIGNS = {
    getattr(UNICODE, name): getattr(ASCII, name)
    for name in Glyphs.__struct_fields__
    if name not in ("sparks", "ascii", "unproven") and not getattr(UNICODE, name).isascii()
}
_TO_ASCII = str.maketrans({**_SIGNS, **_WORDS})


def choose(environ: Mapping[str, str] | None = None, *, ascii: bool = False) -> Glyphs:
    """The table for this terminal's locale; `ascii`: the one for all terminals."""
    return UNICODE if not ascii and has_unicode(environ) else ASCII


def plain(text: str, glyphs: Glyphs) -> str:
    """The product's own words in the signs of the table."""
    return text.translate(_TO_ASCII) if glyphs.ascii else text


_BOXES = {
    "-": "─━═╌┄▔▁▂▃▄▅▆▇–—",
    "|": "│┃║▏▎▍▌▋▊▉▐▕",
    "+": "╭╮╰╯┌┐└┘╔╗╚╝┏┓┗┛├┤┬┴┼▖▗▘▝▛▜▙▟",
    "#": "█▀■",
    "*": "●○•◆",
    ">": "▶❯→",
    "~": "…",
}
BOXES = str.maketrans({sign: ascii for ascii, signs in _BOXES.items() for sign in signs})
"""What frames and widgets of others draw, cell for cell."""
