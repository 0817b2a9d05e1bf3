"""The proof against a plain look at everything: whatever is done to the files, it says what they are."""

from __future__ import annotations

import mmap
import os
import shutil
import sys
from pathlib import Path

import pytest

from engine.probes.proved import Proved

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's queue is one of Linux")


async def test_each_kind_of_change_is_seen_at_once(proved: Proved) -> None:
    root = proved.root
    path = root / "pkg" / "a.py"
    assert await proved.changed(lambda: path.write_text("a = 2\n")) == {"pkg/a.py"}
    assert await proved.changed(lambda: path.chmod(0o755)) == {"pkg/a.py"}
    assert await proved.changed(lambda: path.rename(root / "z.py")) == {"pkg/a.py", "z.py"}
    assert await proved.changed((root / "z.py").unlink) == {"z.py"}
    assert await proved.changed(lambda: (root / "l").symlink_to("b.txt")) == {"l"}
    assert await proved.changed(lambda: os.replace(root / "pkg/deep/c.py", root / "b.txt")) == {
        "pkg/deep/c.py",
        "b.txt",
    }
    assert await proved.changed(lambda: os.mkfifo(root / "pipe")) == {"pipe"}
    assert await proved.changed(lambda: os.truncate(root / "b.txt", 0)) == {"b.txt"}


