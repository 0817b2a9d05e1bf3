"""Requests that do not wait for the probes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from engine.rig import Rig, within
from jetbox.engine import cancelling, overlap
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.cancelling import PAIRS, TRIES, Cancels
from jetbox.engine.probes.base import Scope, Verdict, Whole
from jetbox.engine.probes.runner import ProbeEngine
from jetbox.engine.stream import Answer
from scripted import call, finish, step

if TYPE_CHECKING:
    from engine.conftest import OpenRig
    from jetbox.engine.probes.interpreter import Answers

WRITE = call("write_file", path="a.py", content="x = 1\n")
PACE = 16
"""How many times faster than the profile the server is."""
GREEN = "def test_a():\n    pass\n"
DIFFERS = "import gc\n\n\ndef test_a():\n    assert not gc.get_freeze_count()\n"
"""A test that says something else in a forked run of pytest."""
AGAIN = call("write_file", path="b.py", content="y = 1\n")


class Held(Whole):
    """A probe whose first run ends when it is told to."""

    name = "suite"

    def __init__(self) -> None:
        self.states = ["failed", "passed"]
        self.may_end = asyncio.Event()
        self.begun = asyncio.Event()

    async def skip(self, answers: Answers) -> str:
        return ""

    async def scope(self, answers: Answers) -> Scope:
        return Scope()

    async def run(self, *, behind: bool = False) -> Verdict:
        self.begun.set()
        await self.may_end.wait()
        state: Any = self.states.pop(0) if self.states else "passed"
        return Verdict(self.name, state, f"it {state}", output=f"output of {state}")


def put(live: Rig, probe: Held) -> None:
    """Let the probe stand in for the real ones."""
    parts = live.parts
    parts.probes = ProbeEngine(
        live.root,
        parts.context.processes,
        parts.options.probes,
        parts.options.performance,
        on_start=lambda name, why: None,
        on_end=lambda verdict: None,
        round_of=lambda: live.session.round,
        probes=[probe],
    )


def put_green(live: Rig) -> None:
    """Probes that are always green, and at once."""
    probe = Held()
    probe.states = []
    probe.may_end.set()
    put(live, probe)


def prompt(body: dict[str, Any]) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = json.loads(body["body"])["messages"]
    return messages


async def test_a_request_is_taken_back_where_a_probe_turns_red_before_its_answer(rig: OpenRig) -> None:
    live = await rig(step(WRITE), step(AGAIN), finish(), faults=("stall@2:0",), probes={"wait": "overlap"})
    probe = Held()
    put(live, probe)
    live.parts.cancels.heard = True
    running = live.start()
    await live.until(e.RequestSent)
    await live.until(e.RequestSent)
    await live.stats(stalled=1)
    probe.may_end.set()
    ended = await within(running)
    assert ended.outcome == "done"
    stats = await live.stats()
    first, second, third = stats["bodies"][:3]
    assert prompt(second)[-1]["content"].endswith("[probes] suite: running on this state")
    assert prompt(third)[:-1] == prompt(second)[:-1]
    assert prompt(third)[-1]["content"].startswith(prompt(second)[-1]["content"])
    assert "[probes of round 1] suite: failed (it failed)" in prompt(third)[-1]["content"]
    assert "output of failed" in prompt(third)[-1]["content"]
    attempts = [event.attempt for event in live.events(e.RequestSent)]
    assert attempts[:3] == [1, 1, 2]
    assert live.events(e.ModelAnswered)[1].error == "taken back"
    assert first["number"] == 1


async def test_where_taking_back_is_not_proved_the_verdict_comes_with_the_next_message(rig: OpenRig) -> None:
    read = call("read_file", path="a.py")
    live = await rig(step(WRITE), step(read), step(AGAIN), finish(), faults=("stall@2:0",), probes={"wait": "overlap"})
    probe = Held()
    put(live, probe)
    live.parts.cancels.heard = False
    running = live.start()
    await live.stats(stalled=1)
    probe.may_end.set()
    assert live.parts.probes is not None
    while live.parts.probes.pending:
        await asyncio.sleep(0)
    await live.release()
    assert (await within(running)).outcome == "done"
    third = (await live.stats())["bodies"][2]
    assert "[probes of round 1] suite: failed (it failed)" in prompt(third)[-1]["content"]
    assert [event.attempt for event in live.events(e.RequestSent)][:3] == [1, 1, 1]


@pytest.mark.parametrize("heard", [True, False], ids=["sent again", "with the next message"])
async def test_ruff_and_pytest_of_a_state_are_told_as_far_as_they_are_when_the_request_goes_out(
    rig: OpenRig, tmp_path: Path, heard: bool
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    waits = f"import pathlib\n\n\ndef test_a():\n    assert not pathlib.Path({str(gate)!r}).read_text()\n"
    write = call("write_file", path="test_a.py", content=waits)
    read, mend = call("read_file", path="test_a.py"), call("write_file", path="test_a.py", content=GREEN)
    steps = (step(write, read), step(read), step(mend), finish())
    live = await rig(*steps, faults=("stall@1:1", "stall@2:0"), probes={"wait": "overlap"})
    live.parts.cancels.heard = heard
    running = live.start()
    await live.until(e.ProbeEnded, name="ruff", state="passed")
    await live.release()
    await live.until(e.RequestSent)
    await live.stats(stalled=1)
    await asyncio.to_thread(gate.write_text, "red")
    await live.until(e.ProbeEnded, name="pytest", state="failed", of_round=1)
    if not heard:
        await live.release()
    assert (await within(running)).outcome == "done"
    second, third = (prompt(body) for body in (await live.stats())["bodies"][1:3])
    assert second[-1]["content"].endswith("[probes] ruff: passed (0 problems); pytest: running on this state")
    told = third[-1]["content"]
    assert "[probes of round 1] pytest: failed (1 of 1 failed: test_a)" in told
    assert "AssertionError" in told
    assert (third[:-1] == second[:-1]) is heard, "the same request again, with the verdict at its end"
    assert [event.attempt for event in live.events(e.RequestSent)][:3] == [1, 1, 2 if heard else 1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forked runs need Linux")
async def test_a_late_verdict_is_not_told_once_its_run_was_seen_to_be_wrong(rig: OpenRig) -> None:
    steps = (step(WRITE), step(call("read_file", path="a.py")), finish())
    live = await rig(
        *steps, faults=("stall@2:0",), probes={"wait": "overlap"}, performance={"probe_baseline": False}
    )  # fmt: skip
    (live.root / "test_a.py").write_text(DIFFERS)
    live.parts.cancels.heard = False
    running = live.start()
    await live.until(e.ProbeEnded, name="pytest", state="failed", of_round=1)
    assert "runs from scratch: a forked run said failed" in (await live.until(e.Notice)).text
    await live.release()
    assert (await within(running)).outcome == "done"
    assert all(
        "1 failed" not in body["body"] and "pytest: failed" not in body["body"]
        for body in (await live.stats())["bodies"]
    )


async def test_a_red_verdict_is_not_told_once_somebody_mended_the_file(rig: OpenRig) -> None:
    read = call("list_dir", path=".")
    live = await rig(step(WRITE), step(read), step(read), finish(), faults=("stall@2:0",), probes={"wait": "overlap"})
    probe = Held()
    put(live, probe)
    live.parts.cancels.heard = False
    running = live.start()
    await live.stats(stalled=1)
    probe.may_end.set()
    assert live.parts.probes is not None
    assert [verdict.state for verdict in await live.parts.probes.coming()] == ["failed"]
    (live.root / "a.py").write_text("x = 2\n")
    await live.release()
    assert (await within(running)).outcome == "done"
    assert all("it failed" not in body["body"] for body in (await live.stats())["bodies"])


@pytest.mark.parametrize(
    ("faults", "heard", "words"),
    [
        (("stall@2:0",), True, "does not hold up the next one"),
        (("deaf:prompt@2", "stall@2:0"), False, "holds up the next one for"),
    ],
    ids=["heard", "deaf"],
)
async def test_taking_back_is_tried_before_it_is_relied_upon(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch, faults: tuple[str, ...], heard: bool, words: str
) -> None:
    # A machine that is busy with other work adds to the waits: less than this between the two.
    monkeypatch.setattr(cancelling, "HEARD_NS", 500_000_000)
    long = call("read_file", path="long.txt")  # its prompt takes more than a second to read
    steps = (step(WRITE, long), step(AGAIN), finish())
    live = await rig(*steps, faults=faults, profile="E", speed=PACE, probes={"wait": "overlap"})
    (live.root / "long.txt").write_text("word " * 2000)
    put_green(live)
    live.parts.cancels.in_line = True
    assert (await live.run()).outcome == "done"
    assert live.parts.cancels.heard is heard
    stats = await live.stats()
    assert stats["bodies"][1]["body"] == stats["bodies"][2]["body"], "the same request again"
    assert [event.attempt for event in live.events(e.RequestSent)] == [1, 1, 2, 1]
    assert any(words in notice.text for notice in live.events(e.Notice))


@pytest.mark.parametrize(("parallel", "patience"), [(1, 1), (2, 10**12)])
async def test_a_second_request_shows_whether_they_wait_for_one_another(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch, parallel: int, patience: int
) -> None:
    monkeypatch.setattr(cancelling, "PATIENCE_NS", patience)
    live = await rig(step(WRITE), finish(), faults=("stall@1:1",), parallel=parallel, probes={"wait": "overlap"})
    put_green(live)
    live.parts.reading_rate = 1e9
    running = live.start()
    cancels = live.parts.cancels
    while cancels.in_line is None:
        assert not running.done()
        await asyncio.sleep(0)
    assert cancels.in_line is (parallel == 1)
    await live.release()
    assert (await within(running)).outcome == "done"
    assert cancels.heard is (None if parallel == 1 else False)
    told = [notice for notice in live.events(e.Notice) if "several requests at once" in notice.text]
    assert len(told) == (parallel == 2)
    assert len(live.events(e.RequestSent)) == 2, "the second one is none of the session's"


async def test_short_answers_do_not_show_it_and_nothing_is_taken_back(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow this machine is, none of the answers counts as a long one.
    monkeypatch.setattr(cancelling, "PATIENCE_NS", 10**12)
    steps = [step(call("write_file", path=f"{n}.py", content="x = 1\n")) for n in range(PAIRS + 2)]
    # Each of the round's own requests is held until the second one is in line, and ends soon after that.
    stalls = tuple(f"stall@{2 * n - 1}:1" for n in range(1, PAIRS + 1))
    live = await rig(*steps, finish(), faults=stalls, probes={"wait": "overlap"})
    put_green(live)
    live.parts.reading_rate = 1e9
    running = live.start()
    for pairs in range(1, PAIRS + 1):
        await live.stats(stalled=1, chats=2 * pairs)
        await live.release()
    assert (await within(running)).outcome == "done"
    assert live.parts.cancels == Cancels(pairs=PAIRS)
    assert {event.attempt for event in live.events(e.RequestSent)} == {1}
    told = [notice for notice in live.events(e.Notice) if "a second request" in notice.text]
    assert len(told) == 1


async def test_nothing_is_learnt_from_a_request_that_failed_before_it_could_be_taken_back(rig: OpenRig) -> None:
    live = await rig(step(WRITE), step(AGAIN), finish(), faults=("busy:1@2",), probes={"wait": "overlap"})
    put_green(live)
    live.parts.cancels.in_line = True
    assert (await live.run()).outcome == "done"
    assert live.parts.cancels.heard is None


async def test_a_server_that_turns_deaf_is_relied_upon_no_more(rig: OpenRig) -> None:
    live = await rig(finish())
    live.parts.cancels = Cancels(heard=True, in_line=True)
    ms = 1_000_000
    late = {"load_duration": 900 * ms, "prompt_eval_duration": 5 * ms, "eval_duration": 10 * ms}
    quick = {**late, "load_duration": 20 * ms, "total_duration": 35 * ms}
    cancelling.learn(live.parts, Answer(complete=True, first=1, metrics=quick))
    assert live.parts.cancels.heard is True
    cancelling.learn(live.parts, Answer(complete=True, first=1, metrics={**late, "total_duration": 915 * ms}))
    assert live.parts.cancels.heard is False
    assert "holds up the next one for 780 ms" in live.events(e.Notice)[-1].text


@pytest.mark.parametrize("where", ["outcome", "late"])
async def test_who_interrupts_while_a_request_is_taken_back_ends_the_round(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    live = await rig(step(WRITE), step(AGAIN), finish(), faults=("stall@2:0",), probes={"wait": "overlap"})
    probe = Held()
    put(live, probe)
    live.parts.cancels.heard = True
    probes = live.parts.probes
    assert isinstance(probes, ProbeEngine)
    outcome, late, never = overlap._outcome, probes.late, asyncio.Event()

    async def interrupted_outcome(task: asyncio.Task[Answer]) -> tuple[Answer, bool]:
        if task.cancelling():
            live.submit(c.Cancel())
        return await outcome(task)

    async def interrupted_late() -> list[Verdict]:
        if live.events(e.ModelAnswered)[-1].error == "taken back":
            live.submit(c.Cancel())
            await never.wait()
        return await late()

    if where == "late":
        monkeypatch.setattr(probes, "late", interrupted_late)
    else:
        monkeypatch.setattr(overlap, "_outcome", interrupted_outcome)
    running = live.start()
    await live.stats(stalled=1)
    probe.may_end.set()
    assert (await within(running)).outcome == "interrupted"
    assert len(live.events(e.RequestSent)) == 2
    assert not (live.root / "b.py").exists()
    assert len(live.events(e.RoundEnded)) == len(live.events(e.RoundStarted))


async def test_prompts_that_are_read_at_once_tell_nothing_and_the_trials_end(rig: OpenRig) -> None:
    steps = [step(call("write_file", path=f"{n}.py", content="x = 1\n")) for n in range(TRIES + 2)]
    stalls = tuple(f"stall@{2 * n}:0" for n in range(1, TRIES + 1))
    live = await rig(*steps, finish(), faults=stalls, probes={"wait": "overlap"})
    put_green(live)
    live.parts.cancels.in_line = True
    assert (await live.run()).outcome == "done"
    attempts = [event.attempt for event in live.events(e.RequestSent)]
    assert attempts == [1, *[1, 2] * TRIES, 1, 1]
    assert live.parts.cancels.heard is None
    assert live.parts.cancels.trials == TRIES


@pytest.mark.parametrize("heard", [True, None], ids=["beside", "on trial"])
async def test_the_users_interruption_ends_the_request_for_good(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch, heard: bool | None
) -> None:
    monkeypatch.setattr("jetbox.engine.overlap.TRIAL_S", 60.0)
    live = await rig(step(WRITE), step(AGAIN), finish(), faults=("stall@2:0",), probes={"wait": "overlap"})
    probe = Held()
    put(live, probe)
    live.parts.cancels = Cancels(heard=heard, in_line=True)
    running = live.start()
    await live.stats(stalled=1)
    live.submit(c.Cancel())
    assert (await within(running)).outcome == "interrupted"
    await live.stats(stalled=0)
    ended = live.events(e.GoalEnded)[-1]
    assert live.seen[-1].event == ended, "nothing follows"
    assert len(live.events(e.RequestSent)) == 2
    assert not (live.root / "b.py").exists()
