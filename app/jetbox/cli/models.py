"""`jetbox-tui models`: what the server has, and what can be done about it."""

from __future__ import annotations

from typing import Any

import click

from jetbox.cli.commands import CONTEXT
from jetbox.cli.dispatch import find_words
from jetbox.cli.options import Invocation, invocation, settings_for

_JSON = click.option("--json", "as_json", is_flag=True, help="As JSON.")


class ListGroup(click.Group):
    """Without a word it lists; options may stand before the word, as everywhere else."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        words, _ = find_words(args)
        if words and args[words[0]] in self.commands:
            args = [args[words[0]], *args[: words[0]], *args[words[0] + 1 :]]
        elif not words and not {"-h", "--help"}.intersection(args):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group(cls=ListGroup, context_settings=CONTEXT)
def models() -> None:
    """What the server has: installed, loaded, what it can do, and how fast it was here."""


@models.command("list", context_settings=CONTEXT)
@_JSON
@settings_for("host")
def list_(as_json: bool, **given: Any) -> int:
    """Every model of the server, with what was measured of it on this machine."""
    from jetbox.cli import model_lists

    return model_lists.show_all(_asked(given), as_json)


@models.command(context_settings=CONTEXT)
@click.argument("name")
@_JSON
@settings_for("host")
def show(name: str, as_json: bool, **given: Any) -> int:
    """All that is known of one model."""
    from jetbox.cli import model_lists

    return model_lists.show_one(_asked(given), name, as_json)


@models.command(context_settings=CONTEXT)
@click.argument("name")
@settings_for("host", "num_ctx", "keep_alive")
def warm(name: str, **given: Any) -> int:
    """Load a model, with the options that sessions use."""
    from jetbox.cli import model_work

    return model_work.warm(_asked(given), name)


@models.command(context_settings=CONTEXT)
@click.argument("name")
@settings_for("host")
def unload(name: str, **given: Any) -> int:
    """Take a model out of the server's memory."""
    from jetbox.cli import model_work

    return model_work.unload(_asked(given), name)


@models.command(context_settings=CONTEXT)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--repeats", type=click.IntRange(1, 20), default=3, show_default=True, help="How often each is sent.")
@click.option("--no-cold", is_flag=True, help="Do not unload it before: its load is then not measured.")
@_JSON
@settings_for("host", "model", "num_ctx", "keep_alive")
def measure(names: tuple[str, ...], repeats: int, no_cold: bool, as_json: bool, **given: Any) -> int:
    """Measure how fast models load, read and write here, and whether they call a tool.

    Without a NAME: the model that sessions use. What it finds is kept, and shown by `models list`.
    """
    from jetbox.cli import model_work

    return model_work.measure(_asked(given), names, repeats, cold=not no_cold, as_json=as_json)


@models.command(context_settings=CONTEXT)
@click.argument("name")
@settings_for("host")
def pull(name: str, **given: Any) -> int:
    """Let the server fetch a model."""
    from jetbox.cli import model_work

    return model_work.pull(_asked(given), name)


def _asked(given: dict[str, Any]) -> Invocation:
    from jetbox.cli.commands import tell_notices

    asked = invocation(**given)
    tell_notices(asked)
    return asked
