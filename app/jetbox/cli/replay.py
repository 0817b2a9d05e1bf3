"""The workbench on a recording; on one that is still being written, it looks on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from jetbox.cli.options import Invocation
    from jetbox.ui.skeleton import Skeleton
    from jetbox.ui.wanted import Wanted


def replay(session: str, at: int | None, speed: float, asked: Invocation, skeleton: Skeleton | None = None) -> int:
    """Show the session until the screen is closed; returns the exit code. `skeleton` is on the terminal already.

    Raises:
        RecordingError: there is no such recording, or it cannot be read.
    """
    from jetbox.record.library import find, sessions_folder

    where = find(session, sessions_folder(asked.settings.session.folder))
    code, wanted = show_recording(where, asked, at, speed, skeleton)
    if wanted is not None:
        from jetbox.cli.workbench import go_on

        code = go_on(wanted, asked)
    return code


def show_recording(
    where: Path,
    asked: Invocation,
    at: int | None = None,
    speed: float = 1.0,
    skeleton: Skeleton | None = None,
) -> tuple[int, Wanted | None]:
    """One recording: the exit code, and where the user went from it.

    Raises:
        RecordingError: it cannot be read.
    """
    import asyncio

    async def show() -> tuple[int, Wanted | None]:
        from jetbox.record.follow import Follower
        from jetbox.record.library import sessions_folder
        from jetbox.record.lock import is_held
        from jetbox.record.playback import Playback
        from jetbox.record.recording import journal_path, read_journal
        from jetbox.ui.lean import import_textual

        import_textual()
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
        settings = asked.settings
        folder = sessions_folder(settings.session.folder)
        app = JetboxApp(
            source,
            theme=settings.ui.theme,
            keys=settings.keys,
            sessions=folder,
            loaded=asked.loaded,
            skeleton=skeleton,
        )
        return await app.run_async() or 0, app.wanted

    return asyncio.run(show())
