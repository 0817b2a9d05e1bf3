"""Finds recordings: by path, by id or its beginning, by workspace, and among the samples that ship."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from jetbox.engine.errors import JetboxError, RecordingError
from jetbox.engine.events import GoalEnded, GoalStarted, Outcome, RequestSent, SessionOpened, Stamped, TextDelta
from jetbox.record.blobs import BlobStore
from jetbox.record.decode import BAD_LINE, Deferred, decode, resolve
from jetbox.record.journal import BLOBS, JOURNAL
from jetbox.record.lock import is_held
from jetbox.record.places import new_session_id, sessions_folder
from jetbox.record.recording import read_header

__all__ = [
    "Glimpse",
    "Summary",
    "find",
    "glimpse",
    "latest",
    "new_session_id",
    "newest_first",
    "samples",
    "sessions_folder",
    "summaries",
    "summary",
]

LABEL = "label"
"""File beside a journal with what the user calls the session, so that a list need not read all of it."""
HEAD_BYTES = 65_536
TAIL_BYTES = 65_536


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A session in a line of a list."""

    id: str
    path: Path
    """The session's folder."""
    created: str = ""
    workspace: str = ""
    model: str = ""
    goal: str = ""
    """The text of its beginning goal."""
    rounds: int = 0
    outcome: Outcome | None = None
    """Of the last goal; None while it runs, or where it never ended."""
    running: bool = False
    """A process writes it now."""
    size: int = 0
    """Bytes of the journal, without blobs."""
    label: str = ""
    """What the user calls it."""
    problem: str = ""
    """Why it cannot be read; empty where it can."""


class Glimpse(msgspec.Struct, frozen=True):
    """How a session ended, from the tail of its journal."""

    goal: str = ""
    """The last one, where the tail has its beginning."""
    reason: str = ""
    answer: str = ""
    """What the model said last."""


def samples() -> dict[str, Path]:
    """The recordings that ship with the product, by name."""
    from importlib import resources

    package = Path(str(resources.files("jetbox")))
    # Installed, they lie in the package; in a checkout beside its source folder.
    for folder in (package / "_sessions", package.parent.parent / "sessions"):
        if folder.is_dir():
            return {entry.name: entry for entry in _session_folders(folder)}
    return {}


def find(name: str, folder: Path | None = None) -> Path:
    """The session's folder, or a journal's file, for a path, an id, its beginning, or a sample's name.

    Raises:
        RecordingError: nothing has that name, or several have.
    """
    if not name:
        raise RecordingError("no session was named", "give its ID, or a folder with a journal.jsonl")
    path = Path(name).expanduser()
    if path.is_file() or (path / JOURNAL).is_file():
        return path.absolute()
    if os.sep in name or name in (".", ".."):
        raise RecordingError(f"there is no recording at {name}", "give a session's folder or its journal.jsonl")
    folder = sessions_folder() if folder is None else folder
    known = {entry.name: entry for entry in _session_folders(folder)}
    if name in known:
        return known[name]
    shipped = samples()
    if name in shipped:
        return shipped[name]
    everything = {**shipped, **known}
    matches = sorted(each for each in everything if each.startswith(name))
    if len(matches) == 1:
        return everything[matches[0]]
    if matches:
        more = f" and {len(matches) - 3} more" if len(matches) > 3 else ""
        raise RecordingError(
            f"{len(matches)} sessions begin with {name}: {', '.join(matches[-3:])}{more}", "give more of the id"
        )
    raise RecordingError(f"there is no session {name} in {folder}", _nearest(name, everything))


def named(file: Path, folder: Path) -> str:
    """What `find` finds this journal by: its session's id, a sample's name, or where it lies."""
    session = file.parent if file.name == JOURNAL else file
    if session.parent.resolve() == folder.resolve():
        return session.name
    place = session.relative_to(here()) if session.is_relative_to(here()) else session
    return next((name for name, sample in samples().items() if sample == session), str(place))


def here() -> Path:
    """The folder that relative paths begin at; an empty path where that is gone."""
    try:
        return Path.cwd()
    except OSError:
        return Path()


