"""run_cmd: a command in the sandbox."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from jetbox.engine.errors import ToolError
from jetbox.engine.events import FileChange
from jetbox.engine.safety.process import Finished, Limits
from jetbox.engine.safety.terminal import visible
from jetbox.engine.tools.base import Access, CutShort, Output, Plan, ToolContext, ToolResult
from jetbox.engine.tools.command_scope import command_scope
from jetbox.engine.tools.sweep import Sweep, changes, git_changes, sweep, with_digests
from jetbox.engine.workspace.names import shown

NAMED_FILES = 12
REPORTED_FILES = 500


class RunCmd:
    """Runs a command in the workspace."""

    name: ClassVar[str] = "run_cmd"
    description: ClassVar[str] = "Run a shell command in the project folder. No input, no background jobs."
    parameters: ClassVar[dict[str, Any]] = {
        "properties": {
            "command": {"type": "string"},
            "timeout": {"type": "integer", "description": "seconds"},
        },
        "required": ["command"],
    }
    silent: ClassVar[dict[str, Any]] = {
        "command": {"type": "command"},
        "cwd": {"type": "string"},
    }
    refused: ClassVar[dict[str, str]] = {
        "background": "a command is waited for; start no servers",
        "run_in_background": "a command is waited for; start no servers",
        "is_background": "a command is waited for; start no servers",
        "stdin": "a command gets no input; use a file or a pipe",
    }

    def prepare(self, given: dict[str, Any], notes: list[str]) -> dict[str, Any]:
        """Arguments that were given beside their program."""
        command, rest = given.get("command"), given.get("args", given.get("arguments"))
        if not isinstance(command, str) or not isinstance(rest, list) or not rest:
            return given
        notes.append("args joined to command")
        return {k: v for k, v in given.items() if k not in ("args", "arguments")} | {"command": [command, *rest]}

    def access(self, arguments: dict[str, Any], context: ToolContext) -> Access:
        """It may touch anything."""
        _folder(arguments, context)
        return Access(barrier=True)

    async def plan(self, arguments: dict[str, Any], context: ToolContext, output: Output) -> Plan:
        """Say what would be run, and whether it would be confined."""
        command: str | list[str] = arguments["command"]
        if isinstance(command, list) and len(command) == 1 and any(c.isspace() for c in command[0]):
            command = command[0]
        if not command or (isinstance(command, str) and not command.strip()):
            raise ToolError("run_cmd: command is empty")
        words = command.strip() if isinstance(command, str) else _joined(command)
        if visible(words) != words:
            # What a terminal would hide must not run: the user could not see what was allowed.
            raise ToolError("run_cmd: the command holds control or invisible characters; write them as escapes")
        folder = _folder(arguments, context)
        limit = context.options.command_s
        wanted = arguments.get("timeout", 0)
        seconds = min(float(wanted), limit) if wanted > 0 else limit

        async def perform() -> ToolResult:
            return await _run(command, folder, seconds, context, output)

        first, more, _ = words.partition("\n")
        return Plan(
            "command",
            f"run_cmd {first}{' ...' if more else ''}",
            perform,
            # Who is asked must see all of it, and a title has one line.
            diff=words if more else "",
            confined=context.processes.sandbox.confines,
            scope=f"run_cmd {command_scope(command)}",
        )


def _folder(arguments: dict[str, Any], context: ToolContext) -> Path:
    """Where to run; a folder inside the workspace.

    Raises:
        ToolError: it is none.
    """
    path = context.workspace.resolve(arguments.get("cwd", ""))
    folder = context.workspace.root / path
    if not folder.is_dir():
        raise ToolError(f"run_cmd: cwd {shown(path)} is no folder")
    return folder


def _joined(argv: list[str]) -> str:
    import shlex

    return shlex.join(argv)


async def _run(
    command: str | list[str], folder: Path, seconds: float, context: ToolContext, output: Output
) -> ToolResult:
    root = context.workspace.root
    before = await asyncio.to_thread(sweep, root)
    try:
        done = await context.processes.run(
            ["sh", "-c", command] if isinstance(command, str) else command,
            limits=Limits(seconds, context.options.output_bytes, context.options.command_memory),
            cwd=folder,
            env=command_environment(root, context.processes.pass_env, context.python),
            on_output=output,
        )
    except asyncio.CancelledError:
        # What it has done until then is done all the same.
        raise CutShort(await _told(context, before, [], ok=False)) from None
    ok = done.state == "exited" and done.code == 0
    result = await _told(context, before, [_verdict(done, seconds), *_output(done)], ok=ok)
    return msgspec.structs.replace(result, said=done.output.rstrip("\n"))


async def _told(context: ToolContext, before: Sweep, lines: list[str], *, ok: bool) -> ToolResult:
    """A command's result: these lines, and what it changed."""
    root = context.workspace.root
    after, changed = await asyncio.to_thread(_look_again, root, before)
    for change in changed:
        if change.kind == "deleted":
            context.ledger.forget(change.path)
    text = "\n".join([*lines, *_notes(before, after, changed)])
    unsure = not (before.complete and after.complete) or len(changed) > REPORTED_FILES
    named = await asyncio.to_thread(with_digests, root, changed[:REPORTED_FILES]) if changed else ()
    return ToolResult(text, ok=ok, changes=named, unsure=unsure, by="command")


