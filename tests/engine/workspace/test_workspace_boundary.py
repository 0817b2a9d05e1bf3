from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jetbox.engine.errors import FileMoved, StorageError, ToolError
from jetbox.engine.sizes import size_words
from jetbox.engine.workspace.root import Workspace
from jetbox.engine.workspace.writing import write_file

LIMIT = 10_000_000


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    folder.mkdir()
    (folder / "a.txt").write_text("a")
    (folder / "sub").mkdir()
    (folder / "sub" / "b.txt").write_text("b")
    return folder


@pytest.fixture
def workspace(root: Path) -> Workspace:
    return Workspace(root)


def read(workspace: Workspace, path: str) -> bytes:
    snapshot = workspace.read(path, LIMIT)
    assert snapshot is not None
    return snapshot.data


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("", "."),
        (".", "."),
        ("./", "."),
        ("a.txt", "a.txt"),
        ("./a.txt", "a.txt"),
        ("sub//b.txt", "sub/b.txt"),
        ("sub/../a.txt", "a.txt"),
        ("sub/", "sub"),
        ("sub/.", "sub"),
        ("new/deep/file.py", "new/deep/file.py"),
        ("./~", "~"),
        ("näme.txt", "näme.txt"),
    ],
)
def test_arguments_become_relative_paths(workspace: Workspace, argument: str, expected: str) -> None:
    assert workspace.resolve(argument) == expected


def test_absolute_paths_inside_are_taken(workspace: Workspace, root: Path) -> None:
    assert workspace.resolve(f"{root}/sub/b.txt") == "sub/b.txt"
    assert workspace.resolve(str(root)) == "."


def test_the_root_itself_may_be_reached_by_a_link(tmp_path: Path, root: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    workspace = Workspace(link)
    assert workspace.root == root.resolve()
    assert workspace.resolve(f"{link}/a.txt") == "a.txt"


@pytest.mark.parametrize(
    "argument",
    ["..", "../outside/secret.txt", "/etc/passwd", "sub/../../outside", "../ws2", "/", "sub/../../ws/../outside/x"],
)
def test_what_leads_out_is_outside(workspace: Workspace, outside: Path, argument: str) -> None:
    assert workspace.locate(argument).outside
    with pytest.raises(ToolError, match="outside the project folder"):
        workspace.resolve(argument)


def test_a_sibling_with_the_same_beginning_is_outside(tmp_path: Path, workspace: Workspace) -> None:
    (tmp_path / "ws-other").mkdir()
    assert workspace.locate("../ws-other/x").outside
    assert workspace.locate(f"{tmp_path}/ws-other").outside


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("~/x", "~ is not expanded"),
        ("~root/x", "~ is not expanded"),
        ("a\0b", "control characters"),
        ("a\nb", "control characters"),
        ("\x1b[31m", "control characters"),
        ("src\\a.py", "with / between names"),
        ("C:/x", "with / between names"),
        ("a/" + "b" * 256, "too long"),
        ("a/" * 2001, "too long"),
        ("\ud800", "surrogate"),
    ],
)
def test_what_is_no_path_is_refused_in_words(workspace: Workspace, argument: str, words: str) -> None:
    with pytest.raises(ToolError, match=words) as caught:
        workspace.locate(argument)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_links_are_followed_once_and_judged_by_where_they_lead(workspace: Workspace, root: Path, outside: Path) -> None:
    (root / "in").symlink_to("sub/b.txt")
    (root / "out").symlink_to(outside)
    (root / "chain").symlink_to("out/secret.txt")
    (root / "sub" / "up").symlink_to("../..")
    assert workspace.resolve("in") == "sub/b.txt"
    for path in ("out", "out/secret.txt", "chain", "out/new.txt", "sub/up/outside/secret.txt"):
        with pytest.raises(ToolError, match="outside"):
            workspace.resolve(path)
    assert workspace.resolve("sub/up/ws/a.txt") == "a.txt"


def test_a_write_through_a_link_inside_lands_at_its_target(workspace: Workspace, root: Path) -> None:
    (root / "link.txt").symlink_to("sub/b.txt")
    write_file(workspace, workspace.resolve("link.txt"), b"new", expected=b"b")
    assert (root / "link.txt").is_symlink()
    assert (root / "sub" / "b.txt").read_bytes() == b"new"


def test_a_loop_of_links_ends_in_words(workspace: Workspace, root: Path) -> None:
    (root / "x").symlink_to("y")
    (root / "y").symlink_to("x")
    path = workspace.resolve("x")
    with pytest.raises(ToolError, match="symbolic link"):
        workspace.open(path)
    with pytest.raises(ToolError):
        write_file(workspace, path, b"", expected=None)


