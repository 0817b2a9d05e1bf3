from __future__ import annotations

import pytest

from jetbox.engine import events as e
from jetbox.engine.session import NoRecorder, Session
from jetbox.ui import slices
from jetbox.ui.glyphs import UNICODE
from jetbox.ui.model import SessionView
from jetbox.ui.screens.undo import Undo
from jetbox.ui.text.excerpts import codes
from jetbox.ui.transcript import kept
from jetbox.ui.transcript.blocks import Look
from jetbox.ui.transcript.find import Find
from jetbox.ui.transcript.story import Story
from jetbox.ui.widgets.rendered import KEPT_ROWS
from ui.conftest import Show, Showing
from ui.played import MS, answered, ended, opened, write_call

ROUNDS = 160
LOOK = Look(UNICODE, expanded=True)


def whole_round(number: int) -> list[e.AnyEvent]:
    return [
        e.RoundStarted(model="m"),
        e.TextDelta(text=f"Answer **{number}** of [many][a]:\n\n[a]: https://example.org/{number}\n"),
        answered(),
        *write_call(f"c{number}", f"package/part_{number}.py"),
        e.ProbeStarted(name="pytest"),
        e.ProbeEnded(name="pytest", state="passed", cache="ran", summary=f"{number} passed", duration_ns=20 * MS),
        ended(600),
    ]


def session(rounds: int) -> list[e.Stamped]:
    live = Session(NoRecorder())
    feed = live.feed()
    for event in (*opened(), e.GoalStarted(goal=1, text="long")):
        live.emit(event)
    live.emit(e.ShellStarted(call="s1", command="sleep 9"))
    for number in range(1, rounds + 1):
        live.round = number
        for event in whole_round(number):
            live.emit(event)
    late = e.ProbeEnded(name="ruff", state="failed", cache="ran", summary="late", of_round=3, output="E501")
    live.emit(late)
    live.emit(e.ShellEnded(call="s1", state="ok", text="slept"))
    return list(feed.drain().events)


def told(events: list[e.Stamped]) -> Story:
    story = Story()
    for stamped in events:
        story.apply(stamped)
    return story


def test_what_is_packed_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    events = session(ROUNDS)
    story = told(events)
    monkeypatch.setattr(kept, "LOOSE", len(events))
    whole = told(events)
    assert len(story.blocks.loose) < 2 * 256 < len(whole.blocks.loose) == len(story.blocks)
    assert [block.layout(80, LOOK) for block in story.blocks] == [block.layout(80, LOOK) for block in whole.blocks]
    everywhere = range(len(story.blocks))
    for width in (40, 120):
        assert [story.blocks.estimate(n, width) for n in everywhere] == [
            whole.blocks.estimate(n, width) for n in everywhere
        ]
    assert (story.headers, story.alarms, story.reds) == (whole.headers, whole.alarms, whole.reds)
    numbers = range(-1, ROUNDS + 2)
    assert [story.round_block(n) for n in numbers] == [whole.round_block(n) for n in numbers]
    for wanted in ("part_7.py", "answer 9", "slept"):
        found, expected = Find(story, wanted), Find(whole, wanted)
        while found.go_on() or expected.go_on():
            pass
        assert found.blocks == expected.blocks != []
    assert [type(block) for block in reversed(story.blocks)] == [type(block) for block in reversed(whole.blocks)]


def test_the_figures_of_all_rounds_stay() -> None:
    view, count = SessionView(), 330
    for stamped in session(count):
        view.apply(stamped)
    assert len(view.rounds.loose) < count
    assert [(each.number, each.ttft, each.cache) for each in view.rounds] == [
        (n, 88 * MS, "ran") for n in range(1, count + 1)
    ]
    third = view.rounds[view.rounds.find(3)]
    assert [probe.name for probe in third.probes] == ["pytest", "ruff"]
    assert view.rounds[2].red
    assert [each.number for each in view.rounds.around(5, 20)] == list(range(1, 21))
    assert view.rounds.find(count + 1) == -1


