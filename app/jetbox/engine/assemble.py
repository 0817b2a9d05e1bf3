"""Puts a session's parts together: model, window, tools, probes, sandbox, prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from jetbox.engine.context.budget import Budget
from jetbox.engine.context.history import History
from jetbox.engine.context.prompt import read_instructions, system_prompt
from jetbox.engine.control import Control
from jetbox.engine.errors import ModelNotFound, ModelUnfit
from jetbox.engine.events import Environment, ModelReady, Notice, ProbeEnded, ProbeStarted, SandboxChosen
from jetbox.engine.models.base import ChatModel, ModelInfo
from jetbox.engine.options import EngineOptions
from jetbox.engine.parts import Parts
from jetbox.engine.probes.base import Verdict
from jetbox.engine.safety.permissions import Permissions
from jetbox.engine.safety.process import Limits, ProcessRunner
from jetbox.engine.safety.sandbox import Launch, Sandbox
from jetbox.engine.safety.secrets import Redactor
from jetbox.engine.session import Session
from jetbox.engine.tools.base import ToolContext
from jetbox.engine.tools.dispatch import Dispatcher
from jetbox.engine.tools.registry import specs, standard_tools
from jetbox.engine.workspace.ledger import ReadLedger
from jetbox.engine.workspace.root import Workspace

SMALL_WINDOW = 16_000
"""Below this an agent forgets its goal; the user is told."""


class Undecided:
    """Stands in while the sandbox is being chosen; nothing may start through it."""

    name = "undecided"
    cannot: tuple[str, ...] = ()
    confines = False
    guards_git = True

    def wrap(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Launch:
        raise RuntimeError("a command was started before the sandbox was chosen")

    async def close(self) -> None:
        """There is nothing to delete."""


async def choose_model(model: ChatModel, name: str) -> ModelInfo:
    """The model to use and what the server says of it.

    Raises:
        ServerUnreachable, ModelNotFound, ModelUnfit
    """
    if not name:
        installed = await model.installed()
        if len(installed) != 1:
            there = ", ".join(m.name for m in installed) or "nothing yet"
            raise ModelNotFound(
                f"no model was named, and the server has: {there}",
                "name one with --model" if installed else "get one with `ollama pull gpt-oss:20b`",
            )
        name = installed[0].name
    try:
        info = await model.info(name)
    except ModelNotFound as error:
        there = ", ".join(m.name for m in await model.installed()) or "nothing yet"
        raise ModelNotFound(
            f"the server does not have {name}; it has: {there}", f"get it with `ollama pull {name}`"
        ) from error
    if info.capabilities and "tools" not in info.capabilities:
        fit = [m.name for m in await model.installed() if "tools" in m.capabilities]
        raise ModelUnfit(
            f"{name} cannot call tools, which an agent needs",
            f"choose one that can: {', '.join(fit)}" if fit else "get one that can, for example `ollama pull qwen3:8b`",
        )
    return info


def assemble(
    session: Session,
    model: ChatModel,
    info: ModelInfo,
    options: EngineOptions,
    root: Path,
    *,
    attended: bool,
    environ: Mapping[str, str],
    messages: Sequence[bytes] = (),
    num_ctx: int = 0,
) -> Parts:
    """Make the parts; `messages` and `num_ctx` go on from an earlier process."""
    permissions = Permissions(options.permissions.mode or "ask", options.permissions)
    redactor = Redactor.from_environment(environ)
    control = Control(session, permissions, attended=attended)
    processes = ProcessRunner(
        Undecided(),
        root,
        pass_env=options.permissions.pass_env,
        on_git_change=lambda words: void(session.emit(git_changed(redactor.redact(words)))),
    )
    context = ToolContext(
        workspace=Workspace(root),
        ledger=ReadLedger(),
        options=options.tools,
        processes=processes,
        put_blob=session.recorder.put_blob,
        read_outside=options.permissions.read_outside,
    )
    tools = standard_tools()
    probes = None
    if options.probes.enabled:
        from jetbox.engine.probes.runner import ProbeEngine

        probes = ProbeEngine(
            root,
            processes,
            options.probes,
            options.performance,
            on_start=lambda name, why: void(session.emit(ProbeStarted(name=name, why=why))),
            on_end=lambda verdict: void(session.emit(probe_ended(verdict))),
        )
    ready = asyncio.Event()
    dispatcher = Dispatcher(
        session,
        tools,
        context,
        permissions,
        control,
        redactor,
        ready=ready,
        parallel=options.performance.parallel_tools,
        wrote=probes.wrote if probes is not None else void,
    )
    window = num_ctx or min(options.context.num_ctx, info.max_ctx or options.context.num_ctx)
    parts = Parts(
        session=session,
        model=model,
        model_name=info.name,
        options=options,
        history=History(session, messages),
        budget=Budget(window),
        context=context,
        dispatcher=dispatcher,
        probes=probes,
        control=control,
        redactor=redactor,
        tool_specs=specs(tools),
        ready=ready,
    )
    _announce(parts, info, window)
    parts.set_head()
    if messages:
        parts.history.mend()
    else:
        instructions = ""
        if options.context.instructions:
            instructions = redactor.redact(read_instructions(root, options.context.instructions_bytes))
        parts.history.system(system_prompt(instructions))
    return parts


def void(*_: object) -> None:
    """Take anything, give nothing."""


def _announce(parts: Parts, info: ModelInfo, window: int) -> None:
    parts.session.emit(
        ModelReady(
            name=info.name,
            num_ctx=window,
            max_ctx=info.max_ctx,
            capabilities=info.capabilities,
            size=info.size,
            keep_alive_ns=duration_ns(parts.options.model.keep_alive),
        )
    )
    if window < SMALL_WINDOW:
        parts.session.emit(
            Notice(
                level="warning",
                text=f"the window is {window:,} tokens; below 16k an agent soon has no room left",
                hint="raise --num-ctx, or choose a model with a larger window",
            )
        )


def git_changed(words: str) -> Notice:
    """What the sandbox could not prevent, as an event."""
    return Notice(
        level="warning",
        text=words,
        hint="look at it before you use git here: a hook or a setting in it can run programs",
    )


def probe_ended(verdict: Verdict) -> ProbeEnded:
    """A verdict as an event."""
    return ProbeEnded(
        name=verdict.name,
        state=verdict.state,
        cache=verdict.cache,
        summary=verdict.summary,
        output=verdict.output,
        duration_ns=verdict.duration_ns,
        saved_ns=verdict.saved_ns,
        key=verdict.key,
        why=verdict.why,
    )


def duration_ns(text: str) -> int:
    """A Go duration ("30m", "1h30m", "90") in ns; negative for ever; 0 where it cannot be read."""
    import re

    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}
    if text.lstrip("-").isdigit():
        return int(text) * 10**9
    found = re.findall(r"(\d+(?:\.\d+)?)(ms|h|m|s)", text)
    seconds = sum(float(n) * units[unit] for n, unit in found)
    return int(seconds * 1e9) * (-1 if text.startswith("-") else 1)


async def choose_sandbox(parts: Parts) -> None:
    """Find the sandbox that holds here, and tell; until then nothing of the workspace is executed."""
    from jetbox.engine.safety.choose import choose_sandbox as choose

    wanted = parts.options.permissions
    root = parts.context.workspace.root
    sandbox: Sandbox
    try:
        sandbox = await choose(root, enabled=wanted.sandbox, network=wanted.network)
    except Exception as error:
        # Calls wait for this: better none, said so, than a session that hangs.
        from jetbox.engine.safety.unconfined import NoSandbox

        sandbox = NoSandbox([f"choosing one failed: {type(error).__name__}: {error}"])
    parts.context.processes.sandbox = sandbox
    parts.ready.set()
    parts.session.emit(SandboxChosen(name=sandbox.name, cannot=tuple(sandbox.cannot), off=not wanted.sandbox))


async def look_around(parts: Parts) -> None:
    """Tell the journal what machine, server and commit this is; off the critical path."""
    import os
    import platform

    server = digest = ""
    try:
        server = await parts.model.version()
        digest = next((m.digest for m in await parts.model.installed() if m.name == parts.model_name), "")
    except Exception as error:
        parts.session.emit(Notice(level="info", text=f"the server did not say what it is: {error}"))
    await parts.ready.wait()
    commit, dirty = await _git(parts.context.processes)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    parts.session.emit(
        Environment(
            python=platform.python_version(),
            platform=platform.platform(),
            cpus=os.cpu_count() or 0,
            memory=memory,
            git_commit=commit,
            git_dirty=dirty,
            server=server,
            model_digest=digest,
        )
    )


async def _git(processes: ProcessRunner) -> tuple[str, bool]:
    """Commit and dirtiness; in the sandbox, since a repository's configuration can run programs."""
    limits = Limits(seconds=5.0, output_bytes=4096)
    head, status = await asyncio.gather(
        processes.run(["git", "rev-parse", "HEAD"], limits=limits),
        processes.run(["git", "status", "--porcelain", "--untracked-files=no"], limits=limits),
    )
    if head.state != "exited" or head.code != 0:
        return "", False
    return head.output.strip(), bool(status.output.strip()) and status.code == 0
