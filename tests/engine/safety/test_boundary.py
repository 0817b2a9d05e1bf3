"""Ways out of the sandbox, tried for real."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jetbox.engine.safety.choose import choose_sandbox
from jetbox.engine.safety.process import Finished, Limits, ProcessRunner
from jetbox.engine.safety.sandbox import Sandbox

Shell = Callable[..., asyncio.Future[Finished]]
LIMITS = Limits(120, 10_000)


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours outside the sandbox."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


async def test_the_workspace_and_the_private_folder_can_be_written(shell: Shell, workspace: Path) -> None:
    done = await shell('mkdir a && echo 1 > a/b && mv a/b c && echo 2 > "$TMPDIR/x" && echo 3 > ~/y && pwd')
    assert (done.code, done.output) == (0, f"{workspace}\n")
    assert (workspace / "c").read_text() == "1\n"


async def test_what_clears_temporary_files_away_does_not_find_the_workspace_among_them(
    shell: Shell, workspace: Path
) -> None:
    # As pytest does: of the folders of its runs it keeps the newest, and this workspace lies in one of an older run.
    assert workspace.is_relative_to(os.path.realpath(tempfile.gettempdir()))
    (workspace / "mine").touch()
    done = await shell('ls "$TMPDIR"; rm -rf "$TMPDIR"/*; ls')
    assert done.output == "mine\n"


@pytest.mark.parametrize("target", ["home", "parent", "etc", "usr", "dev", "link", "dots"])
async def test_nothing_outside_is_written(shell: Shell, workspace: Path, isolated: Path, target: str) -> None:
    (workspace / "link").symlink_to(isolated)
    place = {
        "home": isolated / "written",
        "parent": workspace.parent / "written",
        "etc": Path("/etc/jetbox-written"),
        "usr": Path("/usr/jetbox-written"),
        "dev": Path("/dev/jetbox-written"),
        "link": workspace / "link" / "written",
        "dots": workspace / ".." / "written",
    }[target]
    await shell('echo x > "$1"; mkdir -p "$1.d"; ln -s / "$1.l"', place)
    assert not any(os.path.lexists(f"{place}{end}") for end in ("", ".d", ".l"))


async def test_what_lies_outside_is_neither_changed_nor_removed_nor_renamed(
    shell: Shell, workspace: Path, isolated: Path
) -> None:
    theirs = isolated / "theirs"
    theirs.write_text("kept")
    theirs.chmod(0o666)
    done = await shell('echo x >> "$1"; rm -f "$1"; mv "$1" here; ln "$1" linked; truncate -s 0 "$1"; ls', theirs)
    assert theirs.read_text() == "kept"
    assert "here" not in os.listdir(workspace)
    assert "linked" not in os.listdir(workspace)
    assert done.state == "exited"


async def test_secrets_of_home_and_system_cannot_be_read(shell: Shell, workspace: Path, isolated: Path) -> None:
    key = isolated / ".ssh" / "id_ed25519"
    key.parent.mkdir()
    key.write_text("PRIVATE")
    (workspace / "key").symlink_to(key)
    (workspace.parent / "sibling").write_text("PRIVATE")
    done = await shell('cat "$1" key ../sibling; ls "$2" "$2/.ssh"', key, isolated)
    assert "PRIVATE" not in done.output
    assert "id_ed25519\n" not in done.output
    shadow = await shell("cat /etc/shadow /etc/gshadow 2>/dev/null")
    assert shadow.total_bytes == 0


async def test_the_system_and_the_interpreter_can_be_read(shell: Shell) -> None:
    done = await shell(
        'cat /etc/passwd >/dev/null && "$1" -c "import json, ssl, sqlite3; print(json.dumps(1))"', sys.executable
    )
    assert (done.code, done.output) == (0, "1\n")


async def test_the_environment_of_other_processes_cannot_be_read(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    process = await asyncio.create_subprocess_exec(
        "sleep", "60", env={"MARK": "visible-secret", "PATH": os.environ["PATH"]}
    )
    try:
        done = await shell('cat "/proc/$1/environ" "/proc/$1/root/etc/hostname" /proc/*/environ', process.pid)
        assert "visible-secret" not in done.output
    finally:
        process.kill()
        await process.wait()


async def test_our_processes_can_be_neither_killed_nor_traced(shell: Shell, victim: subprocess.Popen[bytes]) -> None:
    trace = "import ctypes,sys; print('traced', ctypes.CDLL(None).ptrace(16, int(sys.argv[1]), 0, 0))"
    done = await shell(
        'kill -9 "$1"; kill -9 "$3"; "$2" -c "$4" "$1"; : > "/proc/$1/mem"',
        victim.pid,
        sys.executable,
        os.getppid(),
        trace,
    )
    assert victim.poll() is None
    assert "traced -1" in done.output


async def test_a_server_on_this_machine_cannot_be_reached(shell: Shell) -> None:
    code = "import socket,sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5); print('conn' + 'ected')"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        done = await shell('"$1" -c "$2" "$3"', sys.executable, code, server.getsockname()[1])
        assert "connected" not in done.output
        assert done.code == 1
        with pytest.raises(BlockingIOError):
            server.accept()


async def test_an_abstract_socket_of_ours_cannot_be_reached(shell: Shell) -> None:
    name = f"jetbox-test-{os.getpid()}"
    code = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect('\\0'+sys.argv[1]); print('conn' + 'ected')"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{name}")
        server.listen()
        done = await shell('"$1" -c "$2" "$3"', sys.executable, code, name)
    assert "connected" not in done.output


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_the_network_can_be_allowed(workspace: Path, name: str) -> None:
    sandbox = await choose_sandbox(workspace, enabled=True, network=True, prefer=name)
    code = "import socket,sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 5); print('connected')"
    with socket.create_server(("127.0.0.1", 0)) as server:
        words = [sys.executable, "-c", code, str(server.getsockname()[1])]
        done = await ProcessRunner(sandbox, workspace).run(words, limits=LIMITS)
    await sandbox.close()
    assert done.output == "connected\n"
    assert any("network" in gap for gap in sandbox.cannot)


async def test_loopback_works_inside_bubblewrap(workspace: Path) -> None:
    sandbox = await choose_sandbox(workspace, enabled=True, network=False, prefer="bubblewrap")
    code = (
        "import socket as s; h = s.create_server(('127.0.0.1', 0)); s.create_connection(h.getsockname()); print('yes')"
    )
    done = await ProcessRunner(sandbox, workspace).run([sys.executable, "-c", code], limits=LIMITS)
    await sandbox.close()
    assert done.output == "yes\n"


async def test_git_is_read_only_where_the_sandbox_can_say_so(shell: Shell, sandbox: Sandbox, workspace: Path) -> None:
    done = await shell("cat .git/HEAD; echo x > .git/hook; rm -rf .git; mv .git moved; ls -a")
    assert "refs/heads/main" in done.output
    if sandbox.name == "bubblewrap":
        assert sorted(os.listdir(workspace)) == [".git"]
        assert os.listdir(workspace / ".git") == ["HEAD"]
    else:
        assert any(".git" in gap for gap in sandbox.cannot)


async def test_what_is_read_only_cannot_be_mounted_again(shell: Shell, sandbox: Sandbox, workspace: Path) -> None:
    remount = 'mount -o remount,rw,bind "$PWD/.git" && echo remounted; umount -l "$PWD/.git" && echo unmounted'
    done = await shell(f"{remount}; unshare -Urm sh -c '{remount}; echo x > .git/written'; echo end")
    assert "mounted\n" not in done.output
    assert done.output.endswith("end\n")
    if sandbox.name == "bubblewrap":
        assert os.listdir(workspace / ".git") == ["HEAD"]


async def test_settings_of_the_kernel_cannot_be_changed(shell: Shell) -> None:
    # One that belongs to the whole machine: its own value is written, so that a hole does no harm.
    setting = Path("/proc/sys/kernel/printk_ratelimit")
    value = setting.read_text().strip()
    done = await shell(f"echo {value} > {setting} && echo written; (: > /proc/sysrq-trigger) && echo opened; echo end")
    assert "written" not in done.output
    assert "opened" not in done.output
    assert done.output.endswith("end\n")


async def test_a_set_of_tools_works(shell: Shell, workspace: Path) -> None:
    (workspace / "test_it.py").write_text("import multiprocessing\ndef test(): multiprocessing.Queue().put(1)\n")
    done = await shell(
        "export PYTEST_DISABLE_PLUGIN_AUTOLOAD=1; "
        '"$1" -m pytest -q -p no:cacheprovider test_it.py && "$1" -m ruff check --select F . && git --version',
        sys.executable,
    )
    assert done.code == 0, done.output
    assert not (workspace / ".ruff_cache").exists()


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_a_workspace_that_is_a_link_is_seen_at_its_real_place(workspace: Path, tmp_path: Path, name: str) -> None:
    link = tmp_path / "link"
    link.symlink_to(workspace)
    sandbox = await choose_sandbox(link, enabled=True, network=False, prefer=name)
    done = await ProcessRunner(sandbox, link).run(["sh", "-c", "pwd; echo 1 > made"], limits=LIMITS)
    await sandbox.close()
    assert (sandbox.name, done.output) == (name, f"{workspace}\n")
    assert (workspace / "made").exists()


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_a_workspace_in_the_home_folder_opens_nothing_beside_it(isolated: Path, name: str) -> None:
    root = isolated / "code" / "project"
    root.mkdir(parents=True)
    (isolated / "diary").write_text("PRIVATE")
    (isolated / "code" / "other").write_text("PRIVATE")
    sandbox = await choose_sandbox(root, enabled=True, network=False, prefer=name)
    done = await ProcessRunner(sandbox, root).run(
        ["sh", "-c", "echo 1 > made; cat ../other ../../diary"], limits=LIMITS
    )
    await sandbox.close()
    assert sandbox.name == name
    assert (root / "made").exists()
    assert "PRIVATE" not in done.output


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_a_virtual_environment_elsewhere_works_and_a_false_one_opens_nothing(
    workspace: Path, isolated: Path, name: str
) -> None:
    environment = isolated / "envs" / "mine"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    (workspace / ".venv").symlink_to(environment)
    documents = isolated / "documents"
    documents.mkdir()
    (documents / "letter").write_text("PRIVATE")
    (documents / "pyvenv.cfg").write_text(f"home = {isolated}/bin\n")
    (workspace / "venv").symlink_to(documents)
    sandbox = await choose_sandbox(workspace, enabled=True, network=False, prefer=name)
    line = ".venv/bin/python -c 'import sys; print(sys.prefix)'; cat venv/letter"
    done = await ProcessRunner(sandbox, workspace).run(["sh", "-c", line], limits=LIMITS)
    await sandbox.close()
    assert done.output.startswith(f"{workspace}/.venv\n")
    assert "PRIVATE" not in done.output


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_a_link_among_the_configuration_above_opens_nothing(isolated: Path, name: str) -> None:
    repository = isolated / "src" / "repository"
    root = repository / "package"
    root.mkdir(parents=True)
    (isolated / "diary").write_text("PRIVATE")
    (repository / "pyproject.toml").write_text("[project]\n")
    (repository / "setup.cfg").symlink_to(isolated / "diary")
    sandbox = await choose_sandbox(root, enabled=True, network=False, prefer=name)
    line = "cat ../pyproject.toml ../setup.cfg ../../../diary"
    done = await ProcessRunner(sandbox, root).run(["sh", "-c", line], limits=LIMITS)
    await sandbox.close()
    assert sandbox.name == name
    assert done.output.startswith("[project]\n")
    assert "PRIVATE" not in done.output


async def test_what_is_cleared_away_where_a_file_was_mounted_is_nothing_that_a_link_leads_to(
    workspace: Path, tmp_path: Path
) -> None:
    opened, mine = tmp_path / "opened", tmp_path / "mine"
    for folder in (opened, mine):
        folder.mkdir()
        (folder / "data").touch()
    sandbox = await choose_sandbox(
        workspace, enabled=True, network=False, readable=[opened / "data"], prefer="bubblewrap"
    )
    runner = ProcessRunner(sandbox, workspace)
    line = ["sh", "-c", 'mv "$1" "$1.before" && ln -s "$2" "$1"; ls -l "$1"', "sh", str(opened), str(mine)]
    done = await runner.run(line, limits=LIMITS)
    assert done.output.rstrip().endswith(f"-> {mine}")
    (opened / "data").unlink()
    await runner.run(["true"], limits=LIMITS)
    await sandbox.close()
    assert (mine / "data").exists()


@pytest.mark.parametrize("name", ["bubblewrap", "landlock"])
async def test_a_folder_can_be_made_readable(workspace: Path, tmp_path: Path, name: str) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "data").write_text("read me")
    sandbox = await choose_sandbox(workspace, enabled=True, network=False, readable=[shared], prefer=name)
    line = ["sh", "-c", 'cat "$1/data"; echo x > "$1/data"', "sh", str(shared)]
    done = await ProcessRunner(sandbox, workspace).run(line, limits=LIMITS)
    await sandbox.close()
    assert done.output.startswith("read me")
    assert (shared / "data").read_text() == "read me"


async def test_the_private_folder_is_deleted_whatever_lies_in_it(sandbox: Sandbox, workspace: Path) -> None:
    runner = ProcessRunner(sandbox, workspace)
    line = 'mkdir -p "$TMPDIR/d/e" && touch "$TMPDIR/d/e/f" && chmod 000 "$TMPDIR/d/e" "$TMPDIR/d" && echo "$TMPDIR"'
    folder = Path((await runner.run(["sh", "-c", line], limits=LIMITS)).output.strip())
    assert folder.is_dir()
    await sandbox.close()
    await sandbox.close()
    assert not folder.parent.exists()