async def test_nothing_is_looked_at_while_nothing_changes(proved: Proved, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await proved.proof.now()
    sweeps = proved.sweeps
    monkeypatch.setattr(proved.tree, "touched_now", lambda paths: pytest.fail(f"{paths} were looked at"))
    for _ in range(100):
        assert await proved.proof.now() is first
    assert proved.sweeps == sweeps


async def test_same_size_with_the_time_set_back(proved: Proved) -> None:
    path = proved.root / "pkg" / "a.py"

    def same() -> None:
        before = path.stat()
        path.write_text("a = 3\n")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert await proved.changed(same) == {"pkg/a.py"}


async def test_touch_and_revert_are_no_change(proved: Proved) -> None:
    path = proved.root / "b.txt"
    first = await proved.proof.now()
    assert await proved.changed(lambda: os.utime(path)) == frozenset()
    await proved.changed(lambda: path.write_text("x\n"))
    await proved.changed(lambda: path.write_text("b\n"))
    assert (await proved.proof.now()).digest == first.digest
    assert proved.sweeps == 1


async def test_what_is_put_into_a_new_folder_at_once(proved: Proved) -> None:
    def grow() -> None:
        folder = proved.root / "x" / "y" / "z"
        folder.mkdir(parents=True)
        (folder / "n.py").write_text("1")

    assert await proved.changed(grow) == {"x", "x/y", "x/y/z", "x/y/z/n.py"}
    path = proved.root / "x" / "y" / "z" / "n.py"
    assert await proved.changed(lambda: path.write_text("2")) == {"x/y/z/n.py"}
    assert proved.sweeps == 1


async def test_folder_is_moved_about(proved: Proved, tmp_path: Path) -> None:
    root = proved.root
    moved = await proved.changed(lambda: (root / "pkg").rename(root / "lib"))
    assert {"pkg", "pkg/deep/c.py", "lib/deep/c.py"} <= moved
    path = root / "lib" / "deep" / "c.py"
    assert await proved.changed(lambda: path.write_text("c = 2\n")) == {"lib/deep/c.py"}
    await proved.changed(lambda: (root / "lib").rename(tmp_path / "out"))
    assert await proved.changed(lambda: (tmp_path / "out" / "a.py").write_text("9")) == frozenset()
    await proved.changed(lambda: (tmp_path / "out").rename(root / "back"))
    assert await proved.changed(lambda: (root / "back" / "a.py").write_text("8")) == {"back/a.py"}
    assert proved.sweeps == 1


async def test_two_folders_change_places(proved: Proved) -> None:
    root = proved.root
    (root / "other").mkdir()
    (root / "other" / "a.py").write_text("other\n")

    def swap() -> None:
        (root / "pkg").rename(root / "t")
        (root / "other").rename(root / "pkg")
        (root / "t").rename(root / "other")

    assert "pkg/a.py" in await proved.changed(swap)
    assert await proved.changed(lambda: (root / "pkg" / "a.py").write_text("n")) == {"pkg/a.py"}
    assert await proved.changed(lambda: (root / "other" / "a.py").write_text("m")) == {"other/a.py"}


async def test_folder_is_deleted_and_made_again(proved: Proved) -> None:
    def again() -> None:
        shutil.rmtree(proved.root / "pkg")
        (proved.root / "pkg").mkdir()
        (proved.root / "pkg" / "a.py").write_text("new")

    assert "pkg/deep" in await proved.changed(again)
    assert await proved.changed(lambda: (proved.root / "pkg" / "a.py").write_text("x")) == {"pkg/a.py"}
    assert proved.sweeps == 1


async def test_rights_of_a_folder(proved: Proved) -> None:
    assert await proved.changed(lambda: (proved.root / "pkg").chmod(0o700)) == {"pkg"}


async def test_ignored_folders_are_not_watched_but_what_replaces_them_is(proved: Proved) -> None:
    root = proved.root
    cache = root / "pkg" / "__pycache__"

    def fill() -> None:
        cache.mkdir()
        (cache / "a.pyc").write_text("x")

    assert await proved.changed(fill) == frozenset()
    first = await proved.proof.now()
    (cache / "b.pyc").write_text("y")
    assert await proved.proof.now() is first

    def replace() -> None:
        shutil.rmtree(cache)
        cache.write_text("a file")

    assert await proved.changed(replace) == {"pkg/__pycache__"}


async def test_folder_becomes_an_environment_and_ceases_to_be_one(proved: Proved) -> None:
    code = proved.root / "env" / "app.py"

    def make() -> None:
        (proved.root / "env" / "lib").mkdir(parents=True)
        (proved.root / "env" / "lib" / "m.py").write_text("1")

    assert await proved.changed(make) == {"env", "env/lib", "env/lib/m.py"}
    mark = proved.root / "env" / "pyvenv.cfg"
    gone = await proved.changed(lambda: mark.write_text(""))
    assert gone == {"env", "env/lib", "env/lib/m.py"}
    assert await proved.changed(lambda: (proved.root / "env" / "lib" / "m.py").write_text("7")) == frozenset()
    assert await proved.changed(mark.unlink) == gone
    await proved.changed(lambda: mark.write_text(""))
    # Code beside the parts of an environment is code.
    assert await proved.changed(lambda: code.write_text("1")) == {*gone, "env/pyvenv.cfg", "env/app.py"}
    assert await proved.changed(lambda: code.write_text("2")) == {"env/app.py"}
    assert await proved.changed(code.unlink) == {*gone, "env/pyvenv.cfg", "env/app.py"}
    assert proved.sweeps == 1
    # The same by a sweep.
    code.write_text("3")
    assert "env/app.py" in (await proved.proof.now(sweep=True)).files
    code.unlink()
    assert "env" not in (await proved.proof.now(sweep=True)).files


async def test_configuration_above_and_the_branch(proved: Proved) -> None:
    root = proved.root
    above = root.parent.parent / "ruff.toml"
    assert await proved.changed(lambda: above.write_text("1")) == {"../../ruff.toml"}
    assert await proved.changed(lambda: above.write_text("2")) == {"../../ruff.toml"}
    assert await proved.changed(above.unlink) == {"../../ruff.toml"}
    assert await proved.changed(lambda: (root.parent / "notes.txt").write_text("")) == frozenset()
    head = root / ".git" / "HEAD"

    def switch() -> None:
        lock = head.with_name("HEAD.lock")
        lock.write_text("ref: refs/heads/other\n")
        lock.rename(head)

    assert await proved.changed(switch) == {".git/HEAD"}
    assert await proved.changed(lambda: (root / ".git" / "info" / "exclude").write_text("x")) == {".git/info/exclude"}
    assert await proved.changed(lambda: shutil.rmtree(root / ".git")) == {".git/HEAD", ".git/info/exclude"}
    assert proved.sweeps == 1


async def test_git_is_initialised_later(proved: Proved) -> None:
    shutil.rmtree(proved.root / ".git")
    await proved.proof.now()

    def init() -> None:
        (proved.root / ".git" / "info").mkdir(parents=True)
        (proved.root / ".git" / "HEAD").write_text("ref: refs/heads/x\n")

    assert await proved.changed(init) == {".git/HEAD"}
    assert await proved.changed(lambda: (proved.root / ".git" / "HEAD").write_text("y")) == {".git/HEAD"}


async def test_links_that_lead_out(proved: Proved, tmp_path: Path) -> None:
    root = proved.root
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    (out / "data.txt").write_text("1")
    await proved.changed(lambda: (root / "folder").symlink_to(out))
    await proved.changed(lambda: (root / "file").symlink_to(out / "data.txt"))
    assert await proved.changed(lambda: (out / "data.txt").write_text("2")) == {"folder/data.txt", "file/"}
    assert await proved.changed(lambda: (out / "sub" / "n.txt").write_text("")) == {"folder/sub/n.txt"}
    await proved.changed(lambda: out.rename(tmp_path / "away"))
    assert "folder/data.txt" not in (await proved.proof.now()).files
    await proved.changed(lambda: (tmp_path / "away").rename(out))
    assert "folder/data.txt" in (await proved.proof.now()).files
    await proved.changed((root / "file").unlink)


async def test_link_to_what_is_not_there_yet(proved: Proved, tmp_path: Path) -> None:
    (proved.root / "later").symlink_to(tmp_path / "hop")
    (tmp_path / "hop").symlink_to(tmp_path / "deep" / "target")
    await proved.proof.now()
    await proved.changed((tmp_path / "deep").mkdir)
    assert await proved.changed(lambda: (tmp_path / "deep" / "target").write_text("x")) == {"later/"}
    other = tmp_path / "other"
    other.write_text("y")

    def turn() -> None:
        (tmp_path / "hop2").symlink_to(other)
        os.replace(tmp_path / "hop2", tmp_path / "hop")

    assert await proved.changed(turn) == {"later/"}


async def test_links_in_a_circle(proved: Proved) -> None:
    root = proved.root
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    (root / "self").symlink_to(root)
    (root / "up").symlink_to("..")
    await proved.proof.now()
    changed = await proved.changed(lambda: (root / "b.txt").write_text("q"))
    assert changed == {"b.txt", "up/ws/b.txt"}
    assert await proved.changed(lambda: (root.parent / "n.txt").write_text("q")) == {"up/n.txt"}


async def test_link_is_turned(proved: Proved) -> None:
    root = proved.root
    (root / "current").symlink_to("pkg")
    await proved.proof.now()

    def turn() -> None:
        (root / "next").symlink_to("b.txt")
        os.replace(root / "next", root / "current")

    assert await proved.changed(turn) == {"current"}
    sweeps = proved.sweeps
    # What a link of the tree leads to within the tree is an entry of its own.
    assert await proved.changed(lambda: (root / "b.txt").write_text("w")) == {"b.txt"}
    assert proved.sweeps == sweeps


async def test_writes_through_another_name_of_the_same_file(proved: Proved, tmp_path: Path) -> None:
    root = proved.root
    os.link(root / "b.txt", tmp_path / "outside.txt")
    os.link(root / "b.txt", root / "pkg" / "same.txt")
    await proved.proof.now()
    assert await proved.changed(lambda: (tmp_path / "outside.txt").write_text("1")) == {"b.txt", "pkg/same.txt"}
    assert await proved.changed(lambda: (root / "b.txt").write_text("2")) == {"b.txt", "pkg/same.txt"}
    assert await proved.changed((root / "b.txt").unlink) == {"b.txt"}
    assert await proved.changed(lambda: (tmp_path / "outside.txt").write_text("3")) == {"pkg/same.txt"}


async def test_first_store_through_a_memory_map_is_seen_by_a_sweep_and_the_last_when_it_is_closed(
    proved: Proved,
) -> None:
    path = proved.root / "b.txt"
    path.write_bytes(b"x" * 4096)
    await proved.proof.now()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        await proved.proof.now()
        memory[0:1] = b"y"
        before = proved.tree.last
        assert (await proved.proof.now(sweep=True)).changed(before) == {"b.txt"}
        await proved.proof.now()
        before = proved.tree.last
        memory[0:1] = b"z"
        assert (await proved.proof.now()).changed(before) == frozenset(), "it is not told of while it is open"
    sweeps = proved.sweeps
    assert (await proved.proof.now()).changed(before) == {"b.txt"}
    assert proved.sweeps == sweeps
