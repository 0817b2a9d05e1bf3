"""Searching goes on where the transcript is laid out another way meanwhile."""

from __future__ import annotations

import asyncio

import pytest

from jetbox.engine import events as e
from jetbox.ui import slices
from jetbox.ui.widgets.transcript import Transcript
from ui.conftest import Show, Showing, painted
from ui.played import first_round, opened

LINES = 600
PLACE = "new line 590 with"
DIFF = f"--- /dev/null\n+++ b/x.py\n@@ -0,0 +1,{LINES} @@\n" + "".join(
    f"+new line {n} with some words, which are more than a narrow screen has room for\n" for n in range(LINES)
)
BETWEEN = e.TextDelta(text="So many words stand between the two that one screen does not have room for them.\n\n" * 30)


async def diffs(s: Show, count: int) -> None:
    """So many long diffs, each with the place that is searched for far below what is shown of it."""
    await s.play(*opened(), *first_round()[:3])
    for n in range(count):
        called = e.ToolCalled(call=f"d{n}", name="edit_file", arguments='{"path": "x.py"}', title="edit_file x.py")
        edited = e.ToolEnded(call=f"d{n}", state="ok", text="done", diff=DIFF)
        await s.play(called, e.ToolStarted(call=f"d{n}"), edited, BETWEEN)
    await s.play(*first_round()[3:])


async def step(s: Show, said: str) -> None:
    """Go to the next place; it is shown."""
    s.bench.transcript.seek(PLACE, -1)
    await s.until(lambda: not s.bench.transcript.seeking)
    await s.pilot.pause()
    assert s.bench.search.said == said
    assert PLACE in s.text


async def looking_for(transcript: Transcript, wanted: str) -> None:
    """Seek it; it is known to be in a block, but not yet where in that."""
    transcript.seek(wanted, -1)
    async with asyncio.timeout(20):
        while transcript._sought not in transcript._looking:
            await asyncio.sleep(0)


async def test_a_place_in_what_a_long_diff_leaves_out_is_said_to_be_there(show: Showing) -> None:
    long = "".join(f"+line {n}\n" for n in range(2600))
    ended = e.ToolEnded(call="d", state="ok", text="done", diff=f"--- /dev/null\n+++ b/x\n@@ -0,0 +1,2600 @@\n{long}")
    async with show(size=(100, 30)) as s:
        called = e.ToolCalled(call="d", name="edit_file", arguments='{"path": "x"}', title="edit_file x")
        await s.play(*opened(), *first_round()[:3], called, e.ToolStarted(call="d"), ended)
        for wanted, said in (("line 2590", "1 of 1, in lines left out here"), ("line 1990", "1 of 1")):
            s.bench.transcript.seek(wanted, -1)
            await s.until(lambda: not s.bench.transcript.seeking)
            await s.pilot.pause()
            assert s.bench.search.said == said
            assert (wanted in s.text) is (said == "1 of 1")


@pytest.mark.parametrize("size", [(80, 30), (150, 30), (220, 50)])
async def test_as_many_places_are_marked_in_a_diff_as_are_counted(show: Showing, size: tuple[int, int]) -> None:
    long = "one longer line " * 9
    lines = (
        *(" both sides have one word", "-it was one word and one more word", "-gone with its word", "-\tword"),
        *(f"+it is one {long}word", "+--- a/word", " ", "-", "+", f" {long}one word", "+word 7"),
    )
    hunks = f"@@ -1,6 +1,6 @@\n{chr(10).join(lines)}\n@@ -17,1 +17,1 @@ def word\n-old word\n+new 17\n"
    diff = f"--- a/word.txt\n+++ b/word.txt\n{hunks}\\ No newline at end of file\n"
    ended = e.ToolEnded(call="d", state="ok", text="done", diff=diff)
    async with show(size=size) as s:
        called = e.ToolCalled(call="d", name="edit_file", arguments='{"path": "x"}', title="edit_file x")
        await s.play(*opened(), *first_round()[:3], called, e.ToolStarted(call="d"), ended)
        s.bench.toggle_expanded()
        counts = {
            "ord": 10,
            "one longer line one": 9,
            "one longer line w": 1,
            "    wo": 1,
            "--- a": 1,
            "17": 1,
            "+it": 0,
        }
        for wanted, count in counts.items():
            s.bench.transcript.seek(wanted, -1)
            await s.until(lambda: not s.bench.transcript.seeking)
            await s.pilot.pause()
            marked = sum(text == wanted for row in painted(s.app) for text, _ in row)
            broken = " " in wanted and marked < count  # in two rows, it is marked in two parts
            assert s.bench.search.said == (f"{count} of {count}" if count else "nothing found"), wanted
            assert marked == count or broken, (wanted, s.text)


@pytest.mark.parametrize("how", ["folded", "narrower"])
async def test_a_place_that_was_shown_before_is_found_again_in_other_rows(show: Showing, how: str) -> None:
    async with show(size=(150, 30)) as s:
        await diffs(s, 2)
        await step(s, "2 of 2")
        await step(s, "1 of 2")
        if how == "folded":
            await s.press("ctrl+o", "ctrl+o")
        else:
            await s.pilot.resize_terminal(60, 30)
        await step(s, "2 of 2")


async def test_a_block_that_is_laid_out_anew_while_it_is_looked_through_is_looked_through_anew(
    show: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with show(size=(150, 30)) as s:
        await s.play(*opened(), e.TextDelta(text="The needle.\n"), *first_round(), BETWEEN)
        transcript = s.bench.transcript
        monkeypatch.setattr(slices, "AT_ONCE_S", 0.0)
        await looking_for(transcript, "needle")
        transcript._make(transcript._sought, [])
        await s.until(lambda: not transcript.seeking)
        await s.pilot.pause()
        assert "The needle." in s.text


async def test_the_next_place_may_be_wanted_before_this_one_is_shown(
    show: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with show(size=(150, 30)) as s:
        before = [e.Notice(level="info", text=f"word {n}") for n in range(20)]
        await s.play(*opened(), *before, e.TextDelta(text="The needle.\n"), *first_round(), BETWEEN)
        transcript = s.bench.transcript
        monkeypatch.setattr(slices, "AT_ONCE_S", 0.0)
        said = list[str]()
        monkeypatch.setattr(s.bench.search, "tell", said.append)
        await looking_for(transcript, "needle")
        transcript.seek("needle", -1)
        await s.until(lambda: not transcript.seeking)
        await s.until(lambda: said[-1] == "1 of 1")
        assert "The needle." in s.text
        assert set(said) == {"searching, 0 found", "searching, 1 found", "1 of 1"}
        assert not [block for block in transcript.story.blocks if "went wrong" in block.shown()]
