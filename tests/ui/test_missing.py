"""The question which model to use, over the workbench: fetched, or another one."""

from __future__ import annotations

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.ui.screens.help import Help
from jetbox.ui.screens.missing import Missing
from ui.conftest import Show, Showing
from ui.played import opened

MISSING = e.ModelMissing(
    name="qwen3:8b",
    why="the server does not have qwen3:8b; it has: gpt-oss:20b, llama3.2:3b",
    there=("gpt-oss:20b", "llama3.2:3b"),
    pull="qwen3:8b",
)


async def told(s: Show, *events: e.AnyEvent) -> None:
    """Play these, if any, and wait until the screen about it takes keys."""
    if events:
        await s.play(*opened()[:1], *events)
    await s.until(lambda: isinstance(s.app.screen, Missing) and s.app.screen.is_mounted)


async def test_it_is_fetched_with_its_progress_on_the_screen(show: Showing) -> None:
    async with show() as s:
        await told(s, MISSING)
        assert "the server does not have qwen3:8b" in s.text
        assert "p fetches qwen3:8b; its size is told when that begins" in s.text
        await s.press("p")
        assert await s.asked() == commands.PullModel("qwen3:8b")
        await s.play(e.ModelPulled(name="qwen3:8b", status="pulling", total=5_200_000_000, completed=1_300_000_000))
        assert "fetching qwen3:8b:  25% of 5.2 GB" in s.text
        await s.press("p")
        assert s.nothing_asked, "it is under way"
        await s.press("x")
        assert await s.asked() == commands.StopPull("qwen3:8b")
        await s.press("escape")
        await s.until(lambda: s.app.screen is s.bench)
        assert "fetching qwen3:8b: 25% of 5.2 GB" in s.text
        await s.press("escape")
        assert await s.asked() == commands.StopPull("qwen3:8b")
        await s.play(e.ModelPulled(name="qwen3:8b", state="done"))
        await s.until(lambda: s.app.screen is s.bench)
        assert "qwen3:8b was fetched" in s.text


async def test_another_is_used(show: Showing) -> None:
    async with show() as s:
        await told(s, MISSING)
        await s.press("down", "enter")
        assert await s.asked() == commands.SetModel("llama3.2:3b")
        await s.until(lambda: s.app.screen is s.bench)


async def test_what_cannot_be_fetched_is_not_offered(show: Showing) -> None:
    async with show() as s:
        await told(s, e.ModelMissing(name="m", why="m cannot call tools", there=("gpt-oss:20b",)))
        assert "fetch" not in s.text
        await s.press("p")
        assert s.nothing_asked
        await s.press("escape")
        await s.until(lambda: s.app.screen is s.bench)
        assert "/model NAME uses another" in s.text


async def test_a_failure_is_said_and_it_can_be_tried_again(show: Showing) -> None:
    async with show() as s:
        await told(s, MISSING, e.ModelPulled(name="qwen3:8b", state="failed", status="no network"))
        assert "no network" in s.text
        await s.press("p")
        assert await s.asked() == commands.PullModel("qwen3:8b")


async def test_it_is_asked_when_what_lies_over_the_workbench_is_gone(show: Showing) -> None:
    async with show() as s:
        await s.press("f1")
        await s.until(lambda: isinstance(s.app.screen, Help) and s.app.screen.is_mounted)
        await s.play(*opened()[:1], MISSING)
        assert not isinstance(s.app.screen, Missing)
        await s.press("escape")
        await told(s)
        await s.press("escape")
        await s.until(lambda: s.app.screen is s.bench)


async def test_the_mouse_chooses(show: Showing) -> None:
    async with show() as s:
        await told(s, MISSING)
        await s.pilot.click("Choice", offset=(3, 2))
        assert await s.asked() == commands.PullModel("qwen3:8b")
        await s.pilot.click("Choice", offset=(3, 6))
        assert await s.asked() == commands.SetModel("llama3.2:3b")