def test_what_an_answer_defines_concerns_no_round_before_it() -> None:
    live = Session(NoRecorder())
    feed = live.feed()
    for number in range(2 * ROUNDS):
        live.round = number
        for event in (e.RoundStarted(model="m"), *write_call(f"c{number}"), ended(600)):
            live.emit(event)
    for event in (e.TextDelta(text="See [it][a].\n\n[a]: https://example.org\n"), answered()):
        live.emit(event)
    story = told(list(feed.drain().events))
    assert story.blocks.is_packed(0)
    assert not story.blocks._read, "nothing was unpacked for it"


async def rounds(s: Show, count: int) -> None:
    await s.play(*opened(), e.GoalStarted(goal=1, text="long"))
    for number in range(1, count + 1):
        s.stage.emit(*whole_round(number))
    await s.play(e.GoalEnded(goal=1, outcome="done", reason="", exit_code=0))


async def test_code_of_a_round_long_over_is_copied_and_no_key_waits_for_it(
    show: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0

    def counted(text: str) -> list[str]:
        nonlocal looked
        looked += 1
        return codes(text)

    async with show() as s:
        await s.play(*opened(), e.GoalStarted(goal=1, text="long"), e.RoundStarted(model="m"))
        await s.play(e.TextDelta(text="```py\nx = 1\n```\n"), answered())
        for number in range(20):
            s.stage.emit(*whole_round(number))
        await s.play(e.GoalEnded(goal=1, outcome="done", reason="", exit_code=0))
        transcript = s.bench.transcript
        monkeypatch.setattr(slices, "AT_ONCE_S", 0.0)
        monkeypatch.setattr("jetbox.ui.widgets.transcript.codes", counted)
        transcript.action_copy_code()
        assert looked <= 1, "the rest when keys were looked at"
        await s.until(lambda: s.app.clipboard)
        assert s.app.clipboard == "x = 1"
        assert looked == 21


async def test_a_round_long_over_is_found_unfolded_and_undone_like_any_other(
    show: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jetbox.ui.rounds.LOOSE", 10)
    async with show(size=(160, 40)) as s:
        await rounds(s, 84)
        s.bench.side.point(-81)
        await s.pilot.pause()
        assert "round 3 " in s.text
        assert s.bench.view.rounds.is_packed(2), "it was only looked at"
        transcript = s.bench.transcript
        assert len(transcript.story.blocks.loose) < len(transcript.story.blocks)
        await s.press("ctrl+f", *"part_2.py", "enter")
        assert "1 of 1" in s.text
        assert "package/part_2.py" in s.text
        card = next(n for n in range(20) if "part_2.py" in transcript.story.blocks[n].source())
        transcript.unfold(card)
        assert [block.expanded for block in transcript.story.blocks].index(True) == card
        transcript.fold_all()
        assert not any(block.expanded for block in transcript.story.blocks)
        await s.press("escape", "f3", "end", "up")
        await s.pilot.pause()
        assert isinstance(s.app.screen, Undo)
        assert "write_file package/part_2.py" in s.text
        await s.press("d")
        assert "what round 2 did" in s.text
        assert "return a + b" in s.text


async def test_few_rows_more_than_in_sight_stay_laid_out(show: Showing) -> None:
    answer = "".join(f"- entry {n} of a list\n" for n in range(60))
    one: list[e.AnyEvent] = [e.RoundStarted(model="m"), e.TextDelta(text=answer)]
    async with show() as s:
        await s.play(*opened(), e.GoalStarted(goal=1, text="long"), *one * 40)
        transcript = s.bench.transcript
        assert 0 < sum(map(len, transcript._strips.values())) <= KEPT_ROWS < 32 * 60
        assert "entry 59" in s.text
        transcript.focus()
        await s.press("home")
        assert "entry 3 " in s.text
