"""The checks of `doctor` that ask others: the server and its model, the sandbox and what runs in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from jetbox.cli.health import Check, fail
from jetbox.engine.errors import ExitCode, JetboxError

if TYPE_CHECKING:
    from jetbox.engine.models.base import ChatModel, LoadedModel, ModelInfo
    from jetbox.engine.options import EngineOptions
    from jetbox.engine.probes.interpreter import Interpreters
    from jetbox.engine.safety.process import ProcessRunner
    from jetbox.engine.safety.sandbox import Sandbox

SERVER_S = 8.0
"""How long the server may take for one answer."""
ANSWER_S = 25.0
"""How long a model may take for one short answer, its loading included."""
LINKS_NAMED = 3


async def server_and_model(options: EngineOptions) -> list[Check]:
    """Server, model and window; each needs the one before it."""
    from jetbox.engine.models.connect import connected
    from jetbox.engine.models.names import first_name

    model = await connected(options.model, os.environ)
    try:
        server = await _server(model)
        if server.state == "fail":
            return [server]
        found = await _model(model, first_name(options))
        if isinstance(found, Check):
            return [server, found]
        ollama = model.product.startswith("Ollama")
        protocol = [] if ollama else [await _protocol(model, found)]
        return [server, _capable(found, ollama=ollama), *protocol, await _window(model, found, options)]
    finally:
        await model.close()


async def _server(model: ChatModel) -> Check:
    import asyncio

    try:
        async with asyncio.timeout(SERVER_S):
            if not (model.manages or model.owner):
                await model.installed()  # tells what server it is
            version = await model.version()
    except TimeoutError:
        cure = "it may be loading a model; else see the server's log, and whether the port in --host is its own"
        return fail("server", f"{model.host} took the question and did not answer", cure, ExitCode.MODEL)
    except JetboxError as failure:
        return fail("server", failure.message, failure.hint, failure.exit_code)
    return Check("server", "ok", f"{model.product} {version or '(no version)'} at {model.host}")


async def _model(model: ChatModel, name: str) -> ModelInfo | Check:
    import asyncio

    from jetbox.engine.models.choose import choose_model

    try:
        async with asyncio.timeout(SERVER_S):
            return await choose_model(model, name)
    except TimeoutError:
        return fail("model", "the server did not say what it has", "see the server's log", ExitCode.MODEL)
    except JetboxError as failure:
        return fail("model", failure.message, failure.hint, failure.exit_code)


async def _protocol(model: ChatModel, info: ModelInfo) -> Check:
    from jetbox.engine.models.lacks import lacks

    try:
        found = await lacks(model, info.name, info.max_ctx, ANSWER_S)
    except TimeoutError:
        return fail("protocol", f"no answer within {ANSWER_S:g} s", "see the server's log", ExitCode.MODEL)
    except JetboxError as failure:
        return fail("protocol", failure.message, failure.hint, failure.exit_code)
    if not found:
        return Check("protocol", "ok", "calls of tools, counts of tokens, cached tokens and timings are there")
    missing = "; ".join(lack.what for lack in found if lack.kind != "unknown")
    unknown = "; ".join(lack.what for lack in found if lack.kind == "unknown")
    said = "; ".join(filter(None, [missing and f"lacks {missing}", unknown and f"could not tell {unknown}"]))
    cures = "; ".join(lack.cure for lack in found)
    if any(lack.kind == "refused" for lack in found):
        return fail("protocol", said, cures, ExitCode.MODEL)
    return Check("protocol", "warn", said, cures)


def _capable(info: ModelInfo, *, ollama: bool) -> Check:
    if not info.capabilities:
        said = f"{info.name}; the server does not say what it can do"
        if not ollama:
            return Check("model", "ok", said)
        return Check("model", "warn", said, "a newer Ollama tells whether it can call tools")
    return Check("model", "ok", f"{info.name}: {', '.join(info.capabilities)}")


async def _window(model: ChatModel, info: ModelInfo, options: EngineOptions) -> Check:
    from jetbox.engine.held import FASTER, spilled
    from jetbox.engine.models.window import SMALLER, choose_window, fitting_one, too_small

    try:
        window = await choose_window(model, info, options.context, os.environ)
    except JetboxError as failure:
        return fail("window", failure.message, failure.hint, failure.exit_code)
    if window.spills:
        return Check("window", "warn", window.spills, SMALLER)
    small, cure = too_small(model, info, window)
    if small:
        return Check("window", "warn", small, cure)
    if window.lowered:
        return Check("window", "warn", window.lowered, fitting_one(window))
    most = f" of at most {info.max_ctx:,}" if info.max_ctx else ""
    said = f"{window.tokens:,} tokens{most}: {window.why}"
    for held in await _held(model):
        if held.serves(info.name) and (slow := spilled(info.name, held.size, held.size_vram)):
            return Check("window", "warn", f"{said}; {slow}", FASTER)
    return Check("window", "ok", said)


async def _held(model: ChatModel) -> list[LoadedModel]:
    """What the server holds in memory; nothing where it does not say so at once, since it loads a model then."""
    import asyncio

    from jetbox.engine.held import ASK_S

    try:
        async with asyncio.timeout(ASK_S):
            return await model.running() if model.manages else []
    except (TimeoutError, JetboxError):
        return []


async def sandbox_and_tools(root: Path, options: EngineOptions) -> list[Check]:
    """The sandbox, and what the probes need; the workspace's programs are started in it and never without."""
    from jetbox.engine.probes.interpreter import Interpreters
    from jetbox.engine.safety.choose import sandbox_for
    from jetbox.engine.safety.process import ProcessRunner

    wanted = options.permissions
    sandbox = await sandbox_for(root, options)
    try:
        processes = ProcessRunner(sandbox, root, pass_env=wanted.pass_env)
        interpreters = Interpreters(root, processes, options.probes.python)
        return [
            _sandbox(sandbox, wanted.sandbox, await _linked_out(root)),
            await _ruff(root, options, processes, interpreters, sandbox.confines),
            *await _pytest(interpreters, sandbox.confines),
        ]
    finally:
        await sandbox.close()


