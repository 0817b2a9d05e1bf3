"""Takes a workspace for a session: its lock, and the journal, a new one or the one that is gone on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from jetbox.engine.errors import SettingsError, StorageError
from jetbox.record.journal import JournalWriter

if TYPE_CHECKING:
    from jetbox.record.resume import Resumption


class Taken:
    """A workspace that is ours until `lock` is closed."""

    def __init__(
        self,
        root: Path,
        folder: str,
        *,
        resume: str | None,
        record: bool,
        tee: Callable[[bytes], None] | None,
    ) -> None:
        """`folder` is the configured one of all sessions; `resume` as in `Start`.

        Raises:
            StorageError, WorkspaceBusy, RecordingError, SettingsError
        """
        from jetbox.record.lock import WorkspaceLock
        from jetbox.record.places import new_session_id, sessions_folder

        if not root.is_dir():
            raise StorageError(f"{root} is not a folder", "name one with --cwd")
        sessions = sessions_folder(folder)
        where = None if resume is None else _recorded(root, sessions, resume)
        self.resumed: Resumption | None = None
        self.id = new_session_id() if where is None else where.name
        self.lock = WorkspaceLock(root)
        self.lock.acquire(self.id)
        try:
            if where is not None:
                self.recorder, self.resumed = _go_on(where, tee)
            elif record:
                self.recorder = JournalWriter.create(sessions / self.id, tee=tee)
            else:
                self.recorder = JournalWriter.memory(tee=tee)
        except BaseException:
            # Re-raised: whatever failed, an interruption too, the workspace is not left locked.
            self.lock.close()
            raise


def _recorded(root: Path, sessions: Path, resume: str) -> Path:
    """The folder of a session of this workspace that can be gone on with."""
    from jetbox.record.library import find, latest, samples
    from jetbox.record.recording import read_journal

    where = find(resume, sessions) if resume else latest(root, sessions)
    if where is None:
        raise SettingsError(f"no session was recorded in {root}", "start one with a goal")
    if not where.is_dir() or where in samples().values():
        raise SettingsError(f"{where} cannot be continued: it is no session of yours", "play it with `replay`")
    recorded = Path(read_journal(where).header.workspace)
    if recorded != root:
        raise SettingsError(
            f"session {where.name} was recorded in {recorded}, not here", f"go there, or pass --cwd {recorded}"
        )
    return where


def _go_on(where: Path, tee: Callable[[bytes], None] | None) -> tuple[JournalWriter, Resumption]:
    from jetbox.record.recording import read_journal
    from jetbox.record.resume import resumption

    recorder = JournalWriter.append(where, tee=tee)
    try:
        return recorder, resumption(read_journal(where))
    except BaseException:
        # Re-raised: nobody else knows yet of the journal that is open.
        recorder.release()
        raise
