"""Whatever is done to the files, in whatever order: the proof says what they are, and nothing older."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from benchmarks import stale_hunt
from benchmarks.stale_world import World
from benchmarks.stale_writer import kinds
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from engine.probes.naive import read_everything
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.proof import Proof

NAMES = st.sampled_from(["x.py", "y.txt", "pyproject.toml", "__pycache__", "pyvenv.cfg", "lib", "z", "link"])
TEXTS = st.sampled_from(["", "1\n", "2\n", "three\n"])
TARGETS = st.sampled_from(["a", "a/x.py", "x.py", "../outside", "../outside/x.py", "../none/x", ".", "z", "../more"])
OUTSIDE = st.sampled_from(["x.py", "sub/y.txt", "sub"])
ANY = st.integers(0, 1000)
"""Picks one of what is there."""


class Changes(RuleBasedStateMachine):
    """Random changes, and looks between them that must agree with reading everything."""

    watch = True

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.home = Path(tempfile.mkdtemp(prefix="stale-"))
        self.root = self.home / "ws"
        for folder in ("ws/a/c", "ws/b", "ws/.git/info", "outside/sub", "away"):
            (self.home / folder).mkdir(parents=True)
        (self.root / "a" / "x.py").write_text("1\n")
        (self.root / ".git" / "HEAD").write_text("main\n")
        (self.home / "outside" / "x.py").write_text("1\n")
        self.tree = Tree(self.root, out_of_scope)
        self.proof = Proof(self.tree, watch=self.watch)
        self.told: set[str] = set()
        self.unseen = 0
        self.proof.on_change = self.told.update

    def attempt(self, what: Callable[[], object]) -> None:
        """Some changes are not possible as the files are."""
        try:
            what()
        except (OSError, shutil.Error):
            return

    def file(self, n: int) -> Path:
        """One of the files, in scope or not; none of git's."""
        return self._one(n, lambda path: path.is_file())

    def folder(self, n: int) -> Path:
        """One of the folders; links to folders are some."""
        return self._one(n, lambda path: path.is_dir(), self.root)

    def _one(self, n: int, wanted: Callable[[Path], bool], *more: Path) -> Path:
        below = [Path(folder) / name for folder, names, files in os.walk(self.root) for name in (*names, *files)]
        found = [*more, *sorted(path for path in below if ".git" not in path.parts and wanted(path))]
        return found[n % len(found)] if found else self.root / "none"

    @rule(n=ANY, name=NAMES, text=TEXTS)
    def write(self, n: int, name: str, text: str) -> None:
        self.attempt(lambda: (self.folder(n) / name).write_text(text))

    @rule(n=ANY, text=TEXTS)
    def write_again(self, n: int, text: str) -> None:
        self.attempt(lambda: self.file(n).write_text(text))

    @rule(n=ANY, letter=st.sampled_from("#%"))
    def same_size_and_times(self, n: int, letter: str) -> None:
        path = self.file(n)
        if path.is_file() and (size := path.stat().st_size):
            before = path.stat()
            path.write_text(letter * size)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    @rule(n=ANY, mode=st.sampled_from([0o644, 0o755, 0o600]))
    def chmod(self, n: int, mode: int) -> None:
        self.attempt(lambda: os.chmod(self.file(n), mode))

    @rule(n=ANY, mode=st.sampled_from([0o755, 0o700]))
    def chmod_folder(self, n: int, mode: int) -> None:
        os.chmod(self.folder(n), mode)

    @rule(n=ANY, k=ANY, name=NAMES)
    def rename(self, n: int, k: int, name: str) -> None:
        self.attempt(lambda: os.replace(self.file(n), self.folder(k) / name))

    @rule(n=ANY, k=ANY, name=st.sampled_from(["c", "d", "link", "__pycache__"]))
    def rename_folder(self, n: int, k: int, name: str) -> None:
        if (folder := self.folder(n)) != self.root:
            self.attempt(lambda: os.rename(folder, self.folder(k) / name))

    @rule(n=ANY, k=ANY)
    def folders_change_places(self, n: int, k: int) -> None:
        one, two, spare = self.folder(n), self.folder(k), self.home / "away" / "spare"
        if one not in (two, *two.parents) and two not in one.parents:
            self.attempt(lambda: os.rename(one, spare))
            self.attempt(lambda: os.rename(two, one))
            self.attempt(lambda: os.rename(spare, two))

    @rule(n=ANY)
    def move_out(self, n: int) -> None:
        if (folder := self.folder(n)) != self.root:
            self.attempt(lambda: os.rename(folder, self.home / "away" / "kept"))

    @rule(n=ANY, name=NAMES)
    def move_in(self, n: int, name: str) -> None:
        self.attempt(lambda: os.rename(self.home / "away" / "kept", self.folder(n) / name))

    @rule(name=NAMES)
    def write_to_what_was_moved_out(self, name: str) -> None:
        self.attempt(lambda: (self.home / "away" / "kept" / name).write_text("away"))

    @rule(n=ANY)
    def delete(self, n: int) -> None:
        self.attempt(self.file(n).unlink)

    @rule(n=ANY, name=st.sampled_from(["c", "d", "__pycache__", "z"]))
    def new_folder(self, n: int, name: str) -> None:
        def make() -> None:
            path = self.folder(n) / name / "deep"
            path.mkdir(parents=True)
            (path / "n.py").write_text("new\n")

        self.attempt(make)

    @rule(n=ANY, again=st.booleans())
    def delete_folder(self, n: int, again: bool) -> None:
        folder = self.folder(n)
        if folder == self.root or folder.is_symlink():
            return
        shutil.rmtree(folder)
        if again:
            folder.mkdir()
            (folder / "x.py").write_text("again\n")

    @rule(n=ANY, name=st.sampled_from(["link", "z", "x.py", "a", "other"]), to=TARGETS)
    def link(self, n: int, name: str, to: str) -> None:
        def swap() -> None:
            folder = self.folder(n)
            new = self.home / "away" / "new-link"
            new.unlink(missing_ok=True)
            new.symlink_to(os.path.normpath(self.root / to))
            os.replace(new, folder / name)

        self.attempt(swap)

    @rule(n=ANY, k=ANY, name=NAMES)
    def hard_link(self, n: int, k: int, name: str) -> None:
        folder = self.folder(k)
        self.attempt(lambda: os.link(self.file(n), folder / name, follow_symlinks=False))
        if not self.tree.in_scope(os.path.relpath(folder / name, self.root)):
            # As little as of a name that is made outside.
            self.look(sweep=True)

    @rule(n=ANY)
    def hard_link_out(self, n: int) -> None:
        (self.home / "away" / "twin").unlink(missing_ok=True)
        self.attempt(lambda: os.link(self.file(n), self.home / "away" / "twin", follow_symlinks=False))
        # Nothing tells of a name that is made outside; the next sweep finds it.
        self.look(sweep=True)

    @rule(text=TEXTS)
    def write_by_the_name_outside(self, text: str) -> None:
        if (self.home / "away" / "twin").exists():
            (self.home / "away" / "twin").write_text(text)

    @rule(name=OUTSIDE, text=TEXTS)
    def write_outside(self, name: str, text: str) -> None:
        self.attempt(lambda: (self.home / "outside" / name).write_text(text))

    @rule(name=OUTSIDE)
    def delete_outside(self, name: str) -> None:
        path = self.home / "outside" / name
        self.attempt(lambda: shutil.rmtree(path) if path.is_dir() else path.unlink())

    @rule(one=st.sampled_from(["outside", "more", "none"]), two=st.sampled_from(["outside", "more", "none"]))
    def rename_outside(self, one: str, two: str) -> None:
        self.attempt(lambda: os.rename(self.home / one, self.home / two))

    @rule(name=st.sampled_from(["ruff.toml", "conftest.py", "other.txt"]), text=TEXTS)
    def write_above(self, name: str, text: str) -> None:
        (self.home / name).write_text(text)

    @rule(name=st.sampled_from(["ruff.toml", "conftest.py", "other.txt"]))
    def delete_above(self, name: str) -> None:
        (self.home / name).unlink(missing_ok=True)

    @rule(branch=TEXTS)
    def switch_branch(self, branch: str) -> None:
        def switch() -> None:
            (self.root / ".git" / "HEAD.lock").write_text(branch)
            os.replace(self.root / ".git" / "HEAD.lock", self.root / ".git" / "HEAD")

        self.attempt(switch)

    @rule()
    def lose_and_make_git(self) -> None:
        git = self.root / ".git"
        if git.is_dir():
            shutil.rmtree(git)
        else:
            self.attempt(lambda: (git / "info").mkdir(parents=True))

    @rule()
    def replace_root(self) -> None:
        os.rename(self.root, self.home / "old")
        shutil.copytree(self.home / "old", self.root, symlinks=True)
        shutil.rmtree(self.home / "old")

    @rule(steps=st.integers(1, 4))
    def do_several_at_once(self, steps: int) -> None:
        self.unseen = steps + 1

    @rule()
    def sweep(self) -> None:
        self.look(sweep=True)

    @invariant()
    def holds(self) -> None:
        self.unseen = max(self.unseen - 1, 0)
        if not self.unseen:
            self.look(sweep=False)

    def look(self, *, sweep: bool) -> None:
        before = self.tree.last
        self.told.clear()
        now = self.runner.run(self.proof.now(sweep=sweep))
        fresh = Tree(self.root, out_of_scope).sweep_now()
        assert now.files == read_everything(self.root)
        assert now.digest == fresh.digest
        assert not before.digest or self.told == now.changed(before)
        # A true hit is kept: the same object, so nothing was looked at.
        assert self.runner.run(self.proof.now()) is now or not self.watch

    def teardown(self) -> None:
        self.proof.close()
        self.runner.close()
        shutil.rmtree(self.home, ignore_errors=True)


