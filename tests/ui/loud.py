"""What is loud on the screen, and what is long: each is done as a user does it, and each turn of the loop counted.

By the processor time of the loop's own thread: a busy machine changes little.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from textual import events
from textual.screen import Screen

from jetbox.engine import events as e
from jetbox.ui.palette import Palette
from jetbox.ui.screens.help import Help
from jetbox.ui.screens.models import Models
from jetbox.ui.screens.request import Request
from jetbox.ui.screens.sessions import Sessions
from jetbox.ui.screens.settings import Settings
from jetbox.ui.screens.timing import TimingScreen
from jetbox.ui.screens.undo import Undo
from ui.conftest import Show, played, shown, until
from ui.played import first_round, opened, verdicts, write_call
from ui.states import MODELS, recordings, settled
from ui.test_replay import playback
from ui.test_request import HEAD, message, sent
from ui.turns import Turn, counted, long_diff

Scenario = Callable[[Show], Awaitable[None]]
Enough = Callable[[Turn], bool]


class Row(msgspec.Struct, frozen=True):
    """The longest turn of something, the first time that it was done and the least of all times."""

    what: str
    first: Turn
    least: Turn


@contextmanager
def uncollected() -> Iterator[None]:
    """The collector has bounds of its own."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def always_again(turn: Turn) -> bool:
    return False


async def timed(what: str, tries: int, do: Callable[[], Awaitable[None]], enough: Enough = always_again) -> Row:
    """Do it some times, or until it is short enough; noise only ever adds."""
    worst: list[Turn] = []
    while len(worst) < tries and not (worst and enough(worst[-1])):
        with counted(without=asyncio.current_task()) as turns:
            await do()
        worst.append(turns.worst)
    return Row(what, worst[0], min(worst, key=lambda turn: turn.cpu_ns))


def one_round(number: int) -> list[e.AnyEvent]:
    phases = {"decode": 600_000_000 + number, "tools": 3_000_000, "probe": 20_000_000}
    return [
        e.RoundStarted(model="m"),
        e.TextDelta(text="It is **done**, all of it.\n" * 6),
        *write_call(f"c{number}"),
        *(verdicts(red=not number % 50) if not number % 10 else ()),
        e.RoundEnded(wall_ns=sum(phases.values()), phases=phases, tier="fast"),
    ]


async def words(s: Show) -> None:
    await s.play(*[e.TextDelta(text="word and `code` of a long answer, ")] * 500)


async def a_table_and_code(s: Show) -> None:
    rows = [e.TextDelta(text=f"| {n} | cell | **bold** |\n") for n in range(60)]
    await s.play(e.TextDelta(text="\n\n| a | b | c |\n|---|---|---|\n"), *rows)
    await s.play(e.TextDelta(text="\n```python\n"), *[e.TextDelta(text="    return x + 1  # why\n")] * 200)


async def many_rounds(s: Show) -> None:
    await s.play(*[event for n in range(300) for event in one_round(n)])


async def a_long_diff_unfolded(s: Show) -> None:
    called = e.ToolCalled(call="c9", name="edit_file", arguments='{"path": "x.py"}', title="edit_file x.py")
    ended = e.ToolEnded(call="c9", state="ok", text="done", diff=long_diff(1950))
    await s.play(e.RoundStarted(model="m"), called, e.ToolStarted(call="c9"), ended)
    await s.press("ctrl+o", "ctrl+o")


async def search_in_a_long_diff(s: Show) -> None:
    await s.press("ctrl+f", *"new line 645", "enter")
    await s.until(lambda: not s.bench.transcript.seeking)
    assert " of " in s.bench.search.said
    assert "new line 645 " in s.text
    await s.press("ctrl+u", "escape")
    s.bench.transcript.fold_all()
    await s.pilot.pause()


async def letters(s: Show) -> None:
    await s.press(*"what next", "ctrl+u")  # Ctrl+C done twice would quit


async def a_large_paste(s: Show) -> None:
    s.bench.prompt.post_message(events.Paste("pasted text of some length\n" * 40_000))
    await s.pilot.pause()
    s.bench.prompt.clear()


async def pages(s: Show) -> None:
    await s.press("pageup", "pageup", "pagedown")
    s.bench.transcript.focus()
    await s.press("home", "right_curly_bracket", "left_square_bracket", "end")
    s.bench.prompt.focus()


async def everything_unfolded(s: Show) -> None:
    await s.press("ctrl+o", "pageup", "ctrl+o")
    s.bench.transcript.focus()
    await s.press("end")
    s.bench.prompt.focus()


