from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jetbox.engine.workspace.globs import Globs
from jetbox.engine.workspace.ignore import IgnoreRules


def make(root: Path, *paths: str) -> None:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(path)


def paths(rules: IgnoreRules, below: str = ".") -> list[str]:
    return [entry.path for entry in rules.walk(below)]


def test_the_walk_passes_over_what_nobody_wants(tmp_path: Path) -> None:
    make(
        tmp_path,
        "a.py", "src/b.py", "src/__pycache__/b.pyc", ".git/config", ".venv/lib/x.py", "node_modules/m/i.js",
        ".jetbox/x", "src/.ruff_cache/1", "src/c.pyc", ".0a1b.jetbox-tmp", "env/pyvenv.cfg", "env/lib/y.py",
        ".github/ci.yml", "src/.hidden",
    )  # fmt: skip
    assert paths(IgnoreRules(tmp_path)) == [".github/ci.yml", "a.py", "src/.hidden", "src/b.py"]


def test_the_walk_is_sorted_by_path(tmp_path: Path) -> None:
    make(tmp_path, "b.py", "a/z.py", "a.py", "a-b/x.py", "B.py")
    found = paths(IgnoreRules(tmp_path))
    assert found == sorted(found)
    assert len(found) == 5


def test_nested_gitignore_files_hold_as_in_git(tmp_path: Path) -> None:
    make(
        tmp_path, "a.log", "keep.log", "build/out.txt", "sub/build/out.txt", "sub/a.log", "sub/deep/b.tmp",
        "sub/deep/c.txt", "sub/only/here.txt", "only/here.txt", "x/vendor/y.py", "x/vendor/keep/z.py",
    )  # fmt: skip
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\n/build/\n[\nvendor/\n")
    (tmp_path / "sub" / ".gitignore").write_text("!a.log\n*.tmp\nonly/\n")
    (tmp_path / "x" / ".gitignore").write_text("!vendor/keep/z.py\n")
    found = {p for p in paths(IgnoreRules(tmp_path)) if not p.endswith(".gitignore")}
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    listed = subprocess.run(
        ["git", "-C", str(tmp_path), "ls-files", "-o", "--exclude-standard"], check=True, capture_output=True, text=True
    ).stdout.split()
    assert found == {p for p in listed if not p.endswith(".gitignore")}
    assert "sub/a.log" in found
    assert "sub/only/here.txt" not in found


def test_changed_rules_are_seen(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "b.txt")
    (tmp_path / ".gitignore").write_text("*.log\n")
    rules = IgnoreRules(tmp_path)
    assert paths(rules) == [".gitignore", "b.txt"]
    (tmp_path / ".gitignore").write_text("*.txt\n")
    assert paths(rules) == [".gitignore", "a.log"]
    (tmp_path / ".gitignore").unlink()
    assert paths(rules) == ["a.log", "b.txt"]


def test_rules_of_a_hostile_repository_end_soon(tmp_path: Path) -> None:
    deep = "/".join("a" * 60)
    make(tmp_path, "a" * 250, f"{deep}/c")
    rules = ["*a" * 20 + "b", "**/a/" * 10 + "b", "*.log", "*a*a*ab"]
    (tmp_path / ".gitignore").write_text("\n".join(rules) + "\n")
    assert set(paths(IgnoreRules(tmp_path))) == {"a" * 250, f"{deep}/c", ".gitignore"}


def test_ignored_agrees_with_the_walk(tmp_path: Path) -> None:
    make(tmp_path, "a.log", "sub/b.log", "sub/c.py", "build/x/y.py", "sub/.gitignore", "node_modules/z.js")
    (tmp_path / ".gitignore").write_text("build/\n")
    (tmp_path / "sub" / ".gitignore").write_text("*.log\n")
    rules = IgnoreRules(tmp_path)
    walked = set(paths(rules))
    for path in ("a.log", "sub/b.log", "sub/c.py", "build/x/y.py", "node_modules/z.js"):
        assert rules.ignored(path) == (path not in walked), path
    assert rules.ignored("build", folder=True)
    assert not rules.ignored(".")


def test_a_folder_is_walked_when_it_is_asked_for_although_it_is_ignored(tmp_path: Path) -> None:
    make(tmp_path, "build/x.py", ".venv/lib/y.py")
    (tmp_path / ".gitignore").write_text("build/\n")
    rules = IgnoreRules(tmp_path)
    assert paths(rules, "build") == ["build/x.py"]
    assert paths(rules, ".venv/lib") == [".venv/lib/y.py"]
    assert paths(rules, "nope") == []


def test_links_are_named_and_not_followed(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    make(root, "a/b.py")
    make(tmp_path, "outside/x.py")
    (root / "a" / "loop").symlink_to("..")
    (root / "out").symlink_to(tmp_path / "outside")
    entries = {entry.path: entry.link for entry in IgnoreRules(root).walk()}
    assert entries == {"a/b.py": False, "a/loop": True, "out": True}
    assert paths(IgnoreRules(root), "out") == []


def test_the_walk_gives_the_status_on_wish(tmp_path: Path) -> None:
    make(tmp_path, "a.py")
    (entry,) = IgnoreRules(tmp_path).walk(status=True)
    assert entry.status is not None
    assert entry.status.st_size == 4
    (entry,) = IgnoreRules(tmp_path).walk()
    assert entry.status is None


def test_an_abandoned_walk_leaves_nothing_open(tmp_path: Path) -> None:
    make(tmp_path, "a/b/c/d.py", "a/b/e.py")
    before = len(os.listdir("/proc/self/fd"))
    walk = IgnoreRules(tmp_path).walk()
    next(walk)
    walk.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_gitignore_files_pathspec_is_not_imported(tmp_path: Path) -> None:
    make(tmp_path, "a.py")
    code = (
        "import sys; from jetbox.engine.workspace.ignore import IgnoreRules; "
        f"print(len(list(IgnoreRules({str(tmp_path)!r}).walk())), 'pathspec' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.py", "a.py", True),
        ("*.py", "deep/down/a.py", True),
        ("./*.py", "a.py", True),
        ("src/*.py", "src/a.py", True),
        ("src/*.py", "src/x/a.py", False),
        ("src/**/*.py", "src/a.py", True),
        ("src/**/*.py", "src/x/y/a.py", True),
        ("src/**", "src/x/y", True),
        ("src/", "src/x/y", True),
        ("src/**", "other/x", False),
        ("**/test_*.py", "test_a.py", True),
        ("**/**/**/a", "x/y/a", True),
        ("a/**/b/**/c", "a/1/b/2/3/c", True),
        ("a/**/b/**/c", "a/1/2/c", False),
        ("*.{ts,tsx}", "x/a.tsx", True),
        ("{src,lib}/*.{py,pyi}", "lib/a.pyi", True),
        ("{src,lib}/*.py", "bin/a.py", False),
        ("[ab].txt", "b.txt", True),
        ("[!ab].txt", "b.txt", False),
        ("?.txt", "xy.txt", False),
        ("*", ".hidden", True),
        ("A.py", "a.py", False),
    ],
)
def test_globs(pattern: str, path: str, expected: bool) -> None:
    assert Globs(pattern).match(path) is expected


def test_hostile_globs_end_soon() -> None:
    assert not Globs("*a" * 60 + "b").match("a" * 250)
    assert not Globs("**/a/" * 40 + "b").match("a/" * 200 + "c")
    Globs("{a,b}" * 40)
