"""Markdown within a line: emphasis, code, links, escapes."""

from __future__ import annotations

import re

from jetbox.engine.safety.terminal import safe_text
from jetbox.ui.text.rows import Piece

LINK = "link "
"""A style that begins so is a link; the rest is its address."""

_INLINE = re.compile(
    r"(?P<escape>\\[\\`*_{}\[\]()#+.!|~<>-])"
    r"|(?P<entity>&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)"
    r"|(?P<code>``[^`]+``|`[^`]+`)"
    r"|!?\[(?P<label>[^\[\]]*)\]\((?P<target>[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+\"[^\"]*\")?\)"
    r"|<(?P<angle>(?:https?://|mailto:)[^\s<>]+)>"
    r"|(?P<bare>https?://[^\s<>`*\"'\[\]]+[^\s<>`*\"'\[\].,;:!?)])"
    r"|\*\*\*(?P<both>[^*\s](?:[^*]*[^*\s])?)\*\*\*"
    r"|\*\*(?P<bold>(?=\S)(?:[^*]|\*(?!\*))+?(?<=\S))\*\*"
    r"|(?<![\w_])__(?P<strong>[^_\s](?:[^_]*[^_\s])?)__(?![\w_])"
    r"|~~(?P<gone>[^~\s](?:[^~]*[^~\s])?)~~"
    r"|(?<![\w*])\*(?P<star>[^*\s](?:[^*]*[^*\s])?)\*(?![\w*])"
    r"|(?<!\w)_(?P<under>[^_\s](?:[^_]*[^_\s])?)_(?!\w)"
)
_MARKS = re.compile(r"[`*_\\\[~<&]|https?://")
_OPENED = ("http://", "https://", "mailto:")
_BOTH = {("bold", "italic"): "bold.italic", ("italic", "bold"): "bold.italic"}


def inline(text: str, base: str) -> list[Piece]:
    """One line as pieces over the style `base`."""
    if _MARKS.search(text) is None:
        return [(text, base)]
    out: list[Piece] = []
    at = 0
    plain = ""
    for found in _INLINE.finditer(text):
        plain += text[at : found.start()]
        at = found.end()
        if found["escape"]:
            plain += found["escape"][1:]
            continue
        if found["entity"]:
            plain += _sign(found["entity"])
            continue
        if plain:
            out.append((plain, base))
            plain = ""
        out += _pieces(found, base)
    plain += text[at:]
    return [*out, (plain, base)] if plain else out


def _sign(entity: str) -> str:
    """What an entity stands for; what a terminal would not only show stays as it is written."""
    from html import unescape

    sign = unescape(entity)
    return sign if sign and safe_text(sign) == sign and sign.isprintable() else entity


def _pieces(found: re.Match[str], base: str) -> list[Piece]:
    kind = found.lastgroup or ""
    said = found[kind]
    if kind == "code":
        return [(said.strip("`").strip() or said, "code")]
    if kind == "target":
        return _link(found["label"], said, base)
    if kind in ("angle", "bare"):
        return [(said, LINK + said)]
    if kind == "gone":
        return [(said, base or "strike")]
    if kind == "both":
        return inline(said, base or "bold.italic")
    style = "bold" if kind in ("bold", "strong") else "italic"
    return inline(said, style if not base else _BOTH.get((base, style), base))


def _link(label: str, target: str, base: str) -> list[Piece]:
    """A link says where it leads, unless its label does: a label can be anything."""
    if not target.lower().startswith(_OPENED):
        return [(label or target, base), (f" ({target})", "faint")] if target and label != target else [(target, base)]
    if not label or label == target:
        return [(target, LINK + target)]
    where = target.split("://", 1)[-1].removeprefix("mailto:").split("/", 1)[0]
    return [(label, LINK + target), (f" ({where})", "faint")]


def openable(address: str) -> bool:
    """Whether a click may hand this address to the system."""
    return address.lower().startswith(_OPENED)