async def search(s: Show) -> None:
    await s.press("ctrl+f", *"done", "enter", "enter")
    await s.until(lambda: not s.bench.transcript.seeking)
    assert " of " in s.bench.search.said
    await s.press("ctrl+u", "escape")


async def over(s: Show, screen: type[Screen[Any]], opening: Sequence[str], *keys: str) -> None:
    """Open a screen, do something in it, and leave it."""
    await s.press(*opening)
    await settled_over(s, screen)
    await s.press(*keys)
    assert s.app.screen is s.bench


async def settled_over(s: Show, screen: type[Screen[Any]]) -> None:
    assert isinstance(s.app.screen, screen)
    await settled(s.app, s.pilot)


async def help_(s: Show) -> None:
    await over(s, Help, ["f1"], "pagedown", "end", "escape")


async def timing(s: Show) -> None:
    await over(s, TimingScreen, ["f2"], "up", "plus", "t", "s", "s", "r", "tab", "tab", "tab", "enter", "escape")


async def undo(s: Show) -> None:
    await over(s, Undo, ["f3"], "down", "d", "escape")


async def request(s: Show) -> None:
    await over(s, Request, ["f4"], "up", "left", "b", "slash", *"words", "escape", "escape")


async def sessions(s: Show) -> None:
    await over(s, Sessions, ["ctrl+r"], "a", "down", "slash", *"mend", "enter", "escape", "escape")


async def models(s: Show) -> None:
    await s.press("ctrl+l")
    await s.play(MODELS)
    await over(s, Models, [], "down", "escape")


async def settings(s: Show) -> None:
    s.bench.prompt.write("/settings")
    await over(s, Settings, ["enter"], "down", "c", "escape")


async def palette(s: Show) -> None:
    await over(s, Palette, ["ctrl+p"], *"theme", "escape")


async def accounts(s: Show) -> None:
    await s.type("/ctx", "enter")
    await s.type("/why", "enter")


async def other_colours(s: Show) -> None:
    before = s.app.theme
    await s.type("/theme", "enter")
    assert s.app.theme != before


async def other_sizes(s: Show) -> None:
    for size in ((140, 50), (70, 30), (120, 40)):
        await s.pilot.resize_terminal(*size)
        await s.pilot.pause()
        assert s.app.size == size


SCENARIOS: tuple[Scenario, ...] = (
    words, a_table_and_code, many_rounds, letters, a_large_paste, a_long_diff_unfolded, search_in_a_long_diff,
    pages, everything_unfolded, search, accounts, help_, timing, undo, request, sessions, models, settings, palette,
    other_colours, other_sizes,
)  # fmt: skip


async def live(folder: Path, rounds: int, tries: int, enough: Enough = always_again) -> list[Row]:
    """Everything, at a session of so many rounds; `folder` is for recordings."""
    async with shown() as s:
        recordings(s.app, folder)
        prompt = [message(n, "user" if n % 2 else "assistant", f"words {n} " * 200) for n in range(1000)]
        asked: list[e.AnyEvent] = [e.RoundStarted(model="m"), sent(900), e.RoundStarted(model="m"), sent(1000)]
        await s.play(*opened(), *first_round()[:1], e.PromptHead(sha="h", json=HEAD), *prompt, *asked)
        with uncollected():

            async def everything() -> None:
                await s.play(*[event for n in range(rounds) for event in one_round(n)])

            rows = [await timed(f"{rounds} rounds at once", 1, everything)]
            for scenario in SCENARIOS:
                name = scenario.__name__.strip("_").replace("_", " ")
                rows.append(await timed(name, tries, lambda scenario=scenario: scenario(s), enough))  # type: ignore[misc]
        assert s.bench.view.round > rounds
    return rows


async def sought(rounds: int, tries: int, enough: Enough = always_again) -> list[Row]:
    """Seeking in a recording of so many rounds."""
    source = playback([*opened(), *first_round()[:1], *(event for n in range(rounds) for event in one_round(n))])
    rows = []
    async with played(source) as (app, pilot):
        with uncollected():

            async def seek(key: str) -> None:
                before = source.seq
                await pilot.press(key)
                await until(pilot, lambda: app.workbench.view.seq == source.seq)
                await pilot.pause()
                moved.append(source.seq != before)

            for key in ("end", "shift+left", "5"):
                moved: list[bool] = []
                rows.append(await timed(f"seek by {key}", tries, lambda key=key: seek(key), enough))  # type: ignore[misc]
                assert moved[0]
    return rows
