"""What a recording shows is what was shown live, in the same colours, whatever the session came through."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jetbox.engine import events as e
from jetbox.record.playback import read_journal
from jetbox.sim.workspaces import copy_workspace, goal_for
from ui.test_live_equals_replay import run_live, same_screens

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
