"""What the user can ask for by name: one table for slash commands, palette and help."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, get_args

import msgspec

from jetbox.engine import commands as engine
from jetbox.engine.events import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MODES: tuple[Mode, ...] = get_args(Mode)


class Desk(Protocol):
    """What a command can do to the workbench."""

    @property
    def mode(self) -> Mode: ...

    @property
    def busy(self) -> bool:
        """Whether a goal runs."""
        ...

    def submit(self, command: engine.AnyCommand) -> None:
        """Hand a command to the session."""
        ...

    def word(self, text: str, style: str = "warning") -> None:
        """Say something in the last line, until the next key."""
        ...

    def show_help(self) -> None: ...

    def switch_theme(self, name: str) -> None: ...

    def show_models(self) -> None:
        """Show what the server has, to choose from."""
        ...

    def switch_model(self, name: str, *, now: bool) -> None:
        """Use another model."""
        ...

    def switch_phase(self) -> None:
        """Draft or refine: the other phase, or the other of the two models."""
        ...

    def toggle_expanded(self) -> None: ...

    def show_why(self) -> None:
        """Say what went into the latest verdicts, and why they ran or were served again."""
        ...

    def show_undo(self) -> None:
        """Show what each round did, to go back to before it."""
        ...

    def show_request(self) -> None:
        """Show what the model saw."""
        ...

    def show_settings(self) -> None:
        """Show what holds, and why."""
        ...

    def show_context(self) -> None:
        """Say what fills the window."""
        ...

    def show_held(self) -> None:
        """Say what the server holds."""
        ...

    def export(self, name: str) -> None:
        """Write the session as a document."""
        ...

    def replay(self, name: str) -> None:
        """Leave, and play the recording of this name; without one, choose among them."""
        ...

    def show_sessions(self) -> None:
        """Show what was recorded."""
        ...

    def go_to_round(self, number: int) -> None:
        """Show the round with this number in the transcript."""
        ...

    def ask_round(self) -> None:
        """Ask for the number of a round, and go there."""
        ...

    def show_timing(self) -> None:
        """Show where the time went."""
        ...

    def leave(self) -> None:
        """End the session and the screen."""
        ...


class Command(msgspec.Struct, frozen=True):
    """A command of the workbench."""

    name: str
    """Typed after the slash."""
    description: str
    run: Callable[[Desk, str], None]
    """Called with what stands after the name."""
    argument: str = ""
    """What stands after the name, for people; in brackets where it can be left out."""
    live: bool = False
    """Whether it needs a running session, so that a recording does not offer it."""

    @property
    def usage(self) -> str:
        return f"/{self.name} {self.argument}".strip()


def _mode(desk: Desk, argument: str) -> None:
    """Set the mode; without a name, the next one."""
    for mode in MODES:
        if argument == mode:
            desk.submit(engine.SetMode(mode))
            return
    if argument:
        desk.word(f"there is no mode {argument!r}: ask, edits or auto")
        return
    desk.submit(engine.SetMode(MODES[(MODES.index(desk.mode) + 1) % len(MODES)]))


def _model(desk: Desk, argument: str) -> None:
    """Switch to a model; without a name, show what there is. A word `now` behind it does so at once."""
    name, _, when = argument.partition(" ")
    if not name:
        desk.show_models()
    elif when.strip() not in ("", "now"):
        desk.word("say /model NAME, or /model NAME now")
    else:
        desk.switch_model(name, now=bool(when.strip()))


def _now(desk: Desk, argument: str) -> None:
    if not argument:
        desk.word("say what to interrupt with: /now TEXT")
    elif desk.busy:
        desk.submit(engine.Steer(argument, now=True))
    else:
        desk.submit(engine.Goal(argument))


def _again(desk: Desk, argument: str) -> None:
    if desk.busy:
        desk.submit(engine.SendAgain())
    else:
        desk.word("nothing is waited for")


def _set(desk: Desk, argument: str) -> None:
    """Another value of an option, where a running session takes one."""
    from jetbox.engine.errors import SettingsError
    from jetbox.engine.tuning import changeable
    from jetbox.settings.fields import fit_text
    from jetbox.settings.model import Source

    option, _, text = argument.replace("=", " ", 1).partition(" ")
    if option not in changeable():
        desk.word(f"{option or 'it'} cannot be changed while a session runs: {', '.join(changeable())}")
        return
    try:
        desk.submit(engine.SetOption(option, fit_text(option, text.strip(), Source("flag", "/set"))))
    except SettingsError as error:
        desk.word(error.message)


def _label(desk: Desk, argument: str) -> None:
    if argument:
        desk.submit(engine.Label(argument))
    else:
        desk.word("say what to call it: /label TEXT")


def _undo(desk: Desk, argument: str) -> None:
    """Show what can be undone; with a number, go back to before that round at once."""
    if not argument:
        desk.show_undo()
    elif argument.isdecimal() and int(argument):
        desk.submit(engine.Undo(int(argument)))
    else:
        desk.word(f"{argument!r} is no number of a round")


def _round(desk: Desk, argument: str) -> None:
    if argument.isdecimal():
        desk.go_to_round(int(argument))
    elif not argument:
        desk.ask_round()
    else:
        desk.word("say which round: /round NUMBER")


COMMANDS: tuple[Command, ...] = (
    Command("help", "Keys and commands", lambda desk, _: desk.show_help()),
    Command(
        "mode", "What may be done without asking: the next mode, or this one", _mode, "[ask|edits|auto]", live=True
    ),
    Command(
        "model",
        "Use another model, from the next round on or now; show what there is",
        _model,
        "[NAME [now]]",
        live=True,
    ),
    Command(
        "phase", "Draft or refine: the other phase, or the other model", lambda desk, _: desk.switch_phase(), live=True
    ),
    Command("now", "Interrupt the model with these words", _now, "TEXT", live=True),
    Command(
        "compact",
        "Make the history shorter with a summary, to make room in the window",
        lambda desk, _: desk.submit(engine.Compact()),
        live=True,
    ),
    Command("again", "Take back the request that is waited for, and send it once more", _again, live=True),
    Command("probe", "Run all probes now, whole", lambda desk, _: desk.submit(engine.RunProbes()), live=True),
    Command("why", "What the latest verdicts depend on, and why they ran", lambda desk, _: desk.show_why()),
    Command("timing", "Where the time went, and what could be saved", lambda desk, _: desk.show_timing()),
    Command("round", "Go to a round in the transcript", _round, "[NUMBER]"),
    Command("theme", "Other colours: the next theme, or this one", lambda desk, a: desk.switch_theme(a), "[NAME]"),
    Command("expand", "Show everything in full, or folded again", lambda desk, _: desk.toggle_expanded()),
    Command(
        "request", "What the model saw, byte for byte, and what broke the prefix", lambda desk, _: desk.show_request()
    ),
    Command("sessions", "What was recorded here: go on with it, or play it", lambda desk, _: desk.show_sessions()),
    Command("replay", "Leave, and play a recording", lambda desk, name: desk.replay(name), "[SESSION]"),
    Command("label", "Call this session something, to find it again", _label, "TEXT", live=True),
    Command("settings", "What holds, and where each value came from", lambda desk, _: desk.show_settings()),
    Command("set", "Another value of a limit, from the next goal on", _set, "OPTION VALUE", live=True),
    Command("ctx", "What fills the window", lambda desk, _: desk.show_context()),
    Command("ps", "What the server holds in memory, and until when", lambda desk, _: desk.show_held()),
    Command("export", "Write the session as Markdown", lambda desk, name: desk.export(name), "[FILE]"),
    Command("undo", "What each round changed, and going back to before it", _undo, "[ROUND]"),
    Command("clear", "Forget what was said; files stay", lambda desk, _: desk.submit(engine.Clear()), live=True),
    Command("quit", "End the session and leave", lambda desk, _: desk.leave()),
)
"""Every command, in the order in which help shows them."""


def find(name: str) -> Command | None:
    """The command of this name."""
    return next((command for command in COMMANDS if command.name == name), None)


def matching(typed: str) -> list[Command]:
    """Commands that what was typed after the slash may become."""
    return [command for command in COMMANDS if command.name.startswith(typed)]


def resembling(typed: str, among: Iterable[Command]) -> list[tuple[Command, frozenset[int]]]:
    """Of these the ones that what was typed may mean, the likeliest first.

    With each: which characters of its usage were typed.
    """
    parts = typed.lower().removeprefix("/").split()
    found: list[tuple[int, Command, frozenset[int]]] = []
    for command in among:
        likeness = [_likeness(part, command) for part in parts]
        if all(likeness):
            far = sum(far for far, _ in filter(None, likeness))
            at = frozenset(n for _, places in filter(None, likeness) for n in places)
            found.append((far, command, at))
    return [(command, at) for _, command, at in sorted(found, key=lambda each: each[0])]


def _likeness(part: str, command: Command) -> tuple[int, Sequence[int]] | None:
    """How far a command is from what was typed, and where in its usage that stands; None: it is not meant."""
    name, usage, words = command.name, command.usage.lower(), command.description.lower()
    if part in name:
        at = 1 + name.find(part)
        return 0 if name == part else 1 if at == 1 else 2, range(at, at + len(part))
    if f" {part}" in f" {words}":
        return 3, ()
    if part in usage:
        at = usage.find(part)
        return 4, range(at, at + len(part))
    if part in words:
        return 4, ()
    if loose := _letters(part, name):
        return 5, [1 + n for n in loose]
    return (6, ()) if any(word[:1] == part[0] and _letters(part, word) for word in words.split()) else None


def _letters(part: str, word: str) -> list[int]:
    """Where the letters of a part stand in a word, in their order; nothing where it has not all of them."""
    found: list[int] = []
    at = -1
    for letter in part:
        at = word.find(letter, at + 1)
        if at < 0:
            return []
        found.append(at)
    return found


def unknown(name: str, known: Iterable[str] = ()) -> str:
    """What to say of a command that does not exist."""
    from difflib import get_close_matches

    names = list(known) or [command.name for command in COMMANDS]
    near = get_close_matches(name, names, n=1)
    return f"there is no /{name}" + (f"; did you mean /{near[0]}?" if near else "; /help lists what there is")


def is_command(line: str) -> bool:
    """Whether a line is a command, known or not: one that begins with a path is none."""
    name = line[1:].partition(" ")[0]
    return line.startswith("/") and "/" not in name and "." not in name


def run_line(desk: Desk, line: str) -> None:
    """Carry out a line that begins with a slash."""
    name, _, argument = line.removeprefix("/").partition(" ")
    command = find(name)
    if command is None:
        desk.word(unknown(name))
        return
    command.run(desk, argument.strip())
