"""Where a session takes place: machine, server, commit; asked for off the critical path."""

from __future__ import annotations

import asyncio

import msgspec

from jetbox.engine.events import Environment, Notice
from jetbox.engine.parts import Parts, model_ready
from jetbox.engine.safety.process import Limits, ProcessRunner


async def look_around(parts: Parts) -> None:
    """Tell the journal what machine, server and commit this is; off the critical path."""
    import os
    import platform

    server = digest = ""
    try:
        server = await parts.model.version()
        listed = next((m for m in await parts.model.installed() if m.name == parts.model_name), None)
        if listed is not None and parts.model_info is not None:
            digest = listed.digest
            known = msgspec.structs.replace(parts.model_info, size=listed.size, digest=digest)
            parts.model_info = known
            parts.session.emit(model_ready(known, parts.budget.num_ctx, parts.options.model.keep_alive))
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
