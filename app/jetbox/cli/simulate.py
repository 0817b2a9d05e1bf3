"""`jetbox-tui simulate`: the embedded server on a port of your choice."""

from __future__ import annotations

import sys

import click


@click.command(
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    short_help="Serve scripted models over Ollama's protocol.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulate(arguments: tuple[str, ...]) -> None:
    """Serve scripted models over Ollama's protocol."""
    from jetbox.sim.__main__ import main

    sys.exit(main(arguments, prog="jetbox-tui simulate"))
