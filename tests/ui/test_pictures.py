"""Pictures of states that are worth looking at."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot

from jetbox.engine import events as e
from jetbox.engine.commands import Close
from jetbox.ui.app import JetboxApp
from jetbox.ui.glyphs import ASCII, UNICODE, Glyphs
from ui.conftest import SHIPPED
from ui.played import EDIT, Stage, first_round, opened, second_round, whole
from ui.test_request import asked
from ui.test_undo import PLAN

Matches = Callable[..., bool]
ASKED = e.PermissionAsked(
    id="p1",
    call="c9",
    kind="write",
    title="edit_file mathx/__init__.py",
    diff=EDIT,
    why="the mode is ask",
    scope="edit_file, any file of the workspace",
)


def picture(
    matches: Matches,
    events: list[e.AnyEvent],
    *,
    size: tuple[int, int] = (120, 40),
    theme: str = "jetbox-dark",
    glyphs: Glyphs = UNICODE,
    keys: tuple[str, ...] = (),
    then: tuple[e.AnyEvent, ...] = (),
) -> bool:
    """Whether the screen after these events and keys looks as it did."""
    stage = Stage()

    async def engine() -> int:
        while not isinstance(await stage.session.next_command(), Close):
            pass
        return 0

    app = JetboxApp(stage.feed, theme=theme, driver=engine, glyphs=glyphs, home="/home/ada", theme_folders=(SHIPPED,))

    async def before(pilot: Pilot[int]) -> None:
        await app.workbench.reached(stage.emit(*events, after_ms=40))
        await pilot.pause()
        await pilot.press(*keys)
        if then:
            await app.workbench.reached(stage.emit(*then))
        await pilot.pause()

    return matches(app, size=size, before=before)


def test_idle(screen_matches: Matches) -> None:
    assert picture(screen_matches, opened())


@pytest.mark.parametrize("theme", ["jetbox-dark", "jetbox-light"])
def test_done(screen_matches: Matches, theme: str) -> None:
    assert picture(screen_matches, whole(), theme=theme, size=(120, 60))


def test_a_round_at_work(screen_matches: Matches) -> None:
    queued = e.QueueChanged(items=("use floats as well", "and write a README"))
    assert picture(screen_matches, [*opened("edits"), *first_round(), *second_round()[:7], queued])


def test_a_question(screen_matches: Matches) -> None:
    assert picture(screen_matches, [*opened(), *first_round()[:8], ASKED])


def test_red_and_narrow(screen_matches: Matches) -> None:
    assert picture(screen_matches, [*opened(), *first_round(), *second_round()], size=(80, 24))


def test_small(screen_matches: Matches) -> None:
    assert picture(screen_matches, whole(), size=(50, 12))


def test_help(screen_matches: Matches) -> None:
    assert picture(screen_matches, opened(), keys=("f1",), size=(120, 60))


def test_failed(screen_matches: Matches) -> None:
    failed = e.GoalEnded(
        goal=1,
        outcome="failed",
        reason="nothing answers at http://127.0.0.1:11434",
        exit_code=6,
        rounds=1,
        hint="start it with `ollama serve`, or try --demo",
    )
    degraded = e.SandboxChosen(name="landlock", cannot=("keep .git read-only",))
    assert picture(screen_matches, [*opened()[:2], degraded, *first_round()[:3], failed])


def test_without_unicode(screen_matches: Matches) -> None:
    assert picture(screen_matches, whole(), glyphs=ASCII, size=(120, 50))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_undo(screen_matches: Matches, size: tuple[int, int]) -> None:
    assert picture(screen_matches, whole(), keys=("f3",), then=(PLAN,), size=size)


def test_the_exact_request(screen_matches: Matches) -> None:
    assert picture(screen_matches, [*opened(), *asked()], keys=("f4",))
