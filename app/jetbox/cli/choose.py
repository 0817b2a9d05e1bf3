"""Asks on the terminal which session to go on with, before the screen is there."""

from __future__ import annotations

from pathlib import Path

import click

from jetbox.engine.errors import SettingsError
from jetbox.engine.safety.terminal import safe_text
from jetbox.record.library import Summary, summaries

MOST = 15


def choose_session(workspace: Path, folder: Path) -> str:
    """The id that the user chose among the newest sessions of the workspace.

    Raises:
        SettingsError: there is none.
        click.Abort: the user left.
    """
    found = [s for s in summaries(folder) if Path(s.workspace) == workspace and not s.problem][:MOST]
    if not found:
        raise SettingsError(f"no session was recorded in {workspace}", "start one with a goal")
    for number, session in enumerate(found, 1):
        click.echo(_line(number, session))
    number = click.prompt("Go on with", type=click.IntRange(1, len(found)), default=1)
    return found[number - 1].id


def _line(number: int, session: Summary) -> str:
    goal = " ".join(safe_text(session.goal).split())[:60] or "no goal"
    state = "running" if session.running else session.outcome or "unfinished"
    return f"{number:3}  {session.created[:16].replace('T', ' ')}  {state:11}  {session.rounds:3} rounds  {goal}"
