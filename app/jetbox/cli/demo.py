"""The demo's surroundings: the embedded server in a process of its own, and a scratch folder.

What works in them is the ordinary session: the same client, loop, tools and probes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from jetbox.engine.errors import ServerUnreachable

GOAL = "Create mathx package with add(a,b) and multiply(a,b), add tests, run ruff and pytest."
MODEL = "gpt-oss:20b"


class Demo(msgspec.Struct, frozen=True):
    """Where the demo takes place."""

    host: str
    folder: Path


@contextmanager
def demo(profile: str) -> Iterator[Demo]:
    """Start the server with a latency profile; it ends with the context, the folder stays to be looked at.

    Raises:
        ServerUnreachable: the embedded server did not start.
    """
    from jetbox.sim.launch import LaunchError, ServerProcess

    try:
        server = ServerProcess(profile=profile)
    except LaunchError as error:
        raise ServerUnreachable(f"the embedded server did not start: {error}", "try `jetbox-tui simulate`") from error
    with server:
        yield Demo(server.url, Path(tempfile.mkdtemp(prefix="jetbox-demo-")).resolve())
