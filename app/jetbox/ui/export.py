"""Writes a session as a document."""

from __future__ import annotations

from pathlib import Path


def export(session: str, folder: Path, name: str, *, overwrite: bool = False) -> Path:
    """Write the session of this id as Markdown, to `name` or beside its journal; a shipped one here. Blocks.

    It is there as a whole or not at all. What has the form of a secret is replaced.

    Raises:
        RecordingError: there is no such recording, or it cannot be read.
        OSError: the file is there already, or cannot be written.
    """
    from jetbox.engine.safety.likely import LikelySecrets
    from jetbox.record.disk import replace_file
    from jetbox.record.library import find, samples
    from jetbox.record.markdown import markdown
    from jetbox.record.recording import read_journal

    where = find(session, folder)
    if not name and where in samples().values():
        name = f"{where.name}.md"
    text = LikelySecrets().redact(markdown(read_journal(where).events))
    target = Path(name).expanduser().absolute() if name else where / "session.md"
    replace_file(target, text.encode(), only_new=bool(name) and not overwrite)
    return target
