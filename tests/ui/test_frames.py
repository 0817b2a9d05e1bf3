"""Frames of rows are what the compositor would have drawn there; the outlet loses nothing."""

from __future__ import annotations

import asyncio
import os
import pty
import tty
from contextlib import suppress

import pytest
from rich.console import RenderableType
from textual import events
from textual._compositor import LayoutUpdate
from textual.app import App
from textual.message import Message
from textual.messages import Update
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from jetbox.engine import events as e
from jetbox.ui.app import JetboxApp
from jetbox.ui.clusters import held
from jetbox.ui.frames import RowsUpdate
from jetbox.ui.outlet import BEGIN, END, MOST_WAITING, Outlet
from jetbox.ui.screens.workbench import Workbench
from ui.conftest import Show, Showing, screen_text
from ui.played import first_round, opened


def agree(s: Show, found: RowsUpdate | None) -> set[int]:
    """Every strip is what the whole screen has there; returns the rows."""
    assert found is not None
    screen: list[Strip] = s.app.screen._compositor.render_strips()
    for x, y, strip in found.strips:
        there = screen[y].crop(x, x + strip.cell_length)
        assert strip.text == there.text
        assert list(strip.simplify()) == list(there.simplify())
    return {y for _, y, _ in found.strips}


async def test_rows_are_what_the_compositor_has_there(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round(), e.TextDelta(text="one **two**\n\n- three\n"))
        bench, frames = s.bench, s.bench._frames
        widgets: tuple[Widget, ...] = (bench.transcript, bench.thumb, bench.side, bench.status, bench.footer)
        # Nothing has changed then, and nothing waits for a whole frame.
        await s.until(
            lambda: frames.rows(widgets) is None and not (frames._dirty_regions or frames._full_map_invalidated)
        )
        for widget in (*widgets, bench.prompt):
            widget.refresh()
        rows = agree(s, frames.rows((*widgets, bench.prompt)))
        assert rows >= {0, bench.prompt.region.y, 39} | set(bench.transcript.region.line_range)
        bench.side.refresh()
        bench.prompt.refresh()
        frames.update_widgets({bench.side, bench.prompt})
        rows = agree(s, frames.render_partial_update())  # type: ignore[arg-type]
        assert rows == {bench.prompt.region.y, *bench.side.region.line_range}


