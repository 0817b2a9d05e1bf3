"""What the last line says: derived from the session's state and from what is being typed."""

from __future__ import annotations

from jetbox.engine import events as e
from jetbox.ui import words
from jetbox.ui.commands import find, is_command, matching
from jetbox.ui.model import SessionView
from jetbox.ui.transcript.remarks import OUTCOMES
from jetbox.ui.widgets.footer import FooterState

Keys = tuple[tuple[str, str], ...]
"""Keys, or the ids they are bound under, and what they do."""
IDLE_HINTS: Keys = (
    ("app.palette", "commands"),
    ("session.mode", "mode"),
    ("transcript.expand", "expands"),
    ("app.help", "help"),
)
RUNNING_HINTS: Keys = (
    ("session.cancel", "stops"),
    ("input.send", "queues"),
    ("transcript.expand", "expands"),
    ("app.help", "help"),
)
TYPED_HINTS: Keys = (
    ("input.send", "sends"),
    ("input.newline", "breaks the line"),
    ("input.edit", "your editor"),
    ("app.help", "help"),
)
TYPED_RUNNING_HINTS: Keys = (
    ("input.send", "queues"),
    ("input.now", "interrupts with it"),
    ("input.newline", "breaks the line"),
    ("session.cancel", "stops"),
)
PHASE_HINT = ("session.phase", "other phase")
COMMAND_HINTS: Keys = (("input.send", "runs it"), ("input.newline", "breaks the line"))
SHELL_HINTS: Keys = (("session.cancel", "stops"), ("transcript.expand", "expands"), ("app.help", "help"))
SHELL_WORDS = "as a command of the model's, who is told with your next words"
REPLAY_HINTS: Keys = (
    ("replay.play", "plays, stops"),
    ("replay.forward", "next event"),
    ("replay.round_forward", "next round"),
    ("replay.mark_forward", "next error"),
    ("replay.faster", "faster"),
    ("app.help", "help"),
)
OFFERED_COMMANDS: Keys = (
    ("input.complete", "completes"),
    ("input.earlier", ""),
    ("input.later", "chooses"),
    ("input.send", "sends"),
)
OFFERED_FILES: Keys = (("input.send", "puts it in"), ("input.earlier", ""), ("input.later", "chooses"))
ANSWER_HINTS: Keys = (
    ("answer.send", "answers"),
    ("answer.up", ""),
    ("answer.down", "chooses"),
    ("answer.none", "no answer"),
)
LED_HINTS: Keys = (("input.complete", "to the question"), ("input.send", "queues"), ("answer.none", "no answer"))
LOOKING_HINTS: Keys = (("transcript.expand", "expands"), ("app.help", "help"), ("app.leave", "leaves"))
Word = tuple[str, str]
"""Something to say until the next key, and its style; empty where there is nothing."""


def footer_state(view: SessionView, now: int, *, live: bool, typed: str, word: Word, keys: Keys) -> FooterState:
    """The last line of the workbench."""
    kind, text, style = _said(view, now, live=live, typed=typed, word=word)
    return FooterState(kind, text, style, view.mode if view.id or live else "", _sandbox(view), keys)


def _said(view: SessionView, now: int, *, live: bool, typed: str, word: Word) -> tuple[str, str, str]:
    if word[0]:
        return "word", word[0], word[1]
    if is_command(typed):
        return "word", _completion(typed), "dim"
    if typed.startswith("!") and live:
        return "word", SHELL_WORDS, "dim"
    kind, text = view.activity(now)
    if kind == "ask" and live and _inquires(view):
        return "ask", "the model asks", "warning"  # what it asks stands above
    if kind == "ask":
        return "ask", text if live else f"was asked: {text}", "warning"
    if kind == "busy":
        return "busy", text, ""
    if view.ended is not None:
        said, style = OUTCOMES[view.ended.outcome]
        return "done", said, style
    return "idle", "ready" if live and view.model else "", "dim"


def _inquires(view: SessionView) -> bool:
    """Whether what is asked is a question of the model's."""
    return isinstance(next(iter(view.asked.values()), None), e.QuestionAsked)


def _completion(typed: str) -> str:
    """The commands that the line may become; with an argument begun, how the one is used."""
    name, space, _ = typed.removeprefix("/").partition(" ")
    if space:
        command = find(name)
        return f"{command.usage}  {command.description}" if command else f"there is no /{name}"
    found = matching(name)
    if len(found) == 1:
        return f"{found[0].usage}  {found[0].description}"
    return words.plural(len(found), "command") if found else f"there is no /{name}"


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


def wanted_hints(
    view: SessionView, *, live: bool, replay: bool, typed: str = "", offered: Keys = (), led: bool = False
) -> Keys:
    """The ids of the keys that matter now, with a word each; none while a question says its own.

    `offered` are those for what is there to complete what is typed; `led`: a key leads to what is asked.
    """
    if replay:
        return REPLAY_HINTS
    if offered:
        return offered
    if not live:
        return LOOKING_HINTS
    if view.asked:
        return (LED_HINTS if led else ANSWER_HINTS) if _inquires(view) else ()
    if typed.startswith("!"):
        return COMMAND_HINTS
    if typed:
        return TYPED_RUNNING_HINTS if view.running else TYPED_HINTS
    if (view.shells or view.pulls or rests(view)) and not view.running:
        return SHELL_HINTS
    if not view.running:
        return IDLE_HINTS
    return (*RUNNING_HINTS[:2], PHASE_HINT, *RUNNING_HINTS[2:]) if view.phase else RUNNING_HINTS


def rests(view: SessionView) -> bool:
    """Whether the session does between two goals what can be stopped."""
    return not view.running and view.doing.wait in ("compacting", "asking")
