"""Probes that the user asks for, between goals and beside one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from engine.rig import within
from engine.test_loop_overlap import AGAIN, WRITE, Held, prompt, put
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.loop import serve
from jetbox.engine.probing import AskedProbes
from scripted import call, finish, step

if TYPE_CHECKING:
    from engine.conftest import OpenRig
    from jetbox.engine.probes.base import Verdict


async def test_they_run_without_a_goal_and_are_served_again(rig: OpenRig) -> None:
    live = await rig(finish(), probes={"pytest": False})
    (live.root / "a.py").write_text("import os\n")
    asked = AskedProbes(live.parts)

    async def ask() -> e.ProbeEnded:
        assert asked.take(c.RunProbes())
        assert asked._task is not None
        await within(asked._task)
        return await live.until(e.ProbeEnded)

    red = await ask()
    assert (red.name, red.state, red.summary, red.cache) == ("ruff", "failed", "1 problem: F401", "ran")
    assert (await ask()).cache == "hit"
    (live.root / "a.py").write_text("X = 1\n")
    green = await ask()
    assert (green.state, green.cache, green.why) == ("passed", "ran", "a.py changed")


async def test_what_is_asked_before_the_last_answer_has_come_to_its_end_is_answered_too(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await rig(finish(), probes={"pytest": False})
    (live.root / "a.py").write_text("import os\n")
    asked, probes = AskedProbes(live.parts), live.parts.probes
    assert probes is not None
    whole = probes.whole

    async def told() -> list[Verdict]:
        given = await whole()
        if given[0].red:
            (live.root / "a.py").write_text("X = 1\n")
            asked.take(c.RunProbes())
        return given

    monkeypatch.setattr(probes, "whole", told)
    asked.take(c.RunProbes())
    assert asked._task is not None
    await within(asked._task)
    assert [event.state for event in live.events(e.ProbeEnded)] == ["failed", "passed"]


async def test_closing_ends_them(rig: OpenRig) -> None:
    live = await rig(finish(), probes={"pytest": False})
    (live.root / "a.py").write_text("")
    probe = Held()
    put(live, probe)
    serving = asyncio.create_task(serve(live.parts))
    await asyncio.sleep(0)
    live.submit(c.RunProbes())
    live.submit(c.RunProbes())
    await within(probe.begun.wait())
    live.submit(c.Close())
    assert await within(serving) == 0
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "probes: asked for"]


async def test_where_none_may_run_that_is_said(rig: OpenRig) -> None:
    live = await rig(finish())
    AskedProbes(live.parts).take(c.RunProbes())
    assert (await live.until(e.Notice)).text == "no probe is switched on"
    live = await rig(finish(), permissions={"sandbox": True}, probes={"pytest": False}, attended=True)
    AskedProbes(live.parts).take(c.RunProbes())
    asked = await live.until(e.PermissionAsked)
    assert "without a sandbox" in asked.title
    live.submit(c.Answer(asked.id, "no"))
    assert (await live.until(e.Notice)).text == "the probes may not run without a sandbox"
    assert not live.events(e.ProbeStarted)


async def test_the_model_hears_of_what_it_waited_for(rig: OpenRig) -> None:
    read = call("read_file", path="a.py")
    live = await rig(step(WRITE), step(read), step(AGAIN), finish(), faults=("stall@2:0",), probes={"wait": "overlap"})
    probe = Held()
    put(live, probe)
    live.parts.cancels.heard = False
    running = live.start()
    await live.until(e.RequestSent)
    await live.until(e.RequestSent)
    await live.stats(stalled=1)
    asked = AskedProbes(live.parts)
    asked.take(c.RunProbes())
    probe.may_end.set()
    assert asked._task is not None
    await within(asked._task)
    await live.release()
    assert (await within(running)).outcome == "done"
    third = (await live.stats())["bodies"][2]
    assert "suite: failed (it failed)" in prompt(third)[-1]["content"]
