"""Where a session takes place: machine, server, commit, and who else changes files; off the critical path."""

from __future__ import annotations

import asyncio

import msgspec

from jetbox.engine.errors import ModelError
from jetbox.engine.events import Environment, Notice
from jetbox.engine.parts import Parts
from jetbox.engine.safety.process import Limits, ProcessRunner

QUIET_S = 0.5
"""So long the session has the machine for itself, before anything is asked for."""


async def look_around(parts: Parts) -> None:
    """Tell the journal what machine, server and commit this is; off the critical path.

    A session that ends sooner tells what needs nobody to be asked.
    """
    known = _machine()
    try:
        await asyncio.sleep(QUIET_S)
        server, digest = await _server(parts)
        known = msgspec.structs.replace(known, server=server, model_digest=digest)
        await parts.ready.wait()
        commit, dirty = await _git(parts.context.processes)
        known = msgspec.structs.replace(known, git_commit=commit, git_dirty=dirty)
    finally:
        parts.session.emit(known)


def doubt_place(parts: Parts, goal: str) -> None:
    """Say so where the workspace can hardly be the one that the goal means."""
    from jetbox.engine.workspace.place import doubt

    if words := doubt(str(parts.context.workspace.root), goal):
        hint = "if another one is meant, start there, or name it with -C"
        parts.session.emit(Notice(level="warning", text=words, hint=hint))


async def observe(parts: Parts) -> None:
    """Tell the journal, and the probes, which files change while the session runs, and who changes them."""
    from jetbox.engine.workspace.doings import Doings

    # A command that begins before anything is watched may change files long after.
    doings = Doings(parts.session)
    try:
        await asyncio.sleep(QUIET_S)
    except asyncio.CancelledError:
        doings.close()
        raise
    from jetbox.engine.probes.inscope import out_of_scope
    from jetbox.engine.workspace.observer import Observer

    def changed(paths: tuple[str, ...], by: str) -> None:
        if parts.probes is not None:
            parts.probes.heard(paths, by)

    await Observer(parts.session, parts.context.workspace.root, out_of_scope, on_change=changed, doings=doings).run()


def _machine() -> Environment:
    import os
    import sys

    system = os.uname()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    return Environment(
        python=".".join(map(str, sys.version_info[:3])),
        platform=f"{system.sysname} {system.release} {system.machine}",
        cpus=os.cpu_count() or 0,
        memory=memory,
    )


async def _server(parts: Parts) -> tuple[str, str]:
    """Version of the server and digest of the model; empty where it does not say."""
    try:
        version = await parts.model.version()
        listed = next((m for m in await parts.model.installed() if m.name == parts.model_name), None)
    except ModelError as error:
        parts.session.emit(Notice(level="info", text=f"the server did not say what it is: {error}"))
        return "", ""
    parts.server = version
    if listed is None or parts.model_info is None:
        return version, ""
    parts.model_info = msgspec.structs.replace(parts.model_info, size=listed.size, digest=listed.digest)
    parts.tell_model(parts.budget.window)
    return version, listed.digest


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
