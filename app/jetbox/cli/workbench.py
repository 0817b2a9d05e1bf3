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

GONE = (errno.EIO, errno.EPIPE, errno.ENXIO, errno.EBADF)
"""What writing to a terminal that was closed says, before or after the signal that tells of it."""


def workbench(asked: Invocation) -> int:
    """Show the workbench until it is closed; returns the exit code.

    Raises:
        JetboxError: the session cannot be opened.
    """
    import asyncio

    if asked.resume == "":
        from jetbox.cli.choose import choose_session
        from jetbox.record.places import sessions_folder

        chosen = choose_session(asked.cwd.resolve(), sessions_folder(asked.settings.session.folder))
        asked = msgspec.structs.replace(asked, resume=chosen)
    with opening(asked, attended=True) as start:

        async def show() -> int:
            from jetbox.ui.app import JetboxApp

            live = Live(start)

            app = JetboxApp(
                live.feed,
                theme=asked.settings.ui.theme,
                keys=asked.settings.keys,
                driver=live.drive,
                stop=live.stop,
            )
            try:
                code = await app.run_async()
            except OSError as error:
                # The journal's failures are errors of ours: this one is of the terminal, and it is gone.
                if live.signal is None and error.errno not in GONE:
                    raise
                code = int(live.signal or ExitCode.HANGUP)
            return ExitCode.INTERNAL if code is None else code

        return asyncio.run(show())
