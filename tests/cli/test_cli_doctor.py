from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.moving import Clock
from jetbox.cli import health, surroundings
from jetbox.engine.errors import ExitCode
from jetbox.engine.models.base import Chunk
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, finish, step

Run = Any
NAMES = {
    "vllm": "vLLM 0.32.0",
    "sglang": "SGLang",
    "llamacpp": "llama.cpp's server",
    "lmstudio": "a server with OpenAI's protocol",
    "ollama": "a server with OpenAI's protocol",
}
AS_TEXT = "lacks a parser for the calls of this model: they come as text (tool_call tags), and are repaired"


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess(speed=0) as started:
        yield started


def checks(done: Any) -> dict[str, dict[str, Any]]:
    assert done.stderr == ""
    report = json.loads(done.stdout)
    assert report["exit_code"] == done.returncode
    return {check["name"]: check for check in report["checks"]}


def test_a_dead_port_is_told_with_the_cure(jetbox: Run, dead_port: int) -> None:
    done = jetbox("doctor", "--host", f"http://127.0.0.1:{dead_port}")
    assert done.returncode == ExitCode.MODEL
    assert done.stderr == ""
    said, cure = re.findall(r"^fail  server +(.*)\n +(.*)$", done.stdout, re.MULTILINE)[0]
    assert said == f"no Ollama server answers at http://127.0.0.1:{dead_port}"
    assert "ollama serve" in cure
    assert "model  " not in done.stdout


def test_a_server_that_is_well_is_ok(jetbox: Run, server: ServerProcess) -> None:
    found = checks(jetbox("doctor", "--json", "--host", server.url, "-m", "gpt-oss:20b"))
    assert found["server"]["state"] == "ok"
    assert found["model"]["state"] == "ok"
    assert "tools" in found["model"]["said"]
    assert found["window"]["state"] == "ok"
    assert found["window"]["said"].startswith("16,384 tokens of at most ")
    assert found["python"]["said"].endswith(sys.executable)
    assert {"sandbox", "ruff", "interpreter", "pytest", "git", "sessions", "workspace"} <= set(found)
    assert found["ruff"]["said"].startswith("ruff ")
    assert found["pytest"]["state"] == "ok"


def test_a_model_that_is_missing_is_told_with_what_is_there(jetbox: Run, server: ServerProcess) -> None:
    done = jetbox("doctor", "--json", "--host", server.url, "-m", "no-such-model")
    found = checks(done)
    assert done.returncode == ExitCode.MODEL
    assert found["model"]["state"] == "fail"
    assert "gpt-oss:20b" in found["model"]["said"]
    assert "ollama pull no-such-model" in found["model"]["cure"]
    assert "window" not in found


