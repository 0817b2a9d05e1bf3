"""What a screen needs of a source that can be played, paused and sought."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from jetbox.engine.events import Alarm


class Point(Protocol):
    """An event that one wants to go to: an error, a red verdict, or another mark."""

    @property
    def kind(self) -> Alarm | Literal["mark"]: ...

    @property
    def seq(self) -> int: ...

    @property
    def t(self) -> int: ...


class Mark(Protocol):
    """Where a round begins."""

    @property
    def number(self) -> int: ...

    @property
    def seq(self) -> int: ...

    @property
    def t(self) -> int: ...


@runtime_checkable
class Transport(Protocol):
    """Plays a recording; times in ns since the session began."""

    @property
    def path(self) -> Path:
        """The journal's file."""
        ...

    @property
    def problems(self) -> Sequence[str]:
        """What of it was left out or passed over when it was read."""
        ...

    @property
    def duration(self) -> int: ...

    @property
    def position(self) -> int: ...

    @property
    def playing(self) -> bool: ...

    @property
    def speed(self) -> float: ...

    @property
    def at_end(self) -> bool: ...

    @property
    def seq(self) -> int: ...

    @property
    def marks(self) -> Sequence[Point]: ...

    @property
    def rounds(self) -> Sequence[Mark]: ...

    def play(self) -> None: ...

    def pause(self) -> None: ...

    def set_speed(self, speed: float) -> None: ...

    def step(self, count: int = 1) -> None: ...

    def seek_time(self, t: int) -> None: ...

    def seek_round(self, number: int) -> None:
        """Go to the beginning of a round.

        Raises:
            RecordingError: there is no such round.
        """
        ...

    def seek_seq(self, seq: int) -> None: ...

    def cut(self, seq: int) -> None:
        """Nothing behind this event can be read any more."""
        ...
