"""The workbench on a recording; on one that is still being written, it looks on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetbox.cli.options import Invocation


def replay(session: str, at: int | None, speed: float, asked: Invocation) -> int:
    """Show the session until the screen is closed; returns the exit code.

    Raises:
        RecordingError: there is no such recording, or it cannot be read.
    """
    import asyncio

    from jetbox.record.library import find, sessions_folder

    where = find(session, sessions_folder(asked.settings.session.folder))

    async def show() -> int:
        from jetbox.record.follow import Follower
        from jetbox.record.lock import is_held
        from jetbox.record.playback import Playback
        from jetbox.record.recording import journal_path, read_journal
        from jetbox.ui.app import JetboxApp

        source: Playback | Follower
        if is_held(journal_path(where)):
            source = Follower(where)
        else:
            source = Playback(read_journal(where))
            source.set_speed(speed)
            if at is None:
                source.play()
            else:
                source.seek_round(at)
        app = JetboxApp(source, theme=asked.settings.ui.theme, keys=asked.settings.keys)
        return await app.run_async() or 0

    return asyncio.run(show())
