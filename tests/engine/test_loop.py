"""The loop at work: tools while the stream goes on, the gate before done, guards, limits."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable

import pytest

from engine.moving import Clock
from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.errors import StorageError
from jetbox.engine.loop import NUDGE_THOUGHT
from jetbox.engine.session import NoRecorder
from scripted import call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]

WRITE = call("write_file", path="a.txt", content="one\n")
LIST = call("list_dir", path=".")
RUFF = {"pytest": False}


async def test_a_call_runs_while_the_model_still_streams(rig: OpenRig) -> None:
    live = await rig(step(WRITE, fault="stall@:1"), finish())
    goal = live.start()
    await live.until(e.ToolEnded, state="ok")
    assert (live.root / "a.txt").read_text() == "one\n"
    assert not live.events(e.ModelAnswered)
    await live.stats(stalled=1)
    await live.release()
    assert (await within(goal)).outcome == "unverified"


class Gate(NoRecorder):
    """Holds back every sync until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.closed_at = 0
        self.waiting = 0
        self.most = 0
        self.full = asyncio.Event()

    async def sync(self) -> None:
        if not self.closed_at:
            return
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        if self.waiting == self.closed_at:
            self.full.set()
        await self.open.wait()
        self.waiting -= 1


async def test_five_calls_run_at_once_and_no_more(rig: OpenRig) -> None:
    gate = Gate()
    writes = [call("write_file", path=f"{n}.txt", content="x\n") for n in range(8)]
    live = await rig(step(*writes), finish(), recorder=gate)
    goal = live.start()
    await live.until(e.RequestSent)
    gate.closed_at = 5
    await within(gate.full.wait())
    while len(live.events(e.ToolStarted)) < 8:
        await live.until(e.ToolStarted)
    assert gate.waiting == 5
    gate.open.set()
    assert (await within(goal)).outcome == "unverified"
    assert gate.most == 5
    assert len(list(live.root.iterdir())) == 8
    assert live.events(e.RoundEnded)[0].parallel == 8


async def test_calls_of_one_answer_see_each_others_work_in_order(rig: OpenRig) -> None:
    live = await rig(
        step(
            WRITE,
            call("read_file", path="a.txt"),
            call("edit_file", path="a.txt", edits=[{"old": "one", "new": "two"}]),
            call("grep", pattern="two", path="."),
            call("run_cmd", command="cat a.txt"),
        ),
        finish(),
    )
    await live.run()
    assert [r.state for r in live.events(e.ToolEnded)] == ["ok"] * 6
    texts = live.results()
    assert "one" in texts[1]
    assert "a.txt" in texts[3]
    assert "two" in texts[4]
    sent = (await live.requests())[1]
    assert [m["content"] for m in sent if m["role"] == "tool"] == texts[:5]
    assert [m["tool_call_id"] for m in sent if m["role"] == "tool"] == [call["id"] for call in sent[2]["tool_calls"]]


async def test_one_after_another_where_that_is_wished(rig: OpenRig) -> None:
    calls = [call("write_file", path=f"{n}.txt", content="x\n") for n in range(3)]
    live = await rig(step(*calls), finish(), performance={"parallel_tools": False})
    await live.run()
    kinds = [kind for kind in live.kinds if kind in (e.ToolStarted, e.ToolEnded)]
    assert kinds == [e.ToolStarted, e.ToolEnded] * 4
    assert live.events(e.RoundEnded)[0].parallel == 0


async def test_finish_waits_for_all_and_counts_not_where_a_call_failed(rig: OpenRig) -> None:
    live = await rig(
        step(call("read_file", path="nowhere.txt"), call("finish", summary="Done.")), finish("Now it is done.")
    )
    ended = await live.run()
    assert ended.rounds == 2
    assert live.events(e.ToolEnded)[0].state == "failed"


