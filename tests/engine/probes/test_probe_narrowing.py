"""What a probe's scope leaves of the files: never less than what can change its verdict."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.narrowing import NAMES, Narrowing
from jetbox.engine.probes.snapshot import Snapshot
from jetbox.engine.workspace.globs import Globs


def below_src(root: Path) -> Narrowing:
    glob = Globs("src/**")
    return Narrowing(str(root), lambda path, folder: glob.match(path))


def put(root: Path, path: str, text: str = "") -> Path:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)
    return target


def test_only_what_matches_counts(tmp_path: Path) -> None:
    tree, narrow = Tree(tmp_path, out_of_scope), below_src(tmp_path)
    put(tmp_path, "src/a.c", "1")
    put(tmp_path, "docs/a.md", "1")
    before = narrow(tree.sweep_now())
    assert set(before.files) == {"src/a.c"}
    put(tmp_path, "docs/a.md", "2")
    put(tmp_path, "new.txt")
    assert narrow(tree.sweep_now()) is before
    put(tmp_path, "src/a.c", "2")
    after = narrow(tree.sweep_now())
    assert after.digest != before.digest
    assert after.changed(before) == {"src/a.c"}
    (tmp_path / "src/a.c").chmod(0o755)
    assert narrow(tree.sweep_now()).digest != after.digest
    put(tmp_path, "src/a.c", "1").chmod(stat.S_IMODE(before.files["src/a.c"][0]))
    assert narrow(tree.sweep_now()).digest == before.digest
    (tmp_path / "src/a.c").unlink()
    assert narrow(tree.sweep_now()).changed(before) == {"src/a.c"}


@pytest.mark.parametrize("absolute", [False, True])
def test_files_that_a_link_leads_to_count_by_the_links_name(tmp_path: Path, absolute: bool) -> None:
    tree, narrow = Tree(tmp_path, out_of_scope), below_src(tmp_path)
    put(tmp_path, "one/a.c", "1")
    put(tmp_path, "two/a.c", "1")
    (tmp_path / "middle").symlink_to(tmp_path / "one" if absolute else "one")
    (tmp_path / "src").symlink_to("middle")
    before = narrow(tree.sweep_now())
    put(tmp_path, "two/a.c", "2")
    assert narrow(tree.sweep_now()).digest == before.digest
    put(tmp_path, "one/a.c", "2")
    changed = narrow(tree.sweep_now())
    assert changed.changed(before) == {"one/a.c"}
    (tmp_path / "middle").unlink()
    (tmp_path / "middle").symlink_to("two")
    moved = narrow(tree.sweep_now())
    assert {"two/a.c", "middle", "src"} <= set(moved.files)
    assert moved.digest != changed.digest


def test_what_a_link_out_of_the_workspace_leads_to_counts(tmp_path: Path) -> None:
    root, outside = tmp_path / "ws", tmp_path / "outside"
    put(outside, "b.c", "1")
    put(root, "src/a.c")
    (root / "src/file.c").symlink_to(outside / "b.c")
    (root / "src/folder").symlink_to(outside)
    tree, narrow = Tree(root, out_of_scope), below_src(root)
    before = narrow(tree.sweep_now())
    assert set(before.files) == {"src/a.c", "src/file.c", "src/file.c/", "src/folder", "src/folder/b.c"}
    put(outside, "b.c", "2")
    assert narrow(tree.sweep_now()).changed(before) == {"src/file.c/", "src/folder/b.c"}


def test_links_in_circles_come_to_an_end(tmp_path: Path) -> None:
    put(tmp_path, "d/x.c", "1")
    for number in range(20):
        (tmp_path / f"d/l{number}").symlink_to(".")
        (tmp_path / f"d/m{number}").symlink_to("../d")
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    tree, narrow = Tree(tmp_path, out_of_scope), below_src(tmp_path)
    # It has so many names that it is kept without a look at them.
    assert "d/x.c" in narrow(tree.sweep_now()).files
    assert NAMES < 40**2


def test_what_cannot_be_read_or_proved_counts(tmp_path: Path) -> None:
    narrow = below_src(tmp_path)
    files = {"docs/?": (0, "unreadable: 13"), "docs/a": (0o100644, "x")}
    kept = narrow(Snapshot("1", files))
    assert set(kept.files) == {"docs/?"}
    assert kept.proved
    assert not narrow(Snapshot("1", files, proved=False)).proved


paths = st.sampled_from(["src/a", "src/b", "x", "src", "y/z"])
modes = st.sampled_from([0o100644, 0o100755, 0o040755])
states = st.dictionaries(paths, st.tuples(modes, st.sampled_from(["1", "2"])))


@settings(deadline=None)
@given(st.lists(states, min_size=2, max_size=8))
def test_equal_digests_are_equal_files_whatever_was_asked_before(steps: list[dict[str, tuple[int, str]]]) -> None:
    narrow = below_src(Path("/ws"))
    seen: dict[str, dict[str, tuple[int, str]]] = {}
    for number, files in enumerate(steps):
        kept = narrow(Snapshot(str(number), files))
        assert kept.files == {path: entry for path, entry in files.items() if path.startswith("src/")}
        assert seen.setdefault(kept.digest, kept.files) == kept.files
        assert below_src(Path("/ws"))(Snapshot("", files)).digest == kept.digest
