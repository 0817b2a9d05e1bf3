"""Runs pytest in the interpreter of the workspace and says how the session ended.

The source of this module is handed to that interpreter on its standard input; it imports
nothing but the standard library and pytest, and runs on Python 3.8 and later. What it says
comes as one marked line on the standard error that it was started with, after pytest has
returned: no `os._exit` in a test, and nothing that a test prints, looks like it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tempfile
import time
from os import getpid, write  # a test can leave others in their place
from typing import Any, Dict, Iterator, List, Optional, Sequence, Set, Tuple  # noqa: UP035 - evaluated by old interpreters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.program import as_given, as_program

ARGUMENTS = ["-q", "-rfE", "--tb=short", "--color=no", "--maxfail=0"]
SKIPPED = {".git", ".hg", ".svn", ".jj", ".jetbox", "node_modules"}
RECENT_NS = 10_000_000_000
"""Byte code written this shortly after its source last changed may be of the text before."""
MOST_FOLDERS = 5_000
"""Of what lies elsewhere, looked at for byte code; none is believed where there are more."""
NAMES_BYTES = 30_000
"""Of what is red, by name; the line that tells of it has to fit into what is kept of the output."""

FEW_LINKS = 20
"""On one path, half of what Linux follows: it counts them twice where it looks a path up anew."""


WRITES = ("xmlpath", "htmlpath", "json_report_file")
"""Options and settings that name a file which a run writes at its end: those of pytest and of its plugins.

