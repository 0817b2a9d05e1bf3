from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from jetbox.engine import events as e
from jetbox.engine.probes import inscope
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.session import NoRecorder, Session
from jetbox.engine.workspace import watcher
from jetbox.engine.workspace.doings import Doings, Seen
from jetbox.engine.workspace.observer import LOST, NAMED, Observer
from jetbox.engine.workspace.watcher import CannotWatch, Watch, look


class Watched:
    """A workspace with an observer, and what it told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.session = Session(NoRecorder())
        self.feed = self.session.feed(e.FilesChanged, e.Notice)
        self.early: list[tuple[tuple[str, ...], str]] = []
        self.observer = Observer(
            self.session, root, out_of_scope, on_change=lambda paths, by: self.early.append((paths, by))
        )

    def write(self, path: str, text: str = "x") -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    async def told(self) -> e.AnyEvent:
        """The next event."""
        async with asyncio.timeout(120):
            while not (events := self.feed.drain().events):
                await self.feed.ready()
        (one,) = events
        return one.event

    async def until(self, *paths: str) -> dict[str, tuple[str, str]]:
        """Kind and author by path, when all of these were told of."""
        found: dict[str, tuple[str, str]] = {}
        async with asyncio.timeout(120):
            while not found.keys() >= set(paths):
                await self.feed.ready()
                for stamped in self.feed.drain().events:
                    assert isinstance(stamped.event, e.FilesChanged), stamped.event
                    found.update({c.path: (c.kind, stamped.event.by) for c in stamped.event.changes})
        return found

    def git(self, *words: str) -> None:
        subprocess.run(["git", "-C", str(self.root), *words], check=True, capture_output=True)

    def call(self, name: str, number: str = "c1") -> None:
        self.session.emit(e.ToolCalled(call=number, name=name, arguments="{}"))
        self.session.emit(e.ToolStarted(call=number))

    def end(self, *paths: str, number: str = "c1") -> None:
        changes = tuple(e.FileChange(path, "modified", added=1) for path in paths)
        self.session.emit(e.ToolEnded(call=number, state="ok", changes=changes))


Watching = Callable[[], Any]


@pytest.fixture
async def watching(tmp_path: Path) -> AsyncIterator[Watching]:
    """Begins to observe the folder as it is then."""
    root = tmp_path / "ws"
    root.mkdir()
    made = Watched(root)
    tasks: list[asyncio.Task[None]] = []

    async def begin() -> Watched:
        tasks.append(asyncio.create_task(made.observer.run()))
        async with asyncio.timeout(120):
            await made.observer.ready.wait()
        return made

    begin.made = made  # type: ignore[attr-defined]
    yield begin
    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_what_our_own_words_go_to_is_not_told_for_it_would_never_end(watching: Watching) -> None:
    before: Watched = watching.made  # type: ignore[attr-defined]
    before.write("run.log")
    inscope._written.cache_clear()
    kept, log = os.dup(2), os.open(before.root / "run.log", os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 2)
    try:
        ws = await watching()
        os.write(log, b"you changed a.py\n")
        ws.write("a.py")
        assert await ws.until("a.py") == {"a.py": ("created", "you")}
        os.write(log, b"and more\n")
        ws.write("b.py")
        assert await ws.until("b.py") == {"b.py": ("created", "you")}
    finally:
        os.dup2(kept, 2)
        inscope._written.cache_clear()
        os.close(kept)
        os.close(log)
    assert [paths for paths, _ in ws.early] == [("a.py",), ("b.py",)]


async def test_what_the_user_does_is_told_as_it_is(watching: Watching) -> None:
    before: Watched = watching.made  # type: ignore[attr-defined]
    for name in ("changed.py", "gone.py", "replaced.py", "deep/er/still.txt"):
        before.write(name)
    ws = await watching()
    ws.write("changed.py", "y")
    (ws.root / "gone.py").unlink()
    ws.write("temporary", "z")
    os.replace(ws.root / "temporary", ws.root / "replaced.py")
    ws.write("deep/er/still.txt", "y")
    ws.write("new.py")
    found = await ws.until("changed.py", "gone.py", "replaced.py", "deep/er/still.txt", "new.py")
    assert found == {
        "changed.py": ("modified", "you"),
        "gone.py": ("deleted", "you"),
        "replaced.py": ("modified", "you"),
        "deep/er/still.txt": ("modified", "you"),
        "new.py": ("created", "you"),
    }
    assert {path for paths, by in ws.early for path in paths if by == "you"} == set(found)


async def test_new_folders_are_watched_and_what_was_in_them_at_once_is_told(watching: Watching) -> None:
    ws = await watching()
    ws.write("pkg/sub/a.py")
    assert await ws.until("pkg/sub/a.py") == {"pkg/sub/a.py": ("created", "you")}
    ws.write("pkg/sub/a.py", "y")
    assert await ws.until("pkg/sub/a.py") == {"pkg/sub/a.py": ("modified", "you")}
    ws.write("pkg/other/b.py")
    assert await ws.until("pkg/other/b.py") == {"pkg/other/b.py": ("created", "you")}
    (ws.root / "pkg").rename(ws.root.parent / "away")
    assert await ws.until("pkg/sub/a.py", "pkg/other/b.py") == {
        "pkg/sub/a.py": ("deleted", "you"),
        "pkg/other/b.py": ("deleted", "you"),
    }
    (ws.root.parent / "away").rename(ws.root / "back")
    assert set(await ws.until("back/sub/a.py", "back/other/b.py")) == {"back/sub/a.py", "back/other/b.py"}


async def test_what_is_out_of_scope_is_not_told(watching: Watching) -> None:
    before: Watched = watching.made  # type: ignore[attr-defined]
    before.write(".gitignore", "*.log\nbuild/\n")
    before.write("pkg/a.py")
    ws = await watching()
    for path in (
        "pkg/__pycache__/a.pyc",
        ".pytest_cache/v/x",
        ".venv/lib/x.py",
        ".git/objects/ab/cdef",
        ".a.py.swp",
        "b.py.jetbox-tmp",
        "run.log",
        "build/out.py",
    ):
        ws.write(path)
    ws.write("passing.py")
    (ws.root / "passing.py").unlink()
    ws.write("last.py")
    assert await ws.until("last.py") == {"last.py": ("created", "you")}
    early = {path for paths, _ in ws.early for path in paths}
    assert {"run.log", "build/out.py", "last.py"} <= early  # a test may read what git ignores
    assert not [path for path in early if path.startswith((".git/", ".venv", ".pytest_cache", "pkg/__pycache__"))]


async def test_what_a_tool_tells_is_not_told_again_but_what_comes_after_it_is(watching: Watching) -> None:
    before: Watched = watching.made  # type: ignore[attr-defined]
    before.write("a.py")
    before.write("b.py")
    ws = await watching()
    ws.call("write_file")
    ws.write("a.py", "agent")
    ws.end("a.py")
    ws.write("b.py", "user")
    assert await ws.until("b.py") == {"b.py": ("modified", "you")}
    # Time stamps of files are coarse: what follows at once cannot be told apart, what follows later can.
    clock = (ws.root / "tick").touch
    stamp = os.stat(ws.root / "a.py").st_ctime_ns
    while True:
        clock()
        if os.stat(ws.root / "tick").st_ctime_ns > stamp + 40_000_000:
            break
    ws.write("a.py", "user")
    assert (await ws.until("a.py"))["a.py"] == ("modified", "you")


async def test_a_write_is_waited_for_until_its_tool_tells_of_it(watching: Watching) -> None:
    ws = await watching()
    ws.call("write_file")
    ws.write("a.py", "agent")
    ws.write("b.py", "user")
    while not ws.observer._raw:
        await asyncio.sleep(0)
    ws.end("a.py")
    assert await ws.until("b.py") == {"b.py": ("created", "you")}


async def test_what_changes_while_a_command_runs_is_the_commands(watching: Watching) -> None:
    before: Watched = watching.made  # type: ignore[attr-defined]
    before.write("old.txt")
    ws = await watching()
    ws.call("functions.run-cmd")
    await (await asyncio.create_subprocess_exec("sh", "-c", "echo 1 > out.txt; rm old.txt", cwd=ws.root)).wait()
    assert await ws.until("out.txt", "old.txt") == {
        "out.txt": ("created", "command"),
        "old.txt": ("deleted", "command"),
    }
    ws.end("out.txt", "old.txt")


def test_a_command_that_began_before_anything_was_watched_is_known(tmp_path: Path) -> None:
    session = Session(NoRecorder())
    doings = Doings(session)
    session.emit(e.ToolCalled(call="c1", name="run_cmd", arguments="{}"))
    session.emit(e.ToolStarted(call="c1"))
    observer = Observer(session, tmp_path, lambda folder, name, directory: False, doings=doings)
    observer._doings.update()
    now = time.time_ns()
    assert observer._doings.who(Seen("a.py", "modified", now), now, now, git=False) == "command"


async def test_a_command_that_waits_for_an_answer_does_not_run(watching: Watching) -> None:
    ws = await watching()
    ws.call("run_cmd")
    ws.session.emit(e.PermissionAsked(id="p1", call="c1", kind="command", title="run_cmd x"))
    ws.call("run_cmd", "c2")
    ws.session.emit(e.ToolHeld(call="c2"))
    stamp = ws.session.now()
    while ws.session.now() < stamp + 40_000_000:
        await asyncio.sleep(0)
    ws.write("a.py")
    assert await ws.until("a.py") == {"a.py": ("created", "you")}
    ws.session.emit(e.PermissionAnswered(id="p1", answer="once"))
    ws.write("b.py")
    assert await ws.until("b.py") == {"b.py": ("created", "command")}
    ws.end()


async def test_what_a_probe_leaves_behind_is_not_the_users(watching: Watching) -> None:
    ws = await watching()
    ws.session.emit(e.ProbeStarted(name="pytest"))
    ws.write("report.xml")
    ws.write("a.py")
    assert await ws.until("report.xml", "a.py") == {"report.xml": ("created", "probe"), "a.py": ("created", "you")}
    ws.session.emit(e.ProbeEnded(name="pytest", state="passed", cache="ran"))


async def all_told(ws: Watched, count: int) -> list[e.FilesChanged]:
    """The events of one switch: a busy machine hands its changes out in several pieces."""
    told: list[e.FilesChanged] = []
    while sum(event.count or len(event.changes) for event in told) < count:
        event = await ws.told()
        assert isinstance(event, e.FilesChanged)
        told.append(event)
    return told


async def test_a_branch_switch_is_few_events_of_gits_with_a_number(watching: Watching) -> None:
    before: Watched = watching.made  # type: ignore[attr-defined]
    count = 3_000
    before.write("kept.py")
    before.git("init", "-q", "-b", "main")
    before.git("add", ".")
    before.git("commit", "-qm", "one")
    before.git("checkout", "-qb", "wide")
    for number in range(count):
        before.write(f"d{number % 7}/f{number:05}.py")
    before.git("add", ".")
    before.git("commit", "-qm", "many")
    ws = await watching()
    await asyncio.to_thread(ws.git, "checkout", "-q", "main")
    events = await all_told(ws, count)
    assert {event.by for event in events} == {"git"}
    assert sum(event.count or len(event.changes) for event in events) == count
    assert max(len(event.changes) for event in events) == NAMED
    assert {change.kind for event in events for change in event.changes} == {"deleted"}
    assert sum(len(paths) for paths, _ in ws.early) == count
    await asyncio.to_thread(ws.git, "checkout", "-q", "wide")
    # Files that come into a folder before it is watched are told of by no name: how many there are differs.
    event = await ws.told()
    assert isinstance(event, e.FilesChanged)
    assert event.by == "git"
    assert {change.kind for change in event.changes} == {"created"}


async def test_a_lock_that_git_left_behind_holds_nothing_up(watching: Watching) -> None:
    before: Watched = watching.made  # type: ignore[attr-defined]
    before.git("init", "-q")
    lock = before.root / ".git" / "index.lock"
    lock.touch()
    os.utime(lock, (1, 1))
    ws = await watching()
    ws.write("a.py")
    assert await ws.until("a.py") == {"a.py": ("created", "you")}


async def test_watches_that_are_exhausted_are_told_once_and_end_nothing(tmp_path: Path) -> None:
    session = Session(NoRecorder())
    feed = session.feed(e.Notice)

    class Exhausted(Watch):
        def __init__(self, paths: list[str], **callbacks: Any) -> None:
            for _ in range(2):
                callbacks["on_failure"](OSError('OS file watch limit reached. about ["/ws"]'))

        def stop(self) -> None:
            return

    await Observer(session, tmp_path, out_of_scope, watch=Exhausted).run()
    (notice,) = [stamped.event for stamped in feed.drain().events]
    assert isinstance(notice, e.Notice)
    assert notice.text == f'{LOST}: OS file watch limit reached. about ["/ws"]'
    assert notice.level == "warning"
    assert notice.hint


async def test_a_workspace_that_is_too_large_is_not_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "FOLDERS", 10)
    for number in range(11):
        (tmp_path / f"d{number}").mkdir()
    session = Session(NoRecorder())
    feed = session.feed(e.Notice)
    await Observer(session, tmp_path, out_of_scope).run()
    (notice,) = [stamped.event for stamped in feed.drain().events]
    assert isinstance(notice, e.Notice)
    assert notice.text.startswith(LOST)


async def test_a_workspace_that_vanishes_is_survived(watching: Watching) -> None:
    before: Watched = watching.made  # type: ignore[attr-defined]
    before.write("a.py")
    before.write("pkg/b.py")
    ws = await watching()
    shutil.rmtree(ws.root)
    assert set(await ws.until("a.py", "pkg/b.py")) == {"a.py", "pkg/b.py"}


def test_heavy_folders_are_not_watched_and_what_holds_them_only_by_itself(tmp_path: Path) -> None:
    for path in (
        "a/b/c.py",
        "web/node_modules/x/y.js",
        "web/src/z.js",
        "py/__pycache__/m.pyc",
        "py/m.py",
        "env/pyvenv.cfg",
    ):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()

    def ignored(folder: str, name: str, directory: bool) -> bool:
        return name == "node_modules" or out_of_scope(folder, name, directory)

    found = look(str(tmp_path), ignored)
    assert found.files == {"a/b/c.py", "web/src/z.js", "py/m.py"}
    assert found.single == ("", "web")
    assert found.whole == ("a", "py", "web/src")


def test_a_tree_with_too_many_folders_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "FILES", 2)
    for name in "abc":
        (tmp_path / name).touch()
    with pytest.raises(CannotWatch, match="more than"):
        look(str(tmp_path), out_of_scope)
