"""What the last line says: derived from the session's state and from what is being typed."""

from __future__ import annotations

from jetbox.ui.commands import find, matching
from jetbox.ui.model import SessionView
from jetbox.ui.transcript.story import OUTCOMES
from jetbox.ui.widgets.footer import FooterState

Keys = tuple[tuple[str, str], ...]
"""Keys, or the ids they are bound under, and what they do."""
Word = tuple[str, str]
"""Something to say until the next key, and its style; empty where there is nothing."""


def footer_state(view: SessionView, now: int, *, live: bool, typed: str, word: Word, keys: Keys) -> FooterState:
    """The last line of the workbench."""
    kind, text, style = _said(view, now, live=live, typed=typed, word=word)
    return FooterState(kind, text, style, view.mode if view.id or live else "", _sandbox(view), keys)


def _said(view: SessionView, now: int, *, live: bool, typed: str, word: Word) -> tuple[str, str, str]:
    if word[0]:
        return "word", word[0], word[1]
    if typed.startswith("/"):
        return "word", _completion(typed), "dim"
    kind, text = view.activity(now)
    if kind == "ask":
        return "ask", text if live else f"was asked: {text}", "warning"
    if kind == "busy":
        return "busy", text, ""
    if view.ended is not None:
        said, style = OUTCOMES[view.ended.outcome]
        return "done", said, style
    return "idle", "ready" if live and view.model else "", "dim"


def _completion(typed: str) -> str:
    """The commands that the line may become; with an argument begun, how the one is used."""
    name, space, _ = typed.removeprefix("/").partition(" ")
    if space:
        command = find(name)
        return f"{command.usage}  {command.description}" if command else f"there is no /{name}"
    found = matching(name)
    if len(found) == 1:
        return f"{found[0].usage}  {found[0].description}"
    return "  ".join(f"/{command.name}" for command in found) or f"there is no /{name}"


def _sandbox(view: SessionView) -> str:
    """A word about a sandbox that does not hold, or not wholly."""
    chosen = view.sandbox
    if chosen is None:
        return ""
    if chosen.off:
        return "sandbox off"
    if chosen.name == "none":
        return "no sandbox"
    return f"sandbox {chosen.name}, partly" if chosen.cannot else ""
