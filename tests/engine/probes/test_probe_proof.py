"""The proof against a plain look at everything: whatever is done to the files, it says what they are."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import mmap
import os
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from jetbox.engine.probes import inotify, proof
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inotify import Devices, Inotify, Unwatchable
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.lookover import Stat
from jetbox.engine.probes.proof import Proof
from jetbox.engine.probes.watching import Watch

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's queue is one of Linux")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "above" / "ws"
    (root / "pkg" / "deep").mkdir(parents=True)
    (root / "pkg" / "a.py").write_text("a = 1\n")
    (root / "pkg" / "deep" / "c.py").write_text("c = 1\n")
    (root / "b.txt").write_text("b\n")
    (root / ".git" / "info").mkdir(parents=True)
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    return root


class Proved:
    """A proof, and what a plain look finds beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = Tree(root, out_of_scope)
        self.proof = Proof(self.tree)
        self.sweeps = 0
        real = self.tree.sweep_now

        def counted() -> object:
            self.sweeps += 1
            return real()

        self.tree.sweep_now = counted  # type: ignore[method-assign, assignment]

    async def changed(self, what: Callable[[], object]) -> frozenset[str]:
        """Paths that are different after it; sure to be what a plain look finds, and just those."""
        before = await self.proof.now()
        what()
        now = await self.proof.now()
        truth = Tree(self.root, out_of_scope).sweep_now()
        assert now.files == truth.files
        assert now.digest == truth.digest
        assert self.tree.last is now
        assert (now.digest == before.digest) == (now.files == before.files)
        return now.changed(before)


@pytest.fixture
async def proved(root: Path) -> AsyncIterator[Proved]:
    made = Proved(root)
    await made.proof.now()
    assert made.proof.how == "inotify"
    yield made
    made.proof.close()


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
    mark = proved.root / "pkg" / "pyvenv.cfg"
    gone = await proved.changed(lambda: mark.write_text(""))
    assert gone == {"pkg", "pkg/a.py", "pkg/deep", "pkg/deep/c.py"}
    assert await proved.changed(lambda: (proved.root / "pkg" / "a.py").write_text("7")) == frozenset()
    assert await proved.changed(mark.unlink) == gone
    assert await proved.changed(lambda: (proved.root / "pkg" / "a.py").write_text("6")) == {"pkg/a.py"}
    assert proved.sweeps == 1
    # The same by a sweep.
    await proved.changed(lambda: mark.write_text(""))
    await proved.proof.now(sweep=True)
    mark.unlink()
    assert "pkg/a.py" in (await proved.proof.now(sweep=True)).files


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


async def test_memory_map_is_seen_by_a_sweep_and_when_it_ends(proved: Proved) -> None:
    path = proved.root / "b.txt"
    path.write_bytes(b"x" * 4096)
    await proved.proof.now()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        await proved.proof.now()
        memory[0:1] = b"y"
        before = proved.tree.last
        assert (await proved.proof.now(sweep=True)).changed(before) == {"b.txt"}
        memory[0:1] = b"z"
    assert await proved.changed(lambda: None) == frozenset()


