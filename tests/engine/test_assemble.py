"""What cannot be loaded any more, since the installation changed while the session ran, holds up no call."""

from __future__ import annotations

import sys

import pytest

from engine.conftest import OpenRig
from engine.rig import within
from jetbox.engine import events as e
from jetbox.engine.assemble import choose_sandbox
from scripted import call, step


@pytest.mark.parametrize("lost", ["jetbox.engine.safety.choose", "jetbox.engine.probes.runner"])
async def test_calls_do_not_wait_for_what_cannot_be_loaded(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    live = await rig(step(call("list_dir")), step(text="Empty."), probes={"enabled": True})
    before, live.parts.probes = live.parts.probes, None
    assert before is not None
    await before.close()
    live.parts.ready.clear()
    monkeypatch.setitem(sys.modules, lost, None)
    await within(choose_sandbox(live.parts))
    assert live.parts.ready.is_set()
    (chosen,) = live.events(e.SandboxChosen)
    told = [*chosen.cannot, *(notice.text for notice in live.events(e.Notice))]
    assert [words for words in told if "ModuleNotFoundError" in words]
    assert (await live.run()).outcome == "answered"
