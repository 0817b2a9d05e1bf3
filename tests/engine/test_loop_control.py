"""What the user and the server do to a running goal: words, interruptions, questions, failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from engine.moving import Clock
from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine import retries
from jetbox.engine.loop import serve
from jetbox.engine.session import NoRecorder
from jetbox.sim.launch import ServerProcess
from scripted import call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]

WRITE = call("write_file", path="a.txt", content="one\n")
SLEEP = call("run_cmd", command="echo here; sleep 60")
ASK = {"mode": "ask"}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.01, 0.01, 0.01, 0.01))


async def test_words_go_in_at_the_next_round(rig: OpenRig) -> None:
    live = await rig(step(WRITE, fault="stall@:1"), finish())
    goal = live.start()
    await live.until(e.ToolEnded)
    live.submit(c.Steer("Also this."))
    live.submit(c.Goal("And that."))
    assert live.events(e.QueueChanged)[-1].items == ("Also this.", "And that.")
    live.submit(c.EditQueue(("Also this, please.", "And that.")))
    await live.release()
    await within(goal)
    assert [s.text for s in live.events(e.Steered)] == ["Also this, please.", "And that."]
    last = (await live.requests())[1]
    assert [m["content"] for m in last[-2:]] == ["Also this, please.", "And that."]
    assert last[-3]["role"] == "tool"
    assert live.events(e.QueueChanged)[-1].items == ()


async def test_words_that_wait_keep_a_goal_from_ending(rig: OpenRig) -> None:
    live = await rig(finish("Done.", fault="stall@:1"), finish("Done too."))
    goal = live.start()
    await live.until(e.ToolEnded)
    live.submit(c.Steer("Not yet."))
    await live.release()
    assert (await within(goal)).rounds == 2
    assert (await live.requests())[1][-1] == {"role": "user", "content": "Not yet."}


async def test_words_that_a_killed_process_had_queued_are_not_lost(rig: OpenRig) -> None:
    live = await rig(step(WRITE), finish())
    live.parts.control.requeue(("As I said.",))
    await live.run()
    assert [m["content"] for m in (await live.requests())[0][1:]] == ["Do it", "As I said."]


async def test_words_outlive_the_goal_that_was_stopped_and_can_be_taken_back(rig: OpenRig) -> None:
    live = await rig(finish(fault="stall@:1"), finish())
    goal = live.start()
    await live.stats(stalled=1)
    for words in ("One.", "Two.", "One."):
        live.submit(c.Steer(words))
    live.submit(c.Cancel())
    assert (await within(goal)).outcome == "interrupted"
    live.submit(c.Unqueue("One."))
    live.submit(c.Unqueue("Three."))
    assert live.events(e.QueueChanged)[-1].items == ("One.", "Two.")
    await live.run("Do that")
    assert [m["content"] for m in (await live.requests())[-1]][-3:] == ["Do that", "One.", "Two."]
    assert live.events(e.QueueChanged)[-1].items == ()


async def test_now_interrupts_and_goes_on_with_the_words(rig: OpenRig) -> None:
    live = await rig(step(text="One two three."), step(text="Well then."), faults=("stall@1:2",), match="^Do it")
    goal = live.start()
    await live.until(e.TextDelta)
    await live.stats(stalled=1)
    live.submit(c.Steer("Stop counting.", now=True))
    ended = await within(goal)
    assert (ended.outcome, ended.rounds) == ("answered", 2)
    assert (await live.stats(cancelled=1))["cancelled"] == 1
    sent = (await live.requests())[1]
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "user", "user"]
    assert sent[2]["content"].startswith("One")
    assert sent[-1]["content"] == "Stop counting."


async def test_cancelling_keeps_what_was_streamed_and_closes_the_stream(rig: OpenRig) -> None:
    live = await rig(step(WRITE, text="One two.", fault="stall@:4"))
    goal = live.start()
    await live.until(e.ToolEnded)
    live.submit(c.Cancel())
    ended = await within(goal)
    assert (ended.outcome, ended.exit_code) == ("interrupted", 130)
    assert (await live.stats(cancelled=1))["cancelled"] == 1
    (answered,) = live.events(e.ModelAnswered)
    assert (answered.complete, answered.error) == (False, "interrupted")
    assistant, result = live.events(e.MessageAdded)[-2:]
    assert '"content":"One two."' in assistant.json
    assert '"tool_calls":[' in assistant.json
    assert (result.role, "[interrupted by the user]" in result.json) == ("tool", True)
    assert len(live.events(e.RoundEnded)) == 1


MAKES = call("run_cmd", command="touch made.txt; rm old.txt; echo here; sleep 60")


@pytest.mark.parametrize(
    "command", [c.SetModel("llama3.2:3b", now=True), c.Steer("Stop that.", now=True), c.Cancel()], ids=str
)
async def test_an_interrupted_command_tells_what_it_changed(rig: OpenRig, command: c.AnyCommand) -> None:
    live = await rig(step(MAKES), step(text="So be it."))
    (live.root / "old.txt").write_text("old")
    goal = live.start()
    await live.until(e.ToolOutput)
    live.submit(command)
    await within(goal)
    (ended,) = live.events(e.ToolEnded)
    assert ended.state == "cancelled"
    said = "interrupted by the user before it ended\n[files changed: made.txt, old.txt]"
    assert ended.text == said
    assert [(change.path, change.kind) for change in ended.changes] == [
        ("made.txt", "created"),
        ("old.txt", "deleted"),
    ]
    results = [json.loads(m.json)["content"] for m in live.events(e.MessageAdded) if m.role == "tool"]
    assert results[0].startswith(said)


async def test_cancelling_twice_ends_a_command_once(rig: OpenRig) -> None:
    live = await rig(step(SLEEP, call("list_dir", path=".")))
    goal = live.start()
    await live.until(e.ToolOutput)
    live.submit(c.Cancel())
    await asyncio.sleep(0)
    live.submit(c.Cancel())
    ended = await within(goal)
    assert ended.outcome == "interrupted"
    assert [t.state for t in live.events(e.ToolEnded)] == ["cancelled", "cancelled"]


async def test_cancelling_before_the_first_round_does_nothing_more(rig: OpenRig) -> None:
    class CancelledAtTheStart(NoRecorder):
        async def sync(self) -> None:
            live.submit(c.Cancel())

    live = await rig(step(WRITE), recorder=CancelledAtTheStart())
    ended = await live.run()
    assert (ended.outcome, ended.rounds) == ("interrupted", 0)
    assert (await live.stats())["chats"] == 0


async def test_a_goal_after_a_cancelled_one_starts_afresh(rig: OpenRig) -> None:
    live = await rig(step(text="One.", fault="stall@:1"), step(text="Two."), match="Do it")
    goal = live.start()
    await live.until(e.TextDelta)
    live.submit(c.Cancel())
    await within(goal)
    ended = await live.run("Do it again")
    assert (ended.goal, ended.outcome) == (2, "answered")


async def test_closing_ends_the_goal_with_the_code_that_it_names(rig: OpenRig) -> None:
    live = await rig(step(text="One.", fault="stall@:1"))
    serving = asyncio.create_task(serve(live.parts))
    live.submit(c.Goal("Do it"))
    await live.until(e.TextDelta)
    live.submit(c.Close(143))
    assert await within(serving) == 143
    assert live.events(e.GoalEnded)[0].reason == "terminated from outside"


async def test_a_probe_is_interrupted_too(rig: OpenRig) -> None:
    test = "import time\n\n\ndef test_it():\n    time.sleep(60)\n"
    live = await rig(step(call("write_file", path="test_a.py", content=test)), finish(), probes={"ruff": False})
    goal = live.start()
    await live.until(e.ProbeStarted, name="pytest")
    live.submit(c.Cancel())
    ended = await within(goal)
    assert ended.outcome == "interrupted"
    assert [p.state for p in live.events(e.ProbeEnded)] == ["cancelled"]


async def test_the_back_off_is_interrupted_too(rig: OpenRig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (60.0,))
    live = await rig(step(text="Yes."), faults=("busy:9",))
    goal = live.start()
    await live.until(e.Waiting, what="retrying")
    live.submit(c.Cancel())
    assert (await within(goal)).outcome == "interrupted"


async def test_no_skips_what_depends_on_it_and_lets_the_rest_go_on(rig: OpenRig) -> None:
    live = await rig(
        step(WRITE, call("read_file", path="a.txt"), call("list_dir", path="sub")),
        finish(),
        attended=True,
        permissions=ASK,
    )
    (live.root / "sub").mkdir()
    goal = live.start()
    asked = await live.until(e.PermissionAsked)
    assert (asked.kind, asked.title, "+one" in asked.diff) == ("write", "write_file a.txt +1", True)
    ended = await live.until(e.ToolEnded)
    assert (ended.call, ended.state) != (asked.call, "denied")
    live.submit(c.Answer(asked.id, "no", "not now"))
    await within(goal)
    by_name = {x.call: x for x in live.events(e.ToolEnded)}
    calls = [x.call for x in live.events(e.ToolCalled)]
    assert [by_name[x].state for x in calls[:3]] == ["denied", "denied", "ok"]
    assert "the user said no: not now" in by_name[calls[0]].text
    assert "depends on write_file, which was not allowed" in by_name[calls[1]].text
    assert not (live.root / "a.txt").exists()


async def test_once_is_asked_again_and_session_is_not(rig: OpenRig) -> None:
    writes = [step(call("write_file", path=f"{n}.txt", content="x\n")) for n in range(3)]
    live = await rig(*writes, finish(), attended=True, permissions=ASK)
    goal = live.start()
    first = await live.until(e.PermissionAsked)
    live.submit(c.Answer(first.id, "once"))
    second = await live.until(e.PermissionAsked)
    live.submit(c.Answer(second.id, "session"))
    await within(goal)
    assert len(live.events(e.PermissionAsked)) == 2
    assert [a.answer for a in live.events(e.PermissionAnswered)] == ["once", "session"]
    assert len(list(live.root.iterdir())) == 3


async def test_an_answer_for_the_session_settles_the_questions_behind_it(rig: OpenRig) -> None:
    writes = [call("write_file", path=f"{n}.txt", content="x\n") for n in range(3)]
    live = await rig(step(*writes), finish(), attended=True, permissions=ASK)
    goal = live.start()
    asked = await live.until(e.PermissionAsked)
    await live.has(e.ModelAnswered)
    live.submit(c.Answer(asked.id, "session"))
    await within(goal)
    assert len(live.events(e.PermissionAsked)) == 1
    assert len(list(live.root.iterdir())) == 3


async def test_always_tells_what_to_keep(rig: OpenRig) -> None:
    live = await rig(step(WRITE), finish(), attended=True, permissions=ASK)
    goal = live.start()
    asked = await live.until(e.PermissionAsked)
    live.submit(c.Answer(asked.id, "always"))
    await within(goal)
    assert live.events(e.PermissionAnswered)[0].grant == "write_file"


async def test_a_file_that_changed_under_the_question_is_asked_about_again(rig: OpenRig) -> None:
    edit = call("edit_file", path="a.txt", edits=[{"old": "one", "new": "two"}])
    live = await rig(step(call("read_file", path="a.txt")), step(edit), finish(), attended=True, permissions=ASK)
    (live.root / "a.txt").write_text("one\n")
    goal = live.start()
    asked = await live.until(e.PermissionAsked)
    (live.root / "a.txt").write_text("one\nand more\n")
    live.submit(c.Answer(asked.id, "once"))
    ended = await live.until(e.ToolEnded)
    if ended.state == "ok":  # that was the reading
        ended = await live.until(e.ToolEnded)
    assert ended.state == "failed"
    assert "read it again" in ended.text
    await within(goal)
    assert (live.root / "a.txt").read_text() == "one\nand more\n"


async def test_a_new_file_that_appears_under_the_question_is_not_overwritten(rig: OpenRig) -> None:
    live = await rig(step(WRITE), finish(), attended=True, permissions=ASK)
    goal = live.start()
    asked = await live.until(e.PermissionAsked)
    (live.root / "a.txt").write_text("theirs\n")
    live.submit(c.Answer(asked.id, "once"))
    await within(goal)
    assert (live.root / "a.txt").read_text() == "theirs\n"
    assert "was not read yet" in live.results()[0]


async def test_one_question_at_a_time_and_an_interruption_answers_it(rig: OpenRig) -> None:
    writes = [call("write_file", path=f"{n}.txt", content="x\n") for n in range(3)]
    live = await rig(step(*writes), attended=True, permissions=ASK)
    goal = live.start()
    await live.until(e.PermissionAsked)
    await live.has(e.ModelAnswered)
    assert len(live.events(e.PermissionAsked)) == 1
    live.submit(c.Cancel())
    assert (await within(goal)).outcome == "interrupted"
    assert [(a.answer, a.by) for a in live.events(e.PermissionAnswered)] == [("no", "limit")]
    assert list(live.root.iterdir()) == []


async def test_waiting_for_the_user_costs_no_seconds_of_the_goal(rig: OpenRig, clock: Clock) -> None:
    live = await rig(step(WRITE), finish(), attended=True, permissions=ASK, loop={"max_seconds": 100}, clock=clock)
    goal = live.start()
    asked = await live.until(e.PermissionAsked)
    await live.has(e.ModelAnswered)
    clock.forward(150)
    for _ in range(3):
        await asyncio.sleep(0)  # whatever is due by now happens here
    assert not goal.done()
    live.submit(c.Answer(asked.id, "once"))
    ended = await within(goal)
    assert ended.outcome == "unverified"
    first = live.events(e.RoundEnded)[0]
    assert first.phases["waiting for you"] >= 150e9
    assert sum(first.phases.values()) == first.wall_ns
    assert live.events(e.ToolEnded)[0].duration_ns < 100e9


async def test_a_question_that_is_broken_off_was_waiting_for_the_user_all_the_same(rig: OpenRig, clock: Clock) -> None:
    live = await rig(step(WRITE), finish(), attended=True, permissions=ASK, clock=clock)
    goal = live.start()
    await live.until(e.PermissionAsked)
    await live.has(e.ModelAnswered)
    clock.forward(150)
    live.submit(c.Cancel())
    assert (await within(goal)).outcome == "interrupted"
    ended = live.events(e.RoundEnded)[0]
    assert ended.phases["waiting for you"] >= 150e9
    assert sum(ended.phases.values()) == ended.wall_ns
    assert live.events(e.ToolEnded)[0].duration_ns < 100e9


async def test_another_mode_holds_at_once(rig: OpenRig) -> None:
    live = await rig(step(WRITE), step(call("run_cmd", command="true")), finish(), attended=True, permissions=ASK)
    live.submit(c.SetMode("auto"))
    assert (await live.run()).outcome == "unverified"
    assert not live.events(e.PermissionAsked)


@pytest.mark.parametrize(("mode", "asked"), [("ask", True), ("edits", True), ("auto", False)])
async def test_a_sandbox_turned_off_by_the_user_leaves_the_mode_to_decide(rig: OpenRig, mode: str, asked: bool) -> None:
    live = await rig(step(call("run_cmd", command="touch made")), finish(), permissions={"mode": mode})
    ended = await live.run()
    assert (ended.exit_code, bool(live.events(e.PermissionAsked))) == ((5, True) if asked else (0, False))


@pytest.mark.parametrize("mode", ["ask", "edits", "auto"])
async def test_where_no_sandbox_works_every_command_is_asked_about(rig: OpenRig, mode: str) -> None:
    live = await rig(step(call("run_cmd", command="touch made")), finish(), permissions={"mode": mode, "sandbox": True})
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("denied", 5)
    assert "--no-sandbox" in ended.hint
    assert list(live.root.iterdir()) == []


async def test_where_no_sandbox_works_probes_are_asked_about_once(rig: OpenRig) -> None:
    code = [step(call("write_file", path=f"{n}.py", content="X = 1\n")) for n in range(2)]
    live = await rig(
        *code, finish(), attended=True, permissions={"mode": "auto", "sandbox": True}, probes={"pytest": False}
    )
    goal = live.start()
    asked = await live.until(e.PermissionAsked)
    assert "without a sandbox" in asked.title
    live.submit(c.Answer(asked.id, "once"))
    assert (await within(goal)).outcome == "done"
    assert len(live.events(e.PermissionAsked)) == 1


async def test_silence_before_the_first_chunk(rig: OpenRig, clock: Clock) -> None:
    live = await rig(step(text="Yes."), faults=("stall@1",), model={"first_chunk_s": 600, "retries": 0})
    goal = live.start()
    await live.stats(stalled=1)
    clock.forward(601)
    ended = await within(goal)
    assert (ended.outcome, ended.exit_code) == ("failed", 6)
    assert ended.reason == "nothing came for 600 s; the request was cancelled"
    assert (await live.stats(cancelled=1))["cancelled"] == 1


async def test_silence_after_the_first_chunk(rig: OpenRig, clock: Clock) -> None:
    live = await rig(step(text="Yes and no."), faults=("stall@1:1",), model={"chunk_s": 60, "retries": 0})
    goal = live.start()
    await live.until(e.TextDelta)
    clock.forward(61)
    ended = await within(goal)
    assert ended.reason == "the answer stopped for 60 s; the request was cancelled"
    assert ended.exit_code == 6


async def test_a_wait_is_put_into_words(rig: OpenRig) -> None:
    live = await rig(step(text="Yes."), faults=("stall@1",))
    goal = live.start()
    waiting = await live.until(e.Waiting)
    assert (waiting.what, waiting.detail) == ("loading", "gpt-oss:20b")
    await live.release()
    await within(goal)


async def test_a_busy_server_is_asked_again(rig: OpenRig) -> None:
    live = await rig(step(text="Yes."), faults=("busy:2",))
    assert (await live.run()).outcome == "answered"
    assert [r.attempt for r in live.events(e.RequestSent)] == [1, 2, 3]
    assert live.events(e.RequestSent)[0].sha == live.events(e.RequestSent)[2].sha
    assert len(live.events(e.RoundEnded)) == 1
    assert "busy" in live.events(e.Notice)[0].text


async def test_a_server_that_stays_busy_is_given_up(rig: OpenRig) -> None:
    live = await rig(step(text="Yes."), faults=("busy:99",), model={"retries": 2})
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("failed", 6)
    assert len(live.events(e.RequestSent)) == 3


@pytest.mark.parametrize("fault", ["cut@1:1", "garbage@1:1", "no_done@1", "error:boom@1:1", "status:500@1"])
async def test_an_answer_that_breaks_before_any_call_is_asked_for_again(rig: OpenRig, fault: str) -> None:
    live = await rig(step(text="Yes and no."), faults=(fault,))
    ended = await live.run()
    assert ended.outcome == "answered"
    assert [a.complete for a in live.events(e.ModelAnswered)] == [False, True]
    assert len([m for m in live.events(e.MessageAdded) if m.role == "assistant"]) == 1


async def test_an_answer_that_breaks_again_ends_the_goal(rig: OpenRig) -> None:
    live = await rig(step(text="Yes and no."), faults=("garbage:@*:1".replace(":@", "@"),))
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("failed", 6)
    assert ended.reason.startswith("garbage in the answer's stream")
    assert len(live.events(e.RequestSent)) == 2
    assert "Yes" in live.events(e.MessageAdded)[-1].json


async def test_nothing_is_sent_again_once_a_call_has_run(rig: OpenRig) -> None:
    append = call("run_cmd", command="echo x >> log.txt")
    live = await rig(step(append, append), finish(), faults=("cut@1:1",))
    ended = await live.run()
    assert ended.outcome == "unverified"
    assert [r.attempt for r in live.events(e.RequestSent)] == [1, 1]
    assert (live.root / "log.txt").read_text() == "x\n"
    sent = (await live.requests())[1]
    assert [m["role"] for m in sent] == ["system", "user", "assistant", "tool"]
    assert len(sent[2]["tool_calls"]) == 1
    assert "its calls have run" in live.events(e.Notice)[0].hint


async def test_a_prompt_that_the_server_finds_too_long_is_an_error_in_words(
    rig: OpenRig, sim_server: Callable[..., ServerProcess]
) -> None:
    live = await rig(step(text="Yes."))
    live.parts.budget.estimate = lambda size: 10  # type: ignore[method-assign]  # as if we had counted wrongly
    live.parts.budget.num_ctx = 512
    ended = await live.run("word " * 2000)
    assert ended.exit_code == 4
    assert "does not fit the window" in ended.reason
    assert "512" in ended.reason


async def test_what_the_screen_took_is_recorded_until_the_session_closes(rig: OpenRig) -> None:
    live = await rig(finish())
    await live.run()
    live.submit(c.Drawn(1, 5_000_000, 3))
    assert live.events(e.RoundDrawn) == [e.RoundDrawn(round=1, drawing_ns=5_000_000, frames=3)]
    live.submit(c.Close())
    live.submit(c.Drawn(1, 5_000_000, 3))
    assert len(live.events(e.RoundDrawn)) == 1