def _look_again(root: Path, before: Sweep) -> tuple[Sweep, tuple[FileChange, ...]]:
    """The files as they are now and which are not as before; to be called in a thread."""
    after = sweep(root)
    return after, changes(before, after)


def command_environment(root: Path, passed: tuple[str, ...], python: str = "") -> dict[str, str]:
    """Variables that let a command find what the probes find: the workspace's programs and packages."""
    import sys

    from jetbox.engine.safety.environment import DEFAULT_PATH

    env = {}
    if "PATH" not in passed:
        # Like the probes: the configured interpreter, the workspace's, else ours with its pytest and ruff.
        active = os.environ.get("VIRTUAL_ENV", "")
        folders = [str(root / name / "bin") for name in (".venv", "venv")] + ([f"{active}/bin"] if active else [])
        own = next((f for f in folders if os.path.lexists(f"{f}/python")), os.path.dirname(sys.executable))
        if python:
            own = os.path.dirname(root / Path(python).expanduser())
        path = [p for p in os.environ.get("PATH", DEFAULT_PATH).split(os.pathsep) if os.path.isabs(p)]
        env["PATH"] = os.pathsep.join(dict.fromkeys([own, *path]))
    if "PYTHONPATH" not in passed:
        # Plain `pytest` does not put the project on the path as the probe's `python -m pytest` does.
        env["PYTHONPATH"] = str(root)
    return env


def _verdict(done: Finished, seconds: float) -> str:
    match done.state:
        case "missing":
            return "not run"
        case "timeout":
            return f"stopped after {seconds:g} s: it had not ended; run something shorter or give a longer timeout"
    if done.code < 0:
        try:
            name = signal.Signals(-done.code).name
        except ValueError:
            name = f"signal {-done.code}"
        return f"ended by {name}"
    return f"exit code {done.code}"


def _output(done: Finished) -> list[str]:
    text = done.output.rstrip("\n")
    if text:
        return [text]
    return ["[no output]"] if done.state == "exited" else []


def _notes(before: Sweep, after: Sweep, changed: tuple[FileChange, ...]) -> list[str]:
    notes = []
    if changed:
        paths = [shown(change.path) for change in changed[:NAMED_FILES]]
        more = f" and {len(changed) - NAMED_FILES} more" if len(changed) > NAMED_FILES else ""
        notes.append(f"[files changed: {', '.join(paths)}{more}]")
    git = git_changes(before, after)
    if git:
        notes.append(f"[.git changed: {', '.join(git[:NAMED_FILES])}]")
    return notes
