"""The list of models over the workbench: what it shows, and what its keys ask for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec
import pytest
from textual.events import AppBlur, AppFocus, Key

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.engine.models.listing import compared
from jetbox.ui.glyphs import UNICODE
from jetbox.ui.lineup import Table, in_full
from jetbox.ui.screens import models
from ui.conftest import Playing, Show, Showing
from ui.played import Stage, opened

S = 1_000_000_000
SMALL = e.ListedModel(
    name="llama3.2:3b",
    size=2_019_393_189,
    parameters="3.2B",
    quantisation="Q4_K_M",
    max_ctx=131_072,
    capabilities=("completion", "tools"),
    prefill=8000.0,
    decode=112.0,
    ttft_ns=60_000_000,
    load_ns=2 * S,
    calls=20,
    calls_ok=19,
    cost=e.SwitchCost(load_ns=2 * S, prefill_ns=1_150_000_000, tokens=9200),
)
LISTED = e.ModelsListed(
    models=(
        e.ListedModel(
            name="gpt-oss:20b",
            size=13_793_441_244,
            parameters="20.9B",
            quantisation="MXFP4",
            capabilities=("completion", "tools", "thinking"),
            loaded=True,
            memory=14_598_747_612,
            memory_gpu=7_299_373_806,
            window=16384,
            expires=630 * S,
        ),
        SMALL,
        e.ListedModel(name="gemma2:2b", capabilities=("completion",), lacks="cannot call tools"),
    ),
    tokens=9200,
    manages=True,
)
Opened = Callable[..., AbstractAsyncContextManager[Show]]


@pytest.fixture(autouse=True)
def asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "ASK_S", 3600.0)


async def begin(s: Show, listed: e.ModelsListed = LISTED) -> None:
    await s.play(*opened())
    await s.press("ctrl+l")
    assert await s.asked() == commands.ListModels(anew=True)
    await s.play(listed)


async def test_the_list_says_what_is_loaded_and_how_fast_it_was(show: Showing) -> None:
    async with show(size=(140, 40)) as s:
        await s.play(*opened())
        await s.press("ctrl+l")
        assert "asking the server" in s.text
        assert "uses it" not in s.text, "there is none yet"
        await s.play(LISTED)
        rows = [" ".join(line.split()) for line in s.text.splitlines()]
        assert any("model size weights GPU, until switch ttft reads/s writes/s calls can" in row for row in rows)
        assert any("● gpt-oss:20b 13.8 GB MXFP4 50% 10m in use" in row for row in rows)
        assert any("○ llama3.2:3b 2.0 GB Q4_K_M 3.15 s 60 ms 8.0k 112 95% tools" in row for row in rows)
        assert any("○ gemma2:2b cannot call tools" in row for row in rows)
        text = s.text
        assert "gpt-oss:20b  20.9B, MXFP4  13.8 GB  in use" in text
        assert "14.6 GB, 50% on CPU, window 16k, unloads in 10m" in text
        assert "not measured: jetbox-tui models measure gpt-oss:20b" in text
        await s.press("down")
        text = s.text
        assert "about 3.15 s: load 2.00 s, 9.2k tokens to read 1.15 s" in text
        assert "tools, window to 131k" in text
        assert "load 2.00 s, first token 60 ms, reads 8.0k tok/s, writes 112 tok/s, calls 95% of 20" in text
        await s.press("escape")
        assert s.app.screen is s.bench


async def test_the_time_until_it_is_unloaded_counts_down(show: Showing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "ASK_S", 0.05)
    async with show(size=(140, 40)) as s:
        await begin(s)
        for passed_s, left in ((0, "10m"), (300, "5m"), (275, "50s"), (50, "<10s"), (60, "<10s")):
            s.stage.clock.advance(passed_s * 1000)
            await s.until(lambda said=f"window 16k, unloads in {left}": said in s.text)  # type: ignore[misc]
            assert any(f"50% {left} in use" in " ".join(line.split()) for line in s.text.splitlines())


def test_rates_that_were_clocked_here_are_marked() -> None:
    clocked = msgspec.structs.replace(SMALL, clocked=True)
    told = ["".join(str(row) for row in in_full(model, 140, 0, present=False)) for model in (SMALL, clocked)]
    assert [("reads 8.0k tok/s, writes 112 tok/s" in text, "~" in text) for text in told] == [
        (True, False),
        (False, True),
    ]
    assert "reads ~8.0k tok/s, writes ~112 tok/s" in told[1]


def test_how_long_a_call_of_a_tool_takes_stands_with_how_many_worked() -> None:
    called = msgspec.structs.replace(SMALL, call_ns=340_000_000)
    (told,) = ["".join(str(row) for row in in_full(called, 200, 0, present=False))]
    assert "calls 95% of 20 in 340 ms" in told


def test_what_a_model_is_best_for_stands_beside_what_was_measured() -> None:
    large = msgspec.structs.replace(SMALL, name="large", decode=60.0, goals=4, green=4)
    told = compared([msgspec.structs.replace(SMALL, goals=4, green=2), large])
    small, sure = ["".join(str(row) for row in in_full(model, 140, 0, present=False)) for model in told]
    assert "2 of 4 goals green" in small
    assert "quick goals" in small
    assert "4 of 4 goals green" in sure
    assert "hard goals" in sure
    rows = ["".join(text for text, _ in Table(told, UNICODE).row(model, 200, 0, present=False)) for model in told]
    assert rows[0].rstrip().endswith("quick goals")
    assert rows[1].rstrip().endswith("hard goals")


@pytest.mark.parametrize(("size", "apart"), [((80, 24), False), ((200, 50), True)])
async def test_keys_and_figures_are_there_at_any_size(show: Showing, size: tuple[int, int], apart: bool) -> None:
    async with show(size=size) as s:
        s.app.keys_apart = apart
        await begin(s)
        await s.press("down")
        at_once = "⇧enter at once" if apart else "alt+enter at once"
        typed = ("enter uses it next round", at_once, "alt+w loads", "alt+u unloads", "alt+p fetches")
        for said in (*typed, "tab letters are keys"):
            assert said in s.text
        assert "3.15 s" in s.text
        await s.press("tab")
        for said in ("enter uses it next round", "n at once", "/ filters", "w loads", "u unloads", "p fetches"):
            assert f" {said} " in s.text
        assert "letters are keys" not in s.text
        assert "Q4_K_M" in s.text


async def test_enter_switches_from_the_next_round_on_and_another_key_at_once(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.press("tab", "G", "k", "enter")
        assert await s.asked() == commands.SetModel("llama3.2:3b")
        assert s.app.screen is s.bench
        for keys in (("tab", "j", "n"), ("l", "l", "shift+enter"), ("down", "alt+enter")):
            await s.press("ctrl+l")
            assert await s.asked() == commands.ListModels(anew=True)
            await s.press(*keys)
            assert await s.asked() == commands.SetModel("llama3.2:3b", now=True)


@pytest.mark.parametrize("opens", [("tab", "slash"), ("tab", "p"), ("alt+p",), ()])
async def test_what_is_typed_behind_the_key_of_the_search_is_not_lost(show: Showing, opens: tuple[str, ...]) -> None:
    async with show() as s:
        await begin(s)
        for key in (*opens, *"llama"):  # as a terminal hands them over that had them all at once
            s.app.post_message(Key(key, None if len(key) > 1 else key))
        await s.pilot.pause()
        assert "/llama" in s.text
        assert "1 of 3 models" in s.text


async def test_letters_are_a_name_until_they_are_made_keys(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.press("slash", "backspace", *"jw")
        assert s.nothing_asked
        assert "/jw" in s.text
        assert "0 of 3 models" in s.text
        await s.press("ctrl+w", "b", "space", "k", "down", "down")
        assert "2 of 3 models" in s.text
        assert "+ fetch" not in s.text, "no name has a space"
        await s.press("escape", *"gem")
        assert "1 of 3 models" in s.text, "what is typed next is a name again"
        await s.press("tab", *"jgG")
        assert "/gem" in s.text
        await s.press("escape", "escape")
        assert s.app.screen is s.bench


async def test_a_letter_with_alt_is_a_key_where_its_character_is_told_too(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        for key, character in (("alt+u", "u"), ("g", "g")):  # as most terminals tell them
            s.app.post_message(Key(key, character))
        await s.pilot.pause()
        assert await s.asked() == commands.UnloadModel("gpt-oss:20b")
        assert "/g" in s.text


async def test_it_works_while_something_streams(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.press("tab", "j")
        begun = (e.GoalStarted(goal=1, text="Do it"), e.RoundStarted(model="gpt-oss:20b", limit=24))
        await s.bench.reached(
            s.stage.emit(*begun, e.TextDelta(text="I begin."), LISTED, e.TextDelta(text=" And so on."))
        )
        await s.pilot.press("n")
        assert await s.asked() == commands.SetModel("llama3.2:3b", now=True), "the choice stays"
        assert "now: llama3.2:3b" in s.text
        assert "I begin. And so on." in s.text


async def test_a_server_that_went_away_is_told_and_what_it_had_stays(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.press("tab", "j")
        gone = msgspec.structs.replace(LISTED, problem="no server answers at http://127.0.0.1:11434")
        await s.play(gone)
        assert "no server answers at http://127.0.0.1:11434" in s.text
        assert "about 3.15 s" in s.text
        await s.play(LISTED)
        assert "no server answers" not in s.text
        await s.play(e.ModelsListed(problem="no server answers"))
        assert "no server answers" in s.text
        assert "no model" not in s.text
        assert "0 models" not in s.text
        await s.press("enter", "n", "w", "u")
        assert s.nothing_asked


async def test_models_are_loaded_and_unloaded_by_a_key(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.press("tab", "u")
        assert await s.asked() == commands.UnloadModel("gpt-oss:20b")
        assert "gpt-oss:20b is being unloaded" in s.text
        await s.press("down", "w")
        assert await s.asked() == commands.WarmModel("llama3.2:3b")
        assert "llama3.2:3b is being loaded" in s.text
        await s.play(msgspec.structs.replace(LISTED, loading=True))
        assert "is being loaded" not in s.text
        await s.press("slash", *"gpt", "alt+u")
        assert await s.asked() == commands.UnloadModel("gpt-oss:20b"), "and while a name is typed"
        assert "the server loads or unloads a model" in s.text


async def test_the_model_that_a_request_waits_for_is_marked_as_loading(show: Showing) -> None:
    nothing_held = [msgspec.structs.replace(one, loaded=False) for one in LISTED.models]
    async with show() as s:
        await begin(s)
        await s.play(msgspec.structs.replace(LISTED, models=tuple(nothing_held)), e.RoundStarted(model="gpt-oss:20b"))
        assert "  loading  " not in s.text
        await s.play(e.Waiting(what="loading", detail="gpt-oss:20b", expected_ns=10**9))
        (marked,) = [line for line in s.text.splitlines() if "  loading  " in line]
        assert "gpt-oss:20b" in marked


async def test_a_model_that_is_not_there_is_fetched_from_the_list(show: Showing) -> None:
    name = "q:8b"
    async with show() as s:
        await begin(s)
        await s.press(*name)
        assert f"+ fetch {name}" in s.text
        assert "enter twice fetches it" in s.text
        assert "uses it" not in s.text
        assert "loads" not in s.text
        await s.press("enter")
        assert s.nothing_asked, "a download is begun by a second key"
        assert "enter fetches it" in s.text
        await s.press("enter")
        assert await s.asked() == commands.PullModel(name, use=False)
        await s.play(e.ModelPulled(name=name, status="pulling", total=5_200_000_000, completed=2_600_000_000))
        assert "50% of 5.2 GB" in s.text
        assert "enter" not in s.text
        await s.press("enter")
        assert s.nothing_asked, "it is on its way"
        await s.press("escape")
        assert "50% of 5.2 GB" in s.text, "it stays in the list"
        await s.press("alt+x")
        assert await s.asked() == commands.StopPull(name)
        await s.play(e.ModelPulled(name=name, state="cancelled"))
        assert "5.2 GB" not in s.text
        assert "enter uses it next round" in s.text
        await s.press(*name, "enter")
        assert "cancelled" in s.text
        why = f"the server could not fetch it: {'so it said, ' * 9}and there it ended"
        await s.play(e.ModelPulled(name=name, state="failed", status=why))
        assert "and there it ended" in s.text
        fetched = e.ListedModel(name=name, size=5_200_000_000, capabilities=("tools",))
        await s.play(e.ModelPulled(name=name, state="done"), e.ModelsListed(models=(*LISTED.models, fetched)))
        await s.press("enter")
        assert await s.asked() == commands.SetModel(name)


async def test_a_server_that_manages_nothing_is_asked_for_nothing(show: Showing) -> None:
    async with show() as s:
        await begin(s, e.ModelsListed(models=(SMALL,)))
        await s.press("alt+w", "alt+u", "tab", "w", "u", "p", "x", "slash", "z", "enter", "enter")
        assert s.nothing_asked
        assert "+ fetch" not in s.text
        assert "unloads" not in s.text


async def test_what_cannot_be_used_is_not_switched_to(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.press("end")
        assert "cannot be used here: it cannot call tools" in s.text
        await s.press("enter")
        assert s.nothing_asked
        assert "gemma2:2b cannot call tools" in s.text


async def test_the_mouse_chooses_and_switches(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.pilot.click("#browser-list", offset=(3, 0))
        await s.pilot.click("#browser-list", offset=(3, 2))
        assert s.nothing_asked
        await s.pilot.click("#browser-list", offset=(3, 2))
        assert await s.asked() == commands.SetModel("llama3.2:3b")


async def test_a_thousand_models_cost_no_more_than_those_in_sight(show: Showing) -> None:
    many = tuple(e.ListedModel(name=f"model-{n}:7b") for n in range(1000))
    async with show(size=(80, 24)) as s:
        await begin(s, msgspec.structs.replace(LISTED, models=(*LISTED.models, *many)))
        await s.press("end")
        assert "model-999:7b" in s.text
        assert "gpt-oss:20b  20.9B" not in s.text
        assert "esc closes" in s.text
        await s.press("9")
        assert "esc empties the filter" in s.text
        await s.press("escape")
        assert "esc closes" in s.text


async def test_the_command_without_a_name_shows_the_list(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        await s.type("/model", "enter")
        assert await s.asked() == commands.ListModels(anew=True)
        await s.play(e.ModelsListed(loading=True, models=(SMALL,)))
        assert "the server loads or unloads a model" in s.text


async def test_a_switch_stands_in_the_transcript_with_both_costs(show: Showing) -> None:
    expected = SMALL.cost
    paid = e.SwitchCost(load_ns=2 * S, prefill_ns=1_400_000_000, tokens=9300)
    async with show() as s:
        await s.play(*opened())
        await s.play(e.ModelSwitched(old="gpt-oss:20b", new="llama3.2:3b", expected=expected))
        assert "model: gpt-oss:20b to llama3.2:3b" in s.text
        assert "expected about 3.15 s: load 2.00 s, 9.2k tokens to read 1.15 s" in s.text
        await s.play(e.SwitchPaid(model="llama3.2:3b", cost=paid, expected=expected))
        assert "the switch took 3.40 s: load 2.00 s, 9.3k tokens to read 1.40 s," in s.text
        assert "   expected 3.15 s" in s.text
        unknown = e.SwitchCost(tokens=900)
        await s.play(e.ModelSwitched(old="a", new="b", reason="escalation", why="2 red verdicts", expected=unknown))
        assert "model: a to b (escalation: 2 red verdicts)" in s.text
        assert "expected load unknown, 900 tokens to read" in s.text


async def test_decisions_of_rules_stand_in_the_transcript(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        await s.play(e.Routed(rule="evidence", model="llama3.2:3b", why="the small model begins", changes=True))
        assert "routing by evidence: llama3.2:3b, the small model begins" in s.text


async def test_the_phase_of_a_goal_stands_in_the_status_line_while_it_runs(show: Showing) -> None:
    def status(s: Show) -> str:
        return s.text.splitlines()[0]

    async with show() as s:
        await s.play(*opened(), e.GoalStarted(goal=1, text="Do it"))
        await s.play(e.Routed(rule="phase", model="llama3.2:3b", why="scaffold: ...", phase="scaffold"))
        await s.play(e.RoundStarted(model="llama3.2:3b", limit=24))
        assert "scaffold, round 1/24" in status(s)
        assert "F6 other phase" in s.text
        await s.press("f6")
        assert await s.asked() == commands.SwitchPhase()
        assert "from the next round on: the other phase" in s.text
        await s.play(e.Routed(rule="phase", model="gpt-oss:20b", why="refine: ...", phase="refine"))
        assert "refine, round 1/24" in status(s)
        await s.play(e.GoalEnded(goal=1, outcome="done", reason="done", exit_code=0, rounds=1))
        assert "refine" not in status(s)


async def test_a_recording_shows_what_was_told_then_and_asks_for_nothing(on_source: Playing) -> None:
    stage = Stage()
    stage.emit(*opened(), LISTED)
    async with on_source(stage.feed) as (app, pilot):
        await app.workbench.reached(stage.last)
        await pilot.press("ctrl+l")
        await pilot.pause()
        from ui.conftest import screen_text

        assert "gpt-oss:20b  20.9B, MXFP4  13.8 GB  in use" in screen_text(app)
        await pilot.press("down", "alt+w", "enter", "tab", "w", "n", "p")
        assert stage.session._inbox.empty()


async def test_coming_back_to_the_terminal_asks_for_a_model_that_is_gone(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), e.ModelHeld(name="gpt-oss:20b", loaded=True, expires=-1))

        async def come_back() -> None:
            s.app.post_message(AppBlur())
            s.app.post_message(AppFocus())
            await s.pilot.pause()

        await come_back()
        assert s.nothing_asked
        await s.play(e.ModelHeld(name="gpt-oss:20b", loaded=False))
        await come_back()
        assert await s.asked() == commands.Rewarm()
        await s.play(e.GoalStarted(goal=2, text="Go on"))
        await come_back()
        assert s.nothing_asked, "the goal loads it"
