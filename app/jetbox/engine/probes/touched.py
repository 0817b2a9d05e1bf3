"""A pytest plugin that tells which files of the workspace each test file made use of.

The source of this module is handed to the workspace's interpreter behind those of `inside` and `calls`; it
imports nothing but the standard library and pytest, and runs on Python 3.8 and later. Function
calls are seen by `sys.monitoring` where there is one, else by the trace hook, else by the profile
hook; opened files by an audit hook, which cannot be taken away but is deaf after `stop`.
"""
# ruff: noqa: UP006, UP035, UP045 - annotations are evaluated by old interpreters

import ast
import os
import shlex
import sys
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, Optional, Set

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.calls import Calls

MOST_NAMES = 50_000
"""Files and functions of one test file above which nothing is said of it but that this is not all."""
READERS = ("linecache.py", "tokenize.py", "inspect.py", "rewrite.py", "traceback.py")
"""Modules whose look into a source makes no use of it as data."""
PASSED_OVER = ("/__pycache__/", "/site-packages/", "/.git/", "/node_modules/", "/.pytest_cache/")
SHELLS = {"sh", "bash", "dash", "zsh"}
SPREAD = ("class", "module", "package", "session")
"""Scopes of fixtures that are set up once for several tests."""
PARTS = {"<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"}
"""Codes that belong to the one which runs them."""
LISTINGS = {"os.listdir", "os.scandir"}
DATABASE = "sqlite3.connect"
STARTS = {"subprocess.Popen", "os.system", "os.fork", "os.forkpty", "os.exec", "os.posix_spawn", "os.spawn"}
EVENTS = {"open", DATABASE} | LISTINGS | STARTS
WRAPPERS = ("pytest_make_collect_report", "pytest_runtest_protocol", "pytest_fixture_setup")
IS_FUNCTION = 1
"""Flag of codes that modules and the bodies of classes do not have."""


