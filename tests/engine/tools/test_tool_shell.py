from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.moving import Clock
from jetbox.engine.errors import ToolError
from jetbox.engine.tools import shell
from jetbox.engine.tools.command_scope import command_scope
from jetbox.engine.tools.shell import command_environment


async def test_a_string_goes_through_a_shell_and_a_list_does_not(bench: Any) -> None:
    result = await bench.call("run_cmd", command="echo one; echo two >&2 | cat")
    assert (result.text, result.ok) == ("exit code 0\none\ntwo", True)
    assert await bench.text("run_cmd", command=["echo", "a; b", "$HOME", "*"]) == "exit code 0\na; b $HOME *"
    assert await bench.text("run_cmd", command=["echo one two"]) == "exit code 0\none two"
    assert "".join(bench.output).split() == ["one", "two", "a;", "b", "$HOME", "*", "one", "two"]


async def test_files_are_looked_at_and_compared_beside_the_loop(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    where: dict[str, set[int]] = {"sweep": set(), "changes": set()}

    def noted(name: str) -> Callable[..., Any]:
        real = getattr(shell, name)

        def work(*given: Any) -> Any:
            where[name].add(threading.get_ident())
            return real(*given)

        return work

    for name in where:
        monkeypatch.setattr(shell, name, noted(name))
    result = await bench.call("run_cmd", command="echo x > made.txt")
    assert [(change.path, change.kind) for change in result.changes] == [("made.txt", "created")]
    assert "[files changed: made.txt]" in result.text
    assert all(threads and threading.get_ident() not in threads for threads in where.values())


async def test_the_plan_says_what_would_be_run(bench: Any) -> None:
    plan = await bench.plan("run_cmd", command=["git", "commit", "-m", "a b"])
    assert (plan.kind, plan.title, plan.scope, plan.confined) == (
        "command", "run_cmd git commit -m 'a b'", "run_cmd git commit", False,
    )  # fmt: skip
    plan = await bench.plan("run_cmd", command="cat <<E\nhi\nE")
    assert (plan.title, plan.diff) == ("run_cmd cat <<E ...", "cat <<E\nhi\nE")
    for command in ("", "  \n"):
        with pytest.raises(ToolError, match="command is empty"):
            await bench.plan("run_cmd", command=command)
    assert bench.tools["run_cmd"].access({"command": "ls"}, bench.context).barrier


async def test_how_a_command_ended_is_told(make_bench: Callable[..., Any], clock: Clock) -> None:
    bench = make_bench(command_s=120.0)
    failed = await bench.call("run_cmd", command="echo no; exit 3")
    assert (failed.text, failed.ok) == ("exit code 3\nno", False)
    assert await bench.text("run_cmd", command="true") == "exit code 0\n[no output]"
    assert "ended by SIGKILL" in await bench.text("run_cmd", command="kill -9 $$")
    missing = await bench.call("run_cmd", command=["no-such-program"])
    assert (missing.text, missing.ok) == ("not run\nno-such-program: there is no such program on PATH", False)
    bench.hear = clock.once(100)
    late = await bench.call("run_cmd", command="echo begun; sleep 600", timeout=100)
    assert not late.ok
    assert late.text.startswith("stopped after 100 s: it had not ended")
    assert late.text.endswith("begun")


async def test_the_user_s_limit_is_the_longest(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(command_s=1.0)
    assert (await bench.text("run_cmd", command="sleep 600", timeout=9999)).startswith("stopped after 1 s")


async def test_head_and_tail_of_long_output(make_bench: Callable[..., Any]) -> None:
    bench = make_bench(output_bytes=1000)
    text = await bench.text("run_cmd", command="seq 1 100000")
    assert len(text) < 1200
    assert "\n1\n2\n" in text
    assert text.endswith("100000")


async def test_what_a_command_changed_is_found(bench: Any) -> None:
    bench.write("same.txt", "1\n")
    bench.write("changed.txt", "1\n")
    bench.write("gone.txt", "1\n")
    bench.write("node_modules/x.js", "1\n")
    await bench.call("read_file", path="gone.txt")
    command = "echo 2 > changed.txt; rm gone.txt; mkdir d; echo 1 > d/new.txt; echo 2 > node_modules/x.js; cat same.txt"
    result = await bench.call("run_cmd", command=command)
    assert [(c.path, c.kind) for c in result.changes] == [
        ("changed.txt", "modified"), ("d/new.txt", "created"), ("gone.txt", "deleted"),
    ]  # fmt: skip
    assert result.text.endswith("[files changed: changed.txt, d/new.txt, gone.txt]")
    await bench.call("write_file", path="gone.txt", content="again\n")
    assert (await bench.call("run_cmd", command="cat same.txt")).changes == ()


async def test_a_same_sized_change_in_the_same_instant_is_found(bench: Any) -> None:
    path = bench.write("a.txt", "1\n")
    os.utime(path, ns=(5, 5))
    result = await bench.call("run_cmd", command="echo 2 > b.txt && touch -d @0.000000005 b.txt && mv b.txt a.txt")
    assert [(c.path, c.kind) for c in result.changes] == [("a.txt", "modified")]
    result = await bench.call("run_cmd", command="echo 3 > a.txt && touch -d @0.000000005 a.txt")
    assert [(c.path, c.kind) for c in result.changes] == [("a.txt", "modified")]


async def test_a_file_that_gets_another_name_is_as_it_was(bench: Any) -> None:
    bench.write("a.txt", "1\n")
    result = await bench.call("run_cmd", command="ln a.txt b.txt")
    assert [(c.path, c.kind) for c in result.changes] == [("b.txt", "created")]
    result = await bench.call("run_cmd", command="echo 2 > b.txt")
    assert [(c.path, c.kind) for c in result.changes] == [("a.txt", "modified"), ("b.txt", "modified")]


async def test_a_change_of_version_control_is_told(bench: Any) -> None:
    subprocess.run(["git", "init", "-q", str(bench.root)], check=True)
    text = await bench.text("run_cmd", command="echo x > .git/hooks/pre-commit; echo '[alias]' >> .git/config")
    assert text.endswith("[.git changed: config, hooks, hooks/pre-commit]")


async def test_where_a_command_runs(bench: Any) -> None:
    bench.write("sub/a.txt", "")
    assert await bench.text("run_cmd", command="ls", cwd="sub") == "exit code 0\na.txt"
    with pytest.raises(ToolError, match="cwd nope is no folder"):
        await bench.plan("run_cmd", command="ls", cwd="nope")
    with pytest.raises(ToolError, match="outside"):
        await bench.plan("run_cmd", command="ls", cwd="..")


async def test_plain_pytest_finds_the_package_as_the_probe_does(bench: Any) -> None:
    bench.write("mathx/__init__.py", "def add(a, b):\n    return a + b\n")
    bench.write("tests/test_mathx.py", "from mathx import add\n\n\ndef test_add():\n    assert add(1, 2) == 3\n")
    result = await bench.call("run_cmd", command="PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 pytest -q -p no:cacheprovider")
    assert result.ok, result.text
    assert "1 passed" in result.text


def test_the_workspace_s_programs_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    own = os.path.dirname(sys.executable)
    assert command_environment(tmp_path, ())["PATH"].split(":")[0] == own
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", "/usr/bin:relative:/bin:/usr/bin")
    assert command_environment(tmp_path, ())["PATH"] == f"{tmp_path}/.venv/bin:/usr/bin:/bin"
    assert command_environment(tmp_path, ("PATH", "PYTHONPATH")) == {}


async def test_the_configured_interpreter_is_the_one_of_commands_too(bench: Any, tmp_path: Path) -> None:
    """A command that says `python` or `pytest` must not judge with another one than the probe."""
    environment = tmp_path / "env" / "bin"
    environment.mkdir(parents=True)
    (environment / "python").write_text("#!/bin/sh\necho the configured one\n")
    (environment / "python").chmod(0o755)
    bench.write(".venv/bin/python", "#!/bin/sh\necho another\n").chmod(0o755)
    assert "another" in await bench.text("run_cmd", command="python")
    for configured in (str(environment / "python"), "../env/bin/python"):
        bench.context.python = configured
        assert "the configured one" in await bench.text("run_cmd", command="python")


async def test_a_cancelled_command_is_gone(bench: Any) -> None:
    started = asyncio.Event()
    pids: list[int] = []

    def output(text: str) -> None:
        pids.append(int(text))
        started.set()

    plan = await bench.tools["run_cmd"].plan({"command": "echo $$; exec sleep 600"}, bench.context, output)
    task = asyncio.create_task(plan.perform())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], signal.SIG_DFL)


