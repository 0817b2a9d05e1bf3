"""Colours for code, a line at a time: cheap enough to be done when a line is laid out, also while it streams.

A line depends on itself and on what is open from the lines before it: a block comment, or
a text over several lines. What is no token keeps the colour of code.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from jetbox.ui.text.rows import Piece

PLAIN = "code.block"
LONGEST_LINE = 1000
"""A longer line is shown in one colour: minified code has nothing to read."""
FEW_TOKENS, CHARS_A_TOKEN = 12, 3
"""So many tokens of a line are looked at, and one more for so many characters: what people write has fewer, and each of
them costs time. The rest of the line is plain."""


class Family(NamedTuple):
    """How the languages of a family are written."""

    comment: str = ""
    """Pattern of what begins a comment to the end of the line."""
    spans: tuple[tuple[str, str, str], ...] = ()
    """What may go over several lines: opening, closing, style."""
    extra: tuple[tuple[str, str], ...] = ()
    """Further patterns: style, pattern."""
    quotes: str = "\"'"
    keywords: str = ""
    folded: bool = False
    """Keywords in any case."""


_C_COMMENTS = (("/*", "*/", "code.comment"),)
_JS = (
    "as async await break case catch class const continue debugger default delete do else enum export "
    "extends finally for from function if implements import in instanceof interface let new of package "
    "private protected public return static super switch this throw try type typeof var void while "
    "with yield true false null undefined"
)
_FAMILIES: dict[str, Family] = {
    "python": Family(
        "#",
        (('"""', '"""', "code.string"), ("'''", "'''", "code.string")),
        (("code.name", r"@[\w.]+"), ("code.name", r"(?<=def )\w+|(?<=class )\w+")),
        keywords="and as assert async await break case class continue def del elif else except finally for from "
        "global if import in is lambda match nonlocal not or pass raise return try type while with yield "
        "None True False self",
    ),
    "js": Family(
        "//", (*_C_COMMENTS, ("`", "`", "code.string")), (("code.name", r"(?<=function )\w+|@\w+"),), keywords=_JS
    ),
    "c": Family(
        "//",
        _C_COMMENTS,
        (("code.name", r"^\s*#\s*\w+"),),
        keywords="auto bool break case catch char class const constexpr continue default delete do double else enum "
        "extern false final float for foreach goto if implements import in inline int interface long "
        "namespace new null nullptr operator out override package private protected public readonly ref "
        "return sealed short signed sizeof static string struct super switch template this throw throws "
        "true try typedef typename union unsigned using var virtual void volatile while abstract extends "
        "fun val when object data is as",
    ),
    "rust": Family(
        "//",
        _C_COMMENTS,
        (("code.name", r"(?<=fn )\w+|#!?\[[^\]]{0,200}\]|\b\w++!"), ("code.name", r"'\w+(?!')")),
        keywords="as async await break const continue crate dyn else enum extern false fn for if impl in let loop "
        "match mod move mut pub ref return self Self static struct super trait true type unsafe use where "
        "while",
        quotes='"',
    ),
    "go": Family(
        "//",
        (*_C_COMMENTS, ("`", "`", "code.string")),
        (("code.name", r"(?<=func )\w+"),),
        keywords="break case chan const continue default defer else fallthrough for func go goto if import "
        "interface map package range return select struct switch type var nil true false iota",
    ),
    "shell": Family(
        r"(?:(?<=\s)|^)#",
        (),
        (("code.name", r"\$\{[^}]{0,200}\}|\$[\w@#?*!$-]"), ("code.number", r"(?<=\s)--?[A-Za-z][\w-]*")),
        keywords="if then else elif fi for while until do done case esac in function return export local readonly "
        "set unset echo exit source alias cd sudo exec trap shift test true false",
    ),
    "data": Family(
        r"(?:(?<=\s)|^)[#;]",
        (('"""', '"""', "code.string"), ("'''", "'''", "code.string")),
        (
            ("code.name", r"^\s*\[\[?[^\]]*\]\]?\s*$"),
            ("code.keyword", r'"(?:\\.|[^"\\])*"(?=\s*:)|^[\s-]*[\w./-]+(?=\s*[:=](?:\s|$))'),
        ),
        keywords="true false null yes no on off",
    ),
    "sql": Family(
        "--",
        _C_COMMENTS,
        keywords="select from where and or not insert into values update set delete create table index view drop "
        "alter add primary key foreign references join left right inner outer full on as group by order "
        "having limit offset union all distinct case when then else end null is in like between exists "
        "begin commit rollback with returning default integer text varchar boolean timestamp unique "
        "constraint if",
        folded=True,
    ),
    "markup": Family(
        "",
        (("<!--", "-->", "code.comment"),),
        (("code.keyword", r"</?[A-Za-z][\w:-]*|/?>"), ("code.name", r"(?<![\w:-])[\w:-]++(?==)")),
    ),
    "css": Family(
        "",
        _C_COMMENTS,
        (("code.keyword", r"(?<![\w-])[\w-]++(?=\s*+:)"), ("code.name", r"[.#@&][\w-]+|\$[\w-]+")),
        quotes="\"'",
    ),
    "lisp": Family(";", (), (("code.name", r"(?<=\()[\w!?*+/<>=-]+"), ("code.number", r":[\w-]+")), quotes='"'),
    "ruby": Family(
        "#",
        (("=begin", "=end", "code.comment"),),
        (("code.number", r"(?<![:\w]):\w+"), ("code.name", r"@{1,2}\w+|(?<=def )\w+[?!]?")),
        keywords="alias and begin break case class def defined do else elsif end ensure false for function if in "
        "local module next nil not or redo repeat require rescue retry return self super then true undef "
        "unless until when while yield",
    ),
    "lua": Family(
        "--",
        (("--[[", "]]", "code.comment"), ("[[", "]]", "code.string")),
        keywords="and break do else elseif end false for function goto if in local nil not or repeat return then "
        "true until while",
    ),
    "make": Family(
        "#",
        (),
        (("code.name", r"^[\w./%-]+(?=\s*:)|\$[({][^)}]{0,200}[)}]|\$[@<^*]"), ("code.keyword", r"^[A-Z]+(?=\s)")),
    ),
}

_NAMES = {
    "python": "py python python3 pyi py3 pycon starlark bazel",
    "js": "js javascript jsx ts tsx typescript mjs node",
    "c": "c h cpp c++ cc hpp cs csharp java kotlin kt swift php dart scala groovy objc glsl",
    "rust": "rust rs",
    "go": "go golang",
    "shell": "sh bash zsh shell console fish shell-session powershell ps1",
    "data": "json json5 jsonc jsonl yaml yml toml ini cfg conf properties env",
    "sql": "sql sqlite postgres postgresql mysql",
    "markup": "html xml svg vue xhtml",
    "css": "css scss less tcss",
    "lisp": "lisp clojure clj scheme elisp racket",
    "ruby": "ruby rb elixir ex crystal",
    "lua": "lua",
    "make": "make makefile dockerfile docker cmake",
}
_FAMILY_OF = {name: family for family, names in _NAMES.items() for name in names.split()}


class Lexer(NamedTuple):
    """A family, ready for use."""

    pattern: re.Pattern[str]
    styles: tuple[str, ...]
    """The style of each extra group."""
    spans: dict[str, tuple[str, str]]
    keywords: frozenset[str]
    folded: bool


def family_of(language: str) -> str:
    """The family of a fence's language; empty where it is not known."""
    name = language.strip().lower()
    return "diff" if name in ("diff", "patch") else _FAMILY_OF.get(name, "")


