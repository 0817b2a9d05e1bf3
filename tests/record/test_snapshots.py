"""The shadow repository, with the real git."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import pytest

from jetbox.record.snapshots import Snapshots


def git(*arguments: str, cwd: Path) -> str:
    return subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def work(tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    git("init", "-q", cwd=work)
    (work / ".gitignore").write_text("*.log\n")
    (work / "a.py").write_bytes(b"one\r\n")
    (work / "noise.log").write_text("x")
    (work / "sub dir").mkdir()
    (work / "sub dir" / "ü\n.txt").write_text("odd name")
    (work / "link").symlink_to("a.py")
    git("add", ".", cwd=work)
    git("commit", "-qm", "theirs", cwd=work)
    return work


@pytest.fixture
def session(tmp_path: Path) -> Path:
    session = tmp_path / "session"
    session.mkdir()
    return session


def files(snapshots: Snapshots, commit: str) -> dict[str, bytes]:
    listed = git("ls-tree", "-r", "-z", "--name-only", commit, cwd=snapshots.folder).split("\0")
    return {
        name: subprocess.run(
            ["git", "cat-file", "blob", f"{commit}:{name}"], cwd=snapshots.folder, check=True, capture_output=True
        ).stdout
        for name in listed
        if name
    }


def untouched(work: Path) -> dict[str, tuple[int, int]]:
    return {str(p): (p.lstat().st_mtime_ns, p.lstat().st_size) for p in sorted((work / ".git").rglob("*"))}


async def test_each_round_is_kept_and_the_repository_of_the_workspace_is_not_touched(work: Path, session: Path) -> None:
    before = untouched(work)
    snapshots = Snapshots(session, work)
    one = await snapshots.commit(1)
    assert one is not None, snapshots.reason
    odd = "sub dir/ü\n.txt"
    assert files(snapshots, one) == {
        ".gitignore": b"*.log\n",
        "a.py": b"one\r\n",
        "link": b"a.py",
        odd: b"odd name",
    }
    (work / "a.py").write_bytes(b"two\n")
    (work / odd).unlink()
    (work / "new").write_text("new")
    two = await snapshots.commit(2)
    assert two is not None
    assert files(snapshots, two) == {".gitignore": b"*.log\n", "a.py": b"two\n", "link": b"a.py", "new": b"new"}
    assert git("rev-parse", f"{two}^", "refs/rounds/1", "refs/rounds/2", "rounds", cwd=snapshots.folder).split() == [
        one,
        one,
        two,
        two,
    ]
    assert untouched(work) == before
    assert snapshots.reason == ""

    again = Snapshots(session, work)  # a later process goes on
    three = await again.commit(3)
    assert three is not None
    assert git("rev-parse", f"{three}^", cwd=snapshots.folder).strip() == two


async def test_a_folder_without_a_repository(session: Path, tmp_path: Path) -> None:
    work = tmp_path / "plain"
    work.mkdir()
    (work / "a").write_text("a")
    snapshots = Snapshots(session, work)
    commits = await asyncio.gather(*(snapshots.commit(n) for n in (1, 2, 3)))
    assert None not in commits
    assert list(work.iterdir()) == [work / "a"]


async def test_an_empty_workspace(session: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    snapshots = Snapshots(session, tmp_path / "empty")
    commit = await snapshots.commit(1)
    assert commit is not None, snapshots.reason
    assert files(snapshots, commit) == {}


async def test_nothing_that_the_workspace_configures_is_run(work: Path, session: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\ncat\n")
    trap.chmod(0o755)
    nested = work / "nested"
    nested.mkdir()
    git("init", "-q", cwd=nested)
    (nested / "f").write_text("f")
    git("add", ".", cwd=nested)
    git("commit", "-qm", "x", cwd=nested)
    for repository in (work, nested):
        git("config", "core.fsmonitor", str(trap), cwd=repository)
        git("config", "filter.evil.clean", str(trap), cwd=repository)
        git("config", "core.hooksPath", str(tmp_path), cwd=repository)
    subprocess.run(["git", "config", "--global", "filter.evil.clean", str(trap)], check=True)
    for hook in ("post-index-change", "reference-transaction", "post-commit"):
        (tmp_path / hook).write_bytes(trap.read_bytes())
        (tmp_path / hook).chmod(0o755)
    (work / ".gitattributes").write_text("* filter=evil text=auto\n")
    snapshots = Snapshots(session, work)
    commit = await snapshots.commit(1)
    assert commit is not None, snapshots.reason
    assert files(snapshots, commit)["a.py"] == b"one\r\n"
    assert not any(name.startswith("nested") for name in files(snapshots, commit))
    (nested / "f").write_text("g")
    assert await snapshots.commit(2) is not None
    assert not (tmp_path / "sprung").exists()


async def test_large_files_are_left_out_also_when_they_grow(work: Path, session: Path) -> None:
    (work / "big").write_bytes(b"x" * 2000)
    snapshots = Snapshots(session, work, file_bytes=1000)
    one = await snapshots.commit(1)
    assert one is not None
    assert "big" not in files(snapshots, one)
    (work / "a.py").write_bytes(b"y" * 2000)
    two = await snapshots.commit(2)
    assert two is not None
    assert "a.py" not in files(snapshots, two)


async def test_a_repository_that_grew_too_large_gets_no_more(work: Path, session: Path) -> None:
    snapshots = Snapshots(session, work, repository_bytes=1024**2)
    (work / "noise").write_bytes(os.urandom(2 * 1024**2))
    assert await snapshots.commit(1) is not None
    assert "grown beyond 1 MiB" in snapshots.reason
    assert await snapshots.commit(2) is None


async def test_one_that_takes_too_long_is_the_last(work: Path, session: Path) -> None:
    snapshots = Snapshots(session, work, limit_s=0.0)
    assert await snapshots.commit(1) is None
    assert "took longer" in snapshots.reason


async def test_without_git_there_are_none_and_it_is_said(
    work: Path, session: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    snapshots = Snapshots(session, work)
    assert await snapshots.commit(1) is None
    assert snapshots.reason == "no file snapshots: git is not installed"
    assert not snapshots.folder.exists()


async def test_a_broken_repository_is_told_and_harmless(work: Path, session: Path) -> None:
    snapshots = Snapshots(session, work)
    assert await snapshots.commit(1) is not None
    (snapshots.folder / "HEAD").write_text("garbage")
    assert await snapshots.commit(2) is None
    assert snapshots.reason.startswith("no file snapshots: git ")


async def test_the_repository_is_private(work: Path, session: Path) -> None:
    snapshots = Snapshots(session, work)
    assert await snapshots.commit(1) is not None
    assert snapshots.folder.stat().st_mode & 0o077 == 0