def _nearest(name: str, known: dict[str, Path]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    if known:
        return f"the newest is {max(known)}"
    return "nothing was recorded yet"


def latest(workspace: Path, folder: Path | None = None) -> Path | None:
    """The newest session of a workspace; None where there is none."""
    wanted = os.path.realpath(workspace)
    for session in newest_first(sessions_folder() if folder is None else folder):
        try:
            header = _header(session / JOURNAL)
        except JetboxError:
            continue
        if os.path.realpath(header.workspace) == wanted:
            return session
    return None


def summaries(folder: Path | None = None, *, limit: int = 0) -> list[Summary]:
    """All sessions, newest first, from the head and tail of each journal; at most `limit` where it is given."""
    found = []
    for session in newest_first(sessions_folder() if folder is None else folder):
        found.append(summary(session))
        if len(found) == limit:
            break
    return found


def summary(session: Path) -> Summary:
    """One session in a line; what cannot be read is said in `problem`."""
    file = session / JOURNAL if session.is_dir() else session
    session = file.parent
    try:
        with open(file, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            head = stream.read(HEAD_BYTES)
            stream.seek(max(0, size - TAIL_BYTES))
            tail = head if size <= HEAD_BYTES else stream.read(TAIL_BYTES)
        header = read_header(head.split(b"\n", 1)[0], file)
    except OSError as error:
        return Summary(id=session.name, path=session, problem=f"cannot read {file}: {error.strerror or error}")
    except RecordingError as error:
        return Summary(id=session.name, path=session, size=size, problem=error.message)
    blobs = BlobStore(session / BLOBS)
    goal = next(_events(head.split(b"\n"), b'"goal.started"', blobs), None)
    rounds, outcome = _end(tail.split(b"\n"), blobs)
    return Summary(
        id=header.id,
        path=session,
        created=header.created,
        workspace=header.workspace,
        model=header.model,
        goal=goal.event.text if goal is not None and isinstance(goal.event, GoalStarted) else "",
        rounds=rounds,
        outcome=outcome,
        running=is_held(file),
        size=size,
        label=label_of(session),
    )


def label_of(session: Path) -> str:
    """What the user calls it; empty where it has no label."""
    try:
        return (session / LABEL).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def keep_label(session: Path, label: str) -> None:
    """Put the label where lists look for it; the journal has it as well.

    Raises:
        OSError: it cannot be written.
    """
    private = os.open(session / f"{LABEL}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(private, "w", encoding="utf-8") as file:
        file.write(f"{label}\n")
    os.replace(session / f"{LABEL}.new", session / LABEL)


def glimpse(session: Path) -> Glimpse:
    """What the end of the journal tells; what cannot be read is left out."""
    try:
        with open(session / JOURNAL, "rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - TAIL_BYTES))
            tail = stream.read(TAIL_BYTES).split(b"\n")
    except OSError:
        return Glimpse()
    goal = reason = answer = ""
    for stamped in _events(tail, b'"seq"', BlobStore(session / BLOBS)):
        match stamped.event:
            case GoalStarted(text=text):
                goal = text
            case GoalEnded() as ended:
                reason = ended.reason
            case RequestSent():
                answer = ""
            case TextDelta(text=text):
                answer += text
            case _:
                pass
    return Glimpse(goal, reason, answer.strip())


def _end(lines: list[bytes], blobs: BlobStore) -> tuple[int, Outcome | None]:
    """The last round's number, and how the last goal ended."""
    rounds = 0
    for line in reversed(lines):
        try:
            rounds = decode(line)[-1].round
            break
        except BAD_LINE:  # torn at its end, or cut by where the tail begins
            continue
    goals = (line for line in reversed(lines) if b'"goal.ended"' in line or b'"goal.started"' in line)
    for stamped in _events(goals, b'"goal.', blobs):
        if isinstance(stamped.event, GoalEnded):
            return rounds, stamped.event.outcome
        if isinstance(stamped.event, GoalStarted):
            break
    return rounds, None


def _events(lines: list[bytes] | Iterator[bytes], mark: bytes, blobs: BlobStore) -> Iterator[Stamped]:
    """The events of lines that hold `mark`, as far as they can be read."""
    for line in lines:
        if mark not in line:
            continue
        try:
            for item in decode(line):
                yield resolve(item, blobs.read) if isinstance(item, Deferred) else item
        except (*BAD_LINE, RecordingError):
            continue


def _header(file: Path) -> SessionOpened:
    try:
        with open(file, "rb") as stream:
            return read_header(stream.readline().rstrip(b"\n"), file)
    except OSError as error:
        raise RecordingError(f"cannot read {file}: {error.strerror or error}") from error


def _session_folders(folder: Path) -> Iterator[Path]:
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if os.path.isfile(os.path.join(folder, name, JOURNAL)):
            yield folder / name


def newest_first(folder: Path) -> list[Path]:
    """The folders of all sessions, without a look into them."""
    return sorted(_session_folders(folder), key=lambda path: path.name, reverse=True)
