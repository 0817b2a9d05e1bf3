from __future__ import annotations

import os
import time
from pathlib import Path
from typing import cast

import pytest

from jetbox.engine.probes import entries, fingerprint
from jetbox.engine.probes.fingerprint import Snapshot, Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.lookover import Folder, Known, Stat, read_content


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "ws"
    (root / "pkg").mkdir(parents=True)
    (root / "pkg" / "a.py").write_text("a = 1\n")
    (root / "b.txt").write_text("b\n")
    return root


def settle(root: Path) -> None:
    """Set all times back, so that nothing counts as just written but for its change time."""
    old = time.time_ns() - 3_600_000_000_000
    for path in (root, *root.rglob("*")):
        os.utime(path, ns=(old, old))


def settled(tree: Tree) -> None:
    """As if the files had been read long after their last change."""
    for folder in tree._folders.values():
        for known in folder.files.values():
            known.sure = known.stat


def changes(tree: Tree, before: Snapshot) -> frozenset[str]:
    return tree.sweep_now().changed(before)


def test_touch_and_revert_are_no_change(root: Path) -> None:
    tree = Tree(root, out_of_scope)
    first = tree.sweep_now()
    os.utime(root / "b.txt")
    assert tree.sweep_now().digest == first.digest
    (root / "b.txt").write_text("c\n")
    assert changes(tree, first) == {"b.txt"}
    (root / "b.txt").write_text("b\n")
    assert tree.sweep_now().digest == first.digest


def test_the_newest_change_is_told_while_a_thread_finds_more(root: Path) -> None:
    tree = Tree(root, out_of_scope)
    tree.sweep_now()

    class Seen:
        """A folder; as soon as it is looked at, a sweep finds another."""

        stat = (1, 1, 1, 1)

        @property
        def files(self) -> dict[str, Known]:
            (root / "new").mkdir()
            tree.sweep_now()
            return {}

    tree._folders = {"seen/": cast("Folder", Seen()), **tree._folders}
    assert 0 < tree.newest() <= time.time_ns()


def test_mode_new_gone_and_renamed_are_changes(root: Path) -> None:
    tree = Tree(root, out_of_scope)
    first = tree.sweep_now()
    (root / "b.txt").chmod(0o755)
    assert changes(tree, first) == {"b.txt"}
    (root / "b.txt").rename(root / "c.txt")
    assert changes(tree, first) == {"b.txt", "c.txt"}
    (root / "empty").mkdir()
    assert "empty" in changes(tree, first)


