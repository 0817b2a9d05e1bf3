"""Tells the terminal how the session stands: its title, and a notification when somebody is waited for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from jetbox.engine import events as e
from jetbox.ui.text.rows import one_line

MOST = 120
"""Characters of what is told."""
SAVE, RESTORE = "\x1b[22;0t", "\x1b[23;0t"
"""Put the title aside, and back."""
WAYS = ("auto", "bell", "off")
WITHOUT_TITLE = ("dumb", "linux", "")
"""Values of TERM without a title."""


def notification(environ: Mapping[str, str], title: str, body: str) -> str:
    """What makes this terminal notify its user; the bell where it knows nothing else."""
    term, program = environ.get("TERM", ""), environ.get("TERM_PROGRAM", "")
    title, body = _plain(title), _plain(body)
    if environ.get("TMUX") or term.startswith(("tmux", "screen")):
        return "\a"  # what is around it is not known; it hands on the bell
    if term == "xterm-kitty" or environ.get("KITTY_WINDOW_ID"):
        return f"\x1b]99;i=jetbox:d=0;{title}\x1b\\\x1b]99;i=jetbox:p=body;{body}\x1b\\"
    if term.startswith(("foot", "rxvt", "contour")) or program == "ghostty":
        return f"\x1b]777;notify;{title.replace(';', ',')};{body.replace(';', ',')}\x1b\\"
    if program in ("iTerm.app", "WezTerm") or environ.get("ConEmuPID"):
        return f"\x1b]9;{title}: {body}\x1b\\"
    return "\a"


def _plain(text: str) -> str:
    """One line without what a terminal would obey."""
    return "".join(c for c in one_line(text) if c.isprintable())[:MOST]


class Herald:
    """Writes the title when it changes, and notifies when the terminal is not looked at."""

    def __init__(
        self,
        write: Callable[[str], object],
        looked_at: Callable[[], bool],
        *,
        notify: str = "auto",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        """`notify` is `auto`, `bell` or `off`."""
        self._write = write
        self._looked_at = looked_at
        self.notify = notify
        self._environ = os.environ if environ is None else environ
        self._titles = self._environ.get("TERM", "") not in WITHOUT_TITLE
        self._title = ""

    def begin(self) -> None:
        """Put the terminal's own title aside."""
        if self._titles:
            self._write(SAVE)

    def end(self) -> None:
        """Put it back."""
        if self._titles:
            self._write(RESTORE)

    def show(self, workspace: str, state: str) -> None:
        """The title: the folder and how its session stands."""
        folder = os.path.basename(workspace.rstrip("/")) or "jetbox"
        title = _plain(f"{folder}: {state}" if state else f"{folder} - jetbox")
        if self._titles and title != self._title:
            self._title = title
            self._write(f"\x1b]2;{title}\x1b\\")

    def next_way(self) -> None:
        """Notify in the next of the three ways."""
        self.notify = WAYS[(WAYS.index(self.notify) + 1) % len(WAYS)] if self.notify in WAYS else WAYS[0]

    def tell(self, workspace: str, event: e.PermissionAsked | e.QuestionAsked | e.GoalEnded) -> None:
        """Somebody is waited for, or the work is over: say so where nobody looks."""
        if self.notify == "off" or self._looked_at():
            return
        folder = os.path.basename(workspace.rstrip("/")) or "jetbox"
        said = event.reason if isinstance(event, e.GoalEnded) else f"waits for you: {event.title}"
        self._write("\a" if self.notify == "bell" else notification(self._environ, f"jetbox {folder}", said))
