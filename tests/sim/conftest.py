"""A raw client of the embedded server, and a small agent that really does what a script says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from jetbox.sim.launch import ServerProcess
from nursery import PYTEST, nursery

Message = dict[str, Any]
RUFF = str(Path(sys.executable).with_name("ruff"))
NAMES = ("read_file", "write_file", "edit_file", "list_dir", "glob", "grep", "run_cmd", "finish")
TOOLS = [{"type": "function", "function": {"name": n, "description": n, "parameters": {}}} for n in NAMES]


@dataclass
class Client:
    """Speaks to one server over one connection, and sees bytes and lines as they are."""

    server: ServerProcess

    def send(self, method: str, path: str, body: bytes | Any = b"") -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection(self.server.url.removeprefix("http://"), timeout=120)
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, data or None)
            reply = connection.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, body: Any = b"") -> Any:
        status, _, data = self.send(method, path, body)
        assert status == 200, data
        return json.loads(data)

    def chat(self, *messages: Message | str, **more: Any) -> list[dict[str, Any]]:
        """The lines of a streamed answer."""
        body = {"model": "gpt-oss:20b", "messages": as_messages(messages), "tools": TOOLS, **more}
        status, _, data = self.send("POST", "/api/chat", body)
        assert status == 200, data
        return [json.loads(line) for line in data.split(b"\n") if line]

    def refused(self, *messages: Message | str, **more: Any) -> tuple[int, str]:
        """Status and text of an error."""
        body = {"model": "gpt-oss:20b", "messages": as_messages(messages), **more}
        status, _, data = self.send("POST", "/api/chat", body)
        assert status >= 400, data
        return status, json.loads(data)["error"]


def as_messages(messages: tuple[Message | str, ...]) -> list[Message]:
    return [m if isinstance(m, dict) else {"role": "user", "content": m} for m in messages]


@dataclass
class Agent:
    """Plays a goal in a folder: asks the server, runs the calls, adds verdicts, until the answer makes no call."""

    client: Client
    folder: Path
    probing: bool = True
    executing: bool = True
    """False: commands are not run, and all of them succeed."""
    messages: list[Message] = field(default_factory=list)
    answers: list[Message] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    finished: bool = False

    def play(self, goal: str, most: int = 20, **options: Any) -> None:
        self.messages.append({"role": "user", "content": goal})
        self.finished = False
        for _ in range(most):
            if not self.round(**options):
                return
        raise AssertionError(f"not finished after {most} rounds")

    def round(self, **options: Any) -> bool:
        """One round; true where another is needed."""
        lines = self.client.chat(*self.messages, options={"num_ctx": 32768}, **options)
        answer = joined(lines)
        self.metrics.append(lines[-1])
        self.messages.append(answer)
        self.answers.append(answer)
        changed = False
        for call in answer.get("tool_calls", []):
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            result = self.run(name, arguments)
            changed = changed or name in ("write_file", "edit_file")
            self.messages.append({"role": "tool", "tool_name": name, "tool_call_id": call["id"], "content": result})
        if changed and self.probing:
            self.messages[-1]["content"] += "\n" + self.verdict()
        return bool(answer.get("tool_calls")) and not self.finished

    def run(self, name: str, arguments: dict[str, Any]) -> str:
        path = self.folder / str(arguments.get("path", "."))
        match name:
            case "list_dir":
                assert path.is_dir()
                return "\n".join(sorted(p.name for p in path.iterdir())) or "empty"
            case "glob":
                return "\n".join(sorted(str(p.relative_to(path)) for p in path.glob(arguments["pattern"])))
            case "grep":
                pattern = str(arguments["pattern"])
                return "\n".join(str(p) for p in path.rglob("*.py") if re.search(pattern, p.read_text())) or "none"
            case "read_file":
                return path.read_text()
            case "write_file":
                assert not path.exists(), f"{path} would be overwritten unread"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(arguments["content"])
                return "written"
            case "edit_file":
                return self.edit(path, arguments["edits"])
            case "run_cmd":
                return self.command(str(arguments["command"]).split())
            case "finish":
                self.finished = True
                return "ok"
        raise AssertionError(f"unknown tool {name}")

    def edit(self, path: Path, edits: list[dict[str, Any]]) -> str:
        original = text = path.read_text()
        for edit in edits:
            assert original.count(edit["old"]) == 1, f"{edit['old']!r} in {path}"
            text = text.replace(edit["old"], edit["new"])
        path.write_text(text)
        return "edited"

    def command(self, words: list[str]) -> str:
        if not self.executing:
            return "exit code 0"
        quiet = {"PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        environment = {**os.environ, **quiet, "PYTEST_ADDOPTS": "-p no:cacheprovider"}
        if words[0] == "pytest":
            code, out, err = nursery().run(PYTEST, *words[1:], folder=self.folder, environ=environment)
            return f"exit code {code}\n{out}{err}"
        line = [RUFF, words[1], "--no-cache", *words[2:]]
        done = subprocess.run(line, cwd=self.folder, env=environment, capture_output=True, text=True)
        return f"exit code {done.returncode}\n{done.stdout}{done.stderr}"

    def verdict(self) -> str:
        outputs = {"ruff": self.command(["ruff", "check", "."]), "pytest": "skipped"}
        if (self.folder / "tests").is_dir():
            outputs["pytest"] = self.command(["pytest", "-q"])
        states = {}
        for name, output in outputs.items():
            states[name] = output if output == "skipped" else "failed" if "exit code 0" not in output else "passed"
        line = "[probes] " + "; ".join(f"{name}: {state} (summary)" for name, state in states.items())
        self.verdicts.append(line)
        return "\n".join([line, *(outputs[name] for name, state in states.items() if state == "failed")])


def joined(lines: list[dict[str, Any]]) -> Message:
    """A streamed answer as one message."""
    parts = [line["message"] for line in lines]
    message: Message = {"role": "assistant", "content": "".join(part["content"] for part in parts)}
    if thinking := "".join(part.get("thinking", "") for part in parts):
        message["thinking"] = thinking
    if calls := [call for part in parts for call in part.get("tool_calls", [])]:
        message["tool_calls"] = calls
    return message


@pytest.fixture
def client(sim_server: Callable[..., ServerProcess]) -> Client:
    """A client of a server without latency that knows all shipped scripts."""
    return Client(sim_server())


@pytest.fixture
def client_of(sim_server: Callable[..., ServerProcess]) -> Callable[..., Client]:
    """Starts a server with options and returns its client."""
    return lambda **options: Client(sim_server(**options))


@pytest.fixture
def agent(client: Client, tmp_path: Path) -> Agent:
    """An agent in an empty folder, with a server without latency."""
    return Agent(client, tmp_path)


@pytest.fixture
def script_file(tmp_path: Path) -> Callable[[str], str]:
    """Writes a script and returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "own.toml"
        path.write_text(text)
        return str(path)

    return write
