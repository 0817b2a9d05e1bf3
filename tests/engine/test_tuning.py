"""Limits that are changed while a session runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from engine.rig import Rig
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.tuning import TuningDesk
from scripted import call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]


async def test_a_limit_holds_from_the_next_goal_on(rig: OpenRig) -> None:
    live = await rig(*[step(call("list_dir", path=".")) for _ in range(3)], finish())
    live.session.listen(TuningDesk(live.parts).take)
    live.submit(c.SetOption("loop.max_rounds", 2))
    assert (await live.until(e.OptionChanged)).value == "2"
    assert (await live.run()).outcome == "limit"
    for command in (c.SetOption("loop.max_rounds", 1.5), c.SetOption("model.seed", 1)):
        live.submit(command)
        assert "stays as it is" in (await live.until(e.Notice)).text
    assert live.parts.options.loop.max_rounds == 2
