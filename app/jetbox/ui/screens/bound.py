"""Every class that binds keys under an id, besides the application and the workbench."""

from __future__ import annotations

from textual.dom import DOMNode


def everything_bound() -> tuple[type[DOMNode], ...]:
    """Widgets of the workbench, and the screens over it; imported here, when help or the user's keys want them."""
    from jetbox.ui.widgets.asking import Reply
    from jetbox.ui.widgets.permission import Permission
    from jetbox.ui.widgets.prompt import Prompt
    from jetbox.ui.widgets.search import Search
    from jetbox.ui.widgets.transcript import Transcript
    from jetbox.ui.widgets.transport import TransportBar

    return (Prompt, Transcript, Search, Permission, Reply, TransportBar, *screens_bound())


def screens_bound() -> tuple[type[DOMNode], ...]:
    """The screens over the workbench."""
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

    return (Models, Missing, Browser, Search, Undo, TimingScreen, Request, Sessions, Settings, Question, Number, Help)
