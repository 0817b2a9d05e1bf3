"""The byte code of what a start imports, in one file: finding a module takes as long as many of them take to run.

Python looks for each in one folder of its path after the other, and opens a file for it. What is
kept here of a module is what that comes to: nothing was added to or taken from any folder that
modules come from, no other folder before them has one of these names, and the source is the very
file that it was, unchanged. Any other module is found as ever, and kept for the next start. The
file lies beside this module's byte code, and is trusted and written as what `jetbox.ui.kept` keeps.
"""

from __future__ import annotations

import marshal
import os
import sys
import time
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader, spec_from_file_location

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing alone takes as long as the rest of this
    from collections.abc import Sequence
    from types import CodeType, ModuleType
    from typing import Any

    Mark = tuple[int, ...] | None
    """What is another for another source or folder: times in ns, size, number of the file; None where there is none."""
    Entry = tuple[str, str, bool, Mark, int, int]
    """Of a module: source, file of its byte code, whether it is a package, mark of the source, place and length."""

HEAD = 16
"""Bytes before the code in a file of byte code."""


class Bundle:
    """Between `begin` and `end` modules are looked up here first."""

    def __init__(self, path: str) -> None:
        """`path` is the file."""
        self.path = path
        self._entries: dict[str, Entry] = {}
        self._folders: dict[str, Mark] = {}
        self._file: _File | None = None
        self._missed: set[str] = set()
        """Modules that were asked for and are not kept, or not as they are now."""
        self._begun = 0
        self._build = ""

    def begin(self) -> None:
        """Look up what is imported from now on."""
        self._begun = time.time_ns()
        self._build = _build()
        try:
            self._read()
        except (OSError, ValueError, EOFError, TypeError, AttributeError, LookupError):
            self._entries = {}  # all is found as ever, and kept for the next start
        sys.meta_path.insert(0, self)

    def end(self) -> None:
        """Look up nothing more."""
        # A new list: a thread that imports may be half-way through the old one.
        sys.meta_path = [each for each in sys.meta_path if each is not self]

    def _read(self) -> None:
        file = _File(self.path)
        at = min(int.from_bytes(file.read(0, 8), "little"), file.size)
        build, roots, folders, entries = marshal.loads(file.read(at, file.size - at))
        found = _roots(entries)
        if (
            build == self._build
            and roots == found is not None
            and all(_folder(each) == folders[each] for each in folders)
        ):
            self._file, self._folders, self._entries = file, folders, entries

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> Any:
        """Where the module is; None where it is not kept."""
        entry, file = self._entries.get(name), self._file
        if entry is None or file is None or not _holds(entry, path):
            self._missed.add(name)
            return None
        origin, cached, package = entry[:3]
        loader = _Loader(name, origin, file, *entry[4:], self._missed)
        within = [os.path.dirname(origin)] if package else None
        spec = spec_from_file_location(name, origin, loader=loader, submodule_search_locations=within)
        if spec is not None:
            spec.cached = cached
        return spec

    def save(self) -> None:
        """Keep what this start imported, where some of it was not kept yet; best effort."""
        from contextlib import suppress

        spare = f"{self.path}.{os.getpid()}"
        try:
            if not sys.dont_write_bytecode and os.access(os.path.dirname(self.path), os.W_OK):
                new = {name: entry for name in list(self._missed) if (entry := _entry(name)) is not None}
                if new and self._settle(new):
                    self._write(spare, new)
                    os.replace(spare, self.path)
        except (OSError, ValueError):  # no place for it, or something changes just now: a later start keeps it
            with suppress(OSError):
                os.remove(spare)
        self._file, self._entries = None, {}

    def _settle(self, new: dict[str, Entry]) -> bool:
        """Whether nothing that these were found by has changed since the start began."""
        roots = _roots({**self._entries, **new})
        within = (each for entry in new.values() for each in (_place(entry), os.path.dirname(entry[0])))
        found = {each: _folder(each) for each in {*(roots or ()), *within}}
        self._folders = {**self._folders, **found}
        marks = (*found.values(), *(entry[3] for entry in new.values()))
        return roots is not None and all(mark is None or max(mark[:2]) < self._begun for mark in marks)

    def _write(self, path: str, new: dict[str, Entry]) -> None:
        entries: dict[str, Entry] = {}
        with open(path, "xb") as file:
            file.write(bytes(8))
            for name, entry in {**self._entries, **new}.items():
                code = _byte_code(entry) if name in new or self._file is None else self._file.read(*entry[4:])
                entries[name] = (*entry[:4], file.tell(), len(code))
                file.write(code)
            at = file.tell()
            file.write(marshal.dumps((self._build, _roots(entries), self._folders, entries)))
            file.seek(0)
            file.write(at.to_bytes(8, "little"))
            file.flush()
            os.fsync(file.fileno())  # it takes the place of one that is whole, and is not looked through


