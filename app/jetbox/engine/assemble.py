"""Puts a session's parts together: model, window, tools, probes, sandbox, prompt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from jetbox.engine.context.budget import Budget
from jetbox.engine.context.history import CutOff, History
from jetbox.engine.context.prompt import read_instructions, system_prompt, version_of
from jetbox.engine.control import Control, Wish
from jetbox.engine.errors import in_full
from jetbox.engine.events import Notice, ProbeEnded, ProbeStarted, SandboxChosen
from jetbox.engine.models.address import secrets_in
from jetbox.engine.models.base import ChatModel, ModelInfo
from jetbox.engine.models.window import DEFAULT, Window, within
from jetbox.engine.options import EngineOptions
from jetbox.engine.parts import Parts
from jetbox.engine.probes.base import Verdict
from jetbox.engine.safety.permissions import Permissions
from jetbox.engine.safety.process import ProcessRunner
from jetbox.engine.safety.sandbox import Launch, Sandbox
from jetbox.engine.safety.secrets import Redactor
from jetbox.engine.session import Session
from jetbox.engine.tools.base import ToolContext
from jetbox.engine.tools.dispatch import Dispatcher
from jetbox.engine.tools.registry import specs, standard_tools
from jetbox.engine.workspace.ledger import ReadLedger
from jetbox.engine.workspace.root import Workspace


class Undecided:
    """Stands in while the sandbox is being chosen; nothing may start through it."""

    name = "undecided"
    cannot: tuple[str, ...] = ()
    confines = False
    guards_git = True
    readable: tuple[str, ...] = ()

    def wrap(self, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> Launch:
        raise RuntimeError("a command was started before the sandbox was chosen")

    async def own_folder(self, root: Path) -> str:
        raise RuntimeError("a command was to be started before the sandbox was chosen")

    async def close(self) -> None:
        """There is nothing to delete."""


def assemble(
    session: Session,
    model: ChatModel,
    info: ModelInfo,
    options: EngineOptions,
    root: Path,
    *,
    attended: bool,
    asks: bool = False,
    environ: Mapping[str, str],
    messages: Sequence[bytes] = (),
    window: Window | None = None,
    cut_off: CutOff | None = None,
    store: Path | None = None,
    key: str = "",
) -> Parts:
    """Make the parts; `messages` and `cut_off` go on from an earlier process.

    `window` is what was decided with `choose_window`; without it, what is set or the default.
    `store` is a folder outside the workspace for what probes learn about it. `key` is what the server knows us by:
    it is a secret like those of the variables. `asks`: the model is offered a tool that asks the user.
    """
    permissions = Permissions(options.permissions.mode or "ask", options.permissions)
    secrets = [("MODEL_API_KEY", key), *(("MODEL_PASSWORD", each) for each in secrets_in(options.model.host))]
    redactor = Redactor.from_environment(environ, secrets)
    control = Control(session, permissions, redactor, attended=attended)
    context = _surroundings(session, options, root, redactor)
    tools = standard_tools(plan=options.loop.plan, ask=asks)
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
        wrote=lambda paths, by: wrote(parts, paths, by),
    )
    window = window or within(Window(options.context.num_ctx or DEFAULT, "as it is set"), info.max_ctx)
    parts = Parts(
        session=session,
        model=model,
        model_name=info.name,
        options=options,
        history=History(session, model.wire(), messages),
        budget=Budget(window.tokens),
        context=context,
        dispatcher=dispatcher,
        probes=None,
        store=store,
        control=control,
        redactor=redactor,
        tool_specs=specs(tools, options.tools.spec_style),
        ready=ready,
        environ=environ,
    )
    parts.use_model(info, window)
    control.at_once = partial(_at_once, parts)
    if options.model.tokenizers:
        from jetbox.engine.counting import Counter

        parts.counter = Counter(parts)
    if messages:
        parts.history.rewrite()
        parts.history.mend()
        if cut_off is not None:
            parts.history.take_up(cut_off)
    else:
        _begin_prompt(parts)
    return parts


def _at_once(parts: Parts, wish: Wish) -> None:
    from jetbox.engine.at_once import at_once

    at_once(parts, wish)


def _surroundings(session: Session, options: EngineOptions, root: Path, redactor: Redactor) -> ToolContext:
    """What tools work with: the workspace, what of it was read, and how processes are started."""
    processes = ProcessRunner(
        Undecided(),
        root,
        pass_env=options.permissions.pass_env,
        on_git_change=lambda words: void(session.emit(git_changed(redactor.redact(words)))),
    )
    return ToolContext(
        workspace=Workspace(root),
        ledger=ReadLedger(),
        options=options.tools,
        processes=processes,
        put_blob=session.recorder.put_blob,
        read_outside=options.permissions.read_outside,
        python=options.probes.python,
        parse=options.performance.lint_candidates,
    )


def _begin_prompt(parts: Parts) -> None:
    """The system message, with what the workspace says of itself."""
    options = parts.options
    instructions = ""
    if options.context.instructions:
        root = parts.context.workspace.root
        instructions = parts.redactor.redact(read_instructions(root, options.context.instructions_bytes))
    version = options.context.prompt_version
    system = system_prompt(instructions, plan=options.loop.plan, version=version)
    parts.history.system(system, version_of(version, system))


def add_probes(parts: Parts) -> None:
    """Make the probe engine; not at the start, which does not need it and would wait for its import."""
    if not parts.options.probes.enabled:
        return
    from jetbox.engine.probes.report import redacted
    from jetbox.engine.probes.runner import ProbeEngine

    session, redactor, context = parts.session, parts.redactor, parts.context
    probes = parts.probes = ProbeEngine(
        context.workspace.root,
        context.processes,
        parts.options.probes,
        parts.options.performance,
        on_start=lambda name, why: void(session.emit(ProbeStarted(name=name, why=why))),
        on_end=lambda verdict: void(session.emit(probe_ended(redacted(verdict, redactor)))),
        round_of=lambda: session.round,
        on_notice=lambda words: void(session.emit(Notice(level="info", text=redactor.redact(words)))),
        read_outside=context.read_outside,
        store=parts.store,
        redact=redactor.redact,
    )

    async def lint(path: str, text: str) -> str:
        # The workspace's own ruff is code of the workspace.
        return await probes.lint(path, text) if parts.may_probe else ""

    def expect(path: str, text: str | None) -> None:
        if parts.may_probe:
            probes.expect(path, text)

    context.lint, context.expect = lint, expect


def wrote(parts: Parts, paths: tuple[str, ...], by: str = "agent") -> None:
    """Older runs are over; the probes begin with what the agent has just written, while the model still speaks."""
    if parts.probes is not None:
        parts.probes.wrote(paths, by)
        if parts.may_probe:
            parts.probes.start("the agent wrote")


def void(*_: object) -> None:
    """Take anything, give nothing."""


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
        unproven=not verdict.proved,
        known=verdict.known,
        of_round=verdict.of_round,
        baseline=verdict.baseline,
        inputs=verdict.inputs,
        slow=verdict.slow,
    )


async def choose_sandbox(parts: Parts) -> None:
    """Find the sandbox that holds here, and tell; until then nothing of the workspace is executed."""
    wanted, begun = parts.options.permissions, parts.session.now()
    root = parts.context.workspace.root
    sandbox: Sandbox
    try:
        from jetbox.engine.safety.choose import sandbox_for

        sandbox = await sandbox_for(root, parts.options)
    except Exception as error:
        # Calls wait for this: better none, said so, than a session that hangs.
        from jetbox.engine.safety.unconfined import NoSandbox

        sandbox = NoSandbox([f"choosing one failed: {in_full(error)}"])
    parts.context.processes.sandbox, took = sandbox, parts.session.now() - begun
    try:
        add_probes(parts)
    except Exception as error:
        # The import may find anything where an update is under way: the session goes on without, and says so.
        words = f"there are no probes: they cannot be made ({in_full(error)})"
        parts.session.emit(Notice(level="error", text=words, hint="was jetbox-tui changed while it ran? begin anew"))
    finally:
        parts.ready.set()
    if parts.probes is not None and parts.may_probe:
        parts.probes.prepare()
    parts.session.emit(
        SandboxChosen(name=sandbox.name, cannot=tuple(sandbox.cannot), off=not wanted.sandbox, duration_ns=took)
    )
