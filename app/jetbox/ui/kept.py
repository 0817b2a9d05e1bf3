"""What importing makes anew each time, kept from one start to the next: patterns and the functions of data classes.

Importing Textual and what it needs compiles about a hundred regular expressions in Python, and
the texts of as many generated functions: a tenth of a start. Each is kept under all that it is
made of, for one build of Python, so nothing kept can be out of date; what is not there is made
as ever. The file lies beside this module's byte code, which is no less and no more to be
trusted, and is written only where byte code is.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing alone takes as long as the rest of this
    from types import CodeType
    from typing import Any

    from jetbox.ui.bundle import Bundle

    Compiled = tuple[Any, int, bytes, int, dict[str, int], tuple[str | None, ...]]
    """What a pattern is made of: text, flags, code as 32-bit words, groups, their names, and the same by number."""

UNKEPT = 4 | 128
"""Flags of patterns that depend on the locale, or print something when they are compiled."""


class Kept:
    """Between `begin` and `end` patterns and texts are looked up here before they are compiled."""

    def __init__(self, path: str, bundle: Bundle | None = None) -> None:
        """`path` is the file; what it holds is read, where it is of this build. `bundle` ends and is saved with it."""
        self.path = path
        self._bundle = bundle
        self._patterns: dict[tuple[Any, int], Compiled] = {}
        self._codes: dict[tuple[str, str], CodeType] = {}
        self._used: set[tuple[Any, Any]] = set()
        self._made: dict[tuple[Any, int], Any] = {}
        """Patterns that the file does not hold."""
        self._new = False
        """Whether there is anything that it does not hold."""
        self._read()

    def _read(self) -> None:
        import marshal

        try:
            with open(self.path, "rb") as file:
                build, patterns, codes = marshal.loads(file.read())
            if build == _build():
                self._patterns, self._codes = patterns, codes
        except (OSError, ValueError, EOFError, TypeError):
            return  # all is made, and kept for the next start

    def begin(self) -> None:
        """Look up what is compiled from now on."""
        import re._compiler as compiler  # type: ignore[import-not-found]

        self._compiler, self._compile = compiler, compiler.compile
        compiler.compile = self._pattern
        import collections
        import dataclasses

        self._generating = (collections, dataclasses)
        collections.eval = self._evaluated  # type: ignore[attr-defined]
        dataclasses.exec = self._executed  # type: ignore[attr-defined]

    def end(self) -> None:
        """Leave everything as it was."""
        self._compiler.compile = self._compile
        for module, name in zip(self._generating, ("eval", "exec"), strict=True):
            delattr(module, name)
        if self._bundle is not None:
            self._bundle.end()

    def save(self) -> None:
        """Keep what this start used, where some of it was not kept yet; best effort."""
        if self._bundle is not None:
            self._bundle.save()
        if not self._new or sys.dont_write_bytecode:
            return
        import marshal

        spare = f"{self.path}.{os.getpid()}"
        try:
            for new, pattern in list(self._made.items()):
                self._patterns[new] = self._parts(new, pattern)
            patterns = {key: made for key, made in self._patterns.items() if key in self._used}
            codes = {key: code for key, code in list(self._codes.items()) if key in self._used}
            with open(spare, "wb") as file:
                file.write(marshal.dumps((_build(), patterns, codes)))
            os.replace(spare, self.path)
        except (OSError, AttributeError, TypeError):  # no place for it, or a Python made otherwise
            return  # the next start makes them again

    def _pattern(self, source: Any, flags: int = 0) -> Any:
        key = (source, int(flags))
        text_alone = type(source) in (str, bytes)
        made = self._patterns.get(key) if text_alone else None
        if made is not None:
            import _sre  # type: ignore[import-not-found]

            text, all_flags, code, groups, names, numbers = made
            try:
                pattern = _sre.compile(text, all_flags, memoryview(code).cast("I").tolist(), groups, names, numbers)
            except (TypeError, ValueError, RuntimeError):
                del self._patterns[key]  # a Python that takes something else
            else:
                self._used.add(key)
                return pattern
        pattern = self._compile(source, flags)
        if text_alone and not pattern.flags & UNKEPT:
            self._made[key] = pattern
            self._used.add(key)
            self._new = True
        return pattern

    def _parts(self, key: tuple[Any, int], pattern: Any) -> Compiled:
        """What a pattern is made of."""
        from array import array

        parsed = self._compiler._parser.parse(*key)
        code = array("I", self._compiler._code(parsed, key[1])).tobytes()
        names = dict(pattern.groupindex)
        numbers: list[str | None] = [None] * (pattern.groups + 1)
        for name, number in names.items():
            numbers[number] = name
        return key[0], int(pattern.flags), code, pattern.groups, names, tuple(numbers)

    def _evaluated(self, text: Any, *spaces: Any) -> Any:
        return eval(self._code(text, "eval"), *spaces)

    def _executed(self, text: Any, *spaces: Any) -> None:
        exec(self._code(text, "exec"), *spaces)

    def _code(self, text: Any, mode: str) -> Any:
        if not isinstance(text, str):
            return text
        key = (text, mode)
        code = self._codes.get(key)
        if code is None:
            code = self._codes[key] = compile(text, "<string>", mode, dont_inherit=True)
            self._new = True
        self._used.add(key)
        return code


def kept() -> Kept | None:
    """What earlier starts of this installation kept, in force; none where byte code lies elsewhere."""
    if sys.pycache_prefix or sys.implementation.name != "cpython":
        return None
    from jetbox.ui.bundle import Bundle

    folder, tag = os.path.join(os.path.dirname(__file__), "__pycache__"), sys.implementation.cache_tag
    bundle = Bundle(os.path.join(folder, f"bundle.{tag}.bin"))
    bundle.begin()
    found = Kept(os.path.join(folder, f"kept.{tag}.bin"), bundle)
    found.begin()
    return found


def _build() -> str:
    """What the code of patterns and functions is for."""
    return f"{sys.version} {sys.flags.optimize} {sys.byteorder}"