class _File:
    """Open until nobody needs it any more: whoever imports in a thread may still be about to read."""

    def __init__(self, path: str) -> None:
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, at: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, at)
        if len(data) != length:
            raise ValueError("the file is shorter")
        return data

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


class _Loader(SourceFileLoader):
    """Python's own, with the code from the bundle."""

    def __init__(self, name: str, path: str, file: _File, at: int, length: int, missed: set[str]) -> None:
        """`missed` gets the name where what is kept of it is damaged."""
        super().__init__(name, path)
        self._kept: tuple[_File, int, int] | None = (file, at, length)
        self._missed = missed

    def get_code(self, fullname: str) -> CodeType | None:
        kept, self._kept = self._kept, None  # once: nothing stays open for it
        if kept is not None:
            import _imp

            file, at, length = kept
            try:
                code: CodeType = marshal.loads(file.read(at, length))
                _imp._fix_co_filename(code, self.path)  # type: ignore[attr-defined]  # typeshed leaves it out
            except (OSError, ValueError, EOFError, TypeError, SystemError):
                self._missed.add(fullname)
            else:
                return code
        return super().get_code(fullname)


def _entry(name: str) -> Entry | None:
    """What is kept of a module that was imported: of one that is a file, with byte code that is up to date."""
    spec = getattr(sys.modules.get(name), "__spec__", None)
    loader = getattr(spec, "loader", None)
    if spec is None or type(loader) not in (SourceFileLoader, _Loader) or spec.name != name or not spec.cached:
        return None
    origin, within = spec.origin, spec.submodule_search_locations
    if within is not None and list(within) != [os.path.dirname(origin)]:
        return None
    if within is None and os.path.isdir(os.path.splitext(origin)[0]):
        return None  # what comes into that folder may make a package of it, which is found before
    mark = _source(origin)
    try:
        with open(spec.cached, "rb") as file:
            _check(file.read(HEAD), mark)
    except (OSError, ValueError):
        return None
    return origin, spec.cached, within is not None, mark, 0, 0


def _byte_code(entry: Entry) -> bytes:
    """The code of a module as Python keeps it.

    Raises:
        OSError, ValueError: it does not, or not for this source.
    """
    with open(entry[1], "rb") as file:
        data = file.read()
    _check(data, entry[3])
    return data[HEAD:]


def _check(head: bytes, mark: Mark) -> None:
    told = [int.from_bytes(head[at : at + 4], "little") for at in (4, 8, 12)]
    if mark is None or head[:4] != MAGIC_NUMBER or told != [0, mark[0] // 10**9 & 0xFFFFFFFF, mark[2] & 0xFFFFFFFF]:
        raise ValueError("of another source")


def _source(path: str) -> Mark:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def _folder(path: str) -> Mark:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _holds(entry: Entry, path: Sequence[str] | None) -> bool:
    """Whether the source is as it was, and the module's package, which has this path, is its own."""
    return _source(entry[0]) == entry[3] and (path is None or list(path) == [_place(entry)])


def _place(entry: Entry) -> str:
    """The folder that a module is found in."""
    folder = os.path.dirname(entry[0])
    return os.path.dirname(folder) if entry[2] else folder


def _roots(entries: dict[str, Entry]) -> tuple[str, ...] | None:
    """The folders of the path that these come from; None where another one before them has one of their names."""
    names = {name for name in entries if "." not in name}
    among = {_place(entries[name]) for name in names}
    path = [os.path.abspath(each) for each in sys.path]
    found = tuple(each for each in path if each in among)
    for each in path[: max(map(path.index, found), default=0)]:
        if each in among or not os.path.exists(each):
            continue
        # What is no folder, such as an archive, could have anything.
        if not os.path.isdir(each) or any(_hides(each, file, names) for file in os.listdir(each)):
            return None
    return found


def _hides(folder: str, file: str, names: set[str]) -> bool:
    """Whether a file may be a module of one of these names; a script of that name is none: `httpx` lies beside ours."""
    name, dot, _ = file.partition(".")
    return name in names and bool(dot or os.path.isdir(os.path.join(folder, file)))


def _build() -> str:
    """What the byte code is for, and who else finds modules."""
    finders = [getattr(each, "__qualname__", type(each).__qualname__) for each in (*sys.meta_path, *sys.path_hooks)]
    return f"{sys.version} {sys.flags.optimize} {finders}"