async def test_unknown_tools_and_wrong_arguments_are_told_to_the_model(rig: OpenRig) -> None:
    live = await rig(
        step(
            call("write_fil", path="a.txt", content="x"),
            call("delete_everything"),
            call("write_file", path="a.txt"),
            call("read_file", path="a.txt", offset="many"),
            call("list_dir", path=".", colour="red"),
            call("write_file", path="../outside.txt", content="x"),
        ),
        finish(),
    )
    await live.run()
    states = [r.state for r in live.events(e.ToolEnded)]
    texts = {r.call: r.text for r in live.events(e.ToolEnded)}
    told = [m["content"] for m in (await live.requests())[1] if m["role"] == "tool"]
    assert len(told) == 6
    assert "write_file" in told[0]
    assert "read_file" in told[1]
    assert "content" in told[2]
    assert "offset" in told[3]
    assert "colour" in told[4]
    assert states.count("failed") == 5
    assert not (live.root.parent / "outside.txt").exists()
    assert set(told) <= set(texts.values())


async def test_red_goes_back_to_the_model_until_it_is_green(rig: OpenRig) -> None:
    live = await rig(
        step(call("write_file", path="a.py", content="import os\n")),
        finish("Done?", when={"red": True}),
        step(call("edit_file", path="a.py", edits=[{"old": "import os\n", "new": "X = 1\n"}]), when={"red": True}),
        finish("Done."),
        probes=RUFF,
    )
    ended = await live.run()
    assert (ended.outcome, ended.exit_code, ended.rounds) == ("done", 0, 4)
    requests = await live.requests()
    assert "[probes] ruff: failed" in requests[1][-1]["content"]
    assert requests[1][-1]["role"] == "tool"
    assert "[not done: a probe is red" in requests[2][-1]["content"]
    assert "F401" in requests[1][-1]["content"]


async def test_plain_words_that_it_is_done_must_pass_the_gate_too(rig: OpenRig) -> None:
    live = await rig(
        step(call("run_cmd", command="printf 'import os\\n' > a.py")), step(text="All is done."), finish(), probes=RUFF,
        loop={"gate_attempts": 1},
    )  # fmt: skip
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("red", 3)
    assert "ruff" in ended.reason
    assert (await live.requests())[2][-1] == {
        "role": "user",
        "content": (await live.requests())[2][-1]["content"],
    }


async def test_what_a_command_makes_as_large_and_as_old_as_it_was_is_judged_and_laid_to_the_command(
    rig: OpenRig,
) -> None:
    new = "from os import stat, utime; s = stat('a.py'); open('a.py', 'w').write('import os\\n')"
    live = await rig(
        step(call("write_file", path="a.py", content="x = True\n\n")),
        step(call("run_cmd", command=f"python3 -c \"{new}; utime('a.py', ns=(0, s.st_mtime_ns))\"")),
        step(call("write_file", path="b.py", content="x = 1\n")),
        step(text="All is done."),
        probes=RUFF,
        loop={"gate_attempts": 0},
    )
    await live.run()
    requests = await live.requests()
    assert requests[1][-1]["content"].endswith("[probes] ruff: passed (0 problems)")
    assert "[files changed: a.py]\n[probes] ruff: failed (1 problem: F401)" in requests[2][-1]["content"]
    whys = [event.why for event in live.events(e.ProbeEnded) if event.state == "failed"]
    assert whys[0] == "a.py changed by a command just now"


async def test_red_goes_back_a_bounded_number_of_times(rig: OpenRig) -> None:
    live = await rig(
        step(call("write_file", path="a.py", content="import os\n")),
        *[finish(f"Done {n}.") for n in range(9)],
        probes=RUFF,
        loop={"gate_attempts": 2},
    )
    ended = await live.run()
    assert (ended.outcome, ended.exit_code, ended.rounds) == ("red", 3, 4)


async def test_an_answer_needs_no_gate(rig: OpenRig) -> None:
    live = await rig(step(LIST), step(text="It is empty."), probes=RUFF)
    (live.root / "a.py").write_text("import os\n")
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("answered", 0)
    assert not live.events(e.ProbeEnded)


async def test_done_without_a_probe_is_unverified(rig: OpenRig) -> None:
    live = await rig(step(WRITE), finish(), probes=RUFF)
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("unverified", 0)
    assert "ruff skipped" in ended.reason


async def test_a_suite_that_is_configured_away_is_not_green(rig: OpenRig) -> None:
    """Red tests behind `--co`, and a green ruff beside them: nothing was verified."""
    live = await rig(
        step(
            call("write_file", path="test_a.py", content="def test_a():\n    assert [] == [1]\n"),
            call("write_file", path="pytest.ini", content="[pytest]\naddopts = --co\n"),
        ),
        finish(),
        probes={"enabled": True},
    )
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("unverified", 0)
    assert ended.reason == "done, unverified (pytest skipped: ran no tests although 1 test file exists)"
    assert "pytest: skipped (ran no tests although 1 test file exists)" in (await live.requests())[-1][-1]["content"]