@pytest.mark.parametrize(
    ("command", "scope"),
    [
        ("pytest", "pytest"),
        ("pytest -q tests/test_a.py -k 'a or b'", "pytest"),
        (["pytest", "-q"], "pytest"),
        ("git status", "git status"),
        ("git -C .. status", "git -C .. status"),
        ("git status && rm -rf /", "git status && rm -rf /"),
        ("git status; ls", "git status; ls"),
        ("git status\nls", "git status\nls"),
        ("ls $(rm x)", "ls $(rm x)"),
        ("ls > x", "ls > x"),
        ("ls *", "ls *"),
        ("python -m pytest -q", "python -m pytest"),
        ("python3.12 -m ruff check .", "python3.12 -m ruff"),
        ("python x.py", "python x.py"),
        ("python -c 'print(1)'", "python -c 'print(1)'"),
        ("sh -c ls", "sh -c ls"),
        ("env A=1 ls", "env A=1 ls"),
        ("A=1 pytest", "A=1 pytest"),
        ("./pytest", "./pytest"),
        ("/usr/bin/git status", "/usr/bin/git status"),
        ("npm run build", "npm run build"),
        ("uv run x.py", "uv run x.py"),
        ("ruff check .", "ruff check"),
        ("ruff", "ruff"),
        ("echo 'unbalanced", "echo 'unbalanced"),
        (["rm", "-rf", "a b"], "rm"),
        (["bash", "-c", "x; y"], "bash -c 'x; y'"),
    ],
)
def test_scopes(command: str | list[str], scope: str) -> None:
    assert command_scope(command) == scope


async def test_finish(bench: Any) -> None:
    result = await bench.call("finish", summary="added mathx\nand tests")
    assert (result.text, result.finished, result.ok) == ("added mathx\nand tests", True, True)
    plan = await bench.plan("finish")
    assert (plan.kind, plan.title) == ("none", "finish")
    assert (await plan.perform()).text == "done"
    assert bench.tools["finish"].access({}, bench.context).barrier