class SweptChanges(Changes):
    watch = False


LIMITS = settings(
    max_examples=20, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
)
TestWatched = Changes.TestCase
TestWatched.settings = LIMITS
TestSwept = SweptChanges.TestCase
TestSwept.settings = LIMITS


@pytest.mark.parametrize("options", [["--lookups", "3000"], ["--lookups", "2000", "--sweep"]])
def test_a_short_hunt_finds_nothing_stale(options: list[str], tmp_path: Path) -> None:
    hunt = Path(__file__).parents[3] / "benchmarks" / "stale_hunt.py"
    done = subprocess.run([sys.executable, str(hunt), "--json", *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    tally = msgspec.json.decode(done.stdout)
    assert tally["stale"] == 0
    assert tally["lookups"] >= 100
    assert tally["hits"] > 0
    assert {change for change in tally["by_change"] if change.startswith("beside: ")} == {
        f"beside: {k}" for k in kinds()
    }
    during = "while a probe runs: "
    in_turn = set(World(tmp_path / "world", random.Random(1))._changes)
    assert {change for change in tally["by_change"] if not change.startswith(("beside: ", during))} >= in_turn
    assert tally["true_after"].keys() >= in_turn
    assert any(change.startswith(during) for change in tally["by_change"])
    assert tally["lost"] <= tally["true_hits"] / 100


def test_a_hunt_fails_where_one_kind_of_change_loses_every_hit() -> None:
    tally = stale_hunt.Tally()
    for n in range(1000):
        tally.expect("append", lost=n < 10)
    assert tally.failures() == []
    tally.expect("chmod", lost=True)
    assert tally.failures() == ["lost 11 of 1001 true hits", "lost all true hits after chmod"]
    tally.expect("chmod", lost=False)
    tally.stale = 1
    assert tally.failures() == ["stale: 1", "lost 11 of 1002 true hits"]


async def test_a_hunt_whose_writer_dies_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stale_writer.py").write_text("raise SystemExit(3)\n")
    monkeypatch.setattr(stale_hunt, "__file__", str(tmp_path / "stale_hunt.py"))
    tally = stale_hunt.Tally()
    with pytest.raises(RuntimeError, match="the writer ended with 3"):
        await stale_hunt.beside(tmp_path / "home", tally, 100, float("inf"), 1, inotify=False)
