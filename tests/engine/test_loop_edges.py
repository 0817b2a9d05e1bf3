"""What a reader of the loop found: where something could slip past the gate, or past the redactor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.loop import Loop
from jetbox.engine.tools import sweep
from scripted import call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]

SECRET = "tok-ABCDEFGH-12345678-zyxw"
ENVIRON = {"MY_TOKEN": SECRET}
RUFF = {"enabled": True, "pytest": False}
RED = "import os\n"


async def test_a_secret_in_a_verdict_is_hidden(rig: OpenRig) -> None:
    live = await rig(finish(), finish(), finish(), finish(), environ=ENVIRON, probes={"enabled": True, "ruff": False})
    (live.root / "test_it.py").write_text(f"def test_it():\n    assert 'x' == '{SECRET}'\n")
    await live.run()
    ended = live.events(e.ProbeEnded)
    assert "[secret:MY_TOKEN]" in ended[0].output
    assert SECRET not in live.everything()
    assert SECRET not in str(await live.requests())


async def test_a_secret_in_a_question_and_in_steering_is_hidden(rig: OpenRig) -> None:
    ask = step(call("edit_file", path="a.txt", edits=[{"old": "one", "new": "two"}]))
    live = await rig(
        step(call("read_file", path="a.txt")),
        ask,
        finish(),
        environ=ENVIRON,
        attended=True,
        permissions={"mode": "ask"},
    )
    (live.root / "a.txt").write_text(f"{SECRET}\none\n")
    goal = live.start()
    asked = await live.until(e.PermissionAsked)
    live.submit(c.Steer(f"and use {SECRET}"))
    live.submit(c.Answer(asked.id, "once"))
    await within(goal)
    assert "[secret:MY_TOKEN]" in asked.diff
    assert SECRET not in live.everything()
    assert SECRET not in str(await live.requests())


async def test_a_command_that_was_cut_off_may_have_changed_files(rig: OpenRig) -> None:
    live = await rig(
        step(call("run_cmd", command="echo 'import os' > a.py; echo written; sleep 60")), step(text="Done."),
        step(text="Done."), step(text="Done."), step(text="Done."), step(text="Done."), probes=RUFF,
    )  # fmt: skip
    goal = live.start()
    await live.until(e.ToolOutput)
    live.submit(c.Steer("Never mind.", now=True))
    assert (await within(goal)).outcome == "red"


async def test_changes_that_nobody_counted_are_judged(rig: OpenRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "FILES", 0)
    live = await rig(step(call("run_cmd", command="echo 'import os' > a.py")), *[step(text="Done.")] * 5, probes=RUFF)
    assert (await live.run()).outcome == "red"


async def test_a_goal_that_a_kill_cut_off_is_judged_when_it_goes_on(rig: OpenRig) -> None:
    live = await rig(*[step(text="Done.")] * 5, probes=RUFF)
    (live.root / "a.py").write_text(RED)
    ended = await within(Loop(live.parts, 1, changed=True).run("Go on."))
    assert ended.outcome == "red"


async def test_words_that_wait_keep_an_answer_from_being_the_last_word(rig: OpenRig) -> None:
    live = await rig(step(text="It is so.", fault="stall@:1"), step(text="And so is that."))
    goal = live.start()
    await live.until(e.TextDelta)
    live.submit(c.Steer("And that?"))
    await live.release()
    assert (await within(goal)).rounds == 2
    assert (await live.requests())[1][-1]["content"] == "And that?"


async def test_a_model_that_is_not_there_is_not_switched_to(rig: OpenRig) -> None:
    live = await rig(step(call("list_dir"), fault="stall@:1"), finish())
    goal = live.start()
    await live.until(e.ToolEnded)
    live.submit(c.SetModel("nope:1b"))
    await live.release()
    assert (await within(goal)).outcome == "unverified"
    assert live.events(e.ModelSwitched) == []
    assert any("nope:1b" in notice.text and "going on with" in notice.text for notice in live.events(e.Notice))


async def test_a_switch_tells_what_is_known_of_the_new_model(rig: OpenRig) -> None:
    live = await rig(step(call("list_dir"), fault="stall@:1"), finish())
    goal = live.start()
    await live.until(e.ToolEnded)
    live.submit(c.SetModel("llama3.2:3b"))
    await live.release()
    await within(goal)
    assert [ready.name for ready in live.events(e.ModelReady)] == ["gpt-oss:20b", "llama3.2:3b"]
    assert len({ready.num_ctx for ready in live.events(e.ModelReady)}) == 1, "one window for the whole session"


async def test_finish_beside_a_failed_call_says_why_it_does_not_count(rig: OpenRig) -> None:
    live = await rig(step(call("read_file", path="missing.txt"), call("finish", summary="Done.")), finish(), finish())
    await live.run()
    results = [m["content"] for m in (await live.requests())[1] if m["role"] == "tool"]
    assert "[not done: a call failed" in results[-1]


async def test_a_workspace_that_vanished_ends_the_goal(rig: OpenRig) -> None:
    live = await rig(step(call("list_dir"), fault="stall@:1"), finish())
    goal = live.start()
    await live.until(e.ToolEnded)
    live.root.rmdir()
    await live.release()
    ended = await within(goal)
    assert (ended.outcome, ended.exit_code) == ("failed", 9)
    assert "is gone" in ended.reason


@pytest.mark.parametrize("folder", ["node_modules/lib", ".cache", ".venv/lib/python3/site-packages/pkg/sub"])
async def test_an_edit_where_searches_do_not_look_is_judged_too(rig: OpenRig, folder: str) -> None:
    path = f"{folder}/data.py"
    test = f"import pathlib\ndef test_it():\n    assert pathlib.Path({path!r}).read_text() == 'x = 1\\n'\n"
    live = await rig(
        step(call("write_file", path=path, content="x = 1\n"), call("write_file", path="test_it.py", content=test)),
        step(call("write_file", path=path, content="x = 2\n")),
        *[finish()] * 5,
        probes={"enabled": True, "ruff": False},
    )
    assert (await live.run()).outcome == "red"
    assert [p.state for p in live.events(e.ProbeEnded) if p.state != "cancelled"][:2] == ["passed", "failed"]
