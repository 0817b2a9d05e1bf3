"""A goal without a screen: the same session, its events printed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from jetbox.cli.live import Live, Start
from jetbox.cli.opening import opening
from jetbox.cli.output import LineOut
from jetbox.cli.printer import Progress, Summary
from jetbox.engine.endings import heard_endings
from jetbox.engine.errors import ExitCode, JetboxError
from jetbox.engine.events import SessionOpened
from jetbox.engine.safety.terminal import safe_text
from jetbox.ui.locale import has_unicode
from jetbox.ui.slices import by_slices
from jetbox.ui.words import ended, plural

if TYPE_CHECKING:
    from jetbox.cli.options import Invocation

PRINT_S = 0.01
"""Lines may be so late: what is worth a line is printed beside the round, not in its way."""


def run(asked: Invocation, output_format: str) -> int:
    """Run a goal to its end and return the exit code.

    Raises:
        JetboxError: nothing could be begun, or the disk failed.
        OSError: standard output cannot be written.
    """
    out, log = LineOut(sys.stdout.fileno()), LineOut(sys.stderr.fileno())
    try:
        with opening(asked, attended=False, tee=out.put if output_format == "stream-json" else None) as start:
            ascii = asked.settings.ui.ascii or not has_unicode()
            code = asyncio.run(_run(start, output_format, out, log, ascii=ascii))
    finally:
        out.close()
        log.close()
    if out.failure is not None and code in (ExitCode.DONE, ExitCode.STORAGE):
        raise out.failure  # the work is done, but its result reached nobody
    return code


async def _run(start: Start, output_format: str, out: LineOut, log: LineOut, *, ascii: bool) -> int:
    live = Live(start)
    summary, progress = Summary(), Progress(log, ascii=ascii)
    printing = asyncio.create_task(_print(live, summary, progress if output_format == "text" else None))
    if output_format == "stream-json":
        out.on_failure = stopper(live)
    try:
        return await _drive(live)
    except JetboxError as error:
        await printing
        if summary.reason == error.message:  # the goal's end says it already
            return error.exit_code
        if output_format == "json":
            summary.failed(error)
        raise
    finally:
        await printing
        if output_format == "json":
            out.put(summary.json() + b"\n")
        elif output_format == "text":
            _closing(summary, out, log)


async def _drive(live: Live) -> int:
    """Drive with signals as commands: the first asks the session to end, a second one cancels it."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(live.drive())
    struck = False

    def strike(code: ExitCode) -> None:
        nonlocal struck
        if struck:
            task.cancel()
        struck = True
        live.stop(code)

    codes = heard_endings()
    for number, code in codes.items():
        loop.add_signal_handler(number, strike, code)
    try:
        await asyncio.wait([task])
    finally:
        for number in codes:
            loop.remove_signal_handler(number)
    return int(live.signal or ExitCode.INTERRUPTED) if task.cancelled() else task.result()


def stopper(live: Live) -> Callable[[OSError], None]:
    """What ends the session when nobody can take its events any more: what it does would be seen by nobody."""
    loop = asyncio.get_running_loop()

    def stop(error: OSError) -> None:
        code = ExitCode.HANGUP if isinstance(error, BrokenPipeError) else ExitCode.STORAGE
        with suppress(RuntimeError):  # the loop has ended by itself
            loop.call_soon_threadsafe(live.stop, code)

    return stop


async def _print(live: Live, summary: Summary, progress: Progress | None) -> None:
    while await live.feed.ready():
        if not live.session.closed:
            await asyncio.sleep(PRINT_S)
        async for stamped in by_slices(live.feed.drain().events):
            if stamped.seq < live.begins_at:
                # Told when it happened; of it only what names the session is needed.
                if isinstance(stamped.event, SessionOpened):
                    summary.apply(stamped)
                continue
            summary.apply(stamped)
            if progress is not None:
                progress.apply(stamped)


def _closing(summary: Summary, out: LineOut, log: LineOut) -> None:
    """The model's last words on standard output, how it ended on standard error."""
    if summary.text.strip():
        out.put((safe_text(summary.text).strip() + "\n").encode(errors="replace"))
    if not summary.outcome:
        return
    head = ended(summary.outcome, summary.reason)
    line = f"{head}  ({plural(summary.rounds, 'round')}, {summary.wall_ms / 1e3:.1f} s)"
    hint = f"\n  {summary.hint}" if summary.hint else ""
    probing = f"  {summary.probing}\n" if summary.probing else ""
    log.put((safe_text(probing + line + hint) + "\n").encode(errors="replace"))
