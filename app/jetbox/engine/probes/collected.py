"""Which files of a workspace pytest collects tests from, as its configuration says."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import msgspec

SOURCES = (
    ("pytest.toml", "pytest"),
    (".pytest.toml", "pytest"),
    ("pytest.ini", "pytest"),
    (".pytest.ini", "pytest"),
    ("pyproject.toml", "tool.pytest"),
    ("tox.ini", "pytest"),
    ("setup.cfg", "tool:pytest"),
)
"""In the order in which pytest looks at them; the first one with the section counts."""
ALWAYS = frozenset({"pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml"})
"""Count even where they are empty."""
DECIDES = re.compile(rb"collect_ignore|pytest_ignore_collect|pytest_collect_file|pytest_collection_modifyitems")
"""What a conftest.py holds that has a say in what is collected."""


class Collected(msgspec.Struct, frozen=True):
    """Rules by which a path is one of a test file."""

    patterns: tuple[str, ...] = ("test_*.py", "*_test.py")
    testpaths: tuple[str, ...] = ()
    norecurse: tuple[str, ...] = ("*.egg", ".*", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}")
    ignored: tuple[str, ...] = ()
    every_module: bool = False
    """Doctests are collected from modules of any name."""
    certain: bool = True
    """False where code, or something else than the name, decides as well."""

    def named(self, path: str) -> bool:
        """True for a file whose name is that of one with tests."""
        name = path.rpartition("/")[2]
        return any(_matches(path, name, pattern) for pattern in self.patterns)

    def takes(self, path: str) -> bool:
        """True for a file that the whole suite would collect, as far as its path tells."""
        folders = path.rpartition("/")[0]
        if not path.endswith(".py") or path.startswith("../"):
            return False
        if not self.every_module and not self.named(path):
            return False
        if any(fnmatch(part, pattern) for part in folders.split("/") if part for pattern in self.norecurse):
            return False
        if any(fnmatch(path, pattern) or fnmatch(path, f"{pattern}/*") for pattern in self.ignored):
            return False
        return not self.testpaths or any(_below(path, place) for place in self.testpaths)


def collected(root: Path, files: Collection[str]) -> Collected:
    """Read the configuration among these files; what cannot be read is as if it were not there. Blocks."""
    conftests = [path for path in files if path.endswith("conftest.py") and not path.startswith("../")]
    free = not any(DECIDES.search(_read(root / path)) for path in conftests)
    for folder in _upwards(files):
        for name, section in SOURCES:
            path = folder + name
            options = _options(name, section, _read(root / path)) if path in files else None
            if options is not None:
                return _rules(options, here=not folder, certain=free)
    return Collected(certain=free)


def added_options(root: Path, files: Collection[str], before: str = "") -> list[str]:
    """The words of `before`, and of `addopts` in the configuration among these files. Blocks."""
    for folder in _upwards(files):
        for name, section in SOURCES:
            path = folder + name
            options = _options(name, section, _read(root / path)) if path in files else None
            if options is not None:
                return [*_words(before), *_words(options.get("addopts"))]
    return _words(before)


def elsewhere(root: Path, files: Collection[str]) -> tuple[str, ...]:
    """Places outside of the workspace where the configuration among these has tests or modules found. Blocks."""
    inside = os.path.join(os.path.normpath(root), "")
    for folder in _upwards(files):
        for name, section in SOURCES:
            path = folder + name
            options = _options(name, section, _read(root / path)) if path in files else None
            if options is not None:
                named = [*_words(options.get("pythonpath")), *_words(options.get("testpaths"))]
                fixed = (re.split(r"/?[^/]*[*?\[]", place)[0] for place in named if "\0" not in place)
                places = (os.path.normpath(os.path.join(root, folder, place)) for place in fixed)
                return tuple(dict.fromkeys(place for place in places if not f"{place}/".startswith(inside)))
    return ()


def _upwards(files: Iterable[str]) -> list[str]:
    """The workspace, and the folders above it that hold configuration."""
    above = {path.rpartition("/")[0] + "/" for path in files if path.startswith("../")}
    return ["", *sorted(above, key=len)]


def _options(name: str, section: str, data: bytes) -> dict[str, Any] | None:
    text = data.decode("utf-8", "replace")
    if name.endswith(".toml"):
        import tomllib

        try:
            table: Any = tomllib.loads(text)
            for part in section.split("."):
                table = table.get(part, {})
            table = {**table, **table.get("ini_options", {})}
        except (tomllib.TOMLDecodeError, AttributeError, TypeError):
            return None
        return table if table or name in ALWAYS else None
    import configparser

    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    if parser.has_section(section):
        return dict(parser.items(section))
    return {} if name in ALWAYS else None


def _rules(options: dict[str, Any], *, here: bool, certain: bool) -> Collected:
    words = _words(options.get("addopts"))
    ignored = []
    for at, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in ("--ignore", "--ignore-glob"):
            ignored.append((value if equals else "".join(words[at + 1 : at + 2])).strip("/").removeprefix("./"))
    default = Collected()
    return Collected(
        tuple(_words(options.get("python_files"))) or default.patterns,
        tuple(place.strip("/").removeprefix("./") for place in _words(options.get("testpaths"))) if here else (),
        tuple(_words(options.get("norecursedirs"))) or default.norecurse,
        tuple(ignored),
        "--doctest-modules" in words,
        certain and not any(word.startswith(("--doctest-glob", "--pyargs")) for word in words),
    )


def _words(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(word) for word in value]
    if not isinstance(value, str):
        return []
    import shlex

    try:
        return shlex.split(value, comments=False)
    except ValueError:
        return value.split()


def _matches(path: str, name: str, pattern: str) -> bool:
    if "/" in pattern:
        return fnmatch(path, pattern) or fnmatch(path, f"*/{pattern}")
    return fnmatch(name, pattern)


def _below(path: str, place: str) -> bool:
    return place in ("", ".") or path == place or fnmatch(path, f"{place}/*") or fnmatch(path, place)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(1_000_000)
    except OSError:
        return b""
