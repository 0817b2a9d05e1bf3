"""Pictures of states that are worth looking at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jetbox.ui.glyphs import ASCII, UNICODE, Glyphs
from ui.states import STATES, on_stage

Matches = Callable[..., bool]
DARK = "jetbox-dark"


def picture(
    matches: Matches,
    folder: Path,
    state: str,
    size: tuple[int, int] = (120, 40),
    *,
    theme: str = DARK,
    glyphs: Glyphs = UNICODE,
) -> bool:
    """Whether the screen in this state looks as it did."""
    app, lead = on_stage(STATES[state], folder, theme=theme, glyphs=glyphs)
    return matches(app, size=size, before=lead)


@pytest.mark.parametrize(
    "state",
    [
        "idle", "commands", "own-command", "loading", "at-work", "plan", "question", "asked", "failed", "switched",
        "recorded", "search", "help", "timing", "timing-table", "timing-savings", "undo", "request", "models",
        "pulling", "sessions", "replay",
    ],
)  # fmt: skip
def test_screens(screen_matches: Matches, tmp_path: Path, state: str) -> None:
    assert picture(screen_matches, tmp_path, state)


@pytest.mark.parametrize("state", ["red", "question", "timing"])
def test_narrow(screen_matches: Matches, tmp_path: Path, state: str) -> None:
    assert picture(screen_matches, tmp_path, state, (80, 24))


@pytest.mark.parametrize("state", ["done", "undo"])
def test_wide(screen_matches: Matches, tmp_path: Path, state: str) -> None:
    assert picture(screen_matches, tmp_path, state, (200, 50))


@pytest.mark.parametrize("theme", ["jetbox-light", "contrast", "colorblind", "ansi", "ember", "paper"])
def test_themes(screen_matches: Matches, tmp_path: Path, theme: str) -> None:
    assert picture(screen_matches, tmp_path, "done", (80, 40), theme=theme)


def test_small(screen_matches: Matches, tmp_path: Path) -> None:
    assert picture(screen_matches, tmp_path, "done", (50, 12))


def test_without_unicode(screen_matches: Matches, tmp_path: Path) -> None:
    assert picture(screen_matches, tmp_path, "done", (120, 50), glyphs=ASCII)