async def test_the_same_call_again_and_again_is_warned_of_and_then_stopped(rig: OpenRig) -> None:
    live = await rig(*[step(LIST) for _ in range(9)])
    ended = await live.run()
    assert (ended.outcome, ended.exit_code, ended.rounds) == ("guard", 4, 6)
    assert [(g.guard, g.action) for g in live.events(e.GuardTripped)] == [("repeat", "warn"), ("repeat", "stop")]
    requests = await live.requests()
    assert "[warning: the same list_dir with the same result 3 times" in requests[3][-1]["content"]


async def test_two_calls_in_turn(rig: OpenRig) -> None:
    turns = [step(LIST), step(call("glob", pattern="*"))] * 5
    live = await rig(*turns)
    ended = await live.run()
    assert ended.outcome == "guard"
    assert live.events(e.GuardTripped)[0].guard == "alternate"


async def test_the_same_error_again_and_again(rig: OpenRig) -> None:
    live = await rig(*[step(call("read_file", path="no.txt", offset=n + 1)) for n in range(10)])
    ended = await live.run()
    assert (ended.outcome, ended.rounds) == ("guard", 8)
    assert live.events(e.GuardTripped)[-1].guard == "error"


async def test_a_file_rewritten_again_and_again(rig: OpenRig) -> None:
    live = await rig(*[step(call("write_file", path="a.txt", content=f"{n}\n")) for n in range(14)])
    ended = await live.run()
    assert (ended.outcome, ended.rounds) == ("guard", 12)
    assert live.events(e.GuardTripped)[-1].guard == "rewrite"


async def test_an_empty_answer_gets_a_word_and_the_second_ends_it(rig: OpenRig) -> None:
    live = await rig(step(think="Hm."), step(think="Hm, hm."), finish())
    ended = await live.run()
    assert (ended.outcome, ended.exit_code, ended.rounds) == ("guard", 4, 2)
    last = (await live.requests())[1][-1]
    assert last["role"] == "user"
    assert last["content"] == NUDGE_THOUGHT


async def test_an_answer_cut_at_its_length_goes_on_in_smaller_steps(rig: OpenRig) -> None:
    live = await rig(step(text="word " * 60), step(text="Yes."), model={"num_predict": 20}, match="^Do it")
    ended = await live.run()
    assert (ended.outcome, ended.rounds) == ("answered", 2)
    assert live.events(e.ModelAnswered)[0].done_reason == "length"
    assert "cut at its length limit" in (await live.requests())[1][-1]["content"]
    (told,) = live.events(e.Notice)
    assert "cut at its length limit" in told.text, "whoever watches is told too"


async def test_the_limit_of_rounds_and_the_words_before_it(rig: OpenRig) -> None:
    steps = [step(call("write_file", path=f"{n}.txt", content="x\n")) for n in range(12)]
    live = await rig(*steps, loop={"max_rounds": 10})
    ended = await live.run()
    assert (ended.outcome, ended.exit_code, ended.rounds) == ("limit", 4, 10)
    assert "10 rounds" in ended.reason
    tails = [messages[-1]["content"] for messages in await live.requests()]
    assert ["budget: " in tail for tail in tails] == [False] * 7 + [True, False, True]
    assert "[budget: 7 of 10 rounds used" in tails[7]


async def test_the_limit_of_tokens(rig: OpenRig) -> None:
    live = await rig(*[step(LIST, think=f"Round {n}.") for n in range(5)], loop={"max_tokens": 2000})
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("limit", 4)
    assert "2000 tokens" in ended.reason
    assert "--max-tokens" in ended.hint


async def test_the_limit_of_seconds_strikes_in_mid_answer(rig: OpenRig, clock: Clock) -> None:
    live = await rig(step(text="One two three."), faults=("stall@1:2",), loop={"max_seconds": 100}, clock=clock)
    goal = live.start()
    await live.stats(stalled=1)
    clock.forward(101)
    ended = await within(goal)
    assert (ended.outcome, ended.exit_code) == ("limit", 4)
    assert ended.reason == "stopped at the limit of 100 seconds"
    assert (await live.stats(cancelled=1))["cancelled"] == 1