def test_outside_is_read_only_by_name(workspace: Workspace, outside: Path) -> None:
    located = workspace.locate("../outside/secret.txt")
    assert located.path == str(outside / "secret.txt")
    with workspace.open_outside(located) as file:
        assert file.read() == b"secret"
    with pytest.raises(ToolError):
        workspace.open(located.path)


def swap_folder(root: Path, outside: Path) -> None:
    (root / "sub").rename(root / "gone")
    (root / "sub").symlink_to(outside)


def test_a_folder_swapped_for_a_link_after_the_check_leads_nowhere(
    workspace: Workspace, root: Path, outside: Path
) -> None:
    (outside / "b.txt").write_text("theirs")
    path = workspace.resolve("sub/b.txt")
    swap_folder(root, outside)
    with pytest.raises(ToolError):
        workspace.open(path)
    with pytest.raises(ToolError):
        workspace.read(path, LIMIT)
    with pytest.raises(ToolError):
        workspace.status(path)
    with pytest.raises(FileMoved):
        write_file(workspace, path, b"ours", expected=b"b")
    with pytest.raises(FileMoved):
        write_file(workspace, "sub/new.txt", b"ours", expected=None)
    assert (outside / "b.txt").read_text() == "theirs"
    assert sorted(os.listdir(outside)) == ["b.txt", "secret.txt"]


def test_a_file_swapped_for_a_link_after_the_check_is_not_followed(
    workspace: Workspace, root: Path, outside: Path
) -> None:
    path = workspace.resolve("a.txt")
    (root / "a.txt").unlink()
    (root / "a.txt").symlink_to(outside / "secret.txt")
    with pytest.raises(ToolError, match="symbolic link"):
        workspace.open(path)
    with pytest.raises(FileMoved):
        write_file(workspace, path, b"ours", expected=b"a")
    assert (outside / "secret.txt").read_text() == "secret"


def during(
    monkeypatch: pytest.MonkeyPatch, name: str, when: Callable[..., bool], act: Callable[[], None]
) -> list[bool]:
    """Do something once, just before a certain system call."""
    real = getattr(os, name)
    done: list[bool] = []

    def hooked(*args: Any, **kwargs: Any) -> Any:
        if not done and when(*args):
            done.append(True)
            act()
        return real(*args, **kwargs)

    monkeypatch.setattr(os, name, hooked)
    return done


def test_a_folder_swapped_while_it_is_walked_leads_nowhere(
    workspace: Workspace, root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outside / "b.txt").write_text("theirs")
    done = during(monkeypatch, "open", lambda path, *_: path == "sub", lambda: swap_folder(root, outside))
    with pytest.raises(FileMoved):
        write_file(workspace, "sub/b.txt", b"ours", expected=b"b")
    assert done
    assert (outside / "b.txt").read_text() == "theirs"