@pytest.mark.parametrize(
    ("flavour", "lacking", "state", "said", "cure"),
    [
        ("llamacpp", (), "ok", "calls of tools, counts of tokens, cached tokens and timings are there", ""),
        (
            "vllm",
            ("timings",),
            "warn",
            "lacks timings: queue, load and prompt evaluation are",
            "--enable-per-request-m",
        ),
        (
            "vllm",
            ("cached-tokens", "timings"),
            "warn",
            "lacks cached tokens: the reuse of a prompt is unknown; t",
            "--e",
        ),
        ("vllm", (), "ok", "calls of tools, counts of tokens, cached tokens and timings are there", ""),
        ("sglang", ("cached-tokens",), "warn", "lacks cached tokens: the reuse of a prompt", "--enable-cache-report"),
        ("vllm", ("usage",), "warn", "lacks counts of tokens: the room in the window is guessed; t", "include_usage"),
        ("sglang", ("usage",), "warn", "lacks counts of tokens: the room in the window is gu", "include_usage"),
        ("lmstudio", ("usage",), "warn", "lacks counts of tokens: the room in the window is gu", "include_usage"),
        ("vllm", ("tool-parser",), "fail", "lacks tool calls: the server does not parse tool calls: ", "--tool-call"),
        ("llamacpp", ("tool-parser",), "fail", "lacks tool calls: the server does not take tools: ", "--jinja"),
        ("sglang", ("tool-parser",), "warn", AS_TEXT, "--tool-call-parser"),
        ("lmstudio", ("tool-parser",), "warn", AS_TEXT, "in LM Studio take a model that it lists for tool use"),
        ("vllm", ("fitting-parser",), "warn", AS_TEXT, "--enable-auto-tool-choice"),
        ("llamacpp", ("fitting-parser",), "warn", AS_TEXT, "--jinja"),
        ("lmstudio", (), "warn", "its window: a prompt that is too long is refused", "--num-ctx"),
        ("ollama", (), "warn", "and cuts longer prompts in silence", "name it without /v1"),
    ],
)
def test_what_a_server_with_openais_protocol_lacks_is_told(
    jetbox: Run,
    sim_server: Callable[..., ServerProcess],
    write_script: WriteScript,
    flavour: str,
    lacking: tuple[str, ...],
    state: str,
    said: str,
    cure: str,
) -> None:
    script = write_script(finish("yes"), match="^Call the tool `finish`")
    server = sim_server(flavour=flavour, lacks=lacking, scripts=[script])
    done = jetbox("doctor", "--json", "--host", f"{server.url}/v1", "-m", "gpt-oss:20b")
    found = checks(done)["protocol"]
    assert checks(done)["server"]["said"].startswith(NAMES[flavour])
    assert (found["state"], said in found["said"]) == (state, True)
    assert (cure in found.get("cure", ""), bool(found.get("cure"))) == (True, state != "ok")
    assert "could not tell" not in found["said"]
    assert (AS_TEXT in found["said"]) == (said == AS_TEXT)
    assert (done.returncode == ExitCode.MODEL) == (state == "fail")
    assert server.stats()["chats"] == (state != "fail")  # one question and no more


