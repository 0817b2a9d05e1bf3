"""What is being done or waited for, and the words for it."""

from __future__ import annotations

import msgspec

from jetbox.engine import events as e
from jetbox.engine import sizes
from jetbox.ui import words
from jetbox.ui.text.rows import one_line

QUIET_NS = 500_000_000
"""From here on it is said what the time goes to where nothing was begun that has a name."""
WAITS = {
    "queued": "queued at the server",
    "reading": "the model reads",
    "silent": "no sign of the model",
    "retrying": "trying again",
    "compacting": "making room, a summary of",
    "choosing": "which model? there is no",
}
"""The words for the kinds of wait that are not called what they are."""


class Doing(msgspec.Struct):
    """What is waited for since when; times in ns."""

    what: str = ""
    since: int = 0
    expected: int = 0
    wait: str = ""
    """The kind of wait, where the engine has named it."""

    def waiting(self, t: int, event: e.Waiting, model_size: int) -> Doing:
        """What is waited for once the engine has said it; `model_size` in bytes, 0 where unknown."""
        said, detail = WAITS.get(event.what, event.what), one_line(event.detail)
        if event.what == "retrying" and detail:
            said += ":"
        elif event.what == "loading" and not detail:
            detail = "the model" + (f" of {sizes.size(model_size)}" if model_size else "")
        # One wait that follows another begins anew; the words for a wait that had none do not.
        other = bool(self.wait) and self.wait != event.what
        since = t if event.what == "retrying" or other else self.since or t
        return Doing(f"{said} {detail}".strip(), since, event.expected_ns, event.what)

    def said(self, now: int, streamed: int) -> str:
        """The words for it at a time, with the tokens that were streamed so far where some are."""
        lasted = max(0, now - self.since)
        if not self.what:
            return f"looking at the files  {words.elapsed(lasted)}" if lasted > QUIET_NS else "working"
        said = f"{self.what} ~{streamed} tokens" if self.what in ("writing", "thinking") else self.what
        expected = f" of about {words.duration(self.expected)}" if self.expected else ""
        return f"{said}  {words.elapsed(lasted)}{expected}"