async def test_the_limit_of_seconds_ends_a_command(rig: OpenRig, clock: Clock) -> None:
    live = await rig(
        step(call("run_cmd", command="echo on; sleep 600")), finish(), loop={"max_seconds": 100}, clock=clock
    )
    goal = live.start()
    await live.until(e.ToolOutput)
    clock.forward(101)
    ended = await within(goal)
    assert ended.outcome == "limit"
    assert [r.state for r in live.events(e.ToolEnded)] == ["cancelled"]


async def test_another_model_takes_effect_in_the_next_round(rig: OpenRig) -> None:
    live = await rig(step(WRITE, fault="stall@:1"), finish())
    goal = live.start()
    await live.until(e.ToolEnded)
    live.submit(c.SetModel("llama3.2:3b"))
    await live.release()
    await within(goal)
    assert [r.model for r in live.events(e.RoundStarted)] == ["gpt-oss:20b", "llama3.2:3b"]
    (switched,) = live.events(e.ModelSwitched)
    assert (switched.old, switched.new, switched.reason) == ("gpt-oss:20b", "llama3.2:3b", "user")


async def test_a_secret_is_hidden_even_where_it_comes_in_pieces(rig: OpenRig) -> None:
    secret = "tok-ABCDEFGH-12345678-zyxw"
    live = await rig(
        step(call("run_cmd", command=f"printf 'a {secret[:9]}'; sleep 0.05; printf '{secret[9:]} b'"), text=secret),
        step(call("write_file", path="b.txt", content=f"{secret}\n"), think=f"so {secret}."),
        finish(),
        environ={"MY_TOKEN": secret},
    )
    await live.run(f"Use {secret}")
    assert secret not in live.everything()
    assert "a [secret:MY_TOKEN] b" in live.everything()
    assert not any(secret in str(messages) for messages in await live.requests())
    assert not (live.root / "b.txt").exists()


class FullDisk(NoRecorder):
    """A journal that cannot grow any more after an event of this type."""

    def __init__(self, last: type[e.Event]) -> None:
        self.last = last
        self.full = False

    def record(self, stamped: e.Stamped) -> None:
        if self.full:
            raise StorageError("cannot write the journal: No space left on device", "free some space")
        self.full = isinstance(stamped.event, self.last)


@pytest.mark.parametrize(
    "last", [e.GoalStarted, e.RequestSent, e.TextDelta, e.ToolCalled, e.ToolStarted, e.ToolOutput, e.RoundEnded]
)
async def test_a_full_disk_ends_the_goal_and_leaves_nothing_running(rig: OpenRig, last: type[e.Event]) -> None:
    before = asyncio.all_tasks()
    live = await rig(
        step(call("run_cmd", command="while :; do echo x; sleep 0.02; done"), WRITE, text="Now."),
        finish(),
        recorder=FullDisk(last),
    )
    if last is e.RoundEnded:
        live = await rig(step(WRITE), finish(), recorder=FullDisk(last))
    with pytest.raises(StorageError, match="No space left"):
        await live.run()
    assert asyncio.all_tasks() == before


async def test_a_workspace_that_is_full_ends_the_goal_with_9(rig: OpenRig, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    live = await rig(step(WRITE, LIST), finish())
    monkeypatch.setattr(os, "write", full)
    ended = await live.run()
    monkeypatch.undo()
    assert (ended.outcome, ended.exit_code, ended.rounds) == ("failed", 9, 1)
    assert "a.txt" in ended.reason
    assert ended.hint
    assert list(live.root.iterdir()) == []
    assert {r.state for r in live.events(e.ToolEnded)} == {"failed", "ok"}


async def test_giving_up_after_a_refused_finish_is_no_answer(rig: OpenRig) -> None:
    live = await rig(finish(), *[step(text="I give up.")] * 6, probes=RUFF, match="^Do it")
    (live.root / "bad.py").write_text("import os\n")
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("red", 3)


async def test_a_goal_tells_what_it_took_of_the_machine(rig: OpenRig) -> None:
    live = await rig(step(call("run_cmd", command="true")), finish())
    ended = await live.run()
    assert ended.cpu_ns > 0
    assert ended.others_ns > 0, "the command was a process of its own"
    assert ended.memory > 10_000_000
