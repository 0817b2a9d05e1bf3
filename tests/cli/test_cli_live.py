"""Opening a live session: what of an earlier process holds, and what was asked for now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Never, cast

import msgspec
import pytest

from jetbox.cli.live import Live, Start
from jetbox.cli.options import invocation
from jetbox.cli.output import LineOut
from jetbox.cli.printer import Progress
from jetbox.cli.workbench import _live
from jetbox.engine import events as e
from jetbox.engine.assemble import Undecided
from jetbox.engine.commands import Close, RunProbes
from jetbox.engine.errors import ExitCode, SettingsError
from jetbox.engine.options import (
    ContextOptions,
    EngineOptions,
    LoopOptions,
    ModelOptions,
    PermissionOptions,
    ProbeOptions,
    SessionOptions,
)
from jetbox.record.library import summaries
from jetbox.record.places import sessions_folder
from jetbox.sim.launch import ServerProcess
from jetbox.ui.app import JetboxApp
from jetbox.ui.transcript.remarks import remarks
from scripted import WriteScript, call, finish, step

ServeOne = Callable[..., ServerProcess]


def options(server: ServerProcess, data: Path, num_ctx: int = 0, **model: Any) -> EngineOptions:
    return EngineOptions(
        model=ModelOptions(**{"name": "gpt-oss:20b", "host": server.url, **model}),
        context=ContextOptions(num_ctx=num_ctx),
        permissions=PermissionOptions(mode="auto", sandbox=False),
        probes=ProbeOptions(enabled=False),
        session=SessionOptions(folder=str(data)),
    )


async def test_a_session_that_goes_on_has_its_window_unless_another_is_asked_for(
    tmp_path: Path, write_script: WriteScript, sim_server: ServeOne
) -> None:
    server = sim_server(scripts=[str(write_script(step(text="Yes.")))])
    root = tmp_path / "work"
    root.mkdir()

    async def window(num_ctx: int, resume: str | None, name: str = "gpt-oss:20b") -> tuple[int, str]:
        asked = options(server, tmp_path / "data", num_ctx, name=name)
        start = Start(root=root, options=asked, goal="Do it", resume=resume)
        live = Live(start)
        await asyncio.wait_for(live.drive(), 120)
        ready = [s.event for s in live.feed.drain().events if isinstance(s.event, e.ModelReady)]
        return ready[-1].num_ctx, ready[-1].why

    assert await window(8192, None) == (8192, "as it is set")
    assert await window(0, "") == (8192, "as the session began with")
    assert await window(12_288, "") == (12_288, "as it is set")
    assert await window(131_072, "") == (131_072, "as it is set")
    tokens, why = await window(0, "", "qwen2.5-coder:7b")
    assert tokens == 16_384, "that one takes 32,768 at most, and has a window of its own"
    assert why.startswith("the default: how much memory")
    bodies = [json.loads(entry["body"]) for entry in server.stats()["bodies"]]
    assert [body["options"]["num_ctx"] for body in bodies] == [8192, 8192, 12_288, 131_072, 16_384]


@pytest.mark.parametrize("where", ["connecting", "figures", "another model"])
@pytest.mark.parametrize(
    ("failure", "outcome"), [(SettingsError("no such key"), "failed"), (asyncio.CancelledError(), "interrupted")]
)
async def test_a_goal_is_kept_and_all_closed_wherever_the_beginning_breaks_off(
    where: str,
    failure: BaseException,
    outcome: str,
    tmp_path: Path,
    sim_server: ServeOne,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = {
        "connecting": "jetbox.engine.models.connect.connected",
        "figures": "jetbox.cli.live.Live._known_figures",
        "another model": "jetbox.engine.assemble.choose_sandbox",
    }[where]

    def breaks(*_: object, **__: object) -> Never:
        raise failure

    closed: list[Undecided] = []

    async def close(sandbox: Undecided) -> None:
        closed.append(sandbox)

    monkeypatch.setattr(broken, breaks)
    monkeypatch.setattr(Undecided, "close", close)
    live = Live(Start(root=tmp_path, options=options(sim_server(), tmp_path / "data"), goal="Do it"))
    with pytest.raises(type(failure)):
        await asyncio.wait_for(live.drive(), 120)
    begun, ended = (s.event for s in live.feed.drain().events if isinstance(s.event, e.GoalStarted | e.GoalEnded))
    assert isinstance(begun, e.GoalStarted)
    assert isinstance(ended, e.GoalEnded)
    assert (begun.text, ended.outcome) == ("Do it", outcome)
    assert len(closed) == (where != "connecting")


async def test_a_goal_is_kept_where_the_session_is_left_while_it_is_made_ready(
    tmp_path: Path, sim_server: ServeOne
) -> None:
    live = Live(Start(root=tmp_path, options=options(sim_server(), tmp_path / "data"), goal="Do it", attended=True))
    live.session.submit(Close())
    assert await asyncio.wait_for(live.drive(), 120) == ExitCode.INTERRUPTED
    events = [s.event for s in live.feed.drain().events]
    (begun,) = (event for event in events if isinstance(event, e.GoalStarted))
    (ended,) = (event for event in events if isinstance(event, e.GoalEnded))
    assert (begun.text, ended.outcome) == ("Do it", "interrupted")
    assert not any(isinstance(event, e.RequestSent) for event in events)


def test_a_session_that_is_left_before_it_began_is_a_whole_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def leave(app: JetboxApp) -> int:
        return 0

    monkeypatch.setattr(JetboxApp, "run_async", leave)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second one finds no lock
        assert _live(invocation(("Do it",))) == (0, None)
    kept = summaries(sessions_folder())
    assert [(each.problem, each.goal, each.outcome, each.running) for each in kept] == [
        ("", "Do it", "interrupted", False)
    ] * 2


@pytest.mark.parametrize(
    ("first", "model", "loop", "miss"),
    [
        ({}, {}, {}, ""),
        ({"keep_alive": "10m"}, {"keep_alive": "-1"}, {}, ""),
        ({"think": "high"}, {"think": "low"}, {}, "the level of thinking changed"),
        ({}, {}, {"plan": True}, "the tools changed"),
        ({}, {"name": "llama3.2:3b"}, {}, "the switch from gpt-oss:20b"),
    ],
)
async def test_a_session_that_goes_on_otherwise_is_told_why_its_prompt_is_read_anew(
    tmp_path: Path,
    write_script: WriteScript,
    sim_server: ServeOne,
    first: dict[str, Any],
    model: dict[str, Any],
    loop: dict[str, Any],
    miss: str,
) -> None:
    write = call("write_file", path="a.txt", content="a line of text\n" * 800)
    server = sim_server(scripts=[str(write_script(step(write), finish()))])
    root = tmp_path / "work"
    root.mkdir()

    async def run(resume: str | None, model: dict[str, Any], loop: dict[str, Any]) -> list[e.Stamped]:
        asked = msgspec.structs.replace(options(server, tmp_path / "data", **model), loop=LoopOptions(**loop))
        live = Live(Start(root=root, options=asked, goal="Do it", resume=resume))
        await asyncio.wait_for(live.drive(), 120)
        return [each for each in live.feed.drain().events if each.seq >= live.begins_at]

    await run(None, first, {})
    again = await run("", {**first, **model}, loop)
    reuses = [stamped for stamped in again if isinstance(stamped.event, e.PrefixReused)]
    told = [stamped.event.miss for stamped in reuses if isinstance(stamped.event, e.PrefixReused)]
    assert told == [miss, *[""] * (len(told) - 1)], "the reason is in the journal, with the request that it holds of"
    one = reuses[0].event
    assert isinstance(one, e.PrefixReused)
    assert (one.tokens > one.of // 2) is (not miss)
    lines: list[bytes] = []
    progress = Progress(cast("LineOut", SimpleNamespace(put=lines.append)))
    for stamped in again:
        progress.apply(stamped)
    said = [line.decode() for line in lines if b"read anew" in line]
    assert [miss in line for line in said] == ([True] if miss else [])
    shown = [remark.text for each in again for remark in remarks(each.event) if "read anew" in remark.text]
    assert [miss in text for text in shown] == ([True] if "changed" in miss else []), "a switch tells its cost itself"
    asked_for = [json.loads(each["body"]) for each in server.stats()["bodies"]]
    assert len({json.dumps(body["options"]["num_ctx"]) for body in asked_for}) == 1


async def test_a_workbench_that_goes_on_otherwise_says_so_when_the_model_has_read_the_prompt(
    tmp_path: Path, write_script: WriteScript, sim_server: ServeOne
) -> None:
    server = sim_server(scripts=[str(write_script(step(text="Yes.")))])
    root = tmp_path / "work"
    root.mkdir()
    misses = []
    for resume, think in ((None, "high"), ("", "high"), ("", "low")):
        asked = options(server, tmp_path / "data", think=think)
        goal = "Do it" if resume is None else ""
        live = Live(Start(root=root, options=asked, goal=goal, resume=resume, attended=True))
        driving = asyncio.create_task(live.drive())
        awaited = e.GoalEnded if goal else e.ModelWarmed
        seen: list[e.Stamped] = []
        while not any(isinstance(each.event, awaited) and each.seq >= live.begins_at for each in seen):
            await asyncio.wait_for(live.feed.ready(), 120)
            seen += live.feed.drain().events
        live.session.submit(Close())
        await asyncio.wait_for(driving, 120)
        events = [each.event for each in seen if each.seq >= live.begins_at]
        misses += [event.miss for event in events if isinstance(event, e.ModelWarmed)]
        said = [remark.text for event in events for remark in remarks(event) if "read anew" in remark.text]
    assert misses == ["", "the level of thinking changed"]
    assert said == ["the prompt was read anew: the level of thinking changed"]


async def test_what_you_change_after_a_verdict_is_told_before_any_goal_too(
    tmp_path: Path, sim_server: ServeOne
) -> None:
    root = tmp_path / "work"
    root.mkdir()
    root.joinpath("a.py").write_text("X = 1\n")
    asked = options(sim_server(), tmp_path / "data")
    probes, permissions = ProbeOptions(pytest=False), PermissionOptions(mode="auto")
    live = Live(
        Start(root=root, options=msgspec.structs.replace(asked, probes=probes, permissions=permissions), attended=True)
    )
    driving = asyncio.create_task(live.drive())
    live.session.submit(RunProbes())
    seen: list[e.AnyEvent] = []

    async def until(kind: type[e.Event]) -> None:
        while not any(isinstance(event, kind) for event in seen):
            await live.feed.ready()
            seen.extend(each.event for each in live.feed.drain().events)

    await asyncio.wait_for(until(e.ProbeEnded), 120)
    told = asyncio.create_task(until(e.FilesChanged))
    # Files are watched some time after the verdict; nothing says so from outside.
    for number in range(2_000):
        root.joinpath(f"mine_{number}.py").write_text("X = 1\n")
        if (await asyncio.wait({told}, timeout=0.05))[0]:
            break
    live.session.submit(Close())
    await asyncio.wait_for(driving, 120)
    assert told.done()
    changes = {change.path: event.by for event in seen if isinstance(event, e.FilesChanged) for change in event.changes}
    assert {by for path, by in changes.items() if path.endswith(".py")} == {"you"}
    assert not any(isinstance(event, e.RequestSent) for event in seen)


async def test_a_new_session_knows_nothing_of_the_one_before(
    tmp_path: Path, write_script: WriteScript, sim_server: ServeOne
) -> None:
    secret = "the first run's own words"
    steps = (step(call("write_file", path="left.txt", content="left"), text=secret), finish(secret))
    server = sim_server(scripts=[str(write_script(*steps))])
    root = tmp_path / "work"
    root.mkdir()

    async def run(goal: str, resume: str | None = None) -> Live:
        live = Live(Start(root=root, options=options(server, tmp_path / "data"), goal=goal, resume=resume))
        await asyncio.wait_for(live.drive(), 120)
        return live

    first = await run("Do it")
    assert {path.name for path in root.iterdir()} == {"left.txt"}, "no state of a session lies in the workspace"
    (root / "left.txt").unlink()
    second = await run("Do it")
    assert second.id != first.id
    begun = [s.event for s in second.feed.drain().events]
    assert [type(event) for event in begun][:1] == [e.SessionOpened]
    assert [event.goal for event in begun if isinstance(event, e.GoalStarted)] == [1]
    bodies = [json.loads(each["body"]) for each in server.stats()["bodies"]]
    one, other = (
        [body for body in bodies if len(body["messages"]) == count and body["messages"][-1]["role"] == role]
        for count, role in ((2, "user"), (4, "tool"))
    )
    assert (len(one), len(other)) == (2, 2)
    for pair in (one, other):
        assert pair[0]["messages"] == pair[1]["messages"], "the same requests as the first time"
        assert pair[0]["tools"] == pair[1]["tools"]
    assert secret not in json.dumps(one)
