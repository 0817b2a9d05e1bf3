from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.safety.terminal import safe_text, visible
from scripted import call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]


@given(st.text())
def test_nothing_is_hidden_and_nothing_acts(text: str) -> None:
    shown = visible(text)
    assert safe_text(shown) == shown
    assert len(shown) >= len(text)


@pytest.mark.parametrize(
    "hidden", ["\x1bP; touch gone \x1b\\", "\x9d; touch gone \x9c", "\x1b]0;touch gone;\x07", "\u202e"]
)
async def test_a_command_that_a_terminal_would_show_otherwise_does_not_run(rig: OpenRig, hidden: str) -> None:
    live = await rig(step(call("run_cmd", command=f"echo hello {hidden}")), finish())
    await live.run()
    assert "control or invisible characters" in live.events(e.ToolEnded)[0].text
    assert not (live.root / "gone").exists()
    assert hidden not in live.events(e.ToolCalled)[0].title


async def test_who_is_asked_sees_every_character_of_a_change(rig: OpenRig) -> None:
    live = await rig(
        step(call("write_file", path="a.py", content="x = 1 \x1b]0;y\x07\u202e# z\n")), finish(),
        attended=True, permissions={"mode": "ask"},
    )  # fmt: skip
    goal = live.start()
    asked = await live.until(e.PermissionAsked)
    live.submit(c.Answer(asked.id, "once"))
    await within(goal)
    assert "x = 1 \\x1b]0;y\\x07\\u202e# z" in asked.diff
    assert "\\x1b]0;y" in live.events(e.ToolEnded)[0].diff
