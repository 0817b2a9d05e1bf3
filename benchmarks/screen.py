"""What the screen costs: processor time while a model streams, and memory, on a real terminal.

    python benchmarks/screen.py [--rate 500] [--seconds 10] [--before 0]

`--before` rounds stand in the transcript already. The terminal is a pty that is drained
as fast as it gives; the process that draws is measured alone.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import os
import pty
import resource
import struct
import sys
import termios
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jetbox.engine.events import TextDelta
    from jetbox.engine.session import Session

WORDS = "The **package** is complete: both `add` and `multiply` are typed and tested, and ruff finds nothing.\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=int, default=500, help="tokens a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--before", type=int, default=0, help="rounds that stand there already")
    parser.add_argument("--figures", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.figures:
        asyncio.run(draw(options))
        return 0
    figures, drained = watch(options)
    print(f"{options.rate} tokens/s for {options.seconds:g} s, {options.before} rounds before")
    print(f"processor        {figures['cpu'] / options.seconds:6.1%}")
    print(f"per 1,000 tokens {figures['cpu'] / figures['tokens'] * 1000:6.2f} s")
    print(f"last token late  {figures['late_ms']:6.0f} ms")
    print(f"peak memory      {figures['rss_mib']:6.0f} MiB")
    print(f"to the terminal  {drained / options.seconds / 1000:6.0f} kB/s")
    return 0


def watch(options: argparse.Namespace) -> tuple[dict[str, float], int]:
    """Run the screen on a pty of its own; returns its figures and how many bytes it wrote."""
    import tempfile

    with tempfile.NamedTemporaryFile("r") as figures:
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8")
            os.execv(sys.executable, [sys.executable, __file__, *sys.argv[1:], "--figures", figures.name])
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        drained = 0
        while True:
            try:
                data = os.read(terminal, 65536)
            except OSError:
                break
            if not data:
                break
            drained += len(data)
        os.waitpid(pid, 0)
        return json.load(figures), drained


async def draw(options: argparse.Namespace) -> None:
    """The child: a session whose model streams at the rate asked for."""
    from jetbox.engine.session import NoRecorder, Session
    from jetbox.ui.app import JetboxApp

    session = Session(NoRecorder())
    figures: dict[str, float] = {}

    async def engine() -> int:
        last = open_session(session, options.before)
        await app.workbench.reached(last)
        await asyncio.sleep(0.5)
        tokens, cpu = 0, time.process_time()
        begun = time.monotonic()
        while (gone := time.monotonic() - begun) < options.seconds:
            tokens = stream(session, tokens, int(gone * options.rate))
            await asyncio.sleep(1 / options.rate)
        sent = time.monotonic()
        await app.workbench.reached(session.emit(_delta("end")).seq)
        figures.update(cpu=time.process_time() - cpu, tokens=tokens, late_ms=(time.monotonic() - sent) * 1000)
        figures["rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return 0

    app = JetboxApp(session.feed(), driver=engine)
    await app.run_async()
    await asyncio.to_thread(Path(options.figures).write_text, json.dumps(figures))


def open_session(session: Session, rounds: int) -> int:
    """A session with as many rounds; returns its last event's number."""
    from jetbox.engine import events as e

    session.emit(e.SessionOpened(format=1, id="bench", created="", workspace="/tmp/bench", app="0", model="bench"))
    session.emit(e.GoalStarted(goal=1, text="stream"))
    for _ in range(rounds):
        session.round += 1
        session.emit(e.RoundStarted(model="bench"))
        session.emit(_delta(WORDS * 8))
        session.emit(e.RoundEnded(wall_ns=700_000_000, phases={"decode": 700_000_000}, tier="fast"))
    session.round += 1
    return session.emit(e.RoundStarted(model="bench")).seq


def stream(session: Session, tokens: int, until: int) -> int:
    """Emit what is due, a word a token."""
    words = WORDS.split(" ")
    while tokens < until:
        session.emit(_delta(words[tokens % len(words)] + " "))
        tokens += 1
    return tokens


def _delta(text: str) -> TextDelta:
    from jetbox.engine.events import TextDelta

    return TextDelta(text=text)


if __name__ == "__main__":
    raise SystemExit(main())
