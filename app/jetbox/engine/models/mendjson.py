"""JSON as models write it, read where only one meaning is possible.

Mended: raw newlines and tabs in strings, single quotes, Gemma's quotation marks, trailing commas, Python's
constants, missing closing brackets behind a whole value at the very end, or before what closes a call: a tag or
a code block's end. A string that is not closed is never completed: what is missing of it might be the rest of a file.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from jetbox.engine.models.nested import DEPTH

_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_CLOSING = {"{": "}", "[": "]"}
_CONSTANTS = {"True": "true", "False": "false", "None": "null"}
_RUN = re.compile(r"[^\"'\\\x00-\x1f]++")
"""Of a string, what means itself."""
_PLAIN = re.compile(r"\s+|[-+.\d]+")
_WORD = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")
_MARKS = ('<|"|>', "<escape>")
"""Gemma's quotation marks; nothing is escaped between two of them."""
_OPENS = re.compile(r"(?:\A|[ (\[{<=,:+'`]|\\[\"t])\"\Z")
"""The end of a string whose last quotation mark rather opens a quotation in it."""


class Loose(msgspec.Struct, frozen=True):
    """A value, and where the text behind it goes on."""

    value: Any
    end: int
    complete: bool
    """False where closing brackets were missing."""


def read(text: str, start: int = 0) -> Loose | None:
    """The object or array that begins at `start`; None where there is none that has one meaning."""
    if start >= len(text) or text[start] not in _CLOSING:
        return None
    out: list[str] = []
    open_: list[str] = []
    at = start
    while at < len(text):
        char = text[at]
        marked = char == "<" and text.startswith(_MARKS, at)
        if (marked or char in "\"'[{") and _last(out) not in ("", *_CLOSING, ",", ":"):
            return None  # no comma between two values: nothing behind them makes it JSON
        if char in "\"'" or marked:
            piece = _marked(text, at) if marked else _as_json(text, at)
            if piece is None:
                return None
            out.append(piece[0])
            at = piece[1]
            continue
        if char in _CLOSING:
            if len(open_) >= DEPTH:
                return None
            open_.append(char)
            out.append(char)
        elif char in "}]":
            if _CLOSING[open_.pop()] != char:
                return None
            _drop_comma(out)
            out.append(char)
            if not open_:
                return _decoded(out, at + 1, complete=True)
        elif word := _WORD.match(text, at):
            mended = _word(word[0], text, word.end())
            if not mended or (mended[0] in "eE" and not _last(out).isdigit()):
                return None
            out.append(mended)
            at = word.end()
            continue
        elif char in "<`":
            if _last(out) == '"' and _OPENS.search(out[-1]):
                return None  # the mark is what the text quotes
            break
        elif plain := _PLAIN.match(text, at):
            out.append(plain[0])
            at = plain.end()
            continue
        elif char in ",:":
            out.append(char)
        else:
            return None
        at += 1
    if _last(out) in ("", *_CLOSING, ",", ":"):
        return None  # more was to come
    out += [_CLOSING[char] for char in reversed(open_)]
    return _decoded(out, at, complete=False)


def _decoded(out: list[str], end: int, *, complete: bool) -> Loose | None:
    try:
        return Loose(msgspec.json.decode("".join(out)), end, complete)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _drop_comma(out: list[str]) -> None:
    if _last(out) == ",":
        out.pop()


def _last(out: list[str]) -> str:
    """What the text ends with so far; spaces at its end are dropped."""
    while out and out[-1].isspace():
        out.pop()
    return out[-1][-1:] if out else ""


def _word(word: str, text: str, end: int) -> str:
    """A constant, a key without quotes, or what may be a number's end; empty for what makes the text no JSON."""
    if word in _CONSTANTS:
        return _CONSTANTS[word]
    if word in ("true", "false", "null") or re.fullmatch(r"[eE]\d*", word):
        return word
    return f'"{word}"' if text[end : end + 8].lstrip().startswith(":") else ""


def read_string(text: str, start: int) -> tuple[str, int] | None:
    """The string that begins here, and where it ends; None where it is not closed."""
    piece = _as_json(text, start)
    try:
        return (msgspec.json.decode(piece[0], type=str), piece[1]) if piece is not None else None
    except (msgspec.DecodeError, UnicodeError):
        return None


def _marked(text: str, start: int) -> tuple[str, int] | None:
    """A string between Gemma's quotation marks as JSON has it, and where it ends."""
    mark = next(mark for mark in _MARKS if text.startswith(mark, start))
    end = text.find(mark, start + len(mark))
    if end < 0:
        return None
    return msgspec.json.encode(text[start + len(mark) : end]).decode(), end + len(mark)


def _as_json(text: str, start: int) -> tuple[str, int] | None:
    """The string that begins here as JSON has it, and where it ends; None where it is not closed."""
    quote = text[start]
    out = ['"']
    at = start + 1
    while at < len(text):
        if run := _RUN.match(text, at):
            out.append(run[0])
            at = run.end()
            continue
        char = text[at]
        if char == "\\":
            following = text[at + 1 : at + 2]
            if not following:
                return None
            # JSON knows no escaped apostrophe, and no others than its own.
            known = following in '"\\/bfnrtu'
            out.append(char + following if known else "'" if following == "'" else "\\\\" + _escaped(following))
            at += 2
            continue
        if char == quote and not _inside(text, at, quote):
            out.append('"')
            return "".join(out), at + 1
        out.append('\\"' if char == '"' else _escaped(char))
        at += 1
    return None


def _escaped(char: str) -> str:
    if char in _ESCAPES:
        return _ESCAPES[char]
    return f"\\u{ord(char):04x}" if char < " " else char


def _inside(text: str, at: int, quote: str) -> bool:
    """An apostrophe within a word does not end a string that stands in apostrophes."""
    if quote != "'":
        return False
    return at > 0 and text[at - 1].isalpha() and text[at + 1 : at + 2].isalpha()
