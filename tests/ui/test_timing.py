"""The timing screen: what it shows of a session, and that it grows with the round that runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import pytest

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.engine.clock import Span
from jetbox.record.library import find
from jetbox.record.playback import read_journal
from jetbox.record.spent import RoundTime
from jetbox.record.timing import Timing
from jetbox.ui.figures import expected_rows, saving_rows, session_rows
from jetbox.ui.glyphs import ASCII, UNICODE, Glyphs
from jetbox.ui.screens.timing import TimingScreen
from jetbox.ui.text.rows import Row
from jetbox.ui.widgets.bars import axis, painted
from ui.conftest import Playing, Show, Showing, screen_text
from ui.played import Stage, first_round, opened, request, second_round, whole

MS = 1_000_000
Rows = Callable[[Timing, int, Glyphs], Iterable[Row]]


async def recorded(s: Show, name: str) -> None:
    """Everything of a recording at once, with its own times."""
    for stamped in read_journal(find(name)).events:
        s.stage.clock.now = max(s.stage.clock.now, stamped.t)
        s.stage.emit(stamped.event)
    await s.bench.reached(s.stage.last)
    await s.pilot.pause()


async def test_a_recording_in_bars_figures_and_savings(show: Showing) -> None:
    async with show(size=(160, 50)) as s:
        await recorded(s, "fix-test")
        await s.press("f2")
        text = s.text
        assert "◆ 1     4.09 s █" in text
        assert "P50        1.04 s < 1.50 s" in text
        assert "too few    n 6" in text
        assert "run_cmd          835 ms      2       1   440 ms" in text
        await s.press("tab")
        text = s.text
        assert "2 of 6 verdicts" in text
        assert "about 2.27 s" in text
        assert "could still be saved" in text
        assert "round 4 could begin beside it" in text
        await s.press("g", "enter")
        assert "round 1   goal 1   gpt-oss:20b" in s.text
        assert "could be loaded ahead" in s.text
        await s.press("f2")
        assert s.app.screen is s.bench


class Looked(list[RoundTime]):
    """Rounds that count how often all of them were looked at."""

    times = 0

    def __iter__(self) -> Iterator[RoundTime]:
        self.times += 1
        return super().__iter__()


@pytest.mark.parametrize("rows", [session_rows, saving_rows, expected_rows])
def test_of_thousands_of_rounds_no_figure_waits_for_another(rows: Rows) -> None:
    timing = Timing()
    for stamped in read_journal(find("fix-test")).events:
        timing.take(stamped)
    timing.rounds = looked = Looked(timing.rounds)
    laid_out, before = rows(timing, 80, UNICODE), 0
    for _ in laid_out:
        assert looked.times <= before + 1
        before = looked.times


async def test_the_table_sorts_by_each_column(show: Showing) -> None:
    def numbers(s: Show) -> list[int]:
        rows = [line.split("│")[-2] for line in s.text.splitlines() if "│" in line]
        return [int(row.split()[0]) for row in rows if row.split() and row.split()[0].isdecimal()]

    async with show(size=(80, 40)) as s:
        await recorded(s, "fix-test")
        await s.press("f2", "t")
        assert numbers(s) == [1, 2, 3, 4, 5, 6]
        await s.press("s")
        assert numbers(s) == [1, 3, 4, 5, 2, 6]
        await s.press("r")
        assert numbers(s) == [6, 2, 5, 4, 3, 1]


async def test_bars_zoom_pan_and_follow_the_chosen_round(show: Showing) -> None:
    async with show(size=(120, 30)) as s:
        await recorded(s, "fix-test")
        await s.press("f2")
        fitting = s.text
        await s.press("g", "plus")
        assert s.text != fitting
        assert "2.00 s" in s.text
        await s.press("G")
        assert "◆ 6     455 ms   " in s.text
        assert "█" in next(line for line in s.text.splitlines() if "◆ 6 " in line)
        await s.press("0")
        assert s.text == fitting
        await s.press("right")
        assert s.text != fitting


async def test_it_grows_with_the_round_that_runs(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round(), after_ms=20)
        await s.play(e.RoundStarted(model="gpt-oss:20b", limit=24), request())
        await s.press("f2")
        assert "no round is over yet" not in s.text
        s.stage.clock.advance(1500)
        await s.play(e.TextDelta(text="x"), e.QueueChanged(items=()))
        assert re.search(r"◆ 2 +1\.\d s +█", s.text)


async def test_what_prompts_cost_and_what_shorter_histories_came_to(show: Showing) -> None:
    async with show(size=(160, 60)) as s:
        shorter = e.Compacted(
            why="w", how="summary", before=9000, after=4000, messages=2, of=9, duration_ns=900 * MS,
            metrics={"prompt_eval_count": 9000, "eval_count": 200},
        )  # fmt: skip
        await s.play(*opened(), *first_round(), shorter)
        start = s.stage.clock.now
        spans = (Span("context", start, start + 3 * MS, "render"), Span("context", start, start + 2 * MS, "budget"))
        ended = e.RoundEnded(wall_ns=50 * MS, phases={"prompt eval": 50 * MS}, spans=spans, log_ns=4 * MS)
        await s.play(e.RoundStarted(model="gpt-oss:20b"), request(2), ended)
        await s.press("f2")
        for said in (r"prompts prepared in +5 ms", r"bytes and hash made +3 ms", r"recorded in +4 ms"):
            assert re.search(said, s.text), said
        await s.press("tab")
        assert "history made shorter 1 time" in s.text
        for said in (r"tokens +5\.\dk saved in prompts, 9\.2k spent +net \+4\.2k", r"time .* spent +net \+"):
            assert re.search(said, s.text), said
        await s.press("tab")
        assert re.search(r"answer bounded +2 ms", s.text)


async def test_all_rounds_are_sorted_when_one_has_ended_and_not_for_every_event(
    show: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round())
        await s.press("f2", "t")
        arranged: list[TimingScreen] = []

        def arrange(screen: TimingScreen) -> None:
            arranged.append(screen)

        monkeypatch.setattr(TimingScreen, "_arrange", arrange)
        await s.play(e.RoundStarted(model="gpt-oss:20b", limit=24), request())
        begun = len(arranged)
        await s.play(e.QueueChanged(items=()))
        await s.play(e.TextDelta(text="x"), e.QueueChanged(items=()))
        assert len(arranged) == begun
        await s.play(first_round()[-1])
        assert len(arranged) == begun + 1


async def test_a_session_without_rounds_says_so(show: Showing) -> None:
    async with show(glyphs=ASCII) as s:
        await s.play(*opened())
        await s.type("/timing", "enter")
        assert "no round is over yet" in s.text
        await s.press("plus", "t", "s", "r", "0", "left", "enter", "tab", "escape")
        assert s.app.screen is s.bench


async def test_what_was_idle_between_goals_is_left_out(on_source: Playing) -> None:
    stage = Stage()
    stage.emit(*whole(), after_ms=10)
    stage.clock.advance(3_600_000)
    stage.emit(e.GoalStarted(goal=2, text="more"), *first_round()[1:], after_ms=10)
    async with on_source(stage.feed) as (app, pilot):
        await app.workbench.reached(stage.last)
        await pilot.press("f2")
        await pilot.pause()
        assert all("█" in line for line in screen_text(app).splitlines() if "◆ " in line and " ms " in line)


@pytest.mark.parametrize("width", [1, 7, 40])
def test_bars_take_the_phase_that_has_most_of_each_cell(width: int) -> None:
    parts = [("context", 0, 10), ("decode", 10, 90), ("probe", 90, 100)]
    pieces = painted(parts, 0, 100, width, UNICODE)
    assert sum(len(text) for text, _ in pieces) == width
    assert ("phase.decode") in {style for _, style in pieces}
    assert painted(parts, 200, 300, width, UNICODE) == [(" " * width, "")]


def test_the_axis_has_round_figures_that_do_not_touch() -> None:
    assert axis(0, 1000 * MS, 0, 60) == "0           200 ms      400 ms      600 ms      800 ms"
    assert axis(0, 0, 0, 60) == ""


def test_the_axis_says_how_long_before_the_chosen_round_something_was() -> None:
    assert axis(0, 1000 * MS, 600 * MS, 60) == "-600 ms     -400 ms     -200 ms     0           200 ms"


def calls(*runs: tuple[str, int, int]) -> e.RoundEnded:
    """A round whose tools ran in these milliseconds."""
    spans = tuple(Span("tools", a * MS, b * MS, name, f"c{n}") for n, (name, a, b) in enumerate(runs))
    held = Span("tools", 0, 10 * MS, "sandbox", "c0")
    phases = {"tools": 160 * MS, "decode": 840 * MS}
    return e.RoundEnded(wall_ns=1000 * MS, phases=phases, spans=(held, *spans), tier="fast", tools=len(runs))


async def test_calls_that_ran_together_stand_in_lanes(show: Showing) -> None:
    reads = [("read_file", 10, 160), ("grep", 10, 160), ("glob", 10, 85), ("list_dir", 85, 160)]
    async with show(size=(160, 50)) as s:
        await s.play(*opened(), *first_round()[:2], calls(*reads), after_ms=300)
        await s.press("f2", "enter")
        assert "3.0 at a time: 450 ms of work in 150 ms" in s.text
        lanes = {name: next(row for row in s.text.splitlines() if f" {name} " in row) for name, _, _ in reads}
        bars = {name: row.index("█") for name, row in lanes.items()}
        assert bars["read_file"] == bars["grep"] == bars["glob"] < bars["list_dir"]
        assert lanes["read_file"].count("█") == 2 * lanes["glob"].count("█")
        assert "sandbox" not in s.text


async def test_what_drawing_a_round_took_is_told_and_shown(show: Showing) -> None:
    async with show(size=(160, 50)) as s:
        await s.play(*opened(), *first_round())
        s.bench.drawing.recorded = True
        await s.play(*second_round())
        told = await s.asked()
        assert isinstance(told, commands.Drawn)
        assert (told.round, told.drawing_ns > 0, told.frames > 0) == (2, True, True)
        await s.play(e.RoundDrawn(round=2, drawing_ns=84 * MS, frames=7))
        await s.press("f2", "enter")
        assert re.search(r"drawn in +84 ms in 7 frames", s.text)
        await s.press("tab")
        assert re.search(r"a frame +12 ms +5 to 20 ms", s.text)
