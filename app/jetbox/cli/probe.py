"""`jetbox-tui probe`: the probes of a folder, without a model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from jetbox.cli.plain import plain
from jetbox.engine.errors import ExitCode, SandboxMissing

if TYPE_CHECKING:
    from jetbox.cli.options import Invocation
    from jetbox.engine.options import EngineOptions
    from jetbox.engine.probes.base import Verdict

_COLOURS = {"passed": "green", "failed": "red", "error": "red", "timeout": "red"}


def probe(asked: Invocation, why: bool, as_json: bool = False) -> int:
    """Run the probes in the sandbox and print their verdicts; 3 when one is red, else 0.

    Raises:
        SandboxMissing: no sandbox works here, and it was not switched off.
    """
    verdicts = asyncio.run(_verdicts(asked, asked.settings))
    red = any(verdict.red for verdict in verdicts)
    code = ExitCode.PROBES_RED if red else ExitCode.DONE
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode({"exit_code": code, "verdicts": verdicts}), indent=2))
        return code
    _print(verdicts, why)
    return code


async def _verdicts(asked: Invocation, options: EngineOptions) -> list[Verdict]:
    from jetbox.engine.probes.runner import ProbeEngine
    from jetbox.engine.safety.choose import choose_sandbox
    from jetbox.engine.safety.process import ProcessRunner

    root = asked.cwd.resolve()
    wanted = options.permissions
    sandbox = await choose_sandbox(root, enabled=wanted.sandbox, network=wanted.network)
    try:
        if wanted.sandbox and not sandbox.confines:
            raise SandboxMissing(
                "no sandbox works here, and probes execute code of the folder",
                "install bubblewrap, or run them unconfined with --no-sandbox",
            )
        engine = ProbeEngine(
            root,
            ProcessRunner(sandbox, root, pass_env=wanted.pass_env),
            options.probes,
            options.performance,
            on_start=lambda name, why: None,
            on_end=lambda verdict: None,
        )
        try:
            return await engine.verdicts(final=True)
        finally:
            await engine.close()
    finally:
        await sandbox.close()


def _print(verdicts: list[Verdict], why: bool) -> None:
    from jetbox.engine.safety.terminal import safe_text

    if not verdicts:
        click.echo("no probe is switched on")
    for verdict in verdicts:
        state = click.style(f"{verdict.state:<9}", fg=_COLOURS.get(verdict.state, "yellow"))
        time = f"{verdict.duration_ns / 1e6:.0f} ms" if verdict.cache != "none" else ""
        click.echo(f"{verdict.name:<7} {state} {time:>9}  {plain(verdict.summary)}")
        if why and verdict.why:
            click.echo(f"{'':<28}{plain(verdict.why)}")
    for verdict in verdicts:
        if verdict.red and verdict.output.strip():
            click.echo(f"\n--- {verdict.name}\n{safe_text(verdict.output.strip())}")
