"""Who changed a file: concluded from what the session's events tell of tools, commands and probes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from typing import Literal

import msgspec

from jetbox.engine.events import (
    ChangeKind,
    FileChange,
    PermissionAnswered,
    PermissionAsked,
    ProbeEnded,
    ProbeStarted,
    QuestionAnswered,
    QuestionAsked,
    ToolCalled,
    ToolEnded,
    ToolHeld,
    ToolStarted,
    Undone,
)
from jetbox.engine.session import Session

By = Literal["agent", "command", "you", "git", "probe"]

TICK_NS = 12_000_000
"""Time stamps of files lag behind the clock by up to a tick of the kernel's."""
RUNS = 200
"""Commands, and runs of probes, that are remembered."""
TOLD = 20_000
PROGRAM = (".py", ".pyi", ".pyx", ".ipynb", ".toml", ".cfg", ".ini")
"""Text that people and agents change: a probe is not believed to be its writer."""


class Seen(msgspec.Struct, frozen=True):
    """A change of one file."""

    path: str
    kind: ChangeKind
    at: int
    """Wall time in ns, as the file system has it; 0 where nothing is left that tells it."""
    shown: bool = True
    """False where git ignores the file, or an editor keeps it for a while."""


class Running(msgspec.Struct):
    """Something that may change files, and when it ran; wall time in ns."""

    began: int
    ended: int = 0
    """0 while it runs."""

    def has(self, begin: int, end: int) -> bool:
        """Whether it ran at a time between these."""
        return self.began - TICK_NS <= end and (not self.ended or begin <= self.ended + TICK_NS)


class Doings:
    """What the session's events tell of who may have changed files, and when."""

    def __init__(self, session: Session, commands: frozenset[str] = frozenset({"run_cmd"})) -> None:
        """`commands` are names of tools that run commands."""
        self._session = session
        self._commands = commands
        self._feed = session.feed(
            ToolCalled,
            ToolStarted,
            ToolHeld,
            ToolEnded,
            PermissionAsked,
            PermissionAnswered,
            QuestionAsked,
            QuestionAnswered,
            ProbeStarted,
            ProbeEnded,
            Undone,
            past=False,
        )
        self._calls: dict[str, str] = {}
        self._asked: dict[str, str] = {}
        self._open: dict[str, Running] = {}
        self.writers: set[str] = set()
        """Calls of file tools that run now."""
        self.commands: deque[Running] = deque(maxlen=RUNS)
        self.probes: deque[Running] = deque(maxlen=RUNS)
        self.told: dict[str, int] = {}
        """Files whose change a tool's end has told already, and when; wall time in ns."""

    def close(self) -> None:
        """Read no more events."""
        self._session.drop(self._feed)

    async def more(self) -> bool:
        """Wait for something that bears upon it."""
        return await self._feed.ready()

    def update(self) -> None:
        """Take what happened since the last time."""
        # The session's clock and the file system's have different beginnings.
        offset = time.time_ns() - self._session.now()
        for stamped in self._feed.drain().events:
            t = stamped.t + offset
            match stamped.event:
                case ToolCalled() as event:
                    self._calls[event.call] = event.name
                case ToolStarted() as event:
                    self._begin(event.call, t)
                case ToolHeld() as event:
                    (self._end if event.held else self._begin)(event.call, t)
                case PermissionAsked() | QuestionAsked() as event:
                    self._asked[event.id] = event.call
                    self._end(event.call, t)
                case PermissionAnswered() | QuestionAnswered() as event:
                    self._begin(self._asked.pop(event.id, ""), t)
                case ToolEnded() as event:
                    self._end(event.call, t)
                    self._calls.pop(event.call, None)
                    self._tell(event.changes, t)
                case Undone() as event:
                    self._tell(event.files, t)
                case ProbeStarted() as event:
                    self._open[f"probe {event.name}"] = running = Running(t)
                    self.probes.append(running)
                case ProbeEnded() as event:
                    self._close(f"probe {event.name}", t)
                case _:
                    pass

    def _tell(self, changes: Iterable[FileChange], t: int) -> None:
        for change in changes:
            self.told.pop(change.path, None)
            self.told[change.path] = t
        while len(self.told) > TOLD:
            del self.told[next(iter(self.told))]

    def _begin(self, call: str, t: int) -> None:
        name = self._calls.get(call)
        if name is None:
            return
        plain = name.lower().replace("-", "_")
        if not any(command in plain for command in self._commands):
            self.writers.add(call)
            return
        self._open[call] = running = Running(t)
        self.commands.append(running)

    def _end(self, call: str, t: int) -> None:
        self.writers.discard(call)
        self._close(call, t)

    def _close(self, key: str, t: int) -> None:
        running = self._open.pop(key, None)
        if running is not None:
            running.ended = t

    def who(self, seen: Seen, began: int, ended: int, *, git: bool) -> By | None:
        """Who changed the file, seen between these times; None where the session has told of it already."""
        begin, end = (seen.at, seen.at) if seen.at else (began, ended)
        told = self.told.get(seen.path)
        if told is not None and (seen.at or began) <= told + TICK_NS:
            return None
        if any(running.has(begin, end) for running in self.commands):
            return "command"
        if git:
            return "git"
        if not seen.path.endswith(PROGRAM) and any(running.has(begin, end) for running in self.probes):
            return "probe"
        return "you"
