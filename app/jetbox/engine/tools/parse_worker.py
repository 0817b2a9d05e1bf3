"""Says why a text does not parse: a module for small texts, run as a script for large ones.

The parser holds the interpreter while it works, so that a thread would keep nobody free. As a script it
reads a text from standard input, its kind is the argument, and it writes what is wrong, or nothing.
"""

from __future__ import annotations

import sys


def problem(kind: str, text: str) -> str:
    """Why the text is no valid `py`, `json` or `toml`; empty where it is, or where nobody can tell."""
    try:
        match kind:
            case "py":
                return _python(text)
            case "json":
                return _json(text)
            case "toml":
                return _toml(text)
    except (RecursionError, MemoryError, ValueError):
        pass  # nested too deeply, or written in a way that no parser takes: its own probe will say
    return ""


def _python(text: str) -> str:
    import warnings

    with warnings.catch_warnings():
        # A text with an odd escape is no error, and the warning would go to the terminal.
        warnings.simplefilter("ignore")
        try:
            compile(text, "<text>", "exec", flags=0x400, dont_inherit=True)  # ast.PyCF_ONLY_AST
        except SyntaxError as error:
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            return f"no valid Python {version}: line {error.lineno or 1}: {error.msg}"
    return ""


def _json(text: str) -> str:
    import json

    if not text.strip() or any(line.lstrip().startswith(("//", "/*")) for line in text.splitlines()):
        return ""  # a dialect with comments
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return f"no valid JSON: line {error.lineno}, column {error.colno}: {error.msg}"
    return ""


def _toml(text: str) -> str:
    import tomllib

    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return f"no valid TOML: {error}"
    return ""


def main() -> None:
    """Answer one text."""
    said = problem(sys.argv[1], sys.stdin.buffer.read().decode("utf-8", "surrogatepass"))
    sys.stdout.buffer.write(said.encode("utf-8", "backslashreplace"))


if __name__ == "__main__":
    main()
