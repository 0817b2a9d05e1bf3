"""A folder that can hardly be meant is told of before work begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from engine.rig import Rig
from jetbox.cli import health
from jetbox.engine import events as e
from jetbox.engine.workspace.place import doubt, speaks_of_files
from scripted import step

OpenRig = Callable[..., Awaitable[Rig]]


@pytest.mark.parametrize(
    "goal",
    [
        "Fix the failing test.",
        "Why do the tests fail?",
        "In game.py, rename Board to Grid",
        "Add a docstring to calc.py",
        "add type hints to the package",
        "What does this project do?",
        "Improve the rendering and create a test for it",
    ],
)
def test_goals_about_what_is_there(tmp_path: Path, goal: str) -> None:
    assert doubt(str(tmp_path), goal) == f"{tmp_path} is empty, and the goal speaks of what is there"
    (tmp_path / ".git").mkdir()
    assert doubt(str(tmp_path), goal), "git alone is no project yet"
    (tmp_path / "a.py").write_text("")
    assert doubt(str(tmp_path), goal) == ""


@pytest.mark.parametrize(
    "goal",
    [
        "Create mathx package with add(a,b) and multiply(a,b), add tests, run ruff and pytest.",
        "Write a script that renames files",
        "Implement Conway's game of life, then explain how to run it",
        "Explain how a hash table works",
        "What is 2 + 2?",
        "Run echo hello",
        "",
    ],
)
def test_goals_that_begin_something(tmp_path: Path, goal: str) -> None:
    assert not speaks_of_files(goal)
    assert doubt(str(tmp_path), goal) == ""


def test_home_and_root_are_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.py").write_text("")
    assert "your home folder: everything below it is the workspace" in doubt(str(tmp_path), "Create a package")
    assert "/, the root of the file system: everything below it" in doubt("/", "Create a package")
    found = health.workspace(str(tmp_path))
    assert (found.state, found.said.partition(", ")[0]) == ("warn", str(tmp_path))
    assert (found.said.endswith(": your home folder"), found.cure.endswith("-C")) == (True, True)
    (tmp_path / "project").mkdir()
    found = health.workspace(str(tmp_path / "project"))
    assert (found.state, found.said.endswith(" GiB free, empty")) == ("ok", True)


async def test_it_is_said_before_the_first_round_and_once(rig: OpenRig) -> None:
    live = await rig(step(text="There is nothing."), step(text="Still nothing."))
    await live.run("Fix the failing test")
    await live.run("Fix it now")
    (notice,) = live.events(e.Notice)
    assert (notice.level, str(live.root) in notice.text, "-C" in notice.hint) == ("warning", True, True)
    kinds = live.kinds
    assert kinds.index(e.GoalStarted) < kinds.index(e.Notice) < kinds.index(e.RoundStarted)
