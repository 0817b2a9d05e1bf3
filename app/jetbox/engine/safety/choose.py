"""Which sandbox holds on this machine: each is really tried before it is trusted."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from jetbox.engine.errors import SandboxMissing
from jetbox.engine.options import EngineOptions
from jetbox.engine.safety.environment import clean_environment
from jetbox.engine.safety.private import PrivateFolder
from jetbox.engine.safety.process import Limits, ProcessRunner
from jetbox.engine.safety.sandbox import Sandbox
from jetbox.engine.safety.unconfined import NoSandbox
from jetbox.engine.workspace.names import TEMPORARY

_ORDER = {"linux": ("bubblewrap", "landlock"), "darwin": ("sandbox-exec",)}
_TRIAL_S = 5.0

# Works inside; what it reaches outside is judged from outside, since a sandbox may show the
# command a file system of its own.
# It needs nothing but the shell.
_TRIAL = """
(: > "$PWD/$2") || exit 3
(: > "$TMPDIR/$2") || exit 3
(: > "$1/outside") 2>/dev/null
(read -r word < "$1/secret" && echo "$word") 2>/dev/null
exit 0
"""


async def sandbox_for(root: Path, options: EngineOptions) -> Sandbox:
    """The sandbox that these options ask for; what they name, an interpreter or folders to read, can be read in it."""
    from jetbox.engine.safety.readable import folders_of_interpreter

    wanted, readable = options.permissions, folders_of_interpreter(options.probes.python, root, os.environ)
    readable += [Path(os.path.expanduser(folder)) for folder in wanted.read_outside]
    return await choose_sandbox(root, enabled=wanted.sandbox, network=wanted.network, readable=readable)


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
    reasons: list[str] = []
    for name in sorted(order, key=lambda name: name != prefer):
        try:
            return await _tried(name, real, network, readable)
        except SandboxMissing as error:
            reasons.append(f"{name}: {error.message}")
    return NoSandbox(reasons)


async def _tried(name: str, root: Path, network: bool, readable: Sequence[Path]) -> Sandbox:
    """Make a sandbox and see that it holds.

    Raises:
        SandboxMissing: it does not work here; the message says why.
    """
    try:
        private = await asyncio.to_thread(PrivateFolder.create, root)
    except OSError as error:
        raise SandboxMissing(f"no private folder: {error}") from error
    try:
        sandbox = await asyncio.to_thread(_MAKERS[name], root, private, network, os.environ, readable)
        if trouble := await trial(sandbox, root, private):
            raise SandboxMissing(trouble)
    except BaseException as error:
        # Re-raised, or worded: a sandbox that is not handed out leaves no folder, cancelled or not.
        await asyncio.to_thread(private.delete)
        if isinstance(error, OSError):
            raise SandboxMissing(str(error)) from error
        raise
    sandbox.cannot += _too_much(root)
    return sandbox


async def trial(sandbox: Sandbox, root: Path, private: PrivateFolder) -> str:
    """Whether a command in it works, and is refused what lies outside: empty, or the trouble in words."""
    from jetbox.engine.safety.readable import is_readable

    # A name that nobody who looks at files, or watches them, takes for the user's.
    word, mark = "not to be read", f".{private.path.name}{TEMPORARY}"
    await asyncio.to_thread((private.path / "secret").write_text, f"{word}\n")
    writable = root if os.access(root, os.W_OK) else private.tmp
    script = ("/bin/sh", "-c", _TRIAL, "sh", str(private.path), mark)
    try:
        ended = await ProcessRunner(sandbox, root).run(script, limits=Limits(_TRIAL_S, 1000), cwd=writable)
    finally:
        (writable / mark).unlink(missing_ok=True)
    # Who opens the folder for temporary files has this one opened too.
    opened = is_readable(str(private.path), str(root), sandbox.readable)
    if (word in ended.output and not opened) or (private.path / "outside").exists():
        return "it does not confine here"
    if ended.state != "exited" or ended.code != 0:
        said = ended.output.strip().splitlines()
        return said[-1] if said else f"a command in it ended with {ended.code}"
    return ""


def _too_much(root: Path) -> tuple[str, ...]:
    """A workspace so wide that the boundary around it means little."""
    home = Path(os.path.realpath(os.path.expanduser("~")))
    return ("reading and changing your home folder: it lies in the workspace",) if home.is_relative_to(root) else ()


def _bubblewrap(
    root: Path, private: PrivateFolder, network: bool, environ: Mapping[str, str], readable: Sequence[Path]
) -> Sandbox:
    import shutil

    from jetbox.engine.safety.bubblewrap import Bubblewrap

    folders = clean_environment(environ)["PATH"].split(os.pathsep)
    outside = (f for f in folders if not Path(os.path.realpath(f)).is_relative_to(root))
    program = shutil.which("bwrap", path=os.pathsep.join(outside))
    if program is None:
        raise SandboxMissing("bwrap is not installed")
    return Bubblewrap(program, root, private, network=network, environ=environ, readable=readable)


def _landlock(
    root: Path, private: PrivateFolder, network: bool, environ: Mapping[str, str], readable: Sequence[Path]
) -> Sandbox:
    from jetbox.engine.safety.landlock import Landlock
    from jetbox.engine.safety.supervisor import landlock_version

    version = landlock_version()
    if not version:
        raise SandboxMissing("this kernel does not offer it")
    return Landlock(root, private, version=version, network=network, environ=environ, readable=readable)


def _seatbelt(
    root: Path, private: PrivateFolder, network: bool, environ: Mapping[str, str], readable: Sequence[Path]
) -> Sandbox:
    from jetbox.engine.safety.seatbelt import Seatbelt

    program = "/usr/bin/sandbox-exec"
    if not os.path.exists(program):
        raise SandboxMissing(f"{program} is not there")
    return Seatbelt(program, root, private, network=network, environ=environ, readable=readable)


_MAKERS = {"bubblewrap": _bubblewrap, "landlock": _landlock, "sandbox-exec": _seatbelt}