def over_once_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for an answer is over as soon as its first words were heard."""
    from jetbox.engine.models.openai_compat import OpenAIModel

    clock, loop = Clock(), asyncio.get_running_loop()
    time, chat = loop.time, OpenAIModel.chat
    monkeypatch.setattr(loop, "time", lambda: time() + clock.ahead)

    @asynccontextmanager
    async def begun(model: OpenAIModel, body: bytes) -> AsyncIterator[AsyncIterator[Chunk]]:
        async with chat(model, body) as chunks:
            yield heard(chunks)

    async def heard(chunks: AsyncIterator[Chunk]) -> AsyncIterator[Chunk]:
        async for chunk in chunks:
            yield chunk
            clock.forward(surroundings.ANSWER_S if chunk.text else 0)

    monkeypatch.setattr(OpenAIModel, "chat", begun)


@pytest.mark.parametrize(
    ("answer", "faults", "why"),
    [
        (step(text="Yes."), (), "asked for one, the model answered with none that can be read"),
        (step(text="Use `finish` with `yes`: {"), (), "asked for one, the model answered with none that can be read"),
        (step(text="well " * 2000), (), "its answer had no end within 256 tokens"),
        (finish("yes", text="Let me see."), ("stall@1:1",), "it was still answering after 25 s"),
        (finish("yes", send="raw-error", damage="bracket"), (), "the server could not read the model's tool call"),
    ],
)
async def test_what_an_answer_does_not_show_is_no_lack(
    sim_server: Callable[..., ServerProcess],
    write_script: WriteScript,
    monkeypatch: pytest.MonkeyPatch,
    answer: Any,
    faults: tuple[str, ...],
    why: str,
) -> None:
    from jetbox.engine.options import EngineOptions, ModelOptions

    if faults:
        over_once_begun(monkeypatch)
    host = f"{sim_server(flavour='llamacpp', scripts=[write_script(answer)], faults=faults).url}/v1"
    options = EngineOptions(model=ModelOptions(name="gpt-oss:20b", host=host, protocol="openai"))
    found = {check.name: check for check in await surroundings.server_and_model(options)}["protocol"]
    assert found.state == "warn"
    assert found.said == f"could not tell whether it parses calls of tools: {why}"
    assert found.cure


def test_a_window_that_is_too_large_or_too_small_is_a_warning(jetbox: Run, server: ServerProcess) -> None:
    for size, says in (("9999999", "9,999,999 tokens asked for"), ("2048", "soon has no room left")):
        found = checks(jetbox("doctor", "--json", "--host", server.url, "-m", "gpt-oss:20b", "--num-ctx", size))
        assert found["window"]["state"] == "warn"
        assert says in found["window"]["said"]


async def test_what_is_advised_for_a_window_leads_to_no_other_warning(server: ServerProcess) -> None:
    from jetbox.engine.models.base import ModelInfo
    from jetbox.engine.models.connect import connected
    from jetbox.engine.options import ContextOptions, EngineOptions, ModelOptions

    asked = EngineOptions(model=ModelOptions(host=server.url), context=ContextOptions(num_ctx=16_384))
    model = await connected(asked.model, {})
    found = await surroundings._window(model, ModelInfo(name="small:1b", max_ctx=8192), asked)
    await model.close()
    assert "8,192 tokens (the model's most; 16,384 were wanted, as it is set); below 16k" in found.said
    assert found.cure == "choose a model with a larger window"


@pytest.mark.parametrize(
    ("name", "gib", "says"),
    [
        ("gpt-oss:20b", 4.0, "the CPU will work on a part of it"),
        ("qwen2.5-coder:7b", 6.5, "the window is 8,192 tokens (the most that fits into 6.5 GiB of memory for models)"),
    ],
)
async def test_a_model_that_the_memory_does_not_do_for_is_a_warning(
    server: ServerProcess, name: str, gib: float, says: str
) -> None:
    from jetbox.engine.options import ContextOptions, EngineOptions, ModelOptions

    asked = EngineOptions(model=ModelOptions(name=name, host=server.url), context=ContextOptions(gpu_gib=gib))
    found = {check.name: check for check in await surroundings.server_and_model(asked)}["window"]
    assert (found.state, says in found.said) == ("warn", True)
    assert "choose a smaller model" in found.cure


async def test_a_server_that_says_nothing_is_told_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from jetbox.engine.options import EngineOptions, ModelOptions

    monkeypatch.setattr(surroundings, "SERVER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (found,) = await surroundings.server_and_model(EngineOptions(model=ModelOptions(host=host)))
    assert (found.state, found.exit_code) == ("fail", ExitCode.MODEL)


async def test_an_answer_that_is_no_ollama_is_told() -> None:
    from jetbox.engine.options import EngineOptions, ModelOptions

    with socket.create_server(("127.0.0.1", 0)) as other:

        def serve() -> None:
            for _ in range(2):  # asked for each protocol
                connection, _ = other.accept()
                with connection:
                    connection.recv(4096)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")

        thread = threading.Thread(target=serve)
        thread.start()
        host = f"http://127.0.0.1:{other.getsockname()[1]}"
        (found,) = await surroundings.server_and_model(EngineOptions(model=ModelOptions(host=host)))
        thread.join()
    assert found.state == "fail"
    assert "is neither Ollama nor a server with OpenAI's protocol" in found.said


def test_wrong_settings_are_a_line_and_the_rest_is_looked_at(jetbox: Run, dead_port: int) -> None:
    path = Path(os.environ["XDG_CONFIG_HOME"]) / "jetbox" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("[model]\nnme = 'x'\n")
    done = jetbox("doctor", "--json")
    found = checks(done)
    assert done.returncode == ExitCode.USAGE
    assert found["settings"]["said"] == f"{path}:2: unknown key model.nme"
    assert "git" in found


def test_an_untrusted_project_file_is_a_warning(jetbox: Run, tmp_path: Path, dead_port: int) -> None:
    path = tmp_path / "work" / ".jetbox" / "config.toml"
    path.parent.mkdir()
    path.write_text("[permissions]\nsandbox = false\n")
    found = checks(jetbox("doctor", "--json", "--host", f"127.0.0.1:{dead_port}"))
    assert found["settings"]["state"] == "warn"
    assert found["settings"]["cure"] == "look at it, then `jetbox-tui config trust`"
    assert "switched off" not in found["sandbox"]["said"]


def test_files_that_no_sandbox_can_keep_commands_from_are_named(jetbox: Run, tmp_path: Path, dead_port: int) -> None:
    project, secret = tmp_path / "project", tmp_path / "secret.env"
    project.mkdir()
    secret.write_text("KEY=1\n")
    os.link(secret, project / "linked.env")
    arguments = ("doctor", "--json", "--host", f"127.0.0.1:{dead_port}", "--cwd", str(project))
    found = checks(jetbox(*arguments))["sandbox"]
    assert found["state"] == "fail" or "hard links here (linked.env)" in found["said"]
    secret.unlink()
    assert "hard links" not in checks(jetbox(*arguments))["sandbox"]["said"]


def test_a_sandbox_that_is_switched_off_is_said(jetbox: Run, dead_port: int) -> None:
    found = checks(jetbox("doctor", "--json", "--no-sandbox", "--host", f"127.0.0.1:{dead_port}"))
    assert found["sandbox"]["state"] == "warn"
    assert "unconfined" in found["sandbox"]["said"]


def test_a_workspaces_interpreter_without_pytest_is_told_with_the_cure(
    jetbox: Run, tmp_path: Path, dead_port: int
) -> None:
    import venv

    venv.create(tmp_path / "work" / ".venv", symlinks=True, with_pip=False)
    found = checks(jetbox("doctor", "--json", "--host", f"127.0.0.1:{dead_port}"))
    if found["sandbox"]["state"] == "fail":
        assert "no sandbox confines it" in found["interpreter"]["said"]
        return
    assert ".venv/bin/python (.venv)" in found["interpreter"]["said"]
    assert found["pytest"]["state"] == "warn"
    assert found["pytest"]["cure"] == ".venv/bin/python -m pip install pytest"


def test_a_folder_for_sessions_that_cannot_be_made_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = health.sessions(str(tmp_path / "file" / "sessions"))
    assert (found.state, found.exit_code) == ("fail", ExitCode.STORAGE)
    assert "session.folder" in found.cure


def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert health.workspace(str(tmp_path)).name == "workspace"
    monkeypatch.setattr(health, "LOW_DISK", 2**80)
    assert health.workspace(str(tmp_path)).state == "warn"
    monkeypatch.setattr(health, "NO_DISK", 2**80)
    assert health.workspace(str(tmp_path)).exit_code == ExitCode.STORAGE
    assert health.workspace(str(tmp_path / "gone")).state == "fail"


async def test_without_git_there_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = await health.git()
    assert (found.state, "install git" in found.cure) == ("warn", True)


async def test_a_tokenizer_that_does_not_do_is_a_warning(tokenizer: Path) -> None:
    good = await health.tokenizers({"m": str(tokenizer)})
    assert (good.state, good.said) == ("ok", "tokens of m are counted")
    bad = await health.tokenizers({"m": str(tokenizer), "n": "/no/tokenizer.json"})
    assert bad.state == "warn"
    assert bad.said == "tokens are estimated: /no/tokenizer.json cannot be read: No such file or directory"
    assert "model.tokenizers" in bad.cure


async def test_a_check_that_hangs_or_breaks_becomes_a_line() -> None:
    async def hangs() -> health.Check:
        await asyncio.Event().wait()
        raise AssertionError

    async def breaks() -> health.Check:
        raise ValueError("why not")

    late = await health.timely("x", 0.01, hangs, ExitCode.MODEL)
    assert (late.state, late.exit_code, "no answer within" in late.said) == ("fail", ExitCode.MODEL, True)
    broken = await health.timely("x", 5, breaks, ExitCode.MODEL)
    assert (broken.exit_code, broken.said) == (ExitCode.INTERNAL, "internal error: ValueError: why not")


@pytest.mark.parametrize(
    ("size", "term", "state", "says"),
    [
        ((120, 40), "xterm-256color", "ok", "120x40, xterm-256color, 256 colours, UTF-8"),
        ((50, 10), "xterm-256color", "warn", "50x10"),
        ((120, 40), "dumb", "warn", "TERM is dumb"),
    ],
)
def test_a_terminal_is_described(
    size: tuple[int, int], term: str, state: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl
    import struct
    import termios

    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("COLORTERM", raising=False)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
    with (
        os.fdopen(os.dup(theirs), "r", encoding="utf-8") as stdin,
        os.fdopen(theirs, "w", encoding="utf-8") as stdout,
    ):
        monkeypatch.setattr(sys, "stdin", stdin)
        monkeypatch.setattr(sys, "stdout", stdout)
        found = health.terminal()
    os.close(ours)
    assert (found.state, says in found.said) == (state, True)
