"""Hard links out of the workspace: what shows their content treats them as lying outside."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jetbox.engine.errors import FileMoved
from jetbox.engine.workspace import links
from jetbox.engine.workspace.links import find_linked_out


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file outside the workspace, on the same disk."""
    path = tmp_path / "secret.txt"
    path.write_text("needle: s3cret\n")
    return path


def link(secret: Path, bench: Any, name: str) -> Path:
    target: Path = bench.root / name
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(secret, target)
    return target


async def test_a_file_with_a_name_outside_is_asked_about(bench: Any, secret: Path) -> None:
    path = link(secret, bench, "notes.txt")
    for tool, arguments in (("read_file", {}), ("grep", {"pattern": "needle"})):
        plan = await bench.plan(tool, path="notes.txt", **arguments)
        assert (plan.outside, plan.linked, plan.scope) == (True, True, f"{tool} {path}")
        assert "s3cret" in (await plan.perform()).text  # it was allowed


async def test_a_search_of_a_folder_passes_it_over_and_says_so(bench: Any, secret: Path) -> None:
    link(secret, bench, "src/notes.txt")
    bench.write("src/a.txt", "needle here\n")
    plan = await bench.plan("grep", pattern="needle")
    assert not plan.outside
    text = (await plan.perform()).text
    assert text == (
        "src/a.txt:1:needle here\n[1 files not searched, such as src/notes.txt: "
        "hard links out of the workspace; give one as path]"
    )
    assert "not searched" in await bench.text("grep", pattern="nowhere")  # whether it matches is not told either


async def test_a_configured_folder_is_open(make_bench: Callable[..., Any], secret: Path, tmp_path: Path) -> None:
    bench = make_bench(read_outside=(str(tmp_path / "ws"),))
    link(secret, bench, "notes.txt")
    assert not (await bench.plan("read_file", path="notes.txt")).outside
    assert "s3cret" in await bench.text("grep", pattern="needle")


async def test_names_that_all_lie_in_the_workspace_are_its_own(bench: Any) -> None:
    link(bench.write("a/one.txt", "needle\n"), bench, "b/two.txt")
    assert not (await bench.plan("read_file", path="a/one.txt")).outside
    assert (await bench.text("grep", pattern="needle")).count("needle") == 2


async def test_a_name_that_was_not_reached_counts_as_outside(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    link(bench.write("a/one.txt", "needle\n"), bench, "b/two.txt")
    monkeypatch.setattr(links, "ENTRIES", 1)
    assert (await bench.plan("read_file", path="a/one.txt")).outside


@pytest.mark.parametrize("name", ["node_modules/.pnpm/x/index.js", ".venv/lib/x.py", "env/lib/x.py", "forge/lib/x.py"])
async def test_environments_are_full_of_links_into_stores(bench: Any, secret: Path, name: str) -> None:
    bench.write("env/pyvenv.cfg", "home = /usr/bin\n")
    bench.write("forge/conda-meta/history", "")
    link(secret, bench, name)
    assert not (await bench.plan("read_file", path=name)).outside
    assert "s3cret" in await bench.text("grep", pattern="needle", path=name.partition("/")[0])


async def test_the_very_file_that_git_tracks_is_the_workspaces_own(bench: Any, secret: Path, tmp_path: Path) -> None:
    """`cp -al` of a repository shares every file; a file put in the place of a tracked one is another."""
    bench.write("pkg/x/a.txt", "needle\n")
    bench.write("pkg/a.txt", "needle\n")
    for words in (["init", "-q"], ["add", "."]):
        subprocess.run(["git", *words], cwd=bench.root, check=True)
    subprocess.run(["cp", "-al", str(bench.root), str(tmp_path / "copy")], check=True)
    assert not (await bench.plan("read_file", path="pkg/a.txt")).outside
    assert (await bench.text("grep", pattern="needle")).count("needle") == 2
    (bench.root / "pkg/a.txt").unlink()
    link(secret, bench, "pkg/a.txt")
    assert (await bench.plan("read_file", path="pkg/a.txt")).outside
    assert not (await bench.plan("read_file", path="pkg/x/a.txt")).outside


@pytest.mark.parametrize("content", [b"", b"DIRC", b"DIRC\0\0\0\4notes.txt\0", b"DIRC\0\0\0\2notes.txt\0"])
async def test_a_broken_index_vouches_for_nothing(bench: Any, secret: Path, content: bytes) -> None:
    bench.write(".git/index", content)
    link(secret, bench, "notes.txt")
    assert (await bench.plan("read_file", path="notes.txt")).outside


async def test_a_workspace_inside_a_repository_and_in_a_worktree(
    make_bench: Callable[..., Any], tmp_path: Path
) -> None:
    def git(*words: str, cwd: Path = tmp_path) -> None:
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", *words], cwd=cwd, check=True)

    bench = make_bench()
    bench.write("a.txt", "needle\n")
    git("init", "-q")
    git("add", "ws")
    git("commit", "-qm", "a")
    os.link(bench.root / "a.txt", tmp_path / "other.txt")
    assert not (await bench.plan("read_file", path="a.txt")).outside
    git("worktree", "add", "-q", "--no-checkout", str(tmp_path / "tree"))
    (bench.root / "a.txt").unlink()
    (bench.root / ".git").write_text(f"gitdir: {tmp_path}/.git/worktrees/tree\n")
    bench.write("a.txt", "needle\n")
    git("add", "a.txt", cwd=bench.root)
    os.link(bench.root / "a.txt", tmp_path / "third.txt")
    assert not (await bench.plan("read_file", path="a.txt")).outside


async def test_a_file_swapped_for_a_link_after_the_question_is_looked_at_again(bench: Any, secret: Path) -> None:
    path = bench.write("notes.txt", "mine\n")
    plan = await bench.plan("read_file", path="notes.txt")
    search = await bench.plan("grep", pattern="needle", path="notes.txt")
    assert not plan.outside
    path.unlink()
    link(secret, bench, "notes.txt")
    with pytest.raises(FileMoved):
        await plan.perform()
    assert "s3cret" not in (await search.perform()).text


def test_the_files_that_lead_out_are_found(bench: Any, secret: Path) -> None:
    link(secret, bench, "b/two.txt")
    link(secret, bench, "a/one.txt")
    link(secret, bench, "node_modules/x.js")
    bench.write("own.txt", "")
    assert find_linked_out(str(bench.root), 5) == ["a/one.txt", "b/two.txt"]
    assert len(find_linked_out(str(bench.root), 1)) == 1