@cache
def _lexer(family: str) -> Lexer:
    kind = _FAMILIES[family]
    parts = [f"(?P<open>{'|'.join(re.escape(opening) for opening, _, _ in kind.spans)})"] if kind.spans else []
    parts += [f"(?P<comment>(?:{kind.comment}).*)"] if kind.comment else []
    parts += [f"(?P<x{n}>{pattern})" for n, (_, pattern) in enumerate(kind.extra)]
    parts += [f"(?P<q{n}>{quote}(?:\\\\.|[^{quote}\\\\])*{quote}?)" for n, quote in enumerate(kind.quotes)]
    parts += [r"(?P<number>\b(?:0[xXbBoO][\da-fA-F_]+|\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\b)", r"(?P<word>[^\W\d]\w*)"]
    return Lexer(
        re.compile("|".join(parts)),
        tuple(style for style, _ in kind.extra),
        {opening: (closing, style) for opening, closing, style in kind.spans},
        frozenset(kind.keywords.split()),
        kind.folded,
    )


def code_pieces(line: str, family: str, state: str = "") -> tuple[list[Piece], str]:
    """The line in colours, and what is open at its end; `state` is what was open before it."""
    if family == "diff":
        style = {"+": "diff.added", "-": "diff.removed", "@": "code.comment"}.get(line[:1], PLAIN)
        return [(line, style)], ""
    if not family or (len(line) > LONGEST_LINE and not state):
        return [(line, PLAIN)], state
    lexer, at = _lexer(family), 0
    left = FEW_TOKENS + len(line) // CHARS_A_TOKEN
    out: list[Piece] = []
    while at < len(line) or state:
        if state:
            closing, style = lexer.spans[state]
            end = line.find(closing, at)
            if end < 0:
                return _put(out, line[at:], style), state
            at, state = _close(out, line, at, end + len(closing), style), ""
            continue
        found = lexer.pattern.search(line, at) if left else None
        if found is None:
            break
        left -= 1
        _put(out, line[at : found.start()], PLAIN)
        at = found.end()
        if found.lastgroup == "open":
            state = found[0]
            _put(out, state, lexer.spans[state][1])
        else:
            _put(out, found[0], _style(lexer, found))
    return _put(out, line[at:], PLAIN) or [("", PLAIN)], state


def _close(out: list[Piece], line: str, at: int, end: int, style: str) -> int:
    _put(out, line[at:end], style)
    return end


def _style(lexer: Lexer, found: re.Match[str]) -> str:
    group = found.lastgroup or ""
    if group == "word":
        word = found[0].lower() if lexer.folded else found[0]
        if word in lexer.keywords:
            return "code.keyword"
        return "code.name" if found.string[found.end() : found.end() + 1] == "(" else PLAIN
    if group[0] == "x":
        return lexer.styles[int(group[1:])]
    return {"comment": "code.comment", "number": "code.number"}.get(group, "code.string")


def _put(out: list[Piece], text: str, style: str) -> list[Piece]:
    """One more piece, joined with the one before where it looks the same."""
    if text:
        if out and out[-1][1] == style:
            out[-1] = (out[-1][0] + text, style)
        else:
            out.append((text, style))
    return out
