"""The list of models over the workbench: what it shows, and what its keys ask for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from jetbox.engine import commands
from jetbox.engine import events as e
from ui.conftest import Playing, Show, Showing
from ui.played import Stage, opened

S = 1_000_000_000
SMALL = e.ListedModel(
    name="llama3.2:3b",
    size=2_019_393_189,
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
)
Opened = Callable[..., AbstractAsyncContextManager[Show]]


async def begin(s: Show) -> None:
    await s.play(*opened())
    await s.press("ctrl+l")
    assert await s.asked() == commands.ListModels(anew=True)
    await s.play(LISTED)


async def test_the_list_says_what_is_loaded_and_how_fast_it_was(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        await s.press("ctrl+l")
        assert "asking the server" in s.text
        await s.play(LISTED)
        text = s.text
        assert "gpt-oss:20b  in use  13.8 GB  tools, thinking" in text
        assert "14.6 GB, 50% on CPU, window 16k, unloads in 10m" in text
        assert "window to 131k  load 2.00 s  ttft 60 ms  reads 8.0k tok/s  writes 112 tok/s  calls 95% of 20" in text
        assert "gemma2:2b  cannot call tools" in text
        assert "not measured here" in text
        await s.press("down")
        assert "a switch to llama3.2:3b: about 3.15 s: load 2.00 s, 9.2k tokens to read 1.15 s" in s.text
        await s.press("escape")
        assert s.app.screen is s.bench


async def test_enter_switches_from_the_next_round_on_and_n_at_once(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.press("j", "enter")
        assert await s.asked() == commands.SetModel("llama3.2:3b")
        assert s.app.screen is s.bench
        await s.press("ctrl+l")
        assert await s.asked() == commands.ListModels(anew=True)
        await s.press("j", "n")
        assert await s.asked() == commands.SetModel("llama3.2:3b", now=True)


async def test_models_are_loaded_and_unloaded_by_a_key(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.press("u")
        assert await s.asked() == commands.UnloadModel("gpt-oss:20b")
        await s.press("down", "w")
        assert await s.asked() == commands.WarmModel("llama3.2:3b")


async def test_what_cannot_be_used_is_not_switched_to(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.press("down", "down", "down", "down")
        assert "gemma2:2b cannot be used here: it cannot call tools" in s.text
        await s.press("enter")
        assert s.nothing_asked
        assert "gemma2:2b cannot call tools" in s.text


async def test_the_mouse_chooses_and_switches(show: Showing) -> None:
    async with show() as s:
        await begin(s)
        await s.pilot.click("ModelList", offset=(3, 2))
        assert s.nothing_asked
        await s.pilot.click("ModelList", offset=(3, 3))
        assert await s.asked() == commands.SetModel("llama3.2:3b")


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

        assert "gpt-oss:20b  in use" in screen_text(app)
        await pilot.press("down", "w", "enter")
        assert stage.session._inbox.empty()
