"""The application on a session that the test plays; what is on its screen as text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import pytest
from textual import events
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.pilot import Pilot

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.engine.errors import JetboxError
from jetbox.engine.session import SessionSource
from jetbox.settings.load import Loaded
from jetbox.ui.app import JetboxApp
from jetbox.ui.glyphs import UNICODE, Glyphs
from ui.played import Stage

SHIPPED = Path(__file__).resolve().parents[2] / "themes"
SETTLING = 10


@pytest.fixture(scope="session", autouse=True)
def styles_parsed_once() -> Iterator[None]:
    """The text of a style sheet is parsed once in a process for the same variables, not for each application."""
    real = Stylesheet._parse_rules
    known: dict[Hashable, list[RuleSet]] = {}

    def parse(
        self: Stylesheet,
        css: str,
        read_from: tuple[str, str],
        is_default_rules: bool = False,
        tie_breaker: int = 0,
        scope: str = "",
    ) -> list[RuleSet]:
        where = (read_from, is_default_rules, tie_breaker, scope)
        key = (css, *where, frozenset(self._variables.items()))
        if key not in known:
            known[key] = real(self, css, *where)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse)
        yield


def screen_text(app: JetboxApp) -> str:
    """What the terminal shows."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


def painted(app: JetboxApp) -> list[list[tuple[str, str]]]:
    """What the terminal shows, row by row: the words, and the look of each (colours, bold, where a link leads)."""
    rows: list[list[tuple[str, str]]] = []
    for strip in app.screen._compositor.render_strips():
        signs = [(sign, str(part.style or "")) for part in strip for sign in part.text]
        alike = groupby(signs, key=itemgetter(1))
        rows.append([("".join(sign for sign, _ in run), look) for look, run in alike])
    return rows


async def until(pilot: Pilot[int], holds: Callable[[], object]) -> None:
    """Wait until this holds."""
    async with asyncio.timeout(120):
        while not holds():
            await pilot.pause()


def unsettled(app: JetboxApp) -> bool:
    """Whether something is still to be looked at, laid out or drawn."""
    screen = app.screen
    nodes = [app, *screen.walk_children(with_self=True)]
    return bool(
        screen._layout_required or screen._dirty_widgets or any(not each._message_queue.empty() for each in nodes)
    )


async def settle(pilot: Pilot[int]) -> None:
    """Wait until what has come is on the screen.

    Textual's pilot takes a process that uses no processor for one that has nothing to do; on a busy machine it may
    have got none. What moves on the screen is never settled, so it is looked at a few times at most.
    """
    await pilot.pause()
    for _ in range(SETTLING):
        if not unsettled(cast("JetboxApp", pilot.app)):
            return
        await pilot.pause()


class Show:
    """An application on a stage, and what it was asked to do."""

    def __init__(self, stage: Stage, app: JetboxApp, pilot: Pilot[int], begun: asyncio.Event) -> None:
        """`begun` is set when the engine runs."""
        self.stage = stage
        self.begun = begun
        self.app = app
        self.pilot = pilot
        self.bench = app.workbench

    async def play(self, *events: e.AnyEvent, after_ms: float = 0) -> None:
        """Emit events, and wait until they are on the screen."""
        await self.bench.reached(self.stage.emit(*events, after_ms=after_ms))
        await settle(self.pilot)

    async def press(self, *keys: str) -> None:
        """Press keys; the pilot would ask every widget twice more whether it is there."""
        await self.app._press_keys(keys)
        await settle(self.pilot)

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until this holds."""
        await until(self.pilot, holds)

    async def type(self, text: str, *keys: str) -> None:
        """Put text into the input at once, then press keys."""
        self.bench.prompt.write(text)
        await self.press(*keys)

    async def asked(self) -> commands.AnyCommand:
        """The next command that the screen submitted."""
        async with asyncio.timeout(120):
            return await self.stage.session.next_command()

    @property
    def nothing_asked(self) -> bool:
        return self.stage.session._inbox.empty()

    @property
    def text(self) -> str:
        return screen_text(self.app)


Showing = Callable[..., AbstractAsyncContextManager[Show]]
Playing = Callable[..., AbstractAsyncContextManager[tuple[JetboxApp, Pilot[int]]]]


async def first_frame(app: JetboxApp, pilot: Pilot[int]) -> None:
    """Wait for it: a screen that lies over the workbench before would hold it back."""
    await until(pilot, lambda: app.keying.taking)


@asynccontextmanager
async def shown(
    *,
    size: tuple[int, int] = (120, 40),
    failure: JetboxError | None = None,
    glyphs: Glyphs = UNICODE,
    keys: dict[str, str] | None = None,
    themes: tuple[Path, ...] = (SHIPPED,),
    theme: str = "jetbox-dark",
    loaded: Loaded | None = None,
    early: Sequence[events.Event] = (),
    notifications: bool = False,
) -> AsyncIterator[Show]:
    """An application whose engine runs until it is told to close; `early` comes before its first frame."""
    stage = Stage()
    begun, over = asyncio.Event(), asyncio.Event()

    def closing(command: commands.AnyCommand) -> bool:
        if isinstance(command, commands.Close):
            over.set()
        return isinstance(command, commands.Close)

    stage.session.listen(closing)

    async def engine() -> int:
        begun.set()
        if failure is not None:
            raise failure
        await over.wait()
        return 3

    app = JetboxApp(
        stage.feed, theme=theme, keys=keys, driver=engine, glyphs=glyphs, home="/home/ada", theme_folders=themes,
        loaded=loaded,
    )  # fmt: skip
    for event in early:
        app.post_message(event)
    async with app.run_test(size=size, notifications=notifications) as pilot:
        await first_frame(app, pilot)
        yield Show(stage, app, pilot, begun)
        over.set()


@asynccontextmanager
async def played(
    source: SessionSource, *, size: tuple[int, int] = (120, 40), theme: str = "jetbox-dark"
) -> AsyncIterator[tuple[JetboxApp, Pilot[int]]]:
    """An application that plays or looks on."""
    app = JetboxApp(source, theme=theme, glyphs=UNICODE, home="/home/ada", theme_folders=(SHIPPED,))
    async with app.run_test(size=size) as pilot:
        await first_frame(app, pilot)
        yield app, pilot


@pytest.fixture
def show() -> Showing:
    return shown


@pytest.fixture
def on_source() -> Playing:
    return played


@pytest.fixture
def screen_matches(snap_compare: Any) -> Callable[..., bool]:
    """Compares the screen with its picture."""

    def matches(app: JetboxApp, *, size: tuple[int, int], before: Any = None) -> bool:
        return bool(snap_compare(app, terminal_size=size, run_before=before))

    return matches
