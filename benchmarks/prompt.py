"""The input under load: @completion among many files, and a large paste, on a real terminal.

    python benchmarks/prompt.py [--files 50000] [--paste 1048576] [--json FILE]

Every key is timed from when it is written to the terminal until its letter comes back. Keys are
typed while the files are still being listed, while a list is offered, and right behind the paste.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.terminal import Terminal, share

PATIENCE_S = 20.0
KEYS = "QXZJWVKU"
"""Letters that no name of a file, and nothing else on the screen, has."""
MEMORY = "/dev/shm"
"""Where making files costs next to nothing."""
NEEDLE = "needle_in_the_hay.py"
BETWEEN_S = 0.05


class Keyboard(Terminal):
    """A terminal that takes more than its buffer holds."""

    def write_all(self, data: bytes) -> None:
        """Type all of it, as fast as it is read."""
        while data:
            data = data[os.write(self._fd, data[:4096]) :]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--paste", type=int, default=1024 * 1024, help="bytes")
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        asyncio.run(draw(options.child))
        return 0
    with tempfile.TemporaryDirectory(dir=MEMORY if os.path.isdir(MEMORY) else None) as folder:
        fill(Path(folder) / "work", options.files)
        figures = measure(Path(folder), options.paste)
    for name, value in figures.items():
        print(f"{name:<44}{value:>10.1f} ms")
    if options.json:
        options.json.write_text(json.dumps({"files": options.files, "paste": options.paste, "ms": figures}) + "\n")
    return 0


def fill(root: Path, files: int) -> None:
    """A tree with so many files, and one to be found."""
    for n in range(0, files, 200):
        folder = root / f"part{n // 4000}" / f"module{n // 200}"
        folder.mkdir(parents=True)
        for m in range(min(200, files - n)):
            (folder / f"file_{n + m}.py").touch()
    deep = root / "part0" / "module0" / "deep"
    deep.mkdir(exist_ok=True)
    (deep / NEEDLE).touch()


async def draw(workspace: str) -> None:
    """The child: the workbench on a session that waits."""
    from jetbox.engine import events as e
    from jetbox.engine.session import NoRecorder, Session
    from jetbox.ui.app import JetboxApp

    session = Session(NoRecorder())
    feed = session.feed()
    session.emit(e.SessionOpened(format=1, id="bench", created="", workspace=workspace, app="0", model="bench"))

    async def engine() -> int:
        await asyncio.Event().wait()
        return 0

    await JetboxApp(feed, driver=engine).run_async()


def measure(folder: Path, paste: int) -> dict[str, float]:
    """Type, and see when it comes back; ms."""
    command = [sys.executable, __file__, "--child", str(folder / "work")]
    terminal = Keyboard(command, {"HOME": str(folder)})
    try:
        found(terminal, b"can be typed|done here", 0.0)
        terminal.pump_until(time.monotonic() + 0.5)
        figures: dict[str, float] = {}
        at = terminal.write(b"@")
        listing = echoes(terminal, KEYS)
        figures |= spread("key while the files are listed", listing)
        terminal.write(b"\x7f" * len(KEYS))
        figures["first list of files"] = ms(found(terminal, rb"file_\d+\.py", at), at)
        at = terminal.write(NEEDLE[:5].encode())
        figures["file found by five letters"] = ms(found(terminal, NEEDLE.encode(), at), at)
        figures |= spread("key while files are offered", echoes(terminal, KEYS))
        terminal.write(b"\x03")
        terminal.pump_until(time.monotonic() + 3.0)
        return figures | pasted(terminal, paste)
    finally:
        terminal.end()


def pasted(terminal: Keyboard, size: int) -> dict[str, float]:
    """A paste of so many bytes, and keys right behind it."""
    line = b"a line of what was pasted, as long as lines of a log are ............\n"
    data = b"\x1b[200~" + line * (size // len(line)) + b"\x1b[201~"
    begun = time.monotonic()
    # A terminal takes a paste only as fast as it is read: meanwhile what is drawn has to be read, too.
    writing = threading.Thread(target=terminal.write_all, args=(data,))
    writing.start()
    while writing.is_alive():
        terminal.pump(0.01)
    taken = time.monotonic()
    shown = found(terminal, rb"\[pasted", begun)
    after = echoes(terminal, KEYS)
    return {
        "paste read from the terminal": ms(taken, begun),
        "paste shown after its last byte": max(0.0, ms(shown, taken)),
        **spread("key right behind the paste", after),
    }


def echoes(terminal: Terminal, keys: str) -> list[float]:
    """How long each key took to come back, ms."""
    out = []
    for key in keys:
        at = terminal.write(key.encode())
        out.append(ms(found(terminal, re.escape(key).encode(), at), at))
        terminal.pump_until(at + BETWEEN_S)
    return out


def found(terminal: Terminal, pattern: bytes, since: float) -> float:
    """When it came."""
    at = terminal.wait_for(pattern, PATIENCE_S, since)
    if at is None:
        seen = b"".join(data for _, data in terminal.reads)[-600:]
        raise SystemExit(f"never on the screen: {pattern!r}; but {seen!r}")
    return at


def ms(end: float, begin: float) -> float:
    return (end - begin) * 1000


def spread(name: str, values: list[float]) -> dict[str, float]:
    return {f"{name}, p50": share(values, 50), f"{name}, worst": max(values)}


if __name__ == "__main__":
    sys.exit(main())
