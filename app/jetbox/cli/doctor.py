"""`jetbox-tui doctor`: is everything here and well, with the cure for what is not."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from jetbox.cli.commands import CONTEXT
from jetbox.cli.options import Invocation, invocation, settings_for
from jetbox.cli.plain import plain

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jetbox.cli.health import Check
    from jetbox.engine.errors import ExitCode

_LIMIT_S = 45.0
"""How long any group of checks may take in all."""
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(context_settings=CONTEXT)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@settings_for("model", "host", "num_ctx", "no_sandbox")
def doctor(as_json: bool, **given: Any) -> int:
    """Is everything here and well? Each line says ok, warn or fail, and the cure.

    Ends with 0 when nothing fails, else with the exit code that a run would end with.
    """
    checks = asyncio.run(examine(invocation(**given)))
    code = next((check.exit_code for check in checks if check.state == "fail"), 0)
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode({"exit_code": code, "checks": checks}), indent=2))
        return code
    for check in checks:
        state = click.style(f"{check.state:<4}", fg=_COLOURS[check.state])
        click.echo(f"{state}  {check.name:<11}  {plain(check.said)}")
        if check.cure:
            click.echo(f"{'':<17}  {plain(check.cure)}")
    return code


async def examine(asked: Invocation) -> list[Check]:
    """Every check, those that do not need each other side by side."""
    from jetbox.cli import health, surroundings
    from jetbox.engine.errors import ExitCode

    settings, loaded = health.configuration(asked)
    options = loaded.settings
    server, tools, git = await asyncio.gather(
        _group("server", ExitCode.MODEL, lambda: surroundings.server_and_model(options)),
        _group("sandbox", ExitCode.PERMISSION, lambda: surroundings.sandbox_and_tools(asked.cwd, options)),
        health.timely("git", 10.0, health.git, ExitCode.INTERNAL),
    )
    here = [health.sessions(options.session.folder), health.workspace(str(asked.cwd)), health.probes(str(asked.cwd))]
    if files := options.model.tokenizers:
        here.append(await health.timely("tokenizers", 20.0, lambda: health.tokenizers(files), ExitCode.USAGE))
    return [health.python(), settings, health.terminal(), *server, *tools, git, *here]


async def _group(name: str, code: ExitCode, look: Callable[[], Awaitable[list[Check]]]) -> list[Check]:
    from jetbox.cli import health

    found: list[Check] = []

    async def all_of_it() -> Check:
        found.extend(await look())
        return found[0]

    first = await health.timely(name, _LIMIT_S, all_of_it, code)
    return found or [first]
