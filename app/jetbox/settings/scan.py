"""Line numbers of the keys of a TOML text, which `tomllib` does not tell."""

from __future__ import annotations

Path = tuple[str, ...]


def key_lines(text: str) -> dict[Path, int]:
    """Line (from 1) of every table and key that begins a line, by its full path.

    The tables of an array are numbered from 0: `("probes", "commands", "0", "name")`.
    The text must be valid TOML: what is inside strings and lists that span lines is passed over.
    """
    lines: dict[Path, int] = {}
    table: Path = ()
    numbers: dict[Path, int] = {}
    depth = 0
    inside = ""
    for number, line in enumerate(text.split("\n"), start=1):
        if inside or depth:
            depth, inside = _follow(line, depth, inside)
            continue
        stripped = line.strip()
        if stripped.startswith("["):
            table = _key_path(stripped.lstrip("["), "]")[0]
            if stripped.startswith("[["):
                numbers[table] = numbers.get(table, -1) + 1
                table = (*table, str(numbers[table]))
            for end in range(1, len(table) + 1):
                lines.setdefault(table[:end], number)
        elif stripped and not stripped.startswith("#"):
            path, value = _key_path(stripped, "=")
            for end in range(len(table) + 1, len(table) + len(path) + 1):
                lines.setdefault((table + path)[:end], number)
            depth, inside = _follow(value, 0, "")
    return lines


def _key_path(text: str, end: str) -> tuple[Path, str]:
    """Read a dotted key up to `end`; returns it and what follows."""
    parts: list[str] = []
    current = ""
    at = 0
    while at < len(text) and text[at] != end:
        char = text[at]
        if char in "\"'":
            close = _string_end(text, at + 1, char)
            current = _unquote(text[at + 1 : close], char)
            at = close
        elif char == ".":
            parts.append(current)
            current = ""
        elif not char.isspace():
            current += char
        at += 1
    return (*parts, current), text[at + 1 :]


def _unquote(inner: str, quote: str) -> str:
    if quote == "'" or "\\" not in inner:
        return inner
    import tomllib

    return str(tomllib.loads(f'key = "{inner}"')["key"])


def _string_end(text: str, at: int, quote: str) -> int:
    """Index of the closing quote of a string of one line."""
    while at < len(text) and text[at] != quote:
        at += 2 if quote == '"' and text[at] == "\\" else 1
    return at


def _follow(line: str, depth: int, inside: str) -> tuple[int, str]:
    """Go through a value's text; returns depth of brackets and the long string that stays open."""
    at = 0
    while at < len(line):
        if inside:
            if inside == '"""' and line[at] == "\\":
                at += 2
            elif line.startswith(inside, at):
                at += 3
                while line.startswith(inside[0], at):  # up to two quotes may stand before the closing three
                    at += 1
                inside = ""
            else:
                at += 1
            continue
        char = line[at]
        if line.startswith(('"""', "'''"), at):
            inside = line[at : at + 3]
            at += 2
        elif char in "\"'":
            at = _string_end(line, at + 1, char)
        elif char == "#":
            break
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        at += 1
    return depth, inside
