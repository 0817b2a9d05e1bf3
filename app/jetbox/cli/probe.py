"""`jetbox-tui probe`: the probes of a folder, without a model."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click

from jetbox.cli.plain import plain
from jetbox.engine.errors import ExitCode, SandboxMissing
from jetbox.engine.tasks import end_tasks
from jetbox.ui.glyphs import UNICODE
from jetbox.ui.verdicts import cache_sign, came

if TYPE_CHECKING:
    from jetbox.cli.options import Invocation
    from jetbox.engine.probes.base import Verdict
    from jetbox.engine.probes.runner import ProbeEngine
    from jetbox.engine.session import Session

_COLOURS = {"passed": "green", "failed": "red", "error": "red", "timeout": "red"}
_LOOK_S = 1.0
"""How often files are looked at where they cannot be watched."""
_INDENT = " " * 8

Show = Callable[[list["Verdict"]], None]


def probe(asked: Invocation, why: bool, as_json: bool = False, watch: bool = False) -> int:
    """Run the probes in the sandbox and print their verdicts; 3 when one is red, else 0.

    With `watch` they run again whenever files change, until that is interrupted.

    Raises:
        SandboxMissing: no sandbox works here, and it was not switched off.
    """
    seen: list[Verdict] = []

    def show(verdicts: list[Verdict]) -> None:
        seen[:] = verdicts
        if as_json:
            _print_json(verdicts, indent=0 if watch else 2)
        else:
            _print(verdicts, why)

    asyncio.run(_probe(asked, show, watch=watch, quiet=as_json))
    return _code(seen)


def _code(verdicts: list[Verdict]) -> ExitCode:
    return ExitCode.PROBES_RED if any(verdict.red for verdict in verdicts) else ExitCode.DONE


async def _probe(asked: Invocation, show: Show, *, watch: bool, quiet: bool) -> None:
    import msgspec

    from jetbox.engine.probes.runner import ProbeEngine
    from jetbox.engine.safety.choose import sandbox_for
    from jetbox.engine.safety.process import ProcessRunner
    from jetbox.engine.safety.secrets import Redactor
    from jetbox.engine.session import NoRecorder, Session
    from jetbox.record.places import probes_folder

    options, root = asked.settings, asked.cwd.resolve()
    wanted = options.permissions
    session = Session(NoRecorder())
    told = asyncio.Event()

    def notice(words: str) -> None:
        """One may say that a verdict which was shown does not hold."""
        if not quiet:
            click.secho(plain(words), dim=True)
        told.set()

    async with AsyncExitStack() as stack:
        sandbox = await sandbox_for(root, options)
        stack.push_async_callback(sandbox.close)
        if wanted.sandbox and not sandbox.confines:
            raise SandboxMissing(
                "no sandbox works here, and probes execute code of the folder",
                "install bubblewrap, or run them unconfined with --no-sandbox",
            )
        engine = ProbeEngine(
            root,
            ProcessRunner(sandbox, root, pass_env=wanted.pass_env),
            options.probes,
            # One run is as quick from scratch as from a server that has to be started first.
            options.performance if watch else msgspec.structs.replace(options.performance, pytest_server=False),
            on_start=lambda name, why: _started(session, name),
            on_end=lambda verdict: _ended(session, verdict),
            on_notice=notice,
            read_outside=wanted.read_outside,
            store=probes_folder(root),
            redact=Redactor.from_environment(os.environ).redact,
        )
        stack.push_async_callback(engine.close)
        if watch:
            await _again_and_again(engine, session, show, told, quiet=quiet)
        else:
            show(await engine.verdicts(final=True))


def _started(session: Session, name: str) -> None:
    """The observer has to know when probes run, to tell their writes from those of people."""
    from jetbox.engine.events import ProbeStarted

    session.emit(ProbeStarted(name=name))


def _ended(session: Session, verdict: Verdict) -> None:
    from jetbox.engine.events import ProbeEnded

    session.emit(ProbeEnded(name=verdict.name, state=verdict.state, cache=verdict.cache))


async def _again_and_again(
    engine: ProbeEngine, session: Session, show: Show, news: asyncio.Event, *, quiet: bool
) -> None:
    """Show verdicts, and again after each change and each piece of `news`, until cancelled."""
    from jetbox.engine.probes.inscope import out_of_scope
    from jetbox.engine.workspace.observer import Observer

    def changed(paths: tuple[str, ...], by: str) -> None:
        engine.heard(paths, by)
        if by != "probe":
            news.set()

    observer = Observer(session, engine.tree.root, out_of_scope, on_change=changed)
    observing = asyncio.create_task(observer.run())
    try:
        await asyncio.wait(
            {observing, waiting := asyncio.ensure_future(observer.ready.wait())}, return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        shown: list[tuple[str, ...]] | None = None
        while True:
            news.clear()
            verdicts = await engine.verdicts(final=True)
            # What somebody changed and took back, or what no probe depends on, is no news.
            if (found := [_news(verdict) for verdict in verdicts]) != shown:
                shown = found
                show(verdicts)
                if not quiet:
                    click.secho(f"watching {plain(engine.tree.root)}; Ctrl+C ends it", dim=True)
            if observing.done():
                await asyncio.sleep(_LOOK_S)
            else:
                await _woken(engine, news)
    finally:
        await end_tasks(observing)


async def _woken(engine: ProbeEngine, news: asyncio.Event) -> None:
    """Return when something was heard, or was found to have changed where nobody listens: above, behind links."""
    before = (engine.tree.last.digest, engine.files.outside_generation)
    while not news.is_set():
        await asyncio.wait({waiting := asyncio.ensure_future(news.wait())}, timeout=_LOOK_S)
        waiting.cancel()
        now = await engine.files.now()
        if (now.digest, engine.files.outside_generation) != before:
            return


def _news(verdict: Verdict) -> tuple[str, ...]:
    """What makes a verdict worth showing again."""
    return verdict.name, verdict.key, verdict.state, verdict.summary


def _print_json(verdicts: list[Verdict], *, indent: int) -> None:
    import msgspec

    data = msgspec.json.encode({"exit_code": _code(verdicts), "verdicts": verdicts})
    click.echo(msgspec.json.format(data, indent=indent) if indent else data)


def _print(verdicts: list[Verdict], why: bool) -> None:
    from jetbox.engine.safety.terminal import safe_text

    if not verdicts:
        click.echo("no probe is switched on")
    for verdict in verdicts:
        state = click.style(f"{verdict.state:<9}", fg=_COLOURS.get(verdict.state, "yellow"))
        time = f"{verdict.duration_ns / 1e6:.0f} ms" if verdict.cache != "none" else ""
        sign = cache_sign(came(verdict.state, verdict.cache, unproven=not verdict.proved), UNICODE)
        saved = f"saved {verdict.saved_ns / 1e6:.0f} ms" if verdict.saved_ns else ""
        words = ", ".join(filter(None, (plain(verdict.summary), saved)))
        click.echo(f"{verdict.name:<7} {state} {sign} {time:>9}  {words}".rstrip())
        if why:
            _print_why(verdict)
    for verdict in verdicts:
        if verdict.red and verdict.output.strip():
            click.echo(f"\n--- {verdict.name}\n{safe_text(verdict.output.strip())}")


def _print_why(verdict: Verdict) -> None:
    from jetbox.engine.probes.reasons import explained

    for label, words in explained(verdict):
        click.echo(f"{_INDENT}{label:<11}{plain(words)}")
