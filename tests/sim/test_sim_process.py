"""The process: how it starts, says where it is, and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest

from jetbox.sim.launch import LaunchError, ServerProcess, launch
from jetbox.sim.server import StartError, _bind, _listen, _unheard

COMMAND = [sys.executable, "-P", "-m", "jetbox.sim"]


async def test_launch_starts_and_stops() -> None:
    server = await launch(speed=0, scripts=["mathx"])
    assert server.url.startswith("http://127.0.0.1:")
    os.kill(server.pid, 0)
    await server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)
    await server.stop()


async def test_launch_tells_why_it_failed() -> None:
    with pytest.raises(LaunchError, match="no script 'matx'"):
        await launch(scripts=["matx"])
    with pytest.raises(LaunchError, match="no profile 'Z'"):
        ServerProcess(profile="Z")


def test_a_taken_port_is_one_line(client: Any) -> None:
    port = client.server.url.rpartition(":")[2]
    done = subprocess.run([*COMMAND, "--port", port], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr


@pytest.mark.parametrize("words", [["--fault", "explode"], ["--script", "no.toml"], ["--speed", "-1"], ["--prot", "1"]])
def test_wrong_options_are_usage_errors(words: list[str]) -> None:
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert done.stderr


def test_the_address_goes_to_standard_output_and_the_descriptor() -> None:
    read, write = os.pipe()
    with subprocess.Popen([*COMMAND, "--ready-fd", str(write)], pass_fds=[write], stdout=subprocess.PIPE) as process:
        os.close(write)
        with open(read, "rb") as told:
            line = told.read()
        assert process.stdout is not None
        assert process.stdout.readline() == line
        assert line.startswith(b"http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


def test_it_ends_when_the_pipe_on_its_input_closes() -> None:
    server = ServerProcess(speed=0)
    with server:
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.process.wait(60) == 0


def test_it_ends_when_the_parent_dies() -> None:
    code = (
        "import subprocess, sys, os\n"
        "p = subprocess.Popen([sys.executable, '-P', '-m', 'jetbox.sim', '--die-with-parent'], stdin=-3)\n"
        "sys.stdin.readline(); os.kill(os.getpid(), 9)\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith(b"http://")
        parent.stdin.write(b"\n")
        parent.stdin.close()
        assert parent.stdout.read() == b""


def test_a_folder_named_like_the_package_is_not_run(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jetbox").mkdir()
    (tmp_path / "jetbox" / "__init__.py").write_text("raise SystemExit('theirs')")
    monkeypatch.chdir(tmp_path)
    with ServerProcess(speed=0) as server:
        assert server.stats()["requests"] == 1


def test_simulate_is_the_same_server() -> None:
    from click.testing import CliRunner

    from jetbox.cli.simulate import simulate

    result = CliRunner().invoke(simulate, ["--help"])
    assert result.exit_code == 0
    for word in ("jetbox-tui simulate", "--script", "gpt-oss:20b", "cut[@R[:N]]", "100%", "mathx"):
        assert (word in result.output) is (word != "100%")
    assert CliRunner().invoke(simulate, ["--port", "many"]).exit_code == 2


def test_it_imports_nothing_else_of_ours_and_no_event_loop() -> None:
    code = (
        "import sys, jetbox.sim.__main__\n"
        "ours = {n.split('.')[1] for n in sys.modules if n.startswith('jetbox.')}\n"
        "print(ours == {'sim'}, 'asyncio' in sys.modules, 'httpx' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]


def test_launching_imports_nothing_of_the_server() -> None:
    code = "import sys, jetbox.sim.launch\nprint(sorted(n for n in sys.modules if n.startswith('jetbox')))"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['jetbox', 'jetbox.sim', 'jetbox.sim.launch']"


def test_a_server_that_restarts_never_lets_go_of_its_port() -> None:
    listener = _bind("127.0.0.1", 0)
    _listen(listener)
    address = listener.getsockname()
    with _unheard(listener) as held:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        with socket.socket() as somebody, pytest.raises(OSError, match="in use"):
            somebody.bind(address)
        _listen(held)
        socket.create_connection(address).close()
        with pytest.raises(StartError, match=f"cannot listen on 127.0.0.1:{address[1]}"):
            _bind(*address)
