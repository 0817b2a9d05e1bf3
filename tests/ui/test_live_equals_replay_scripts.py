"""What a recording shows is what was shown live, in the same colours, whatever the session came through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.record.playback import read_journal
from jetbox.sim.workspaces import copy_workspace, goal_for
from ui.test_live_equals_replay import Moves, run_live, same_screens

SMALL = "llama3.2:3b"
SIZE = (120, 40)
Server = Callable[..., Any]
Playing = Callable[..., Any]


async def compared(goal: str, root: Path, server: Any, on_source: Playing, **more: Any) -> list[e.AnyEvent]:
    """Run a goal, compare what is shown of it with its recording, and hand back what happened."""
    events, session = await run_live(goal, server.url, root, root.parent / "sessions", **more)
    recording = read_journal(session)
    assert list(recording.events) == events
    await same_screens(events, recording, SIZE, on_source, looks=5)
    return [stamped.event for stamped in events]


def user() -> Moves:
    """Takes another model in round 1 and queues words; interrupts when round 3 has begun to answer."""
    done: set[str] = set()

    def once(what: str) -> bool:
        fresh = what not in done
        done.add(what)
        return fresh

    def moves(stamped: e.Stamped) -> Sequence[commands.AnyCommand]:
        match stamped.event:
            case e.ThinkingDelta() | e.TextDelta() if stamped.round == 1 and once("words"):
                return (commands.Steer("and keep it small"), commands.SetModel(SMALL))
            case e.ThinkingDelta() | e.TextDelta() if stamped.round == 3 and once("interrupt"):
                return (commands.Steer("said too late"), commands.Cancel())
        return ()

    return moves


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # The plugins of this suite have no say in the runs of the session.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


async def test_red_verdicts_and_a_plan(root: Path, sim_server: Server, on_source: Playing) -> None:
    copy_workspace("fix-test", root)
    server = sim_server(scripts=["fix-test"])
    happened = await compared(goal_for("fix-test"), root, server, on_source, plan=True)
    assert any(isinstance(each, e.ProbeEnded) and each.state == "failed" for each in happened)
    assert any(isinstance(each, e.PlanMade) for each in happened)


async def test_another_model_queued_words_and_an_interrupt(root: Path, sim_server: Server, on_source: Playing) -> None:
    server = sim_server(scripts=["mathx"], faults=["stall@1:3", "stall@3:3"])

    act = user()

    def moves(stamped: e.Stamped) -> Sequence[commands.AnyCommand]:
        wanted = act(stamped)
        if isinstance(stamped.event, e.QueueChanged) and stamped.round == 1:
            server.release()  # the rest of the first answer comes when the words are queued
        return wanted

    goal = "Create mathx package with add(a,b) and multiply(a,b), add tests, run ruff and pytest."
    happened = await compared(goal, root, server, on_source, moves=moves)
    assert [each.new for each in happened if isinstance(each, e.ModelSwitched)] == [SMALL]
    assert [each.text for each in happened if isinstance(each, e.Steered)] == ["and keep it small"]
    assert [each.outcome for each in happened if isinstance(each, e.GoalEnded)] == ["interrupted"]
