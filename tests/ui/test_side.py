"""The side panel: figures of rounds under the mouse or a key, marks of a switch, the bar that grows."""

from __future__ import annotations

from jetbox.engine import events as e
from ui.conftest import Showing
from ui.played import first_round, opened, request, second_round, third_round

RUN = [*opened("edits"), *first_round(), *second_round(), *third_round()[:-1]]


async def test_a_key_and_the_mouse_choose_whose_figures_are_shown(show: Showing) -> None:
    async with show() as s:
        await s.play(*RUN)
        assert "round 3  264 ms" in s.text
        await s.press("alt+left")
        assert "round 2  1.65 s" in s.text
        await s.press("alt+left")
        assert "round 1  695 ms" in s.text
        assert "ttft 88 ms, 120 tok/s, 1.5k tokens" in s.text
        await s.press("alt+right", "alt+right")
        assert "round 3  264 ms" in s.text
        await s.pilot.hover("#side", offset=(10, 2))
        assert "round 1  695 ms" in s.text
        await s.pilot.hover("#side", offset=(10, 36))
        assert "round 3  264 ms" in s.text


async def test_a_file_is_named_however_little_room_there_is(show: Showing) -> None:
    async with show() as s:
        await s.play(*RUN)
        await s.play(
            e.FilesChanged(by="you", changes=(e.FileChange("a.py", "modified"), e.FileChange("b.py", "modified")))
        )
        rows = [each.text for each in s.bench.side._files(s.bench.view, 50, 3)]
        assert len(rows) == 3
        assert "b.py" in rows[1]
        assert rows[2] == "… 2 more"


async def test_rate_reuse_and_window_have_their_lines(show: Showing) -> None:
    answered = e.ModelAnswered(
        attempt=1,
        ttft_ns=1,
        metrics={
            "prompt_eval_count": 4000,
            "prompt_eval_cached_count": 3600,
            "eval_count": 96,
            "eval_duration": 800_000_000,
        },
    )
    async with show() as s:
        await s.play(*opened(), e.GoalStarted(goal=1, text="x"), e.RoundStarted(model="m"), request(), answered)
        await s.play(first_round()[-1])
        lines = {line.split("│")[-1].split()[0]: line for line in s.text.splitlines() if line.split("│")[-1].split()}
        assert lines["tok/s"].rstrip().endswith("120")
        assert lines["prefix"].rstrip().endswith("90%")
        assert lines["context"].rstrip().endswith("25%")


async def test_a_switch_is_marked_with_the_medians_on_both_sides(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round())
        await s.play(e.ModelSwitched(old="gpt-oss:20b", new="llama3.2:3b"))
        assert "gpt-oss:20b to llama3.2:3b" in s.text
        assert "llm p50 676 ms to …" in s.text
        await s.play(*third_round()[:-1])
        assert "llm p50 676 ms to 240 ms" in s.text
        assert "1│2" in s.text


async def test_the_bar_of_the_round_that_runs_grows_with_time(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), e.GoalStarted(goal=1, text="x"), e.RoundStarted(model="m"), request())
        widths = []
        for _ in range(3):
            s.stage.clock.advance(200)
            s.bench.side.tick(s.stage.clock.now)
            widths.append(list(s.bench.side._shown))
        bars = [max(row.text.count("█") for row in rows) for rows in widths]
        assert bars == sorted(bars)
        assert bars[0] < bars[-1]
