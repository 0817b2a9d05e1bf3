"""Which files git leaves out: ruff asks its repositories, wherever they lie, and a verdict depends on all of them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jetbox.engine.options import PerformanceOptions

if TYPE_CHECKING:
    from engine.probes.conftest import Bench

WATCHED = pytest.mark.parametrize("watched", [True, False], ids=["queue", "sweep"])
BAD = "import os\n"


def repository(folder: Path, excluded: str = "") -> Path:
    """A new one, and its own list of what it leaves out."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "-q")
    listed = folder / ".git" / "info" / "exclude"
    listed.parent.mkdir(exist_ok=True)
    listed.write_text(excluded)
    return listed


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=n@example.org")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def worktree(main: Path, folder: Path) -> Path:
    """Another folder of a repository, and the list that both have."""
    listed = repository(main, "bad.py\n")
    git(main, "commit", "-q", "--allow-empty", "-m", "first")
    git(main, "worktree", "add", "-q", str(folder), "-b", "other")
    return listed


async def states(bench: Bench, watched: bool, listed: Path) -> list[tuple[str, str]]:
    """What ruff says, twice, and again when nothing is left out by this list any more."""
    engine = bench.engine(pytest=False, performance=PerformanceOptions(probe_inotify=watched))
    found = [await bench.one(engine, "ruff") for _ in range(2)]
    if listed.is_dir():
        shutil.rmtree(listed)
    else:
        listed.write_text("")
    found.append(await bench.one(engine, "ruff"))
    return [(verdict.state, verdict.cache) for verdict in found]


CHANGED = [("passed", "ran"), ("passed", "hit"), ("failed", "ran")]


@WATCHED
@pytest.mark.parametrize("below", ["", "sub"])
async def test_a_worktree_goes_by_what_it_shares(bench: Bench, tmp_path: Path, below: str, watched: bool) -> None:
    if not below:
        bench.root.rmdir()
    listed = worktree(tmp_path / "main", bench.root / below)
    bench.write(f"{below}/bad.py".lstrip("/"), BAD)
    bench.write("good.py", "")
    assert await states(bench, watched, listed) == CHANGED


@WATCHED
async def test_a_repository_in_a_folder_has_a_list_of_its_own(bench: Bench, watched: bool) -> None:
    listed = repository(bench.root / "sub", "bad.py\n")
    bench.write("sub/bad.py", BAD)
    bench.write("good.py", "")
    assert await states(bench, watched, listed) == CHANGED


@WATCHED
@pytest.mark.parametrize("place", ["..", ".", "sub"])
async def test_without_a_repository_nothing_is_left_out(bench: Bench, place: str, watched: bool) -> None:
    folder = bench.root / place
    shutil.rmtree(repository(folder).parent)
    bench.write("sub/.gitignore", "bad.py\n")
    bench.write("sub/bad.py", BAD)
    bench.write("good.py", "")
    assert await states(bench, watched, (folder / ".git").resolve()) == CHANGED


@WATCHED
async def test_a_repository_that_comes_counts_and_nothing_in_it_does(bench: Bench, watched: bool) -> None:
    bench.write("sub/.gitignore", "bad.py\n")
    bench.write("sub/bad.py", BAD)
    bench.write("good.py", "")
    engine = bench.engine(pytest=False, performance=PerformanceOptions(probe_inotify=watched))
    assert (await bench.one(engine, "ruff")).state == "failed"
    repository(bench.root / "sub")
    assert (await bench.one(engine, "ruff")).state == "passed"
    bench.write("sub/.git/more.py", BAD)
    assert (await bench.one(engine, "ruff")).cache == "hit"
