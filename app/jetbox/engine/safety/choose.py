"""Which sandbox holds on this machine: each is really tried before it is trusted."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from jetbox.engine.safety.private import PrivateFolder
from jetbox.engine.safety.process import Limits, ProcessRunner
from jetbox.engine.safety.sandbox import Sandbox
from jetbox.engine.safety.unconfined import NoSandbox

_ORDER = {"linux": ("bubblewrap", "landlock"), "darwin": ("sandbox-exec",)}
_TRIAL_S = 5.0

# Works inside; what it reaches outside is judged from outside, since a sandbox may show the
# command a file system of its own.
_TRIAL = """
mark="$PWD/$2"; (: > "$mark") 2>/dev/null && rm -f "$mark" || exit 3
(: > "$TMPDIR/$2") && rm -f "$TMPDIR/$2" || exit 3
(: > "$1/outside") 2>/dev/null
cat "$1/secret" 2>/dev/null
exit 0
"""


async def choose_sandbox(
    root: Path, *, enabled: bool, network: bool, readable: Sequence[Path] = (), prefer: str = ""
) -> Sandbox:
    """The strongest sandbox that works for this workspace; `NoSandbox` where none does.

    `prefer` names one to try before the others; `readable` are folders that commands may read
    besides the system, interpreters and toolchains. Close the sandbox when the session ends.
    """
    order = _ORDER.get(sys.platform, ())
    if not enabled or prefer == NoSandbox.name:
        return NoSandbox()
    real = Path(os.path.realpath(root))
    for name in sorted(order, key=lambda name: name != prefer):
        sandbox = await _built(name, real, network, readable)
        if sandbox is not None:
            return sandbox
    return NoSandbox()


async def _built(name: str, root: Path, network: bool, readable: Sequence[Path]) -> Sandbox | None:
    make = _makers()[name]
    try:
        private = await asyncio.to_thread(PrivateFolder.create, root)
    except OSError:
        return None
    held = False
    try:
        sandbox = await asyncio.to_thread(make, root, private, network, os.environ, readable)
        if sandbox is None or not await holds(sandbox, root, private):
            return None
        held = True
        sandbox.cannot += _too_much(root)
        return sandbox
    except OSError:
        return None
    finally:
        if not held:
            await asyncio.to_thread(private.delete)


async def holds(sandbox: Sandbox, root: Path, private: PrivateFolder) -> bool:
    """Whether a command in it works, and is refused what lies outside."""
    word = "not to be read"
    await asyncio.to_thread((private.path / "secret").write_text, word)
    writable = root if os.access(root, os.W_OK) else private.tmp
    script = ("/bin/sh", "-c", _TRIAL, "sh", str(private.path), f".{private.path.name}")
    ended = await ProcessRunner(sandbox, root).run(script, limits=Limits(_TRIAL_S, 1000), cwd=writable)
    refused = word not in ended.output and not (private.path / "outside").exists()
    return ended.state == "exited" and ended.code == 0 and refused


def _too_much(root: Path) -> tuple[str, ...]:
    """A workspace so wide that the boundary around it means little."""
    home = Path(os.path.realpath(os.path.expanduser("~")))
    return ("reading and changing your home folder: it lies in the workspace",) if home.is_relative_to(root) else ()


Maker = Callable[[Path, PrivateFolder, bool, Mapping[str, str], Sequence[Path]], Sandbox | None]


def _makers() -> dict[str, Maker]:
    return {"bubblewrap": _bubblewrap, "landlock": _landlock, "sandbox-exec": _seatbelt}


def _bubblewrap(
    root: Path, private: PrivateFolder, network: bool, environ: Mapping[str, str], readable: Sequence[Path]
) -> Sandbox | None:
    import shutil

    from jetbox.engine.safety.bubblewrap import Bubblewrap

    program = shutil.which("bwrap")
    if program is None:
        return None
    return Bubblewrap(program, root, private, network=network, environ=environ, readable=readable)


def _landlock(
    root: Path, private: PrivateFolder, network: bool, environ: Mapping[str, str], readable: Sequence[Path]
) -> Sandbox | None:
    from jetbox.engine.safety.landlock import Landlock
    from jetbox.engine.safety.supervisor import landlock_version

    version = landlock_version()
    if not version:
        return None
    return Landlock(root, private, version=version, network=network, environ=environ, readable=readable)


def _seatbelt(
    root: Path, private: PrivateFolder, network: bool, environ: Mapping[str, str], readable: Sequence[Path]
) -> Sandbox | None:
    from jetbox.engine.safety.seatbelt import Seatbelt

    program = "/usr/bin/sandbox-exec"
    if not os.path.exists(program):
        return None
    return Seatbelt(program, root, private, network=network, environ=environ, readable=readable)
