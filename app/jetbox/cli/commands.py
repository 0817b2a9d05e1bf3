"""The commands that drive a session: options here, the work in modules of their own, imported when called."""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from jetbox import __version__
from jetbox.cli.dispatch import COMMANDS
from jetbox.cli.options import Invocation, invocation, session_options, settings_for, settings_options

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_MOST_GOAL_BYTES = 1024 * 1024
DUMB = ("", "dumb")
"""Values of TERM of terminals that cannot move their cursor."""


class RootCommand(click.Command):
    """The workbench; its help lists the sub-commands too."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.command(
    cls=RootCommand,
    context_settings=CONTEXT,
    epilog="Every setting is also a variable, JETBOX_SECTION_KEY; see `jetbox-tui config show`.",
)
@click.argument("words", nargs=-1, metavar="[GOAL]")
@click.option("-p", "--print", "printing", is_flag=True, help="The same as `run`: without a screen.")
@session_options
@settings_options
@click.version_option(__version__, message="jetbox-tui %(version)s")
def workbench(words: tuple[str, ...], printing: bool, **given: Any) -> int:
    """A terminal workbench around a local coding agent driven by Ollama.

    With a GOAL it starts at once. A first word that is a command of the list below is that command.
    """
    asked = invocation(words, **given)
    lacks = missing_terminal()
    if lacks and asked.demo and not given.get("plain"):
        click.echo(f"jetbox-tui: {lacks}, so the demo runs without a screen", err=True)
        return _run(asked, "text")
    skeleton = click.get_current_context().obj
    if asked.settings.ui.plain or lines_alone():
        if skeleton is not None:
            skeleton.clear()
        tell_notices(asked)
        from jetbox.cli.by_line import by_line

        return by_line(asked)
    if lacks:
        raise click.UsageError(f"{lacks}; without a screen it is: jetbox-tui run GOAL")
    if not asked.settings.ui.color:
        os.environ["NO_COLOR"] = "1"
    from jetbox.cli.workbench import workbench as show

    return show(asked, skeleton)


@click.command(context_settings=CONTEXT)
@click.argument("words", nargs=-1, metavar="GOAL")
@click.option(
    "--output-format",
    type=click.Choice(["text", "json", "stream-json"]),
    default="text",
    show_default=True,
    help="stream-json: the journal's lines as they are written.",
)
@session_options
@settings_options
def run(words: tuple[str, ...], output_format: str, **given: Any) -> int:
    """Work on a GOAL without a screen; `-` reads it from standard input."""
    if words == ("-",):
        words = (_goal_from_input(),)
    asked = invocation(words, **given)
    if asked.resume == "":
        raise click.UsageError("--resume needs the session's ID where there is no screen to choose on")
    if not (asked.goal or asked.demo or asked.resume or asked.continue_last):
        raise click.UsageError("what is the goal? jetbox-tui run GOAL")
    return _run(asked, output_format)


@click.command(context_settings=CONTEXT)
@click.argument("session")
@click.option("--at", type=click.IntRange(min=0), metavar="ROUND", help="Start at this round.")
@click.option("--speed", type=click.FloatRange(min=0.05, max=1000), default=1.0, metavar="X", help="How fast.")
@settings_for("theme", "debug", "plain", "no_mouse", "no_alternate_screen")
def replay(session: str, at: int | None, speed: float, **given: Any) -> int:
    """Play a recorded SESSION in the workbench: an ID, a folder or a journal."""
    if speed != speed:  # the range lets nan pass
        raise click.BadParameter("'nan' is no speed", param_hint="'--speed'")
    asked = invocation(**given)
    if asked.settings.ui.plain or lines_alone():
        skeleton = click.get_current_context().obj
        if skeleton is not None:
            skeleton.clear()
        from jetbox.cli.by_line import replay_by_line

        return replay_by_line(session, asked)
    if lacks := missing_terminal():
        raise click.UsageError(f"{lacks}, and a replay needs one")
    if not asked.settings.ui.color:
        os.environ["NO_COLOR"] = "1"
    from jetbox.cli.replay import replay as play

    return play(session, at, speed, asked, click.get_current_context().obj)


@click.command(context_settings=CONTEXT)
@click.option("--why", is_flag=True, help="Say what went into each key, and why a probe ran or was served again.")
@click.option("--watch", is_flag=True, help="Run them again whenever files change, until Ctrl+C.")
@click.option("--json", "as_json", is_flag=True, help="As JSON; with --watch a line for each time.")
@settings_for("no_sandbox")
def probe(why: bool, watch: bool, as_json: bool, **given: Any) -> int:
    """Run the probes of this folder and show their verdicts."""
    asked = invocation(**given)
    tell_notices(asked)
    from jetbox.cli.probe import probe as check

    return check(asked, why, as_json, watch)


def lines_alone() -> bool:
    """Whether this is a terminal that cannot show a screen: lines are what it has."""
    return all(s is not None and s.isatty() for s in (sys.stdin, sys.stdout)) and os.environ.get("TERM", "") in DUMB


def missing_terminal() -> str:
    """What the screen lacks here, in words; empty where it can be shown."""
    for stream in (sys.stdin, sys.stdout):
        if stream is None or not stream.isatty():
            return "there is no terminal"
    return ""


def tell_notices(asked: Invocation) -> None:
    """Load the settings, and say on standard error what they have to tell."""
    from jetbox.cli.ending import tell

    for notice in asked.loaded.notices:
        tell(notice)


def _run(asked: Invocation, output_format: str) -> int:
    tell_notices(asked)
    from jetbox.cli.run import run as work

    return work(asked, output_format)


def _goal_from_input() -> str:
    data = sys.stdin.buffer.read(_MOST_GOAL_BYTES + 1)
    if len(data) > _MOST_GOAL_BYTES:
        raise click.UsageError("the goal on standard input is larger than 1 MiB")
    if not data.strip():
        raise click.UsageError("standard input holds no goal")
    return data.decode("utf-8", "replace")
