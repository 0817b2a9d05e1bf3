"""Markdown within a line: emphasis, code, links, escapes."""

from __future__ import annotations

import re
from itertools import islice

from jetbox.engine.safety.terminal import safe_text
from jetbox.ui.text.names import Names
from jetbox.ui.text.rows import Piece

LINK = "link "
"""A style that begins so is a link; the rest is its address."""

MOST_PIECES = 300
"""What stands in a line behind so many pieces is shown as it is written, so that no frame waits for a line of marks."""

_INLINE = re.compile(
    r"(?=[\\&`!\[<h*_~])(?:"
    r"(?P<escape>\\[!-/:-@\[-`{-~])"
    r"|(?P<entity>&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)"
    r"|(?P<code>```(?:[^`]|`{1,2}(?!`))+```|``(?!`)(?:[^`]|`(?!`))+``|`[^`]+`)"
    r"|!?\[(?P<label>[^\[\]]*)\]\((?P<target>[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)(?:\s+\"[^\"]*\")?\)"
    r"|\[\^(?P<note>[^\[\]\s^]{1,40})\]"
    r"|!?\[(?P<words>[^\[\]]{1,400})\](?:\[(?P<name>[^\[\]]{0,99})\])?"
    r"|<(?P<angle>(?:https?://|mailto:)[^\s<>]+)>"
    r"|(?P<bare>https?://(?:[^\s<>`*\"'\[\]()]|\([^\s<>`*\"'\[\]()]*\))*"
    r"(?:[^\s<>`*\"'\[\].,;:!?()]|\([^\s<>`*\"'\[\]()]*\)))"
    r"|\*\*\*(?P<both>[^*\s](?:[^*]*[^*\s])?)\*\*\*"
    r"|\*\*(?P<bold>(?=\S)(?:[^*]|\*(?!\*))+?(?<=\S))\*\*"
    r"|(?<![\w_])__(?P<strong>[^_\s](?:[^_]*[^_\s])?)__(?![\w_])"
    r"|~~(?P<gone>[^~\s](?:[^~]*[^~\s])?)~~"
    r"|(?<![\w*])\*(?P<star>[^*\s](?:[^*]*[^*\s])?)\*(?![\w*])"
    r"|(?<!\w)_(?P<under>[^_\s](?:[^_]*[^_\s])?)_(?!\w)"
    r")"
)
_MARKS = re.compile(r"[`*_\\\[~<&]|https?://")
_ASKED = re.compile(
    r"(?P<code>```(?:[^`]|`{1,2}(?!`))+```|``(?!`)(?:[^`]|`(?!`))+``|`[^`]+`)"
    r"|(?<![^\s(\[{\"'])\*\*(?P<bold>(?=[\w`(\"'])[^*]*[\w`)\"'.:!?])\*\*(?![^\s)\]}\"'.,;:!?])"
)
_SPACES = frozenset("\xa0\u2002\u2003\u2009\u202f")
_OPENED = ("http://", "https://", "mailto:")
_BOTH = {("bold", "italic"): "bold.italic", ("italic", "bold"): "bold.italic"}


def inline(text: str, base: str, names: Names | None = None) -> list[Piece]:
    """One line as pieces over the style `base`; `names` knows what its references lead to."""
    if _MARKS.search(text) is None:
        return [(text, base)]
    out: list[Piece] = []
    plain: list[str] = []
    at = 0
    found = _INLINE.search(text)
    while found is not None and len(out) < MOST_PIECES:
        plain.append(text[at : found.start()])
        at = found.end()
        kind = found.lastgroup
        if kind == "escape":
            plain.append(found["escape"][1:])
        elif kind == "entity":
            plain.append(_sign(found["entity"]))
        else:
            pieces = _pieces(found, base, names)
            if not pieces:
                at = found.start() + 1  # a bracket that is only one
                plain.append(text[at - 1])
            else:
                out += [(said, base)] if (said := "".join(plain)) else []
                out += pieces
                plain = []
        found = _INLINE.search(text, at)
    said = "".join(plain) + text[at:]
    return [*out, (said, base)] if said else out


def _sign(entity: str) -> str:
    """What an entity stands for; what a terminal would not only show stays as it is written."""
    from html import unescape

    sign = unescape(entity)
    if sign in _SPACES:
        return " "
    return sign if sign and safe_text(sign) == sign and sign.isprintable() else entity


def _pieces(found: re.Match[str], base: str, names: Names | None) -> list[Piece]:
    """What was found as pieces; none where it is a reference to nothing."""
    kind = found.lastgroup or ""
    said = found[kind]
    if kind == "code":
        return [(_code(said), "code")]
    if kind == "target":
        return _link(bare(found["label"]), said, base)
    if kind in ("words", "name"):
        target = names.target(found["name"] or found["words"]) if names is not None else ""
        return _link(bare(found["words"]), target, base) if target else []
    if kind == "note":
        return [(f"[{said}]", "faint")] if names is not None and names.is_note(said) else []
    if kind in ("angle", "bare"):
        return [(said, LINK + said)]
    if kind == "gone":
        return [(bare(said), base or "strike")]
    if kind == "both":
        return inline(said, base or "bold.italic", names)
    style = "bold" if kind in ("bold", "strong") else "italic"
    return inline(said, style if not base else _BOTH.get((base, style), base), names)


def _code(said: str) -> str:
    """Code without what marks it; between more marks on each side, it may hold fewer."""
    marks = len(said) - len(said.lstrip("`"))
    return said[marks:-marks].strip() or said


def bare(said: str) -> str:
    """One line without its marks, for where it has one style."""
    return "".join(text for text, _ in inline(said, ""))


def asked(text: str, base: str) -> list[Piece]:
    """A line in which the model asks something as pieces: names hold signs, so only code and bold words have marks."""
    out: list[Piece] = []
    at = 0
    for found in islice(_ASKED.finditer(text), MOST_PIECES):
        out += [(text[at : found.start()], base)] if found.start() > at else []
        bold = found["bold"]
        out += asked(bold, base or "bold") if bold else [(_code(found["code"]), "code")]
        at = found.end()
    return [*out, (text[at:], base)] if text[at:] else out


def asked_bare(text: str) -> str:
    """The same without its marks, for where it has one style."""
    return "".join(said for said, _ in asked(text, ""))


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