What is written while tests run (`log_file`) can be read by one of them, and stays where it is.
"""
COVERED = ("annotate", "html", "json", "lcov", "markdown", "markdown-append", "xml")
"""Reports of pytest-cov that are files or folders."""


class Report:
    """A pytest plugin that counts, and has what is written about a run lie with what is the run's own."""

    def __init__(self, packages: List[str], private: str) -> None:  # noqa: UP006
        """`packages` of the workspace should be imported from it; `private` is the folder of this run."""
        self.packages = packages
        self.private = private
        self.root = os.path.realpath(os.getcwd()) + os.sep
        self.base = ""
        """The folder that names of tests begin in, where that is not the workspace."""
        self.counts: Dict[str, int] = {}  # noqa: UP006
        self.failed: List[str] = []  # noqa: UP006
        self.room = NAMES_BYTES
        self.more = False
        self.paths: Set[str] = set()  # noqa: UP006
        """Of files that tests were found in."""
        self.visited: Set[str] = set()  # noqa: UP006
        """Of those that were looked for tests."""
        self.items: Dict[str, str] = {}  # noqa: UP006
        """Paths by the names of tests, of all that were found."""
        self.ended: Set[str] = set()  # noqa: UP006
        """Names of tests."""
        self.green: Set[str] = set()  # noqa: UP006
        self.red: Set[str] = set()  # noqa: UP006
        self.stopped = False
        self.cut = ""
        """What broke the session off."""
        self.at: Any = None
        """Where it is noted what the session is at, for whoever ends it."""
        self.many_links = False
        self.finished = False

    def _count(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def pytest_load_initial_conftests(self, early_config: Any, args: List[str]) -> None:  # noqa: UP006
        # What was run before by its plugin's notes would be left out, and a verdict is about all tests.
        if getattr(early_config.known_args_namespace, "testmon", False):
            args.append("--no-testmon")

    def pytest_cmdline_main(self, config: Any) -> None:
        for name in WRITES:
            if getattr(config.option, name, None) or setting(config, name):
                setattr(config.option, name, os.path.join(self.private, name))
        # pytest-cov has taken one of these very tables already.
        for options in (config.known_args_namespace, config.option):
            covered = getattr(options, "cov_report", None)
            for kind in COVERED:
                if isinstance(covered, dict) and kind in covered:
                    covered[kind] = os.path.join(self.private, "coverage-" + kind)

    def pytest_sessionstart(self, session: Any) -> None:
        # It lies where pytest's configuration does, and can depend on the files that are to be run.
        root = str(getattr(session.config, "rootpath", None) or session.config.rootdir)
        self.base = os.path.join(root, "") if os.path.join(root, "") != self.root else ""

    def _here(self, nodeid: str) -> str:
        """A name as it is seen from the workspace; one that is none of a file in it where that cannot be told."""
        if not self.base:
            return nodeid
        name = self.base + nodeid
        seen = self.root.startswith(self.base) and name.startswith(self.root)
        return name[len(self.root) :] if seen else name

    def _name(self, nodeid: str) -> None:
        nodeid = self._here(nodeid)
        if nodeid in self.failed:
            return
        self.room -= len(nodeid.encode(errors="replace"))
        if self.room < 0:
            self.more = True
        else:
            self.failed.append(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        expected = hasattr(report, "wasxfail")
        if report.failed:
            self._count("failed" if report.when == "call" else "errors")
            self._name(report.nodeid)
            self.red.add(report.nodeid)
        elif report.skipped:
            self._count("xfailed" if expected else "skipped")
        elif report.passed and report.when == "call":
            self._count("xpassed" if expected else "passed")
            self.green.add(report.nodeid)
        if report.when == "teardown":
            self.ended.add(report.nodeid)

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self._count("collection")
            self._name(report.nodeid)
            # The path that the kernel refused may be another than that of what is collected.
            refused = os.strerror(errno.ELOOP) in str(report.longrepr)
            self.many_links |= refused or links(self.base or self.root, report.nodeid) > FEW_LINKS
        elif report.skipped:
            self._count("skipped")

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._note(self._here(nodeid))

    def _note(self, name: str) -> None:
        if self.at is not None:
            self.at[:] = name.encode(errors="replace")[: len(self.at)].ljust(len(self.at), b"\0")

    def pytest_itemcollected(self, item: Any) -> None:
        path = self.items[item.nodeid] = str(getattr(item, "path", None) or item.fspath)
        self.paths.add(path)

    def pytest_collectstart(self, collector: Any) -> None:
        import pytest

        if isinstance(collector, pytest.File) and not isinstance(collector, pytest.Package):
            path = str(getattr(collector, "path", None) or collector.fspath)
            self.visited.add(path)
            self._note(path[len(self.root) :] if path.startswith(self.root) else path)

    def collected(self) -> Dict[str, List[str]]:  # noqa: UP006
        """The files of the workspace that tests were found in, and those that were looked at in vain."""
        return {"collected": self._named(self.paths), "empty": self._named(self.visited - self.paths)}

    def passed(self) -> List[str]:  # noqa: UP006
        """The files of which every test that was found came to its end, one passed at the least, and none failed."""
        if self.stopped:
            return []
        unsound = {path for name, path in self.items.items() if name in self.red or name not in self.ended}
        return self._named({path for name, path in self.items.items() if name in self.green} - unsound)

    def _named(self, paths: Set[str]) -> List[str]:  # noqa: UP006
        parts = (os.path.split(os.path.abspath(path)) for path in paths)
        found = (os.path.join(os.path.realpath(folder), name) for folder, name in parts)
        return sorted(path[len(self.root) :].replace(os.sep, "/") for path in found if path.startswith(self.root))

    def pytest_deselected(self, items: Any) -> None:
        self.counts["deselected"] = self.counts.get("deselected", 0) + len(items)

    def pytest_sessionfinish(self, session: Any) -> None:
        self._note("")
        self.finished = True
        self.stopped = bool(session.shouldstop or session.shouldfail)

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        # So ends `pytest.exit` too, which can name any exit code.
        self.cut = (str(excinfo.value) or type(excinfo.value).__name__)[:200]

    def words(self, code: int) -> Dict[str, Any]:  # noqa: UP006
        """How the session ended."""
        return {
            "code": code,
            "finished": self.finished,
            "counts": self.counts,
            "failed": self.failed,
            "more": self.more,
            "cut": self.cut,
            "many_links": self.many_links,
            "strange": self.strange(),
        }

    def strange(self) -> Dict[str, str]:  # noqa: UP006
        """Packages of the workspace that were imported from elsewhere, and from where."""
        found = {}
        for name in self.packages:
            path = getattr(sys.modules.get(name), "__file__", None)
            if path and not os.path.realpath(path).startswith(self.root):
                found[name] = os.path.dirname(path)
        return found


def setting(config: Any, name: str) -> Any:
    try:
        return config.getini(name)
    except (KeyError, ValueError):
        return None  # nobody knows this setting


def links(folder: str, name: str) -> int:
    """How many of the folders on the way to a test are links."""
    found = 0
    for part in name.partition("::")[0].split("/"):
        folder = os.path.join(folder, part)
        if os.path.islink(folder):
            found += 1
            folder = os.path.realpath(folder)
    return found


def sources(folder: str, name: str) -> List[str]:  # noqa: UP006
    """Paths of the source that the byte code `name` may be of."""
    parts = name.split(".")
    return [os.path.join(folder, ".".join(parts[:n]) + ".py") for n in range(1, len(parts))]


def sources_only(root: str, private: str, outside: Optional[List[str]]) -> None:  # noqa: UP006, UP045
    """Have what is imported be the sources as they are; where some byte code may lie, none is believed.

    `outside` are places that are imported from too; None where the clock was set back.
    """
    if outside is None or not forget_stale(root, outside):
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(private, "pycache")


def forget_stale(root: str, outside: Sequence[str] = ()) -> bool:
    """Unlink byte code that may be older than its source; False where some may be left.

    The import system takes byte code whose source has the same size and the same time in
    whole seconds. An edit within that second, or one that sets the time back, is then not
    seen. Nobody sets the inode's change time back but with the clock, and byte code from a
    time that is yet to come is not believed. What lies behind links and `outside` is looked
    at, and is not ours to remove.
    """
    done, ways = True, list(outside)
    for folder, cached in walked(root, ways):
        linked = cached and os.path.islink(os.path.join(folder, "__pycache__"))
        for path in stale(folder) if cached else ():
            try:
                if linked:
                    done = False
                else:
                    os.unlink(path)
            except FileNotFoundError:
                pass
            except OSError:
                done = False
    return done and all_fresh(ways, os.path.join(os.path.realpath(root), ""))


def walked(top: str, ways: List[str]) -> Iterator[Tuple[str, bool]]:  # noqa: UP006
    """Folders in scope, and whether they hold byte code; links to other folders are added to `ways`."""
    for folder, names, _ in os.walk(top):
        cached = "__pycache__" in names
        names[:] = [
            name
            for name in names
            if name not in SKIPPED
            and name != "__pycache__"
            and not os.path.lexists(os.path.join(folder, name, "pyvenv.cfg"))
        ]
        ways.extend(path for path in (os.path.join(folder, name) for name in names) if os.path.islink(path))
        yield folder, cached


def all_fresh(ways: List[str], root: str) -> bool:  # noqa: UP006
    """True where no byte code in these places, nor behind links in them, may be stale; `root` is looked at already."""
    known, looked = set(), 0
    while ways:
        top = os.path.realpath(ways.pop())
        if top in known or os.path.join(top, "").startswith(root):
            continue
        known.add(top)
        if top.endswith(".py") and any(map(taken, stale(os.path.dirname(top)))):
            return False
        for folder, cached in walked(top, ways):
            looked += 1
            if looked > MOST_FOLDERS or (cached and any(map(taken, stale(folder)))):
                return False
    return True


def stale(folder: str) -> List[str]:  # noqa: UP006
    """Paths of the byte code of a folder that may be older than its source."""
    cache = os.path.join(folder, "__pycache__")
    try:
        names = [name for name in os.listdir(cache) if name.endswith(".pyc")]
    except FileNotFoundError:
        return []
    except OSError:
        return [cache]
    return [os.path.join(cache, n) for n in names if not fresh(os.path.join(cache, n), sources(folder, n))]


def fresh(cached: str, candidates: List[str]) -> bool:  # noqa: UP006
    """True where the byte code was written well after each source that it may be of last changed."""
    try:
        written = os.lstat(cached).st_ctime_ns
    except OSError:
        return True
    if written > time.time_ns():
        return False  # The clock was set back since, and any source may be younger.
    for path in candidates:
        try:
            # Of a link that was turned, what it leads to may be as old as what it led to.
            if max(os.stat(path).st_ctime_ns, os.lstat(path).st_ctime_ns) + RECENT_NS >= written:
                return False
        except OSError:
            continue
    return True


def taken(cached: str) -> bool:
    """True for byte code that an import may take for its source as that is now."""
    try:
        with open(cached, "rb") as file:
            head = file.read(16)
    except OSError:
        return True
    if head[4:8] != bytes(4):
        return True  # It goes by a hash.
    folder = os.path.dirname(os.path.dirname(cached))
    for path in sources(folder, os.path.basename(cached)):
        try:
            seen = os.stat(path)
        except OSError:
            continue
        if head[8:] == b"".join((n & 0xFFFFFFFF).to_bytes(4, "little") for n in (int(seen.st_mtime), seen.st_size)):
            return True
    return False


def main(
    mark: str,
    files: List[str],  # noqa: UP006
    packages: List[str],  # noqa: UP006
    outside: Optional[List[str]],  # noqa: UP006, UP045
    own: str,
) -> None:
    """Run the session, of these files or of all, say how it ended, exit as pytest would.

    `packages` are those of the workspace; `outside` is what `sources_only` asks for; in `own` lies what is written
    about the run, where it is not empty.
    """
    said, me = os.dup(2), getpid()
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
        os.environ.pop(name, None)
    sys.dont_write_bytecode = False
    sys.pycache_prefix = None
    try:
        import pytest
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        write(said, ("\n" + mark + json.dumps({"missing": True}) + "\n").encode())
        sys.exit(5)
    private = tempfile.mkdtemp(prefix="jetbox-pytest-", dir=own or None)
    root = os.getcwd()
    sources_only(root, private, outside)
    # As `python -m pytest` does; the cache goes elsewhere, so that `--lf` selects nothing.
    sys.path.insert(0, root)
    as_program()
    report = Report(packages, private)
    try:
        code = int(pytest.main(as_given(private, files), plugins=[report]))
    finally:
        shutil.rmtree(private, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    if getpid() == me:  # a test that forks may come here twice
        write(said, ("\n" + mark + json.dumps(report.words(code)) + "\n").encode())
    sys.exit(code)
