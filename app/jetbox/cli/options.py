"""Options that the workbench and `run` share, and what they come to: an `Invocation`."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from jetbox.engine.safety.terminal import safe_text

if TYPE_CHECKING:
    from jetbox.engine.events import Mode
    from jetbox.settings.load import Flag, Loaded
    from jetbox.settings.model import Settings

F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS = {
    "model": ("model.name", "-m", "--model", "NAME", "Model to use, as the server names it."),
    "host": ("model.host", "--host", "URL", "Address of the Ollama server."),
    "max_rounds": ("loop.max_rounds", "--max-rounds", "N", "Most rounds of a goal; 0: no limit."),
    "max_tokens": ("loop.max_tokens", "--max-tokens", "N", "Most tokens of a goal; 0: no limit."),
    "max_seconds": ("loop.max_seconds", "--max-seconds", "S", "Longest time of a goal; 0: no limit."),
    "num_ctx": ("context.num_ctx", "--num-ctx", "N", "Tokens of the window."),
    "think": ("model.think", "--think", "LEVEL", "Thinking: true, false, low, medium, high."),
    "keep_alive": ("model.keep_alive", "--keep-alive", "D", "How long the server keeps the model, such as 30m or -1."),
    "theme": ("ui.theme", "--theme", "NAME", "Theme of the screen."),
}
"""Flags with a value that are one setting each: option, names, metavar, help."""
_SWITCHES = {
    "no_sandbox": ("permissions.sandbox", "false", "--no-sandbox"),
    "no_session": ("session.record", "false", "--no-session"),
    "yolo": ("permissions.mode", "auto", "--yolo"),
    "debug": ("ui.debug", "true", "--debug"),
    "plain": ("ui.plain", "true", "--plain"),
    "no_mouse": ("ui.mouse", "false", "--no-mouse"),
    "no_alternate_screen": ("ui.alternate_screen", "false", "--no-alternate-screen"),
}
"""Flags without a value: the setting and what it becomes."""

TAKES_VALUE = frozenset(
    [name for row in _SETTINGS.values() for name in row[1:-2]]
    + ["-C", "--cwd", "--profile", "--set", "--mode", "--output-format"]
)
"""Names of options that need a value: the search for the first word steps over it."""
OPTIONAL_VALUE = frozenset(["-r", "--resume"])
"""Names of options that take a value when one follows."""


class Invocation(msgspec.Struct, frozen=True, dict=True):
    """What was asked for on the command line."""

    goal: str = ""
    cwd: Path = Path()
    """Absolute; the folder to work in, if it is not a demo's scratch folder."""
    cwd_given: bool = False
    demo: bool = False
    continue_last: bool = False
    """Go on with the newest session of the folder."""
    resume: str | None = None
    """Session to go on with; empty: to be chosen."""
    profile: str = ""
    flags: tuple[Flag, ...] = ()

    @cached_property
    def loaded(self) -> Loaded:
        """Settings with their sources; a demo leaves the project file out unless a folder was given.

        Raises:
            SettingsError: a file, variable or flag is wrong.
        """
        from jetbox.settings.load import load

        workspace = None if self.demo and not self.cwd_given else str(self.cwd)
        return load(workspace, flags=self.flags, profile=self.profile)

    @property
    def settings(self) -> Settings:
        """The effective settings."""
        return self.loaded.settings

    @property
    def mode(self) -> Mode:
        """The mode to start in."""
        return self.settings.permissions.mode or ("auto" if self.demo else "ask")


