"""Bytes of a file as text and back: encoding, byte order mark and line endings are kept."""

from __future__ import annotations

import codecs
import re

import msgspec

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BLANK = re.compile(rb"^[ \t\f]*(?:#.*)?$")
_ENDING = re.compile(r"\r\n|\r|\n")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


class Undecodable(Exception):
    """The bytes are no text in an encoding that the file names; says why."""


class Decoded(msgspec.Struct, frozen=True):
    """Text with what is needed to make the same bytes of it again."""

    text: str
    """With the file's own line endings, without byte order mark."""
    encoding: str
    mark: bytes = b""

    def encode(self, text: str) -> bytes:
        """Bytes of another text in the same encoding.

        Raises:
            Undecodable: the encoding has no such character.
        """
        return self.mark + encode(text, self.encoding)


def decode(data: bytes, path: str) -> Decoded:
    """The bytes as text: by byte order mark, a Python file's coding line, else UTF-8.

    Raises:
        Undecodable: it is binary, or not what it says.
    """
    mark, encoding = _encoding(data, path)
    body = data[len(mark) :]
    if encoding == "utf-8" and b"\0" in body[:8192]:
        raise Undecodable("binary file")
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise Undecodable(f"not valid {encoding.upper()} (byte {error.start + len(mark)}, line {line})") from None
    decoded = Decoded(text, encoding, mark)
    if encoding != "utf-8":
        encode(text, "utf-8")
        if decoded.encode(text) != data:
            raise Undecodable(f"{encoding} does not give the same bytes back")
    return decoded


def _encoding(data: bytes, path: str) -> tuple[bytes, str]:
    for mark, name in _MARKS:
        if data.startswith(mark):
            return mark, _without_mark(name, mark)
    if path.endswith((".py", ".pyi", ".pyw")):
        return b"", source_encoding(data)
    return b"", "utf-8"


def _without_mark(name: str, mark: bytes) -> str:
    if name == "utf-8-sig":
        return "utf-8"
    return name + ("-le" if mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF32_LE) else "-be")


def source_encoding(data: bytes) -> str:
    """The encoding that the head of a Python file names (PEP 263); UTF-8 where it names none.

    Raises:
        Undecodable: it names one that Python does not know as a text encoding.
    """
    if b"coding" not in data[:512]:
        return "utf-8"
    for line in re.split(rb"\r\n|\r|\n", data[:512])[:2]:
        found = _COOKIE.match(line)
        if found:
            return _text_codec(found[1].decode("ascii", errors="replace"))
        if not _BLANK.match(line):
            break
    return "utf-8"


def _text_codec(name: str) -> str:
    try:
        codec = codecs.lookup(name)
        "".encode(codec.name)
    except (LookupError, ValueError):
        raise Undecodable(f"unknown encoding {name}") from None
    return codec.name


def encode(text: str, encoding: str) -> bytes:
    """The bytes of a text.

    Raises:
        Undecodable: the encoding has no such character.
    """
    try:
        return text.encode(encoding)
    except UnicodeEncodeError as error:
        character = error.object[error.start]
        raise Undecodable(f"{character!r} (U+{ord(character):04X}) cannot be written in {encoding}") from None
    except UnicodeError as error:
        raise Undecodable(f"cannot be written in {encoding}: {error}") from None


def normalise(text: str) -> str:
    """The text with every line ending as a newline."""
    return _ENDING.sub("\n", text) if "\r" in text else text


def lines(text: str) -> list[str]:
    """The lines with their own endings; only CR LF, CR and LF end a line."""
    return _LINE.findall(text)


def ending(text: str) -> str:
    """The ending that most lines have; a newline where none has one."""
    if "\r" not in text:
        return "\n"
    pairs = text.count("\r\n")
    counts = {"\n": text.count("\n") - pairs, "\r\n": pairs, "\r": text.count("\r") - pairs}
    return max(counts, key=lambda key: counts[key])