class Touched:
    """Watches from when it is made; register it, run pytest, ask `map`."""

    def __init__(self, root: Optional[str] = None) -> None:
        import pytest

        self.root = os.path.realpath(root or os.getcwd()) + os.sep
        self._prefix = os.path.realpath(sys.prefix) + os.sep
        self._used: Dict[str, Set[str]] = {}
        self._now: List[Set[str]] = []
        self._latest: Optional[Set[str]] = None
        self._paths: Dict[str, str] = {}
        self._folders: Dict[str, str] = {}
        self._behind: Dict[str, str] = {}
        """By path within the workspace, of links, what they lead to in it."""
        self.foreign: Set[str] = set()
        """Values of `__file__` of which nothing is to be said."""
        self.places: Set[Any] = set()
        """Pairs of another such value and a line of which nothing new is to be said."""
        self._codes: Dict[int, Any] = {}
        """Such codes, by their number; kept alive, or others could have it."""
        self._seen: List[int] = []
        self._fixtures: Dict[int, Any] = {}
        self._elsewhere = False
        self._deaf = False
        for name in WRAPPERS:
            pytest.hookimpl(hookwrapper=True, tryfirst=True)(getattr(type(self), name))
        self._calls = Calls(self)
        sys.addaudithook(self._audit)

    def map(self) -> Dict[str, List[str]]:
        """By test file, all relative to the root with `/`: `a.py`, a zero byte and `7,12` for a file of which
        functions that begin in these lines were called; `a.txt` for a file that was opened; `d/` for a
        folder that was listed; `>m.py` for one that was run as a process, with all that it imports; `*`
        for more than could be seen; `!` where a test failed, or the file was skipped as a whole or could not be
        collected, and so ended before it came to all that it uses; `@` where tests were collected from it.

        Under the name of a file that was imported: what was called or opened during that, which
        happens once for all who import it, and `+m.py` for what it imported. Under `""`: what
        happened outside of all test files. Empty where calls could not be seen at all.
        """
        if self._elsewhere or not self._calls.way:
            return {}
        return {name: together(used) if len(used) <= MOST_NAMES else ["*"] for name, used in self._used.items()}

    def stop(self) -> None:
        """Watch no longer."""
        self._deaf = True
        self._calls.stop()

    def pytest_configure(self, config: Any) -> None:
        # Tests that run in other processes are seen by none of these hooks.
        other = getattr(config.option, "dist", "no") != "no" or getattr(config.option, "forked", False)
        self._elsewhere = other or hasattr(config, "workerinput")

    def pytest_unconfigure(self) -> None:
        self.stop()

    def pytest_make_collect_report(self, collector: Any) -> Any:
        import pytest

        # What collects a folder reads the files of others.
        alone = isinstance(collector, pytest.File) and not isinstance(collector, pytest.Package)
        if not alone or not self._file_of(collector):
            yield
            return
        with self._using(self._file_of(collector)):
            outcome = yield
            report = outcome.get_result()
            if not report.passed:
                self._add("!")
            if not report.passed or report.result:
                self._add("@")

    def pytest_runtest_protocol(self, item: Any) -> Any:
        with self._using(self._file_of(item)):
            self._add("@")
            yield

    def pytest_runtest_teardown(self, item: Any) -> None:
        # What shared fixtures did when they were set up, they did for this test as well.
        for definition in definitions(item):
            for name in self._fixtures.get(id(definition), (None, ()))[1]:
                self._add(name)

    def pytest_fixture_setup(self, fixturedef: Any) -> Any:
        if fixturedef.scope not in SPREAD:
            yield
            return
        with self._noting(self._fixtures.setdefault(id(fixturedef), (fixturedef, set()))[1]):
            yield

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self._add("!")

    def _file_of(self, node: Any) -> str:
        return self.relative(str(getattr(node, "path", None) or getattr(node, "fspath", "")))

    @contextmanager
    def _using(self, name: str) -> Iterator[None]:
        before = children()
        with self._noting(self._used.setdefault(name, set())):
            yield
            if children() != before:
                self._add("*")

    @contextmanager
    def _noting(self, used: Set[str]) -> Iterator[None]:
        """Whatever is used now goes in there as well."""
        if self._now or used is not self._latest:
            self.again()
        if not self._now:
            self._latest = used
        self._now.append(used)
        try:
            yield
        finally:
            if not self._calls.still_there():
                self._add("*")
            self._now.pop()

    def again(self) -> None:
        """Notice what was noticed before as well."""
        if self._seen:
            for key in self._seen:
                self._codes.pop(key, None)
            self._seen.clear()
            self.places.clear()
            self._calls.again()

    def _add(self, name: str) -> None:
        for used in self._now or [self._used.setdefault("", set())]:
            used.add(name)

    def _note(self, name: str, frame: Any) -> None:
        """Used by the file that is being imported, where this is done for it, else by the test file."""
        while frame is not None:
            if frame.f_code.co_name == "<module>":
                importing = self.relative(frame.f_code.co_filename)
                if importing:
                    self._used.setdefault(importing, set()).add(name)
                    return
            frame = frame.f_back
        self._add(name)

    def relative(self, path: str) -> str:
        """The path within the workspace; empty for any other."""
        found = self._paths.get(path)
        if found is None:
            if len(self._paths) > MOST_NAMES:
                self._paths.clear()
            found = self._paths[path] = self._relative(path) if path[:1] != "<" else ""
        return found

    def _relative(self, path: str) -> str:
        folder, name = os.path.split(os.path.abspath(path))
        real = self._folders.get(folder)
        if real is None:
            real = self._folders[folder] = os.path.realpath(folder)
        whole = os.path.join(real, name)
        if not whole.startswith(self.root) or whole.startswith(self._prefix):
            return ""
        name = self._below(whole)
        if name and os.path.islink(whole):
            leads = os.path.realpath(whole)
            if leads.startswith(self.root) and self._below(leads):
                self._behind[name] = self._below(leads)
        return name

    def _below(self, whole: str) -> str:
        name = whole[len(self.root) :].replace(os.sep, "/")
        return "" if any(part in "/" + name + "/" for part in PASSED_OVER) else name

    def called(self, code: Any, frame: Any) -> bool:
        """A function or a module begins to run; False where this is to be told each time."""
        # Code that was made of a text can run in a module of another file, or in none.
        file = frame.f_globals.get("__file__")
        if id(code) in self._codes:
            self.places.add((file, frame.f_lineno))
            return True
        name = self.relative(code.co_filename)
        if not name:
            self._codes[id(code)] = code
            if isinstance(file, str) and not self.relative(file):
                self.foreign.add(file)
            return True
        if code.co_name == "<module>":
            # Whatever it calls is called for its importers, even where it was noticed already.
            self.again()
            self._imported(name, frame.f_back)
            return False
        if code.co_flags & IS_FUNCTION and code.co_name not in PARTS:
            for each in self._names(name):
                self._note(each + "\0" + str(code.co_firstlineno), frame.f_back)
            if not self._now:
                return False
        self.places.add((file, frame.f_lineno))
        self._codes[id(code)] = code
        self._seen.append(id(code))
        return True

    def _imported(self, name: str, frame: Any) -> None:
        while frame is not None:
            importer = self.relative(frame.f_code.co_filename)
            if importer and importer != name:
                self._used.setdefault(importer, set()).update("+" + each for each in self._names(name))
                return
            frame = frame.f_back

    def _audit(self, event: str, arguments: Any) -> None:
        if event not in EVENTS or self._deaf:
            return
        try:
            if event == "open":
                self._opened(arguments[0], sys._getframe(1))
            elif event == DATABASE:
                self._opened(database(arguments[0]), sys._getframe(1))
            elif event in LISTINGS:
                self._listed(arguments[0], sys._getframe(1))
            elif event == "subprocess.Popen" or not sys._getframe(1).f_code.co_filename.endswith("subprocess.py"):
                self._started(event, arguments)
        except Exception:
            # Raised here, it would make the call of a test fail.
            self._add("*")

    def _opened(self, path: Any, frame: Any) -> None:
        path = os.fsdecode(path) if isinstance(path, bytes) else path
        if not isinstance(path, str):
            return
        # Relative ones are about the folder that is current now.
        name = self.relative(os.path.abspath(path))
        if not name or name.endswith(".pyc"):
            return
        reader = frame
        while reader.f_back is not None and "pathlib" in reader.f_code.co_filename:
            reader = reader.f_back
        by = reader.f_code.co_filename
        if not name.endswith(".py") or not (by.startswith("<frozen") or by.endswith(READERS)):
            for each in self._names(name):
                self._note(each, frame)

    def _names(self, name: str) -> List[str]:
        """A path, and what it leads to."""
        return [name, self._behind[name]] if name in self._behind else [name]

    def _listed(self, path: Any, frame: Any) -> None:
        path = os.fsdecode(path) if isinstance(path, bytes) else "." if path is None else path
        if not self._now or not isinstance(path, str) or frame.f_code.co_filename.startswith("<frozen importlib"):
            return
        whole = os.path.abspath(path)
        name = "." if os.path.realpath(whole) + os.sep == self.root else self.relative(whole)
        if name:
            self._note(name + "/", frame)

    def _started(self, event: str, arguments: Any) -> None:
        """Another process begins; what it uses can be told where its command names it."""
        found = ["*"]
        self._deaf = True
        try:
            if event == "subprocess.Popen":
                words, folder = arguments[1], arguments[2]
                words = [words] if isinstance(words, (str, bytes, os.PathLike)) else words
                found = self._command([os.fsdecode(word) for word in words], os.fsdecode(folder or "."))
            elif event == "os.system":
                found = self._command(["sh", "-c", os.fsdecode(arguments[0])], ".")
        except (SyntaxError, ValueError, OSError):
            found = ["*"]
        finally:
            self._deaf = False
        for name in found:
            self._add(name)

    def _command(self, words: List[str], folder: str) -> List[str]:
        program = os.path.basename(words[0])
        if program in SHELLS and "-c" in words[:-1]:
            return self._command(shlex.split(words[words.index("-c") + 1]) or ["true"], folder)
        found = []
        for word in words:
            path = os.path.abspath(os.path.join(folder, word))
            if self.relative(path) and os.path.isfile(path):
                found.append((">" if path.endswith(".py") else "") + self.relative(path))
        if program.startswith(("python", "pypy")):
            if "-m" in words[:-1]:
                found += self._module(words[words.index("-m") + 1], True)
            elif "-c" in words[:-1]:
                found += self._text(words[words.index("-c") + 1])
            return found or ["*"]
        return found or self._script(words[0])

    def _script(self, program: str) -> List[str]:
        """A command that was installed for a package is a text for Python that imports it."""
        import shutil

        path = shutil.which(program)
        if path is None:
            return ["*"]
        with open(path, "rb") as file:
            text = file.read(10_000)
        if not text.startswith(b"#!"):
            return []
        if b"python" not in text[:200]:
            return ["*"]
        return self._text(text.decode("utf-8", "replace"))

    def _text(self, text: str) -> List[str]:
        found: List[str] = []
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found += self._module(alias.name)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    found += self._module(node.module + "." + alias.name) or self._module(node.module)
        return found

    def _module(self, dotted: str, main: bool = False) -> List[str]:
        tail = dotted.replace(".", os.sep)
        for folder in [self.root, os.path.join(self.root, "src"), *sys.path]:
            for end in ("/__main__.py" if main else "/__init__.py", ".py", "/__init__.py"):
                path = os.path.join(folder or ".", tail + end)
                if self.relative(path) and os.path.isfile(path):
                    return [">" + self.relative(path)]
        return []


def database(name: Any) -> Any:
    """The path in the name of a database."""
    text = os.fsdecode(name) if isinstance(name, (bytes, os.PathLike)) else name
    if isinstance(text, str) and text.startswith("file:"):
        return text[len("file:") :].partition("?")[0].partition("#")[0]
    return text


def definitions(item: Any) -> List[Any]:
    """The definitions of the fixtures that a test uses, those it asked for while it ran included."""
    used = getattr(getattr(item, "_request", None), "_fixture_defs", {})
    named = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    return [*used.values(), *(one for several in named.values() for one in several)]


def children() -> str:
    """Another word after each process that `multiprocessing` starts, of which no event tells."""
    module = sys.modules.get("multiprocessing.process")
    return repr(getattr(module, "_process_counter", None)) if module is not None else "count(1)"


def together(used: Set[str]) -> List[str]:
    """The lines of each file in one word."""
    lines: Dict[str, List[int]] = {}
    words = []
    for word in used:
        name, null, line = word.partition("\0")
        if null:
            lines.setdefault(name, []).append(int(line))
        else:
            words.append(word)
    return sorted(words + [name + "\0" + ",".join(map(str, sorted(at))) for name, at in lines.items()])
