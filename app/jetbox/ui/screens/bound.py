"""Every class that binds keys under an id, besides the application and the workbench."""

from __future__ import annotations

from collections.abc import Iterator

from textual.dom import DOMNode


def everything_bound() -> tuple[type[DOMNode], ...]:
    """Widgets of the workbench, and the screens over it; imported here, when help or the user's keys want them."""
    return (*widgets_bound(), *screens_bound())


def bound_together(app: type[DOMNode], bench: type[DOMNode]) -> Iterator[tuple[type[DOMNode], ...]]:
    """What holds at one time: over a screen of its own, of all the others only what the application binds."""
    from jetbox.ui.palette import Palette, Wanted

    yield from ((app, bench, each) for each in widgets_bound())
    yield from ((app, each) for each in screens_bound())
    yield app, Palette, Wanted


def widgets_bound() -> tuple[type[DOMNode], ...]:
    """The widgets of the workbench."""
    from jetbox.ui.widgets.asking import Reply
    from jetbox.ui.widgets.permission import Permission
    from jetbox.ui.widgets.prompt import Prompt
    from jetbox.ui.widgets.search import Search
    from jetbox.ui.widgets.transcript import Transcript
    from jetbox.ui.widgets.transport import TransportBar

    return (Prompt, Transcript, Search, Permission, Reply, TransportBar)


def screens_bound() -> tuple[type[DOMNode], ...]:
    """The screens over the workbench, and what is in them."""
    from jetbox.ui.palette import Palette
    from jetbox.ui.screens.browser import Browser, Search
    from jetbox.ui.screens.help import Help
    from jetbox.ui.screens.missing import Missing
    from jetbox.ui.screens.models import Models
    from jetbox.ui.screens.number import Number
    from jetbox.ui.screens.question import Question
    from jetbox.ui.screens.request import Request
    from jetbox.ui.screens.sessions import Sessions
    from jetbox.ui.screens.settings import Settings
    from jetbox.ui.screens.timing import TimingScreen
    from jetbox.ui.screens.undo import Undo

    browsers = (Models, Browser, Search, Undo, TimingScreen, Request, Sessions, Settings)
    return (Palette, Missing, *browsers, Question, Number, Help)