async def test_the_first_frame_is_whole_and_there_before_the_engine_begins(
    show: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[tuple[str, bool]] = []

    def display(app: JetboxApp, screen: object, update: object) -> None:
        if update is not None:
            drawn.append((screen_text(app), app._engine is not None))

    monkeypatch.setattr(JetboxApp, "_display", display)
    async with show(early=[events.Key("x", "x")]):
        text, begun = drawn[0]
    assert "jetbox" in text.splitlines()[0]
    assert "no model yet" in text.splitlines()[0]
    assert "❯" in text
    assert "no round yet" in text
    assert "commands" in text.splitlines()[-1]
    assert not begun


async def test_a_word_more_is_a_row_more(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round(), e.TextDelta(text="\n\n".join(f"line {n}" for n in range(60))))
        await s.pilot.pause()
        at = s.stage.emit(e.TextDelta(text=" more"))
        await s.bench.reached(at)
        rows = agree(s, s.bench._frames.rows([s.bench.transcript]))
        assert len(rows) <= 2


async def test_what_is_covered_is_left_to_the_compositor(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round())
        bench, over = s.bench, Static("over")
        over.styles.layer, over.styles.dock, over.styles.margin = "_toastrack", "top", (5, 0, 0, 0)
        await bench.mount(over)
        await s.until(lambda: bench._frames.uncovered(bench.transcript) is None)
        assert bench._frames.uncovered(bench.prompt) is not None
        bench.transcript.refresh()
        assert bench._frames.rows([bench.transcript]) is None
        assert bench.transcript._repaint_regions


async def test_what_changes_while_a_frame_waits_to_be_drawn_is_drawn_after_it(
    show: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[object] = []
    async with show() as s:
        await s.play(*opened(), *first_round())
        bench = s.bench
        await s.until(lambda: not (bench._to_draw or bench._dirty_widgets or bench.transcript._repaint_regions))
        monkeypatch.setattr(App, "_display", lambda app, screen, update: drawn.append(update))
        bench.footer.refresh()
        await bench._on_update(Update(bench.footer))
        bench._on_timer_update()
        assert bench._to_draw, "keys are looked at first"
        bench.transcript.refresh()
        bench.transcript._check_refresh()
        await bench._on_update(Update(bench.transcript))
        assert bench._to_draw
        await s.until(lambda: not bench._to_draw)
        await s.until(lambda: not bench._dirty_widgets)
        rows = {y for each in drawn if isinstance(each, RowsUpdate) for _, y, _ in each.strips}
        assert rows >= {bench.footer.region.y, *bench.transcript.region.line_range}


async def test_the_terminal_gets_everything_in_order_however_slow_it_is() -> None:
    master, slave = pty.openpty()
    tty.setraw(slave)
    outlet = Outlet(slave, "utf-8")
    frames = [f"{n:06d}" * 500 for n in range(60)]
    for text in frames:
        for part in (BEGIN, text, END):
            outlet.write(part)
    assert 0 < len(outlet._waiting) < MOST_WAITING
    await asyncio.to_thread(outlet.write, "last")
    wanted = "".join(f"{BEGIN}{text}{END}" for text in frames).encode() + b"last"
    got = b""
    while len(got) < len(wanted):
        got += await asyncio.to_thread(os.read, master, 65536)
        await asyncio.sleep(0)
    assert got == wanted
    outlet.close()
    os.close(master)
    os.close(slave)


async def test_a_terminal_that_nobody_reads_holds_nothing_up_and_gets_a_whole_frame_in_the_end(
    show: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[RenderableType | None] = []
    monkeypatch.setattr(App, "_display", lambda app, screen, update: drawn.append(update))
    master, slave = pty.openpty()
    tty.setraw(slave)
    async with show() as s:
        await s.play(*opened())
        outlet = s.app.outlet = Outlet(slave, "utf-8", lambda: s.app.call_later(s.app.screen.refresh))
        os.set_blocking(master, False)
        while not outlet.late:
            outlet.write("a frame" * 1000)
        drawn.clear()
        await s.play(*first_round())
        await s.press("x")
        assert drawn == [], "frames that it could not take are left out"
        outlet.write("\x1b]0;a title\x07")
        got = b""
        async with asyncio.timeout(120):
            while outlet.late:
                with suppress(BlockingIOError):
                    got += os.read(master, 1 << 16)
                await asyncio.sleep(0)
            while not any(isinstance(update, LayoutUpdate) for update in drawn):
                await s.pilot.pause()
        assert len(got) > MOST_WAITING
        s.app.outlet = None
    outlet.close()
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("\x1b[1mok \u2713\x1b[0m", "\x1b[1mok \u2713\x1b[0m"),
        ("a \u26a0\ufe0f b", "a \x1b7  \x1b8\u26a0\ufe0f\x1b8\x1b[2C b"),
        ("\U0001f44d\U0001f3fd", "\x1b7  \x1b8\U0001f44d\U0001f3fd\x1b8\x1b[2C"),
        (
            "\x1b[1m\U0001f468\u200d\U0001f469\x1b[0m",
            "\x1b[1m\x1b7  \x1b8\U0001f468\u200d\U0001f469\x1b8\x1b[2C\x1b[0m",
        ),
        ("\U0001f1e9\U0001f1ea", "\x1b7  \x1b8\U0001f1e9\U0001f1ea\x1b8\x1b[2C"),
        ("\u0928\u093f", "\x1b7 \x1b8\u0928\u093f\x1b8\x1b[1C"),
        ("\x1b]8;;http://\u2764\ufe0f\x1b\\x\x1b]8;;\x1b\\", "\x1b]8;;http://\u2764\ufe0f\x1b\\x\x1b]8;;\x1b\\"),
        ("\x1b]0;\u2764\ufe0f\x07", "\x1b]0;\u2764\ufe0f\x07"),
    ],
)
def test_signs_whose_width_terminals_differ_on_take_the_cells_that_were_counted(text: str, written: str) -> None:
    assert held(text) == written


@pytest.mark.parametrize("command", ["\x1b[31m", "\x1b[1;1H", "\x1b8", "\x1b(B"])
@pytest.mark.parametrize("loose", ["\U0001f3fb tone", "\ufe0f", "\u20e3", "\u200d"])
def test_a_sign_that_begins_behind_a_command_takes_nothing_of_it(command: str, loose: str) -> None:
    assert held(f"a{command}{loose}") == f"a{command}{loose}"


async def test_a_terminal_that_is_gone_takes_everything() -> None:
    master, slave = pty.openpty()
    outlet = Outlet(slave, "utf-8")
    os.close(master)
    outlet.write("lost")
    outlet.close()
    os.close(slave)


async def test_words_and_letters_are_no_messages_of_the_screen(show: Showing, monkeypatch: pytest.MonkeyPatch) -> None:
    async with show() as s:
        await s.play(*opened(), e.RoundStarted(model="m"), e.TextDelta(text="words\n"))
        handled: list[str] = []
        handle = Workbench._on_message

        async def noted(bench: Workbench, message: Message) -> None:
            handled.append(type(message).__qualname__)
            await handle(bench, message)

        monkeypatch.setattr(Workbench, "_on_message", noted)
        for _ in range(2):
            await s.play(e.TextDelta(text="more\n" * 20))
            await s.press("x")
        assert s.bench.prompt.text == "xx"
        assert s.bench.transcript.at_end
        assert set(handled) <= {"Prompt", "Update", "UpdateScroll", "Layout", "InvokeLater", "Callback"}, handled
