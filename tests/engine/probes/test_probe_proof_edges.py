"""Bad days of the proof: lost events, no watches, odd file systems, a root that goes, files that never hold still."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.probes.proved import Proved, few_watches, workspace
from jetbox.engine.probes import inotify, proof, snapshot
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inotify import Devices, Inotify, Unwatchable
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.lookover import Stat
from jetbox.engine.probes.proof import Proof
from jetbox.engine.probes.watching import Watch

# One of them mounts something, which every watch of the machine hears: not beside those that tell all that was heard.
pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the kernel's queue is one of Linux"),
    pytest.mark.xdist_group("mounts"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return workspace(tmp_path)


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
    few_watches(monkeypatch)
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
    from jetbox.engine.probes import entries

    root, real = proved.root, entries.read_content  # type: ignore[attr-defined]
    replaced: list[str] = []

    def slow(path: str, seen: Stat) -> str:
        content = real(path, seen)
        if path.endswith("b.txt") and not replaced:
            replaced.append(path)
            (root / "new").write_text("after\n")
            os.replace(root / "new", root / "b.txt")
        return str(content)

    monkeypatch.setattr(entries, "read_content", slow)
    assert await proved.changed(lambda: (root / "b.txt").write_text("before\n")) == {"b.txt"}
    assert replaced


async def test_files_that_never_hold_still_have_a_digest_of_their_own(
    proved: Proved, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jetbox.engine.probes import entries

    monkeypatch.setattr(proof, "QUIET_NS", 0)
    monkeypatch.setattr(proof, "PATIENT_NS", 2_000_000)
    path = proved.root / "b.txt"
    await proved.proof.now()
    real, count = entries.read_content, [0]  # type: ignore[attr-defined]

    def restless(name: str, seen: Stat) -> str:
        content = str(real(name, seen))
        count[0] += 1
        path.write_text(f"{count[0]}\n")
        return content

    monkeypatch.setattr(entries, "read_content", restless)
    path.write_text("go\n")
    one, two = await proved.proof.now(), await proved.proof.now()
    assert one.digest.startswith("moving")
    assert two.digest.startswith("moving")
    assert one.digest != two.digest
    monkeypatch.setattr(entries, "read_content", real)
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
    from jetbox.engine.probes.entries import LARGE

    path = proved.root / "large.bin"
    with path.open("wb") as file:
        file.truncate(LARGE + 1)
    first = await proved.proof.now()
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    with path.open("r+b") as file:
        file.write(b"x")
    assert (await proved.proof.now()).changed(first) == {"large.bin"}
    assert (await proved.proof.now(sweep=True)).changed(first) == {"large.bin"}


async def test_outside_that_comes_while_a_look_goes_on(proved: Proved, tmp_path: Path) -> None:
    tool = tmp_path / "tool"
    tool.write_text("1")
    before = proved.proof.outside_generation
    look = asyncio.create_task(proved.proof.now(sweep=True))
    await asyncio.sleep(0)
    proved.proof.outside([str(tool)])
    await look
    # What happened before it was watched is not known.
    assert proved.proof.outside_generation > before
    before = proved.proof.outside_generation
    tool.write_text("2")
    await proved.proof.now()
    assert proved.proof.outside_generation > before


async def test_watches_that_run_out_for_what_is_outside(proved: Proved, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: Inotify, path: str, mask: int) -> int:
        raise Unwatchable("no more watches (fs.inotify.max_user_watches)")

    monkeypatch.setattr(Inotify, "add", none)
    before = proved.proof.outside_generation
    proved.proof.outside(["/usr/bin/env"])
    assert proved.proof.how.startswith("sweep: no more watches")
    assert proved.proof.outside_generation > before
    assert await proved.changed(lambda: (proved.root / "b.txt").write_text("x")) == {"b.txt"}


async def test_what_comes_and_goes_between_two_looks_is_told(proved: Proved) -> None:
    root, made = proved.root, proved.proof
    path = root / "b.txt"

    async def stirred(what: Callable[[], object], *, sweep: bool = False) -> frozenset[str]:
        before = await made.now(sweep=sweep)
        mark = made.generation
        what()
        now = await made.now(sweep=sweep)
        assert now.digest == before.digest
        return made.stirred(mark)

    def back() -> None:
        text = path.read_text()
        path.write_text("other\n")
        path.write_text(text)

    def passing() -> None:
        (root / "pkg" / "t.py").write_text("")
        (root / "pkg" / "t.py").unlink()

    def above() -> None:
        (root.parent / "ruff.toml").write_text("")
        (root.parent / "ruff.toml").unlink()

    def cache() -> None:
        (root / "pkg" / "__pycache__").mkdir()
        (root / ".coverage").write_text("")
        (root / ".coverage").unlink()
        (root / "pkg" / "__pycache__").rmdir()
        (root / "pytest-cache-files-a1b2_c3d").mkdir()
        (root / "pytest-cache-files-a1b2_c3d").rename(root / ".pytest_cache")
        (root / ".pytest_cache").rmdir()

    for sweep in (False, True):
        assert await stirred(lambda: None, sweep=sweep) == frozenset()
        assert await stirred(back, sweep=sweep) == {"b.txt"}
        assert await stirred(passing, sweep=sweep) == {"pkg/t.py"}
        assert await stirred(above, sweep=sweep) == {"what lies above the workspace"}
        assert await stirred(cache, sweep=sweep) == frozenset()
    made.close()
    assert await stirred(lambda: None) == frozenset()
    assert await stirred(back) == {"b.txt"}
    assert await stirred(passing) == {"pkg/"}


def test_what_is_forgotten_is_not_taken_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MOST_STIRRED", 4)
    books = snapshot.Books()
    books.put("a", (0, ""))
    books.commit(True)
    for n in range(8):
        books.stir(f"p{n}")
    assert books.stirred(books.generation) == frozenset()
    assert books.stirred(books.generation - 1) == {"p7"}
    assert "too much to tell" in books.stirred(0)