def test_same_size_with_the_time_set_back_is_a_change(root: Path) -> None:
    settle(root)
    tree = Tree(root, out_of_scope)
    first = tree.sweep_now()
    path = root / "pkg" / "a.py"
    before = path.stat()
    path.write_text("a = 2\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert changes(tree, first) == {"pkg/a.py"}


def test_two_writes_within_a_tick_of_the_clock_are_told_apart(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(root, out_of_scope)
    path = root / "pkg" / "a.py"
    real = read_content
    stats: list[Stat] = []

    def frozen(name: str, seen: Stat) -> str:
        stats.append(seen)
        return real(name, seen)

    monkeypatch.setattr(entries, "read_content", frozen)
    first = tree.sweep_now()
    # What a coarse clock would give: the second write leaves the same stat behind.
    known = tree._folders["pkg/"].files["a.py"]
    path.write_text("a = 2\n")
    seen = path.stat()
    known.stat = (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino, seen.st_mode)
    known.sure = None
    assert changes(tree, first) == {"pkg/a.py"}


def test_settled_files_are_not_read_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(root, out_of_scope)
    tree.sweep_now()
    settled(tree)
    monkeypatch.setattr(entries, "read_content", lambda name, seen: pytest.fail(f"{name} was read"))
    tree.sweep_now()


@pytest.mark.parametrize(
    "folder",
    [
        *("__pycache__", ".git", ".pytest_cache", "pytest-cache-files-h0x_1a2b", ".jetbox", ".cache", ".venv"),
    ],
)
def test_caches_and_environments_are_out_of_scope(root: Path, folder: str) -> None:
    tree = Tree(root, out_of_scope)
    first = tree.sweep_now()
    (root / "pkg" / folder).mkdir()
    (root / "pkg" / folder / "x").write_text("x")
    assert tree.sweep_now().digest == first.digest


def test_environment_of_any_name_is_out_of_scope(root: Path) -> None:
    tree = Tree(root, out_of_scope)
    first = tree.sweep_now()
    (root / "myenv").mkdir()
    (root / "myenv" / "pyvenv.cfg").write_text("")
    (root / "myenv" / "lib").mkdir()
    assert tree.sweep_now().digest == first.digest


def test_what_git_ignores_counts(root: Path) -> None:
    (root / ".gitignore").write_text("local.json\n")
    tree = Tree(root, out_of_scope)
    first = tree.sweep_now()
    (root / "local.json").write_text("{}")
    assert changes(tree, first) == {"local.json"}


def test_configuration_above_and_the_branch_count(root: Path) -> None:
    (root / ".git" / "info").mkdir(parents=True)
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    tree = Tree(root, out_of_scope)
    first = tree.sweep_now()
    (root.parent / "pyproject.toml").write_text("[tool.ruff]\n")
    assert changes(tree, first) == {"../pyproject.toml"}
    (root / ".git" / "HEAD").write_text("ref: refs/heads/other\n")
    assert changes(tree, first) == {"../pyproject.toml", ".git/HEAD"}


def test_links_count_with_what_they_lead_to(root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "data.txt").write_text("1")
    (root / "folder").symlink_to(outside)
    (root / "file").symlink_to(outside / "data.txt")
    (root / "nowhere").symlink_to("missing")
    (outside / "loop").symlink_to(outside)
    (root / "back").symlink_to(root)
    tree = Tree(root, out_of_scope)
    first = tree.sweep_now()
    (outside / "data.txt").write_text("2")
    assert changes(tree, first) == {"folder/data.txt", "file/"}
    (root / "nowhere").unlink()
    (root / "nowhere").symlink_to("elsewhere")
    assert "nowhere" in changes(tree, first)


def test_pipes_and_names_that_are_no_text_do_not_stop_it(root: Path) -> None:
    os.mkfifo(root / "pipe")
    os.close(os.open(os.fsencode(root) + b"/\xff\xfe.txt", os.O_CREAT | os.O_WRONLY))
    tree = Tree(root, out_of_scope)
    first = tree.sweep_now()
    assert "pipe" in first.files
    assert len(first.files) == 5
    assert tree.sweep_now().digest == first.digest


def test_large_file_counts_without_being_read(root: Path) -> None:
    path = root / "large.bin"
    with path.open("wb") as file:
        file.truncate(entries.LARGE + 1)
    tree = Tree(root, out_of_scope)
    first = tree.sweep_now()
    with path.open("r+b") as file:
        file.write(b"x")
    assert changes(tree, first) == {"large.bin"}


def test_tree_that_is_too_large_is_not_proved(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "MOST_ENTRIES", 2)
    assert not Tree(root, out_of_scope).sweep_now().proved


def test_folder_that_vanished_is_not_proved(tmp_path: Path) -> None:
    assert not Tree(tmp_path / "gone", out_of_scope).sweep_now().proved


async def test_cancelled_sweep_leaves_the_next_one_whole(root: Path) -> None:
    import asyncio

    tree = Tree(root, out_of_scope)
    task = asyncio.create_task(tree.sweep())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set((await tree.sweep()).files) == {"pkg", "pkg/a.py", "b.txt"}


def test_installed_program_text_is_in_scope(root: Path) -> None:
    tree = Tree(root, out_of_scope)
    first = tree.sweep_now()
    (root / "node_modules" / "lib").mkdir(parents=True)
    (root / "node_modules" / "lib" / "x.py").write_text("x = 1\n")
    assert tree.sweep_now().digest != first.digest
