"""The workbench on a live session."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import msgspec

from jetbox.cli.live import Live
from jetbox.cli.opening import opening
from jetbox.engine.errors import ExitCode

if TYPE_CHECKING:
    from jetbox.cli.options import Invocation
    from jetbox.ui.skeleton import Skeleton
    from jetbox.ui.wanted import Wanted

GONE = (errno.EIO, errno.EPIPE, errno.ENXIO, errno.EBADF)
"""What writing to a terminal that was closed says, before or after the signal that tells of it."""


def workbench(asked: Invocation, skeleton: Skeleton | None = None) -> int:
    """Show the workbench until it is closed; returns the exit code. `skeleton` is on the terminal already.

    Raises:
        JetboxError: the session cannot be opened.
    """
    code, wanted = _live(chosen(asked), skeleton)
    return code if wanted is None else go_on(wanted, asked)


def chosen(asked: Invocation) -> Invocation:
    """With the session to go on with, where it was left to be chosen.

    Raises:
        SettingsError: there is none.
    """
    if asked.resume != "":
        return asked
    from jetbox.cli.choose import choose_session
    from jetbox.record.places import sessions_folder

    session = choose_session(asked.cwd.resolve(), sessions_folder(asked.settings.session.folder))
    return msgspec.structs.replace(asked, resume=session)


def go_on(wanted: Wanted | None, asked: Invocation) -> int:
    """Show one session after the other, as the user goes from one to the next; returns the last exit code.

    Raises:
        JetboxError: one of them cannot be opened.
    """
    from pathlib import Path

    from jetbox.ui.collecting import free_ended

    code = int(ExitCode.DONE)
    while wanted is not None:
        free_ended()
        if wanted.how == "replay":
            from jetbox.cli.replay import show_recording

            code, wanted = show_recording(wanted.session, asked)
        else:
            there = {"cwd": Path(wanted.workspace), "cwd_given": True, "resume": wanted.session.name}
            none = {"goal": "", "continue_last": False, "demo": False}
            asked = msgspec.structs.replace(asked, **there, **none)
            code, wanted = _live(asked)
    return code


def _live(asked: Invocation, skeleton: Skeleton | None = None) -> tuple[int, Wanted | None]:
    """One live session: its exit code, and where the user went from it."""
    import asyncio

    from jetbox.record.places import sessions_folder

    with opening(asked, attended=True, asks=True) as start:

        async def show() -> tuple[int, Wanted | None]:
            from jetbox.ui.lean import import_textual

            import_textual()
            from jetbox.ui.app import JetboxApp

            live = Live(start)
            try:
                app = JetboxApp(
                    live.feed,
                    theme=asked.settings.ui.theme,
                    keys=asked.settings.keys,
                    driver=live.drive,
                    stop=live.stop,
                    sessions=sessions_folder(asked.settings.session.folder),
                    loaded=asked.loaded,
                    skeleton=skeleton,
                )
                code = await app.run_async()
            except OSError as error:
                # The journal's failures are errors of ours: this one is of the terminal, and it is gone.
                if live.signal is None and error.errno not in GONE:
                    raise
                code = int(live.signal or ExitCode.HANGUP)
            finally:
                await live.abandon()
            return int(ExitCode.INTERNAL if code is None else code), app.wanted if live.signal is None else None

        return asyncio.run(show())