async def test_queue_that_overflows_is_followed_by_a_sweep(proved: Proved) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    paths = [proved.root / "b.txt", proved.root / "pkg" / "a.py"]

    def flood() -> None:
        for n in range(limit // 2 + 100):
            # Alternating, since the kernel merges equal events.
            os.utime(paths[0], ns=(n, n))
            os.utime(paths[1], ns=(n, n))
        (proved.root / "unseen.py").write_text("1")

    assert await proved.changed(flood) == {"unseen.py"}
    assert proved.proof.how == "inotify"
    assert await proved.changed(lambda: paths[1].write_text("2")) == {"pkg/a.py"}


async def test_watch_that_the_kernel_ends_is_put_back(proved: Proved) -> None:
    watch = proved.proof._watch
    assert watch is not None
    watch.kernel.remove(watch._watches["pkg/"])
    sweeps = proved.sweeps
    assert await proved.changed(lambda: (proved.root / "pkg" / "a.py").write_text("5")) == {"pkg/a.py"}
    assert proved.sweeps == sweeps + 1
    assert await proved.changed(lambda: (proved.root / "pkg" / "a.py").write_text("4")) == {"pkg/a.py"}
    assert proved.sweeps == sweeps + 1


async def test_root_that_is_moved_or_deleted(proved: Proved, tmp_path: Path) -> None:
    root = proved.root
    root.rename(tmp_path / "gone")
    assert not (await proved.proof.now()).proved
    (tmp_path / "gone").rename(root)
    assert await proved.changed(lambda: (root / "b.txt").write_text("back")) >= {"b.txt"}
    assert proved.tree.last.proved
    root.parent.rename(tmp_path / "gone")
    assert not (await proved.proof.now()).proved
    (tmp_path / "gone").rename(root.parent)
    assert (await proved.proof.now()).proved
    shutil.rmtree(root)
    assert not (await proved.proof.now()).proved
    root.mkdir()
    (root / "first.py").write_text("")
    assert await proved.changed(lambda: (root / "second.py").write_text("")) >= {"second.py"}


async def test_watches_that_run_out_leave_the_sweep(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = Inotify.add, [30]

    def scarce(self: Inotify, path: str, mask: int) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise Unwatchable("no more watches (fs.inotify.max_user_watches)")
        return real(self, path, mask)

    monkeypatch.setattr(Inotify, "add", scarce)
    proved = Proved(root)
    await proved.proof.now()
    for n in range(40):
        await proved.changed(lambda n=n: (root / f"d{n}").mkdir())  # type: ignore[misc]
    assert proved.proof.how == "sweep: no more watches (fs.inotify.max_user_watches)"
    assert await proved.changed(lambda: (root / "d39" / "n.py").write_text("")) == {"d39/n.py"}
    assert proved.proof._watch is None


async def test_kernel_without_a_queue(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: Inotify) -> None:
        self._fd = self._mounts = -1
        raise Unwatchable("no more queues (fs.inotify.max_user_instances)")

    monkeypatch.setattr(Inotify, "__init__", none)
    proved = Proved(root)
    assert await proved.changed(lambda: (root / "b.txt").write_text("x")) == {"b.txt"}
    assert proved.proof.how == "sweep: no more queues (fs.inotify.max_user_instances)"


async def test_file_system_that_does_not_tell(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inotify, "file_system", lambda path: 0x6969)
    proved = Proved(root)
    assert await proved.changed(lambda: (root / "b.txt").write_text("x")) == {"b.txt"}
    assert proved.proof.how == f"sweep: the file system of {root} does not tell of every change"


def test_file_systems_are_known() -> None:
    assert inotify.file_system("/proc") == 0x9FA0
    assert not Devices().sound("/proc")


async def test_switched_off(root: Path) -> None:
    made = Proof(Tree(root, out_of_scope), watch=False)
    first = await made.now()
    assert made.how == "sweep: watching is switched off"
    (root / "b.txt").write_text("x")
    assert (await made.now()).changed(first) == {"b.txt"}
    assert made._watch is None


async def test_way_above_that_is_not_told_of_is_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Devices.sound

    def sound(self: Devices, path: str, device: int = -1) -> bool:
        return path.startswith(str(root)) and real(self, path, device)

    monkeypatch.setattr(Devices, "sound", sound)
    proved = Proved(root)
    await proved.proof.now()
    assert proved.proof.how == "inotify"
    above = root.parent / "pyproject.toml"
    for text in ("1", "2", "3"):
        assert await proved.changed(lambda text=text: above.write_text(text)) == {"../pyproject.toml"}  # type: ignore[misc]
    assert await proved.changed(above.unlink) == {"../pyproject.toml"}
    assert await proved.changed(lambda: (root / "b.txt").write_text("x")) == {"b.txt"}
    proved.proof.close()


async def test_outside_is_counted(proved: Proved, tmp_path: Path) -> None:
    made = proved.proof
    tool, folder = tmp_path / "bin" / "ruff", tmp_path / "site-packages"
    tool.parent.mkdir()
    tool.write_text("v1")
    (folder / "pkg").mkdir(parents=True)
    missing = tmp_path / "maybe" / "python"
    made.outside([str(tool), str(folder), str(missing)])
    seen = []

    async def generation(what: Callable[[], object]) -> bool:
        what()
        await made.now()
        seen.append(made.outside_generation)
        return len(seen) < 2 or seen[-1] > seen[-2]

    await generation(lambda: None)
    assert not await generation(lambda: (tmp_path / "notes").write_text(""))
    assert await generation(lambda: tool.write_text("v2"))
    assert not await generation(lambda: None)
    assert await generation(lambda: (folder / "new.py").write_text(""))
    assert not await generation(lambda: (folder / "pkg" / "deep.py").write_text(""))
    assert await generation(lambda: (folder / "pkg").rename(folder / "pkg2"))
    assert await generation(missing.parent.mkdir)
    assert await generation(lambda: missing.write_text(""))
    assert await generation(lambda: missing.write_text("2"))
    assert await generation(lambda: tool.parent.rename(tmp_path / "bin2"))
    assert await generation(lambda: (tmp_path / "bin2").rename(tool.parent))
    assert await generation(tool.unlink)
    before = await made.now()
    made.outside([str(tool)])
    assert await made.now() is before


async def test_changes_are_told(proved: Proved) -> None:
    told: list[frozenset[str]] = []
    proved.proof.on_change = told.append
    await proved.changed(lambda: (proved.root / "b.txt").write_text("x"))
    await proved.changed(lambda: None)
    await proved.changed((proved.root / "n").mkdir)
    assert told == [{"b.txt"}, {"n"}]


async def test_file_is_replaced_between_look_and_read(proved: Proved, monkeypatch: pytest.MonkeyPatch) -> None:
    from jetbox.engine.probes import fingerprint

    root, real = proved.root, fingerprint.read_content  # type: ignore[attr-defined]
    replaced: list[str] = []

    def slow(path: str, seen: Stat) -> str:
        content = real(path, seen)
        if path.endswith("b.txt") and not replaced:
            replaced.append(path)
            (root / "new").write_text("after\n")
            os.replace(root / "new", root / "b.txt")
        return str(content)

    monkeypatch.setattr(fingerprint, "read_content", slow)
    assert await proved.changed(lambda: (root / "b.txt").write_text("before\n")) == {"b.txt"}
    assert replaced


async def test_files_that_never_hold_still_have_a_digest_of_their_own(
    proved: Proved, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jetbox.engine.probes import fingerprint

    monkeypatch.setattr(proof, "QUIET_NS", 0)
    monkeypatch.setattr(proof, "PATIENT_NS", 2_000_000)
    path = proved.root / "b.txt"
    await proved.proof.now()
    real, count = fingerprint.read_content, [0]  # type: ignore[attr-defined]

    def restless(name: str, seen: Stat) -> str:
        content = str(real(name, seen))
        count[0] += 1
        path.write_text(f"{count[0]}\n")
        return content

    monkeypatch.setattr(fingerprint, "read_content", restless)
    path.write_text("go\n")
    one, two = await proved.proof.now(), await proved.proof.now()
    assert one.digest.startswith("moving")
    assert two.digest.startswith("moving")
    assert one.digest != two.digest
    monkeypatch.setattr(fingerprint, "read_content", real)
    assert await proved.changed(lambda: path.write_text("still\n")) == {"b.txt"}


async def test_clock_that_is_set_back(proved: Proved, monkeypatch: pytest.MonkeyPatch) -> None:
    path = proved.root / "b.txt"
    wall = time.time_ns
    tree = proved.tree
    monkeypatch.setattr(time, "time_ns", lambda: wall() + 3_600_000_000_000)
    tree.sweep_now()
    known = tree._folders[""].files["b.txt"]
    assert known.sure is not None
    path.write_text("c\n")
    # Written an hour later by a clock that was set back to the very tick.
    seen = path.stat()
    known.stat = known.sure = (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino, seen.st_mode)
    assert tree.sweep_now().files["b.txt"] == tree.last.files["b.txt"]
    monkeypatch.setattr(time, "time_ns", wall)
    assert tree.sweep_now().files == Tree(proved.root, out_of_scope).sweep_now().files


async def test_cancelled_look_loses_nothing(proved: Proved) -> None:
    for n in range(3):
        for k in range(40):
            (proved.root / f"m{n}_{k}.py").write_text("")
        task = asyncio.create_task(proved.proof.now())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len([p for p in (await proved.proof.now()).files if p.startswith("m")]) == 120


async def test_look_that_fails_is_made_good(proved: Proved, monkeypatch: pytest.MonkeyPatch) -> None:
    path = proved.root / "b.txt"
    path.write_text("x")
    with monkeypatch.context() as patch:
        patch.setattr(proved.tree, "touched_now", lambda paths: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            await proved.proof.now()
    assert await proved.changed(lambda: None) == frozenset()


async def test_ended_proof_sweeps(proved: Proved) -> None:
    proved.proof.close()
    proved.proof.close()
    assert await proved.changed(lambda: (proved.root / "b.txt").write_text("x")) == {"b.txt"}
    assert proved.proof.how == "sweep: the session ended"


async def test_mount_in_the_tree_is_noticed(root: Path) -> None:
    watch = Watch(str(root))
    tree = Tree(root, out_of_scope)
    tree.watcher = watch
    tree.sweep_now()
    while watch.changes() is not None:
        pass
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(root / "pkg"), b"tmpfs", 0, None) != 0:
        assert ctypes.get_errno() in (errno.EPERM, errno.EACCES)
        watch.close()
        return
    try:
        changes = watch.changes()
        assert changes is not None
        assert changes.lost
        assert "pkg/a.py" not in tree.sweep_now().files
    finally:
        libc.umount2(os.fsencode(root / "pkg"), 0)
        watch.close()


async def test_large_file_that_is_told_of_counts_as_changed(proved: Proved) -> None:
    from jetbox.engine.probes.fingerprint import LARGE

    path = proved.root / "large.bin"
    with path.open("wb") as file:
        file.truncate(LARGE + 1)
    first = await proved.proof.now()
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    with path.open("r+b") as file:
        file.write(b"x")
    assert (await proved.proof.now()).changed(first) == {"large.bin"}
    assert (await proved.proof.now(sweep=True)).changed(first) == {"large.bin"}