def settings_options(command: F) -> F:
    """Options that say which settings hold: for every command that reads them."""
    decorators = [
        click.option("-C", "--cwd", metavar="DIR", help="Folder to work in."),
        click.option(
            "--profile", metavar="NAME", default="", help="Profile: baseline, seed, fast, quality, hybrid, or your own."
        ),
        click.option("--set", "assignments", metavar="KEY=VALUE", multiple=True, help="Any setting, as section.key."),
    ]
    for name, (_, *names, metavar, text) in _SETTINGS.items():
        decorators.append(click.option(*names, name, metavar=metavar, help=text))
    decorators += [
        click.option("--mode", type=click.Choice(["ask", "edits", "auto"]), help="What needs no question."),
        click.option("--yolo", "--auto-approve", "yolo", is_flag=True, help="The same as --mode auto."),
        click.option("--no-sandbox", is_flag=True, help="Run commands and probes unconfined."),
        click.option("--no-session", is_flag=True, help="Record nothing."),
        click.option("--debug", is_flag=True, help="Say what holds up the screen."),
        click.option("--plain", is_flag=True, help="Line by line without a screen: for screen readers."),
        click.option("--no-mouse", is_flag=True, help="Leave the mouse to the terminal."),
        click.option("--no-alternate-screen", is_flag=True, help="Keep what the terminal shows: it scrolls up."),
    ]
    return _apply(command, decorators)


def settings_for(*shown: str) -> Callable[[F], F]:
    """The same for a command that heeds few of them: its help tells of these, and of where settings come from."""

    def apply(command: F) -> F:
        command = settings_options(command)
        for option in getattr(command, "__click_params__"):  # noqa: B009 - what click keeps on a function
            option.hidden = option.name not in ("cwd", "profile", "assignments", *shown)
        return command

    return apply


def session_options(command: F) -> F:
    """Options of the workbench and of `run`."""
    return _apply(
        command,
        [
            click.option(
                "-c", "--continue", "continue_last", is_flag=True, help="Go on with this folder's last session."
            ),
            click.option(
                "-r",
                "--resume",
                metavar="[ID]",
                is_flag=False,
                flag_value="",
                help="Go on with a session: ID, or choose.",
            ),
            click.option("--demo", is_flag=True, help="Scripted model on the embedded server, in a scratch folder."),
        ],
    )


def _apply(command: F, decorators: list[Callable[[Any], Any]]) -> F:
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def invocation(words: tuple[str, ...] = (), **given: Any) -> Invocation:
    """From click's values to an `Invocation`.

    Raises:
        click.UsageError: options that exclude each other, or a folder that is none.
        SettingsError: a `--set` that is no assignment.
    """
    resume = given.get("resume")
    if resume and any(c.isspace() for c in resume):  # `--resume "a goal"`: no session has such a name
        words, resume = (resume, *words), ""
    goal = clean(" ".join(words)).strip()
    if words and not safe_text(goal).strip():
        raise click.UsageError("the goal is empty")
    if given.get("continue_last") and resume is not None:
        raise click.UsageError("--continue and --resume exclude each other")
    if given.get("no_session") and (given.get("continue_last") or resume is not None):
        raise click.UsageError("--no-session excludes --continue and --resume")
    return Invocation(
        goal=goal,
        cwd=_folder(given.get("cwd")),
        cwd_given=given.get("cwd") is not None,
        demo=bool(given.get("demo")),
        continue_last=bool(given.get("continue_last")),
        resume=resume,
        profile=given.get("profile") or "",
        flags=_flags(given),
    )


def clean(text: str) -> str:
    """The text with what is not UTF-8 replaced: a command line can hold any bytes."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _flags(given: dict[str, Any]) -> tuple[Flag, ...]:
    from jetbox.settings.load import parse_assignment

    flags = [parse_assignment(clean(text)) for text in given.get("assignments") or ()]
    for name, (option, *names, _, _) in _SETTINGS.items():
        if given.get(name) is not None:
            flags.append((option, clean(given[name]), names[-1]))
    if given.get("mode"):
        if given.get("yolo") and given["mode"] != "auto":
            raise click.UsageError(f"--yolo and --mode {given['mode']} exclude each other")
        flags.append(("permissions.mode", given["mode"], "--mode"))
    flags += [_SWITCHES[name] for name in _SWITCHES if given.get(name)]
    return tuple((option, text, flag) for option, text, flag in flags)


def _folder(given: str | None) -> Path:
    try:
        folder = os.path.abspath(os.path.expanduser(given) if given is not None else os.getcwd())
    except FileNotFoundError:
        raise click.UsageError("the current folder does not exist any more") from None
    if given is not None and not os.path.isdir(folder):
        raise click.UsageError(f"--cwd: {given!r} is no folder")
    return Path(folder)