async def _linked_out(root: Path) -> str:
    """What no sandbox can do about hard links out of the workspace; empty where there are none."""
    from asyncio import to_thread

    from jetbox.engine.workspace.links import find_linked_out
    from jetbox.engine.workspace.names import shown

    found = await to_thread(find_linked_out, str(root), LINKS_NAMED + 1)
    if not found:
        return ""
    names = ", ".join(map(shown, found[:LINKS_NAMED])) + (", ..." if len(found) > LINKS_NAMED else "")
    return f"keep commands from files outside that have hard links here ({names})"


def _sandbox(sandbox: Sandbox, enabled: bool, linked_out: str) -> Check:
    if not enabled:
        return Check("sandbox", "warn", "switched off: commands run unconfined", "permissions.sandbox=true")
    if not sandbox.confines:
        cure = "install bubblewrap; or run with --no-sandbox, unconfined"
        why = f": {'; '.join(sandbox.cannot)}" if sandbox.cannot else ""
        return fail("sandbox", f"none works here{why}", cure, ExitCode.PERMISSION)
    cannot = (*sandbox.cannot, *([linked_out] if linked_out else []))
    if cannot:
        cure = "" if sandbox.name == "bubblewrap" else "bubblewrap can do more: install it"
        if linked_out:
            cure = "; ".join(filter(None, [cure, "put copies in the place of the hard links"]))
        return Check("sandbox", "warn", f"{sandbox.name}; it cannot: {'; '.join(cannot)}", cure)
    return Check("sandbox", "ok", sandbox.name)


async def _ruff(
    root: Path, options: EngineOptions, processes: ProcessRunner, interpreters: Interpreters, confined: bool
) -> Check:
    from jetbox.engine.probes.fingerprint import Tree
    from jetbox.engine.probes.inscope import out_of_scope
    from jetbox.engine.probes.ruff import RuffProbe

    program = RuffProbe(root, processes, options.probes, Tree(root, out_of_scope), interpreters).program()
    if program is None:
        return Check("ruff", "warn", "not found: its probe is skipped", "pip install ruff")
    said = await _version_of(str(program), processes, confined)
    return Check("ruff", "ok", f"{said or 'found'}, {program}")


async def _pytest(interpreters: Interpreters, confined: bool) -> list[Check]:
    interpreter = interpreters.find()
    shown = interpreters.shown(interpreter)
    where = {"configured": "configured", "own": "the one of jetbox-tui"}.get(interpreter.origin, interpreter.origin)
    if interpreter.foreign and not confined:
        said = f"{shown} ({where}); not asked, since no sandbox confines it"
        return [Check("interpreter", "warn", said)]
    facts = await interpreters.facts(interpreter, {})
    if facts.problem:
        cure = "make the environment anew, or set probes.python"
        return [Check("interpreter", "warn", facts.problem, cure)]
    found = Check("interpreter", "ok", f"Python {facts.version}, {shown} ({where})")
    if not facts.pytest:
        cure = f"{shown} -m pip install pytest"
        return [found, Check("pytest", "warn", "not in this interpreter: its probe is skipped", cure)]
    return [found, Check("pytest", "ok", facts.pytest)]


async def _version_of(program: str, processes: ProcessRunner, confined: bool) -> str:
    """What the program says of itself; the workspace's own is not started unconfined."""
    from jetbox.engine.safety.process import Limits

    ours = os.path.dirname(program) == os.path.dirname(sys.executable)
    if not (confined or ours):
        return ""
    done = await processes.run([program, "--version"], limits=Limits(seconds=10.0, output_bytes=1000))
    return done.output.strip().splitlines()[0] if done.code == 0 and done.output.strip() else ""
