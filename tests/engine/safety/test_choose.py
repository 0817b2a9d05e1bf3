"""Which sandbox is chosen, and that only one that holds is."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jetbox.engine.probes.configuration import OF_PYTEST, OF_RUFF
from jetbox.engine.safety.choose import choose_sandbox, trial
from jetbox.engine.safety.private import PrivateFolder
from jetbox.engine.safety.process import Limits, ProcessRunner
from jetbox.engine.safety.readable import (
    PROJECT,
    Readable,
    folders_of_interpreter,
    project_above,
    secrets_in,
    without,
)
from jetbox.engine.safety.sandbox import Launch
from jetbox.engine.safety.seatbelt import profile
from jetbox.engine.safety.unconfined import NoSandbox
from jetbox.engine.workspace.ignore import IgnoreRules

linux = pytest.mark.skipif(sys.platform != "linux", reason="another operating system")


async def choose(root: Path, **options: object) -> tuple[str, tuple[str, ...], bool]:
    sandbox = await choose_sandbox(root, **{"enabled": True, "network": False, **options})  # type: ignore[arg-type]
    await sandbox.close()
    return sandbox.name, sandbox.cannot, sandbox.confines


@linux
async def test_bubblewrap_comes_first_and_keeps_everything(workspace: Path) -> None:
    assert await choose(workspace) == ("bubblewrap", (), True)


@linux
async def test_without_bubblewrap_landlock_holds_and_says_what_it_cannot(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    name, cannot, confines = await choose(workspace)
    assert (name, confines) == ("landlock", True)
    assert any(".git" in gap for gap in cannot)


@linux
async def test_a_bubblewrap_that_fails_is_passed_over(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, body in (("fails", "exit 1"), ("pretends", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')):
        program = tmp_path / name / "bwrap"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\n{body}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        assert (await choose(workspace))[0] == "landlock"


@linux
async def test_a_program_of_the_workspace_never_stands_in_for_the_sandbox(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = workspace / "bwrap"
    program.write_text("#!/bin/sh\n: > ran\n")
    program.chmod(0o755)
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("PATH", f".::{workspace}:/usr/bin:/bin")
    assert (await choose(workspace))[0] == "bubblewrap"
    assert not (workspace / "ran").exists()


@linux
async def test_where_nothing_works_the_reasons_are_said(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("jetbox.engine.safety.supervisor.landlock_version", lambda: 0)
    name, cannot, confines = await choose(workspace)
    assert (name, confines) == ("none", False)
    assert "bubblewrap: bwrap is not installed" in cannot
    assert "landlock: this kernel does not offer it" in cannot


async def test_turned_off_is_none(workspace: Path) -> None:
    assert await choose(workspace, enabled=False) == ("none", NoSandbox().cannot, False)


async def test_what_does_not_confine_fails_the_trial(workspace: Path) -> None:
    private = PrivateFolder.create(workspace)
    marks: list[str] = []

    class Open:
        name, confines, cannot, readable = "open", True, (), ()

        def wrap(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Launch:
            marks.append(argv[-1])
            return Launch(tuple(argv), {**env, **private.environment()}, str(cwd))

        async def close(self) -> None:
            return

    assert await trial(Open(), workspace, private) == "it does not confine here"  # type: ignore[arg-type]
    assert all(IgnoreRules(workspace).ignored(mark) for mark in marks), "whoever watches the files does not see it"
    assert marks
    private.delete()


@linux
@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_a_folder_that_is_opened_may_hold_the_private_one(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    chosen, _, _ = await choose(workspace, readable=[tmp_path], prefer=name)
    assert chosen == name
    for folder in ("/", "/etc", "/dev", "/proc", "/tmp"):
        chosen, _, _ = await choose(workspace, readable=[Path(folder)], prefer=name)
        assert chosen == name, f"{folder} can be opened"


@linux
async def test_a_workspace_that_holds_the_home_folder_is_told(isolated: Path) -> None:
    _, cannot, _ = await choose(isolated)
    assert any("home folder" in gap for gap in cannot)


@linux
@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_the_folder_of_temporary_files_can_be_the_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sandbox = await choose_sandbox(tmp_path, enabled=True, network=False, prefer=name)
    done = await ProcessRunner(sandbox, tmp_path).run(
        ["sh", "-c", "echo 1 > made; echo $TMPDIR"], limits=Limits(120, 999)
    )
    await sandbox.close()
    assert sandbox.name == name
    assert (tmp_path / "made").exists()
    assert not done.output.startswith(str(tmp_path) + "/")


def test_the_private_folder_of_a_dead_owner_is_swept_and_that_of_a_living_one_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    living = PrivateFolder.create(workspace)
    dead = PrivateFolder.create(workspace)
    (dead.tmp / "left").write_text("x")
    os.close(dead._lock)
    stranger = tmp_path / "jetbox-box-stranger"
    stranger.mkdir()
    another = PrivateFolder.create(workspace)
    assert (living.path.exists(), dead.path.exists(), stranger.exists()) == (True, False, True)
    assert {living.path.stat().st_mode & 0o777, another.tmp.stat().st_mode & 0o777} == {0o700}
    living.delete()
    another.delete()


def test_what_comes_back_while_a_private_folder_is_deleted_is_swept_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ended, rmdir = PrivateFolder.create(workspace), os.rmdir

    def late(path: str, **options: Any) -> None:
        """What is being killed makes a folder behind the back of who deletes them."""
        rmdir(path, **options)
        if str(path).endswith("shared"):
            ended.shared.mkdir()

    monkeypatch.setattr("os.rmdir", late)
    ended.delete()
    monkeypatch.setattr("os.rmdir", rmdir)
    assert ended.path.exists()
    another = PrivateFolder.create(workspace)
    assert not ended.path.exists()
    another.delete()


def test_sessions_that_start_at_once_take_no_folder_of_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workspace: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def start(_: int) -> bool:
        private = PrivateFolder.create(workspace)
        try:
            return (private.path / "lock").exists() and private.tmp.is_dir()
        finally:
            private.delete()

    with ThreadPoolExecutor(8) as sessions:
        assert all(sessions.map(start, range(1000)))
    assert not list(tmp_path.glob("jetbox-box-*"))


def test_toolchains_are_readable_and_the_home_folder_is_not(isolated: Path, workspace: Path) -> None:
    for name in (".nvm/versions/node/v20/bin", ".nvm/versions/node/v20/lib", ".cargo/bin", "bin", ".local/bin",
                 ".local/lib", ".pyenv/shims", "work/tool/bin"):  # fmt: skip
        (isolated / name).mkdir(parents=True)
    wanted = [
        ".nvm/versions/node/v20/bin",
        ".cargo/bin",
        "bin",
        ".local/bin",
        ".pyenv/shims",
        "work/tool/bin",
        "absent/bin",
    ]
    environ = {"HOME": str(isolated), "PATH": os.pathsep.join(str(isolated / name) for name in wanted) + ":relative"}
    found = {str(p.relative_to(isolated)) for p in Readable(workspace, environ).now() if p.is_relative_to(isolated)}
    inside = {".nvm/versions/node/v20", ".cargo/bin", "bin", ".local/bin", ".pyenv", "work/tool/bin"}
    assert inside <= found
    assert found <= inside | set(wanted)


def test_of_an_interpreter_that_is_named_its_environment_is_readable_and_nothing_else(
    isolated: Path, workspace: Path
) -> None:
    environ = {"HOME": str(isolated)}
    for name in ("env", "documents", "."):
        (isolated / name).mkdir(exist_ok=True)
        (isolated / name / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\n" if name != "documents" else "")
    assert isolated / "env" in folders_of_interpreter("~/env/bin/python", workspace, environ)
    assert folders_of_interpreter("~/documents/bin/python", workspace, environ) == []
    assert isolated not in folders_of_interpreter("~/bin/python", workspace, environ)
    assert folders_of_interpreter("", workspace, environ) == []
    for nobody in ("~nobody-of-this-name/env/bin/python", "a\0b/bin/python"):
        assert folders_of_interpreter(nobody, workspace, environ) == []


def test_of_a_folder_that_holds_other_things_an_interpreter_opens_only_what_it_needs(
    isolated: Path, workspace: Path
) -> None:
    environ = {"HOME": str(isolated), "PATH": ""}
    local, apart = isolated / ".local", isolated / ".local" / "share" / "uv" / "python" / "cpython"
    for prefix in (local, apart):
        (prefix / "lib" / "python3.11").mkdir(parents=True)
        (prefix / "lib" / "python3.11" / "os.py").touch()
        (prefix / "bin").mkdir()
        (prefix / "bin" / "python3.11").touch()
    (local / "share" / "keyrings").mkdir()
    (local / "lib" / "libpython3.11.so").touch()
    (local / "bin" / "python").symlink_to(apart / "bin" / "python3.11")
    parts = {local / "bin", local / "lib" / "python3.11", local / "lib" / "libpython3.11.so"}
    assert set(folders_of_interpreter("~/.local/bin/python3.11", workspace, environ)) == {*parts, apart}
    (local / "lib" / "python3.11" / "os.py").unlink()
    assert set(folders_of_interpreter("~/.local/bin/python", workspace, environ)) == {local / "bin", apart}
    assert folders_of_interpreter(str(apart / "bin" / "python3.11"), workspace, environ) == [apart]
    # One that was made in the home folder itself, or is the active one.
    (isolated / "pyvenv.cfg").write_text(f"home = {apart}/bin\n")
    (isolated / "lib").symlink_to(apart / "lib")
    found = Readable(workspace, {**environ, "VIRTUAL_ENV": str(isolated)}).now()
    assert isolated / "pyvenv.cfg" in found
    assert apart in found
    assert not any((local / "share" / "keyrings").is_relative_to(folder) for folder in found)


def test_what_the_system_keeps_from_others_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    for name, mode in (("open", 0o644), ("shut", 0o640), ("a/open", 0o644), ("a/shut", 0o600), ("a/b/open", 0o644)):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(mode)
    hidden = set(secrets_in(str(tmp_path)))
    assert hidden == {f"{tmp_path}/shut", f"{tmp_path}/a/shut"}
    assert set(without(str(tmp_path), hidden)) == {f"{tmp_path}/open", f"{tmp_path}/a/open", f"{tmp_path}/a/b"}
    assert list(without("/folder", [])) == ["/folder"]


def test_the_profile_of_macos_guards_git_after_it_opened_the_workspace() -> None:
    text = profile(Path('/Users/me/a "b"'), [Path("/private/tmp/x")], [Path("/opt/py")], network=False)
    assert text.startswith("(version 1)\n(deny default)")
    assert text.count("(") == text.count(")")
    assert r'(subpath "/Users/me/a \"b\"")' in text
    assert text.index("(allow file-write* ") < text.index(r'(deny file-write* (subpath "/Users/me/a \"b\"/.git")')
    assert "(allow network* system-socket)" not in text
    assert "(allow network* system-socket)" in profile(Path("/w"), [], [], network=True)


@linux
async def test_a_start_is_cheap(workspace: Path) -> None:
    sandbox = await choose_sandbox(workspace, enabled=True, network=False)
    runner = ProcessRunner(sandbox, workspace)
    limits = Limits(120, 1000, memory=4 * 1024**3)
    times: list[float] = []
    for _ in range(9):
        # Of the processor's time, which is no longer where others want it too.
        before = sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        await runner.run(["/bin/true"], limits=limits)
        times.append(sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before)
    await sandbox.close()
    assert 0 < min(times) < 0.1


def test_all_that_the_probes_are_configured_by_makes_a_project() -> None:
    assert OF_RUFF | OF_PYTEST | {"setup.py"} <= set(PROJECT)


def test_the_project_above_a_workspace_is_readable_and_no_more(tmp_path: Path) -> None:
    home = tmp_path / "home"
    workspace = home / "code" / "project" / "parts" / "one"
    workspace.mkdir(parents=True)
    assert project_above(workspace, home) is None
    (home / "code" / "project" / "parts" / "ruff.toml").touch()
    assert project_above(workspace, home) == home / "code" / "project" / "parts"
    (home / "code" / "project" / ".git").mkdir()
    assert project_above(workspace, home) == home / "code" / "project"
    (home / ".git").mkdir()
    assert project_above(workspace, home) == home / "code" / "project", "never the home folder"
    os.chmod(home / "code" / "project", 0o777)
    assert project_above(workspace, home) == home / "code" / "project" / "parts", "nor one that all write to"
