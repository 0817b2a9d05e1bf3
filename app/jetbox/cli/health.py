"""The checks of `doctor` that ask nobody else: Python, configuration, terminal, git, folders."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Literal

import msgspec

from jetbox.engine.errors import ExitCode, JetboxError, SettingsError, in_full
from jetbox.engine.safety.starting import end, spawn

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jetbox.cli.options import Invocation
    from jetbox.settings.load import Loaded

State = Literal["ok", "warn", "fail"]
LOW_DISK = 1024**3
"""Below this a long session may not find room; bytes."""
NO_DISK = 64 * 1024**2
"""Below this a session is likely to end for lack of room; bytes."""


class Check(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one look found."""

    name: str
    state: State
    said: str
    cure: str = ""
    """What to do, where there is something to do."""
    exit_code: int = ExitCode.DONE
    """What a failure means for the exit code."""


def fail(name: str, said: str, cure: str, code: ExitCode) -> Check:
    """A check that failed."""
    return Check(name, "fail", said, cure, int(code))


async def timely(name: str, seconds: float, look: Callable[[], Awaitable[Check]], code: ExitCode) -> Check:
    """The check, or a failure when it takes too long or breaks."""
    try:
        return await asyncio.wait_for(look(), seconds)
    except TimeoutError:
        return fail(name, f"no answer within {seconds:g} s", "see whether it hangs without jetbox-tui too", code)
    except JetboxError as failure:
        return fail(name, failure.message, failure.hint, failure.exit_code)
    except Exception as failure:
        # A check that breaks must not keep the others from being told.
        return fail(name, f"internal error: {in_full(failure)}", "", ExitCode.INTERNAL)


def python() -> Check:
    """Which Python runs us."""
    from jetbox import __version__

    version = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", "ok", f"jetbox-tui {__version__} on Python {version}, {sys.executable}")


def configuration(asked: Invocation) -> tuple[Check, Loaded]:
    """What was read; where that failed, the defaults stand in so that the rest can be looked at."""
    from jetbox.settings.load import Loaded
    from jetbox.settings.model import Settings

    try:
        loaded = asked.loaded
    except SettingsError as failure:
        return fail("settings", failure.message, failure.hint, failure.exit_code), Loaded(Settings(), {})
    if loaded.untrusted:
        said = f"{loaded.project_path} is not trusted; ignored: {', '.join(loaded.untrusted)}"
        return Check("settings", "warn", said, "look at it, then `jetbox-tui config trust`"), loaded
    if loaded.notices:
        return Check("settings", "warn", "; ".join(loaded.notices)), loaded
    files = [path for path in (loaded.user_path, loaded.project_path) if path and os.path.exists(path)]
    changed = len(loaded.changed())
    said = f"{', '.join(files) or 'no file'}; {changed or 'no'} option{'s' * (changed != 1)} changed"
    return Check("settings", "ok", said), loaded


def terminal() -> Check:
    """Can the workbench be shown here, and how well."""
    if not (sys.stdin and sys.stdout and sys.stdin.isatty() and sys.stdout.isatty()):
        return Check("terminal", "warn", "there is none here: the workbench needs one, `run` does not")
    term = os.environ.get("TERM", "")
    if term in ("", "dumb"):
        return Check("terminal", "warn", f"TERM is {term or 'unset'}: line by line", "set TERM, such as xterm-256color")
    columns, lines = os.get_terminal_size(sys.stdout.fileno())
    said = f"{columns}x{lines}, {term}, {_colours(term)}"
    encoding = (sys.stdout.encoding or "").lower()
    if encoding != "utf-8":
        return Check(
            "terminal", "warn", f"{said}, {encoding or 'unknown encoding'}", "use a UTF-8 locale: LANG=C.UTF-8"
        )
    if columns < 60 or lines < 15:
        return Check("terminal", "warn", said, "60x15 is the least for the workbench; 100 columns show everything")
    return Check("terminal", "ok", f"{said}, UTF-8")


def _colours(term: str) -> str:
    if os.environ.get("NO_COLOR"):
        return "no colours (NO_COLOR)"
    if os.environ.get("COLORTERM", "") in ("truecolor", "24bit"):
        return "true colour"
    return "256 colours" if "256" in term else "few colours"


async def git() -> Check:
    """Is git there; sessions work without it."""
    cure = "install git to have commits in the record and undo by round"
    try:
        process = await spawn(
            "git",
            "--version",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as failure:
        return Check("git", "warn", f"git cannot be started: {failure.strerror}", cure)
    try:
        output, _ = await process.communicate()
    finally:
        await end(process)
    if process.returncode != 0:
        return Check("git", "warn", f"git --version ended with {process.returncode}", cure)
    return Check("git", "ok", output.decode(errors="replace").strip())


def sessions(configured: str) -> Check:
    """Can sessions be written, and is there room."""
    import tempfile

    from jetbox.record.library import sessions_folder

    folder = str(sessions_folder(configured))
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"x" * 4096)
            probe.flush()
    except OSError as failure:
        cure = "make it writable, or name another with --set session.folder=DIR"
        return fail("sessions", f"{folder} cannot be written: {failure.strerror}", cure, ExitCode.STORAGE)
    return _room("sessions", folder)


def workspace(folder: str) -> Check:
    """Can files be written where the work is to be done."""
    if not os.access(folder, os.W_OK | os.X_OK):
        return fail("workspace", f"{folder} cannot be written", "work in a folder of your own", ExitCode.STORAGE)
    from jetbox.engine.workspace.place import empty, no_project

    found = _room("workspace", folder)
    what = no_project(folder) or ("empty" if empty(folder) else "")
    if not what or found.state != "ok":
        return found
    if what == "empty":
        return Check("workspace", "ok", f"{found.said}, {what}")
    return Check("workspace", "warn", f"{found.said}: {what}", "work in a project's folder, or name one with -C")


def probes(folder: str) -> Check:
    """Whether earlier sessions found that a probe's server cannot be used here."""
    from pathlib import Path

    from jetbox.engine.probes import ruff_aside, shadows
    from jetbox.record.places import probes_folder

    store = probes_folder(Path(folder).resolve())
    found = {"ruff": (ruff_aside, ruff_aside.told(store)), "pytest": (shadows, shadows.told(store))}
    slow = [f"{name} runs from scratch here: {why}" for name, (_, why) in found.items() if why]
    if not slow:
        return Check("probes", "ok", "no server of a probe was switched off here")
    files = [str(store / of.FILE) for of, why in found.values() if why]
    return Check(
        "probes",
        "warn",
        "; ".join(slow),
        f"verdicts are right all the same; to try again, remove {' and '.join(files)}",
    )


async def tokenizers(files: dict[str, str]) -> Check:
    """Whether tokens can be counted with every file that is configured."""
    from jetbox.engine.counting import try_out

    for file in dict.fromkeys(files.values()):
        try:
            await try_out(file)
        except SettingsError as error:
            return Check("tokenizers", "warn", f"tokens are estimated: {error.message}", error.hint)
    return Check("tokenizers", "ok", f"tokens of {', '.join(files)} are counted")


def _room(name: str, folder: str) -> Check:
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    said = f"{folder}, {free / 1024**3:.1f} GiB free"
    if free < NO_DISK:
        return fail(name, said, "make room on this disk", ExitCode.STORAGE)
    return Check(name, "warn", said, "make room on this disk") if free < LOW_DISK else Check(name, "ok", said)
