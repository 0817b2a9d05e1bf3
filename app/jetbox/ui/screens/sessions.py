"""The recordings of this machine: search, look, go on with one, or play it."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType

from jetbox.engine import sizes
from jetbox.record.library import Glimpse, Summary
from jetbox.ui import words
from jetbox.ui.keys import hints
from jetbox.ui.screens.browser import Browser
from jetbox.ui.telling import telling
from jetbox.ui.text.rows import BLANK, Piece, Row, flow, lines, one_line, row
from jetbox.ui.transcript.remarks import OUTCOMES
from jetbox.ui.wanted import Wanted

CHUNK = 25
"""Recordings that are looked at together: the keys come between."""
LATER_S = 0.08
"""What takes longer to choose is looked into."""


class Sessions(Browser):
    """Newest first; they appear as they are read."""

    BINDING_GROUP_TITLE = "Sessions"
    TITLE_TEXT = "sessions"
    SEARCHES = True
    WIDE_LIST = True
    HINTS = (
        ("sessions.resume", "goes on"),
        ("sessions.replay", "plays"),
        ("sessions.all", "all folders"),
        ("list.search", "searches"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "resume", "Go on with it", id="sessions.resume", show=False),
        Binding("p", "replay", "Play it, or look on while it runs", id="sessions.replay", show=False),
        Binding("a", "all", "Of all folders, or of this one", id="sessions.all", show=False),
        Binding("ctrl+r", "close", "Close", id="sessions.close", show=False),
    ]

    _read: tuple[Summary, ...] = ()
    _hay: tuple[str, ...] = ()
    _shown: tuple[Summary, ...] = ()
    _all = False
    _done = False
    _problem = ""
    """Why the list is not whole."""
    _glimpse: tuple[Path, Glimpse] | None = None

    def begin(self) -> None:
        self.list.empty = "looking"
        self._read_all()

    @work(group="sessions", exclusive=True)
    async def _read_all(self) -> None:
        """Look at the head and tail of each journal, a few at a time."""
        with telling(self._say_lasting, "the list could not be read"):
            await self._read_folders()
        self._done = True
        self._sift()

    async def _read_folders(self) -> None:
        aside = self.bench.aside
        folders = await aside.newest(self.bench.sessions)
        for start in range(0, len(folders), CHUNK):
            chunk = folders[start : start + CHUNK]
            found = [each for each in await aside.summaries(chunk) if each.id != self.bench.view.id]
            self._read += tuple(found)
            self._hay += tuple(_hay(each) for each in found)
            self._sift()

    def search_for(self, text: str) -> None:
        self._sift(anew=True)

    def type(self, *, typing: bool) -> None:
        super().type(typing=typing)
        self._sift()  # what it says names keys that can be used now

    def _sift(self, *, anew: bool = False) -> None:
        """Show what is searched for; the choice stays where it was unless the search is another one."""
        chosen = self._chosen
        parts = self.search.text.lower().split()
        here = os.path.realpath(self.bench.view.workspace) if self.bench.view.workspace and not self._all else ""
        self._shown = tuple(
            each
            for each, hay in zip(self._read, self._hay, strict=True)
            if all(part in hay for part in parts) and (not here or each.workspace == here)
        )
        if self._done:
            key = hints(self.keys, (("sessions.all", "shows all"),))
            where = "" if self._all else " in this folder" + "".join(f" ({each})" for each in key)
            nothing = "nothing found" if parts else f"no other session was recorded{where}"
            self.list.empty = self._problem or nothing
        of = f" of {len(self._read)}" if len(self._shown) < len(self._read) else ""
        self.say(self._problem or f"{len(self._shown)}{of}" + ("" if self._done else ", reading"))
        at = 0
        if chosen is not None and not anew:
            at = next((n for n, each in enumerate(self._shown) if each.path == chosen.path), 0)
        self.list.fill(len(self._shown), self._row, at)
        if self._chosen is not chosen:
            self.chose()

    @property
    def _chosen(self) -> Summary | None:
        return self._shown[self.list.at] if self.list.at < len(self._shown) else None

    def _row(self, number: int, width: int) -> list[Piece]:
        each = self._shown[number]
        glyphs = self.bench.glyphs
        _, style = _state(each)
        sign = {"ok": glyphs.ok, "failed": glyphs.failed, "accent": glyphs.running}.get(style, glyphs.dot)
        rounds = f"  {words.plural(each.rounds, 'round'):<10}" if width > 60 else f"{each.rounds:>4}  "
        pieces: list[Piece] = [(f"{sign} ", style), (_when(each), "dim"), (rounds, "dim")]
        if self._all:
            pieces.append((f"{one_line(os.path.basename(each.workspace))[:14]:<15}", "dim"))
        if each.label:
            pieces.append((f"{one_line(each.label)}  ", "accent"))
        pieces.append((one_line(each.goal) or each.problem or "no goal", "" if each.goal else "faint"))
        return pieces

    def chose(self) -> None:
        self.leaf.show(self._lay_out)
        if self._chosen is not None:
            self._look_into(self._chosen.path)

    @work(group="glimpse", exclusive=True)
    async def _look_into(self, path: Path) -> None:
        await asyncio.sleep(LATER_S)
        with telling(self.say, "it cannot be looked into"):
            self._glimpse = (path, await self.bench.aside.glimpse(path))
        self.leaf.show(self._lay_out, keep=True)

    def _lay_out(self, width: int) -> list[Row]:
        each = self._chosen
        if each is None:
            return []
        said, style = _state(each)
        out = flow(((one_line(each.goal) or "no goal", "bold"),), width)
        out += [BLANK, row((said, style), (f"  {words.plural(each.rounds, 'round')}", "dim"))]
        facts = [
            ("label", each.label),
            ("model", each.model),
            ("folder", each.workspace),
            ("begun", _when(each, year=True)),
        ]
        facts += [("journal", sizes.size(each.size)), ("id", each.id), ("problem", each.problem)]
        for name, value in facts:
            if value:
                out += flow(
                    ((one_line(value), ""),), width, first=((f"{name:<8} ", "dim"),), rest=((" " * 9, ""),), words=False
                )
        if self._glimpse is not None and self._glimpse[0] == each.path:
            seen = self._glimpse[1]
            if seen.goal and seen.goal != each.goal:
                out += [BLANK, row(("last goal", "title")), *flow(((one_line(seen.goal), ""),), width)]
            if seen.reason:
                out += [BLANK, row(("how it ended", "title")), *flow(((one_line(seen.reason), ""),), width)]
            if seen.answer:
                out += [BLANK, row(("last words", "title")), *lines(seen.answer, "", width)]
        return out

    def enter(self) -> None:
        self.action_resume()

    def action_all(self) -> None:
        self._all = not self._all
        self._sift(anew=True)

    def action_resume(self) -> None:
        each = self._chosen
        if each is None:
            return
        if each.problem:
            self.say(each.problem)
        elif each.running:
            self.say(f"another process writes it{self._replays('looks on')}")
        elif not os.path.isdir(each.workspace):
            self.say(f"its folder {each.workspace} is gone{self._replays('plays it')}")
        else:
            self._go(Wanted("resume", each.path, each.workspace))

    def _replays(self, does: str) -> str:
        """The key that plays it, behind what was said; none while letters are what is searched for."""
        return "".join(f": {each}" for each in hints(self.keys, (("sessions.replay", does),)))

    def action_replay(self) -> None:
        each = self._chosen
        if each is not None:
            if each.problem:
                self.say(each.problem)
            else:
                self._go(Wanted("replay", each.path))

    def _say_lasting(self, text: str) -> None:
        self._problem = text
        self.bench.notice("warning", text)

    def _go(self, wanted: Wanted) -> None:
        self.dismiss(None)
        self.bench.go_to(wanted)


def _hay(each: Summary) -> str:
    return f"{each.goal} {each.label} {each.model} {each.workspace} {each.id} {each.outcome or ''}".lower()


def _state(each: Summary) -> tuple[str, str]:
    """How it stands, in words, and their style."""
    if each.problem:
        return "cannot be read", "failed"
    if each.running:
        return "runs now", "accent"
    return OUTCOMES[each.outcome] if each.outcome else ("not ended", "dim")


def _when(each: Summary, *, year: bool = False) -> str:
    try:
        at = datetime.fromisoformat(each.created).astimezone()
    except ValueError:
        return "             " if not year else ""
    return at.strftime("%Y-%m-%d %H:%M" if year else "%d %b %H:%M")
