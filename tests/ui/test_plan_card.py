"""The card of a plan: calm while it runs, a line when it is done, what went wrong where it is not."""

from __future__ import annotations

import msgspec

from jetbox.engine import events as e
from jetbox.ui.glyphs import ASCII, UNICODE
from jetbox.ui.transcript.blocks import Look
from jetbox.ui.transcript.plan import PlanCard
from jetbox.ui.transcript.story import Story
from ui.conftest import Showing
from ui.played import MS, opened, request, write_call

STEPS = (
    e.PlannedStep("1", "write_file a.py"),
    e.PlannedStep("2", "write_file b.py"),
    e.PlannedStep("3", "run_cmd cat a.py b.py", ("1", "2")),
)
MADE = e.PlanMade(plan="p", steps=STEPS)
DONE = e.PlanEnded(plan="p", outcome="done", done=3, wall_ns=30 * MS, alone_ns=52 * MS, together=2)
WHY = "not run: it needs step 1, which failed: no"
BROKEN = e.PlanEnded(plan="p", outcome="broken", why="step 1 failed: no", done=1, wall_ns=30 * MS, together=1)


def begun(step: str) -> e.StepBegun:
    return e.StepBegun(plan="p", step=step, call=f"p.{step}")


def ended(step: str, **fields: object) -> e.StepEnded:
    return e.StepEnded(**{"plan": "p", "step": step, "state": "ok", **fields})  # type: ignore[arg-type]


def card(*events: e.StepBegun | e.StepEnded | e.PlanEnded, made: e.PlanMade = MADE) -> PlanCard:
    made_card = PlanCard(made)
    for event in events:
        made_card.take(event)
    return made_card


def rows(block: PlanCard, *, expanded: bool = False, width: int = 80, look: Look | None = None) -> list[str]:
    return [" ".join(row.text.split()) for row in block.layout(width, look or Look(UNICODE, expanded, unfolds="^O"))]


def test_while_it_runs_each_step_has_a_row_that_time_alone_does_not_change() -> None:
    running = card(begun("1"), begun("2"), ended("1"))
    assert not running.moving
    assert rows(running) == [
        "plan 3 steps 1 done …",
        "1 write_file a.py ✓",
        "2 write_file b.py ▸",
        "3 run_cmd cat a.py b.py after 1, 2 ·",
    ]


def test_when_all_is_done_a_line_is_left_and_the_steps_can_be_unfolded() -> None:
    over = card(*(begun(n) for n in "123"), *(ended(n) for n in "123"), DONE)
    assert rows(over) == ["plan 3 steps, up to 2 at once 30 ms of 52 ms one by one ✓"]
    assert rows(over, expanded=True)[3] == "3 run_cmd cat a.py b.py after 1, 2 ✓"


def test_what_went_wrong_stays() -> None:
    broken = card(begun("1"), begun("2"), ended("2"), ended("1", state="failed"), ended("3", state="skipped"), BROKEN)
    assert rows(broken) == [
        "plan 3 steps, 1 done 30 ms ✗",
        "step 1 failed: no",
        "1 write_file a.py ✗",
        "3 run_cmd cat a.py b.py not run –",
    ]


def test_many_steps_are_cut_and_narrow_screens_hold_them() -> None:
    made = e.PlanMade(plan="p", steps=tuple(e.PlannedStep(str(n), f"read_file {n}" * 9) for n in range(30)))
    block = card(made=made)
    assert len(rows(block)) == 14
    assert rows(block)[-1] == "… 18 more steps ^O expands"
    assert len(rows(block, expanded=True)) == 31
    assert all(len(row.text) <= 30 for row in block.layout(30, Look(ASCII)))
    assert all(row.text.isascii() for row in card(begun("1"), BROKEN).layout(80, Look(ASCII)))


def test_a_plan_that_a_dead_process_left_goes_on_no_more() -> None:
    story = Story()
    events: list[e.AnyEvent] = [MADE, begun("1"), e.SessionResumed(created="2026-01-01T12:00:00", app="1")]
    for seq, event in enumerate(events):
        story.apply(e.Stamped(seq, 0, 1, event))
    block = story.blocks[0]
    assert isinstance(block, PlanCard)
    assert rows(block)[0] == "plan 3 steps broken off –"


async def test_a_live_plan_and_its_recording_look_the_same(show: Showing) -> None:
    events: list[e.AnyEvent] = [
        *opened("auto"),
        e.GoalStarted(goal=1, text="Do it"),
        e.RoundStarted(model="gpt-oss:20b"),
        request(),
        MADE,
        begun("1"),
        *write_call("p.1", "a.py"),
        ended("1"),
        begun("2"),
        *write_call("p.2", "b.py"),
        ended("2"),
        ended("3", state="denied", why=WHY),
        BROKEN,
        e.RoundStarted(model="gpt-oss:20b"),
        e.PlanJoined(plan="p", done=False),
        e.PlanEnded(plan="q", outcome="refused", why="the plan has no steps"),
    ]
    decode = msgspec.json.Decoder(e.AnyEvent).decode
    recorded = [decode(msgspec.json.encode(event)) for event in events]
    texts = []
    for each in (events, recorded):
        async with show() as at:
            await at.play(*each)
            texts.append(at.text)
    assert texts[0] == texts[1]
    assert "plan 3 steps, 1 done" in texts[0]
    assert "denied ⊘" in texts[0]
    assert "after the plan it goes on, call by call" in texts[0]
    assert "the plan was not taken: the plan has no steps — going on call by call" in texts[0]
