"""One writer per workspace, whoever it is and however it ends."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from jetbox.engine.errors import StorageError, WorkspaceBusy
from jetbox.folders import state_folder
from jetbox.record.lock import WorkspaceLock, is_held, spare_folder

HOLD = """
import sys
from pathlib import Path
from jetbox.record.lock import WorkspaceLock
lock = WorkspaceLock(Path(sys.argv[1]))
lock.acquire("20260101-theirs")
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_is_told_who_holds_it(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "link").symlink_to(work)
    lock = WorkspaceLock(tmp_path / "link")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(work)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(WorkspaceBusy) as busy:
            lock.acquire("mine")
        assert re.search(rf"process {child.pid}, started (just now|\d+ s ago)", busy.value.message)
        assert "session 20260101-theirs" in busy.value.message
        assert str(work) in busy.value.message
        assert busy.value.hint == "look on with: jetbox-tui replay 20260101-theirs"
        owner = lock.owner()
        assert owner is not None
        assert (owner.pid, owner.session) == (child.pid, "20260101-theirs")
        child.kill()
        child.wait()
        assert lock.owner() is None
        lock.acquire("mine")  # released by the system, its stale text overwritten
    owner = lock.owner()
    assert owner is not None
    assert owner.session == "mine"
    lock.close()
    lock.close()
    assert lock.owner() is None


def test_workspaces_do_not_disturb_each_other(tmp_path: Path) -> None:
    locks = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        locks.append(WorkspaceLock(tmp_path / name))
        locks[-1].acquire(name)
    assert locks[0].path() != locks[1].path()
    assert all(is_held(lock.path()) for lock in locks)
    for lock in locks:
        lock.close()


def test_a_second_one_in_the_same_process_is_refused_even_with_an_unreadable_owner(tmp_path: Path) -> None:
    one, two = WorkspaceLock(tmp_path), WorkspaceLock(tmp_path)
    one.acquire("one")
    one.path().write_text("not json")
    with pytest.raises(WorkspaceBusy, match="another session works in"):
        two.acquire("two")
    one.close()
    two.acquire("two")
    two.close()


def test_the_lock_file_is_private_and_not_in_the_workspace(tmp_path: Path, isolated: Path) -> None:
    lock = WorkspaceLock(tmp_path)
    lock.acquire("s")
    assert state_folder() == str(isolated / ".local" / "state" / "jetbox")
    assert lock.path().is_relative_to(state_folder())
    assert lock.path().stat().st_mode & 0o777 == 0o600
    assert lock.path().parent.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []
    lock.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot make the folder"):
        WorkspaceLock(tmp_path, tmp_path / "file" / "locks").acquire("s")


@pytest.mark.parametrize(("held", "wanted"), [(".", "sub/deeper"), ("sub/deeper", "."), ("sub", "sub/deeper")])
def test_a_folder_above_or_below_is_the_same_workspace(tmp_path: Path, held: str, wanted: str) -> None:
    (tmp_path / "ws" / "sub" / "deeper").mkdir(parents=True)
    holder = WorkspaceLock(tmp_path / "ws" / held, tmp_path / "locks")
    holder.acquire("one")
    second = WorkspaceLock(tmp_path / "ws" / wanted, tmp_path / "locks")
    with pytest.raises(WorkspaceBusy, match=r"session one .* works in"):
        second.acquire("two")
    beside = WorkspaceLock(tmp_path / "locks", tmp_path / "locks")
    beside.acquire("three")
    beside.close()
    holder.close()
    second.acquire("two")
    second.close()


def test_a_state_folder_that_cannot_be_written_is_replaced_by_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "ws").mkdir()
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    one, two = WorkspaceLock(tmp_path / "ws"), WorkspaceLock(tmp_path / "ws")
    one.acquire("one")
    assert one.path().parent == tmp_path / "run" / "jetbox" / "locks"
    assert "cannot make the folder" in one.notice
    assert str(one.path().parent) in one.notice
    with pytest.raises(WorkspaceBusy, match="session one"):
        two.acquire("two")
    one.close()
    two.acquire("two")
    two.close()


def test_without_a_runtime_folder_the_spare_one_must_be_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lock = WorkspaceLock(tmp_path)
    lock.acquire("one")
    mine = spare_folder().parent
    assert mine == tmp_path / f"jetbox-{os.getuid()}"
    assert mine.stat().st_mode & 0o777 == 0o700
    lock.close()
    mine.chmod(0o777)
    with pytest.raises(StorageError, match="not yours alone") as refused:
        WorkspaceLock(tmp_path).acquire("two")
    assert "XDG_STATE_HOME" in refused.value.hint
    assert not is_held(lock.path())


def test_a_holder_is_seen_in_a_state_folder_that_became_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = WorkspaceLock(tmp_path)
    holder.acquire("one")
    real = os.open

    def read_only(path: str, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_RDWR and Path(path).is_relative_to(state_folder()):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(WorkspaceBusy, match="session one"):
        WorkspaceLock(tmp_path).acquire("two")
    holder.close()
    second = WorkspaceLock(tmp_path)
    second.acquire("two")
    assert "Read-only file system" in second.notice
    second.close()
