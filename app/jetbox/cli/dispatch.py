"""Which command is meant: a word of the table, else the words are the goal of the workbench."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jetbox.ui.skeleton import Skeleton

COMMANDS = {
    "run": ("jetbox.cli.commands:run", "Work on a goal without a screen."),
    "replay": ("jetbox.cli.commands:replay", "Play a recorded session in the workbench."),
    "probe": ("jetbox.cli.commands:probe", "Run the probes of this folder."),
    "models": ("jetbox.cli.models:models", "What the server has, how fast it was here; load, unload, measure, pull."),
    "sessions": ("jetbox.cli.sessions:sessions", "Recorded sessions: list them, show the log of one's rounds, export."),
    "simulate": ("jetbox.cli.simulate:simulate", "Serve scripted models over Ollama's protocol."),
    "doctor": ("jetbox.cli.doctor:doctor", "Is everything here and well? With the cure for what is not."),
    "config": ("jetbox.cli.config:config", "Show, explain, edit and trust the configuration."),
}
"""Where each sub-command is, and what it does in a line: help needs to import none of them."""
SESSIONS = ("", "run", "replay")
"""Commands that turn the garbage collector on themselves, when their start is over."""
_PRINT = ("-p", "--print")


def dispatch(arguments: list[str], skeleton: Skeleton | None = None) -> int:
    """Run the command that the arguments mean; `skeleton` is on the terminal already.

    Raises:
        click.ClickException: the arguments are wrong.
    """
    if arguments == ["--version"]:  # scripts ask for it; no need to build a parser
        from jetbox import __version__

        click.echo(f"jetbox-tui {__version__}")
        return 0
    name, rest = choose(arguments)
    command = load_command(name) if name else _workbench()
    if name not in SESSIONS:
        gc.enable()
    # not `command.main`: it has exit codes of its own for interrupts and closed pipes
    with command.make_context(f"jetbox-tui {name}".rstrip(), rest, obj=skeleton) as context:
        result = command.invoke(context)
    return int(result) if isinstance(result, int) else 0


def choose(arguments: list[str]) -> tuple[str, list[str]]:
    """Name of the sub-command (empty: the workbench) and its arguments.

    Raises:
        click.UsageError: a single word that is nearly a sub-command.
    """
    words, printing = find_words(arguments)
    first = words[0] if words else None
    plain_word = first is not None and "--" not in arguments[:first]
    if first is not None and plain_word and arguments[first] in COMMANDS and not any(at < first for at in printing):
        return arguments[first], arguments[:first] + arguments[first + 1 :]
    if printing:
        return "run", [argument for at, argument in enumerate(arguments) if at not in printing]
    if first is not None and plain_word and len(words) == 1:
        _refuse_near_miss(arguments[first])
    return "", arguments


def load_command(name: str) -> click.Command:
    """Import a sub-command."""
    from importlib import import_module

    module, _, attribute = COMMANDS[name][0].partition(":")
    command = getattr(import_module(module), attribute)
    assert isinstance(command, click.Command)
    return command


def _workbench() -> click.Command:
    from jetbox.cli.commands import workbench

    return workbench


def find_words(arguments: list[str]) -> tuple[list[int], list[int]]:
    """Indices of the words that are no options or values of them, and of `-p`/`--print`."""
    from jetbox.cli.options import OPTIONAL_VALUE, TAKES_VALUE

    words: list[int] = []
    printing: list[int] = []
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        if argument == "--":
            if words and arguments[words[0]] in COMMANDS:
                break
            return words + list(range(at + 1, len(arguments))), printing
        if argument in _PRINT:
            printing.append(at)
        elif argument.startswith("-") and len(argument) > 1:
            after = arguments[at + 1] if at + 1 < len(arguments) else "-"
            if _expects_value(argument, TAKES_VALUE) or (
                _expects_value(argument, OPTIONAL_VALUE) and not after.startswith("-")
            ):
                at += 1
        else:
            words.append(at)
        at += 1
    return words, printing


def _expects_value(argument: str, names: Iterable[str]) -> bool:
    """True where the next argument is this option's value: `--model X`, `-m X`, `-cm X`; not `-mX`, `--model=X`."""
    if argument.startswith("--"):
        return argument in names
    for index, letter in enumerate(argument[1:], start=1):
        if f"-{letter}" in names:
            return index == len(argument) - 1
    return False


def _refuse_near_miss(word: str) -> None:
    if not word.isidentifier():
        return
    import difflib

    if word in ("help", "version"):
        raise click.UsageError(f"{word!r} is no command; did you mean --{word}?")
    near = difflib.get_close_matches(word.lower(), COMMANDS, 1, 0.7)
    if near:
        raise click.UsageError(f"{word!r} is no command; did you mean {near[0]!r}? As a goal: jetbox-tui -- {word}")
