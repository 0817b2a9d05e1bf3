"""Runs pytest in the interpreter of the workspace and says how the session ended.

The source of this module is handed to that interpreter on its standard input; it imports
nothing but the standard library and pytest, and runs on Python 3.8 and later. What it says
comes as one marked line on the standard error that it was started with, after pytest has
returned: no `os._exit` in a test, and nothing that a test prints, looks like it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from typing import Any, Dict, List, Set  # noqa: UP035 - evaluated by old interpreters

ARGUMENTS = ["-q", "-rfE", "--tb=short", "--color=no", "--maxfail=0"]
SKIPPED = {".git", ".hg", ".svn", ".jj", ".jetbox", "node_modules"}
RECENT_NS = 10_000_000_000
"""Byte code written this shortly after its source last changed may be of the text before."""
NAMES_BYTES = 30_000
"""Of what is red, by name; the line that tells of it has to fit into what is kept of the output."""

FEW_LINKS = 20
"""On one path, half of what Linux follows: it counts them twice where it looks a path up anew."""


class Report:
    """A pytest plugin that counts."""

    def __init__(self, packages: List[str]) -> None:  # noqa: UP006
        """`packages` of the workspace should be imported from it."""
        self.packages = packages
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
        self.many_links = False
        self.finished = False

    def _count(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1

    def pytest_load_initial_conftests(self, early_config: Any, args: List[str]) -> None:  # noqa: UP006
        # What was run before by its plugin's notes would be left out, and a verdict is about all tests.
        if getattr(early_config.known_args_namespace, "testmon", False):
            args.append("--no-testmon")

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
        elif report.skipped:
            self._count("xfailed" if expected else "skipped")
        elif report.passed and report.when == "call":
            self._count("xpassed" if expected else "passed")

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self._count("collection")
            self._name(report.nodeid)
            self.many_links = self.many_links or links(self.base or self.root, report.nodeid) > FEW_LINKS
        elif report.skipped:
            self._count("skipped")

    def pytest_itemcollected(self, item: Any) -> None:
        self.paths.add(str(getattr(item, "path", None) or item.fspath))

    def pytest_collectstart(self, collector: Any) -> None:
        import pytest

        if isinstance(collector, pytest.File) and not isinstance(collector, pytest.Package):
            self.visited.add(str(getattr(collector, "path", None) or collector.fspath))

    def collected(self) -> Dict[str, List[str]]:  # noqa: UP006
        """The files of the workspace that tests were found in, and those that were looked at in vain."""
        return {"collected": self._named(self.paths), "empty": self._named(self.visited - self.paths)}

    def _named(self, paths: Set[str]) -> List[str]:  # noqa: UP006
        parts = (os.path.split(os.path.abspath(path)) for path in paths)
        found = (os.path.join(os.path.realpath(folder), name) for folder, name in parts)
        return sorted(path[len(self.root) :].replace(os.sep, "/") for path in found if path.startswith(self.root))

    def pytest_deselected(self, items: Any) -> None:
        self.counts["deselected"] = self.counts.get("deselected", 0) + len(items)

    def pytest_sessionfinish(self) -> None:
        self.finished = True

    def words(self, code: int) -> Dict[str, Any]:  # noqa: UP006
        """How the session ended."""
        return {
            "code": code,
            "finished": self.finished,
            "counts": self.counts,
            "failed": self.failed,
            "more": self.more,
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


def forget_stale(root: str) -> bool:
    """Unlink byte code that may be older than its source; False where that was not allowed.

    The import system takes byte code whose source has the same size and the same time in
    whole seconds. An edit within that second, or one that sets the time back, is then not
    seen. The inode's change time cannot be set back.
    """
    done = True
    for folder, names, _ in os.walk(root):
        cached = "__pycache__" in names
        names[:] = [
            name
            for name in names
            if name not in SKIPPED
            and name != "__pycache__"
            and not os.path.lexists(os.path.join(folder, name, "pyvenv.cfg"))
        ]
        cache = os.path.join(folder, "__pycache__")
        if not cached or os.path.islink(cache):
            continue
        for name in os.listdir(cache):
            if name.endswith(".pyc") and not fresh(os.path.join(cache, name), sources(folder, name)):
                try:
                    os.unlink(os.path.join(cache, name))
                except FileNotFoundError:
                    pass
                except OSError:
                    done = False
    return done


def fresh(cached: str, candidates: List[str]) -> bool:  # noqa: UP006
    """True where the byte code was written well after each source that it may be of last changed."""
    try:
        written = os.lstat(cached).st_ctime_ns
    except OSError:
        return True
    for path in candidates:
        try:
            # Of a link that was turned, what it leads to may be as old as what it led to.
            if max(os.stat(path).st_ctime_ns, os.lstat(path).st_ctime_ns) + RECENT_NS >= written:
                return False
        except OSError:
            continue
    return True


def main(mark: str, files: List[str], packages: List[str]) -> None:  # noqa: UP006
    """Run the session, of these files or of all, say how it ended, exit as pytest would.

    `packages` are those of the workspace.
    """
    said, me = os.dup(2), os.getpid()
    for name in ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"):
        os.environ.pop(name, None)
    sys.dont_write_bytecode = False
    sys.pycache_prefix = None
    try:
        import pytest
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        os.write(said, ("\n" + mark + json.dumps({"missing": True}) + "\n").encode())
        sys.exit(5)
    private = tempfile.mkdtemp(prefix="jetbox-pytest-")
    root = os.getcwd()
    if not forget_stale(root):
        sys.pycache_prefix = os.environ["PYTHONPYCACHEPREFIX"] = os.path.join(private, "pycache")
    # As `python -m pytest` does; the cache goes elsewhere, so that `--lf` selects nothing.
    sys.path.insert(0, root)
    sys.argv = ["pytest", *ARGUMENTS, "-o", "cache_dir=" + os.path.join(private, "cache"), *files]
    report = Report(packages)
    try:
        code = int(pytest.main(sys.argv[1:], plugins=[report]))
    finally:
        shutil.rmtree(private, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.getpid() == me:  # a test that forks may come here twice
        os.write(said, ("\n" + mark + json.dumps(report.words(code)) + "\n").encode())
    sys.exit(code)