def test_a_folder_swapped_after_it_was_entered_does_not_move_the_write(
    workspace: Workspace, root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (outside / "b.txt").write_text("theirs")
    done = during(monkeypatch, "rename", lambda *_: True, lambda: swap_folder(root, outside))
    # The hook itself renames by pathlib, which calls the hooked function again: it is done by then.
    write_file(workspace, "sub/b.txt", b"ours", expected=b"b")
    assert done
    assert (outside / "b.txt").read_text() == "theirs"
    assert (root / "gone" / "b.txt").read_text() == "ours"


def test_a_file_that_appears_at_the_last_moment_is_not_overwritten(
    workspace: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = during(monkeypatch, "link", lambda *_: True, lambda: void((root / "n.txt").write_text("theirs")))
    with pytest.raises(FileMoved, match="created in the meantime"):
        write_file(workspace, "n.txt", b"ours", expected=None)
    assert done
    assert (root / "n.txt").read_text() == "theirs"
    assert leftovers(root) == []


def test_a_regular_file_swapped_for_a_pipe_before_opening_does_not_hang(
    workspace: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act() -> None:
        (root / "a.txt").unlink()
        os.mkfifo(root / "a.txt")

    done = during(monkeypatch, "open", lambda path, *_: path == "a.txt", act)
    with pytest.raises(ToolError, match="no regular file"):
        workspace.open("a.txt")
    assert done


def void(_: object) -> None:
    return None


def leftovers(root: Path) -> list[str]:
    return [name for _, _, files in os.walk(root) for name in files if name.endswith(".jetbox-tmp")]


def test_pipes_sockets_folders_and_devices_are_refused(workspace: Workspace, root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(root)
        try:
            listener.bind("sock")
        finally:
            os.chdir(here)
        for name in ("pipe", "sock"):
            with pytest.raises(ToolError, match="no regular file"):
                workspace.open(name)
            with pytest.raises(ToolError, match="no regular file"):
                write_file(workspace, name, b"", expected=b"")
    with pytest.raises(ToolError, match="list_dir"):
        workspace.open("sub")
    with pytest.raises(ToolError, match="no regular file"):
        workspace.open_outside(workspace.locate("/dev/zero"))


def test_missing_files_are_told(workspace: Workspace) -> None:
    assert workspace.status("nope") is None
    assert workspace.fingerprint("nope/deep") is None
    assert workspace.read("nope", LIMIT) is None
    with pytest.raises(ToolError, match="nope: there is no such file"):
        workspace.open("nope")
    with pytest.raises(ToolError, match="a part of the path is not a folder"):
        workspace.open("a.txt/x")
    with pytest.raises(ToolError, match="a part of the path is not a folder"):
        write_file(workspace, "a.txt/x", b"", expected=None)


def test_a_root_that_is_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no folder"):
        Workspace(tmp_path / "nope")


def test_large_files_are_not_read_whole(workspace: Workspace, root: Path) -> None:
    with (root / "large").open("wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(ToolError, match=r"too large: 200\.0 MB, at most 10\.0 MB"):
        workspace.read("large", LIMIT)


def test_sizes_in_words() -> None:
    sizes = (0, 999, 1000, 1500, 999_949, 10**6, 2 * 10**12, 10**16)
    assert [size_words(n) for n in sizes] == [
        "0 bytes", "999 bytes", "1.0 KB", "1.5 KB", "999.9 KB", "1.0 MB", "2.0 TB", "10000.0 TB",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".git",
        ".GIT/hooks/pre-commit",
        "sub/.git/config",
        "sub/.Git",
        ".jetbox/config.toml",
        "sub/.JETBOX/x",
        ".git./config",
        ".git /config",
        ".git::$INDEX_ALLOCATION/config",
        "git~1/config",
        ".g\u200cit/config",
    ],
)
def test_version_control_and_our_own_folder_are_never_written(workspace: Workspace, root: Path, path: str) -> None:
    with pytest.raises(ToolError, match="nothing below"):
        write_file(workspace, path, b"x", expected=None)
    assert sorted(os.listdir(root)) == ["a.txt", "sub"]


def test_version_control_is_not_written_through_links(workspace: Workspace, root: Path) -> None:
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("theirs")
    (root / "innocent").symlink_to(".git")
    with pytest.raises(ToolError, match="nothing below"):
        write_file(workspace, workspace.resolve("innocent/config"), b"x", expected=b"theirs")
    os.link(root / ".git" / "config", root / "hard")
    written = write_file(workspace, "hard", b"x", expected=b"theirs")
    assert written.unlinked
    assert (root / ".git" / "config").read_text() == "theirs"


def test_names_like_it_are_written(workspace: Workspace, root: Path) -> None:
    for name in (".gitignore", ".github/workflows/ci.yml", ".jetboxrc", "git/x", "x.git"):
        write_file(workspace, name, b"x", expected=None)
        assert (root / name).read_bytes() == b"x"


@pytest.mark.parametrize("name", ["con", "NUL.txt", "sub/Aux.py", "com1", "LPT9.log", "a.", "b "])
def test_names_that_windows_reserves_are_not_written(workspace: Workspace, name: str) -> None:
    with pytest.raises(ToolError, match="reserved on Windows"):
        write_file(workspace, name, b"x", expected=None)


def test_names_that_windows_reserves_are_changed_where_they_are(workspace: Workspace, root: Path) -> None:
    (root / "aux").mkdir()
    (root / "aux" / "con.c").write_text("x")
    write_file(workspace, "aux/con.c", b"y", expected=b"x")
    write_file(workspace, "aux/new.c", b"y", expected=None)
    with pytest.raises(ToolError, match="reserved on Windows"):
        write_file(workspace, "nul/new.c", b"y", expected=None)
    assert sorted(os.listdir(root / "aux")) == ["con.c", "new.c"]


def test_the_root_is_not_written(workspace: Workspace) -> None:
    with pytest.raises(ToolError, match="project folder itself"):
        write_file(workspace, ".", b"x", expected=None)


def test_folders_are_made_and_modes_kept(workspace: Workspace, root: Path) -> None:
    write_file(workspace, "x/y/z.txt", b"1", expected=None)
    assert (root / "x/y/z.txt").read_bytes() == b"1"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((root / "x/y/z.txt").stat().st_mode) == 0o666 & ~umask
    (root / "x/y/z.txt").chmod(0o750)
    written = write_file(workspace, "x/y/z.txt", b"22", expected=b"1")
    status = (root / "x/y/z.txt").stat()
    assert stat.S_IMODE(status.st_mode) == 0o750
    assert written.fingerprint == workspace.fingerprint("x/y/z.txt")
    assert not written.unlinked
    assert leftovers(root) == []


def test_a_hard_link_out_is_broken_instead_of_written_through(workspace: Workspace, root: Path, outside: Path) -> None:
    os.link(outside / "secret.txt", root / "linked.txt")
    written = write_file(workspace, "linked.txt", b"ours", expected=b"secret")
    assert written.unlinked
    assert (outside / "secret.txt").read_text() == "secret"
    assert (root / "linked.txt").read_text() == "ours"


@pytest.mark.parametrize("there", [None, b"A", b"a longer one"])
def test_a_file_that_is_not_as_expected_is_not_touched(workspace: Workspace, root: Path, there: bytes | None) -> None:
    (root / "a.txt").unlink() if there is None else (root / "a.txt").write_bytes(there)
    with pytest.raises(FileMoved):
        write_file(workspace, "a.txt", b"new", expected=b"a")
    assert ((root / "a.txt").read_bytes() if there is not None else None) == there
    with pytest.raises(FileMoved):
        write_file(workspace, "sub/b.txt", b"new", expected=None)


def test_a_mere_touch_does_not_hinder_a_write(workspace: Workspace, root: Path) -> None:
    os.utime(root / "a.txt", ns=(1, 1))
    write_file(workspace, "a.txt", b"new", expected=b"a")
    assert read(workspace, "a.txt") == b"new"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission denied"),
        (errno.EIO, "input/output error"),
    ],
)
def test_a_failing_disk_leaves_the_old_file_and_nothing_else(
    workspace: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    real = os.write
    calls: list[int] = []

    def failing(descriptor: int, data: bytes) -> int:
        calls.append(descriptor)
        if len(calls) == 1:
            return real(descriptor, data[:2])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "write", failing)
    with pytest.raises(ToolError, match=words):
        write_file(workspace, "a.txt", b"new content", expected=b"a")
    calls.clear()
    with pytest.raises(ToolError, match=words):
        write_file(workspace, "new.txt", b"new content", expected=None)
    assert (root / "a.txt").read_text() == "a"
    assert sorted(os.listdir(root)) == ["a.txt", "sub"]


def test_a_file_system_without_hard_links_is_written_all_the_same(
    workspace: Workspace, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(os, "link", link)
    write_file(workspace, "n.txt", b"x", expected=None)
    assert (root / "n.txt").read_bytes() == b"x"
    assert leftovers(root) == []


def test_a_written_source_loses_its_bytecode(workspace: Workspace, root: Path) -> None:
    cache = root / "__pycache__"
    cache.mkdir()
    stale = ["m.cpython-311.pyc", "m.cpython-311.opt-1.pyc", "m.cpython-311-pytest-8.4.2.pyc"]
    others = ["mm.cpython-311.pyc", "other.cpython-311.pyc", "m.txt"]
    for name in stale + others:
        (cache / name).write_bytes(b"")
    write_file(workspace, "m.py", b"x = 1\n", expected=None)
    assert sorted(os.listdir(cache)) == sorted(others)


def test_a_bytecode_folder_that_is_a_link_is_left_alone(workspace: Workspace, root: Path, outside: Path) -> None:
    (outside / "m.cpython-311.pyc").write_bytes(b"")
    (root / "__pycache__").symlink_to(outside)
    write_file(workspace, "m.py", b"x = 1\n", expected=None)
    assert (outside / "m.cpython-311.pyc").exists()


def test_no_descriptor_is_left_open(workspace: Workspace, root: Path, outside: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        for path in ("a.txt", "sub/b.txt", "nope", "sub", "sub/nope/x"):
            try:
                with workspace.open(path):
                    pass
            except ToolError:
                continue
        write_file(workspace, "d/e/f.txt", b"1", expected=None)
        (root / "d/e/f.txt").unlink()
        with pytest.raises(FileMoved):
            write_file(workspace, "a.txt", b"1", expected=b"2")
        with pytest.raises(ToolError):
            workspace.open_folder(workspace.locate("a.txt"))
    assert len(os.listdir("/proc/self/fd")) == before
