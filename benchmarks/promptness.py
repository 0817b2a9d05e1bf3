"""How soon the program does what nobody should wait for: end, list sessions, seek in a recording, choose tests.

    python benchmarks/promptness.py [--runs 5]

- exit: from the event that ends the goal to the end of the process
- SIGINT: from the signal to the end of the process, while an answer stalls and while a command ignores it twice
- list: 200 sessions of 100 kB, `seek`: any event of 100,000, `choose`: the tests for a change in 1,000 modules

Each row is the median with the bound that it has to keep on two idle cores; a miss is the exit code 1.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from jetbox.engine import events as e
from jetbox.engine.events import Stamped
from jetbox.engine.probes.affected import Affected
from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.record import library
from jetbox.record.journal import JournalWriter
from jetbox.record.playback import Playback, read_journal
from jetbox.sim.launch import ServerProcess

BOUNDS_MS = {
    "exit": 1000.0,
    "SIGINT in an answer": 1500.0,
    "SIGINT in a command": 2000.0,
    "list": 1000.0,
    "seek": 50.0,
    "choose": 20.0,
}
STALLS = '[script]\nname = "s"\nmatch = "."\n[[step]]\ntext = "One two three."\nfault = "stall@:1"\n'
ANSWERS = '[script]\nname = "s"\nmatch = "."\n[[step]]\ntext = "Yes."\n'
COMMAND = (
    '[script]\nname = "s"\nmatch = "."\n[[step]]\ntext = "Now."\n[[step.call]]\nname = "run_cmd"\n'
    "arguments = { command = \"trap '' TERM INT; echo begun; while :; do sleep 1; done\" }\n"
)


@contextmanager
def running(folder: Path, script: str) -> Iterator[subprocess.Popen[bytes]]:
    """A goal under way that prints its events."""
    (folder / "work").mkdir(parents=True)
    (folder / "s.toml").write_text(script)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("JETBOX_", "OLLAMA_", "XDG_"))}
    program = str(Path(sys.executable).with_name("jetbox-tui"))
    words = ["run", "--yolo", "--output-format", "stream-json", "--set", "probes.enabled=false", "--", "Do it"]
    with ServerProcess(scripts=[str(folder / "s.toml")], speed=0) as server:
        process = subprocess.Popen(
            [program, *words],
            cwd=folder / "work",
            env={**environment, "HOME": str(folder), "OLLAMA_HOST": server.url, "OLLAMA_MODEL": "gpt-oss:20b"},
            stdout=subprocess.PIPE,
        )
        with process:
            yield process


def ended(folder: Path, script: str, kind: str, signals: int) -> float:
    """Seconds from an event, and so many interrupts at once, to the end."""
    with running(folder, script) as process:
        assert process.stdout is not None
        for line in process.stdout:
            envelope = json.loads(line)
            if (envelope.get("event") or envelope["deltas"])["type"] == kind:
                break
        began = perf_counter()
        for _ in range(signals):
            process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.wait()
        return perf_counter() - began


def write(folder: Path, events: list[e.AnyEvent]) -> Path:
    """A recording of these events."""
    writer = JournalWriter.create(folder)
    for number, event in enumerate(events):
        writer.record(Stamped(number, number * 1000, 1, event))
    asyncio.run(writer.sync())
    writer.release()
    return folder


def opened(name: str) -> e.AnyEvent:
    return e.SessionOpened(format=1, id=name, created="", workspace="/w", app="0")


def listed(folder: Path) -> float:
    """Seconds to list 200 sessions."""
    for n in range(200):
        filler: list[e.AnyEvent] = [e.Notice(level="info", text="x" * 2000) for _ in range(50)]
        write(folder / f"{n:03}", [opened(f"{n:03}"), *filler])
    began = perf_counter()
    assert len(library.summaries(folder)) == 200
    return perf_counter() - began


def sought(folder: Path) -> float:
    """Seconds to another event."""
    recording = read_journal(write(folder, [opened("s"), *(e.TextDelta(text="token ") for _ in range(100_000))]))
    playback = Playback(recording)
    playback.drain()
    spent = []
    for n in (99_999, 10, 70_000, 500, 99_000):
        began = perf_counter()
        playback.seek_seq(n)
        playback.drain()
        spent.append(perf_counter() - began)
    return statistics.median(spent)


def chosen(folder: Path) -> float:
    """Seconds to choose the tests for a changed module, where imports are all that is known."""
    (folder / "pkg").mkdir(parents=True)
    (folder / "tests").mkdir()
    for n in range(1000):
        (folder / f"pkg/m{n}.py").write_text(f"from pkg.m{n // 3} import f as g\n\n\ndef f():\n    return {n}\n")
    for n in range(300):
        (folder / f"tests/test_{n}.py").write_text(f"from pkg import m{3 * n}\n\n\ndef test_f():\n    pass\n")

    async def measure() -> float:
        tree = Tree(folder, out_of_scope)
        affected = Affected(folder, None)
        before = await tree.sweep()
        await affected.update(before)
        spent = []
        for n in range(20):
            (folder / "pkg/m500.py").write_text(f"from pkg.m166 import f as g\n\n\ndef f():\n    return {-n}\n")
            now = await tree.sweep()
            await affected.update(now)
            began = perf_counter()
            await affected.select(before, now, now.changed(before))
            spent.append(perf_counter() - began)
        return statistics.median(spent)

    return asyncio.run(measure())


CASES: dict[str, Callable[[Path], float]] = {
    "exit": lambda folder: ended(folder, ANSWERS, "goal.ended", 0),
    "SIGINT in an answer": lambda folder: ended(folder, STALLS, "model.text", 1),
    "SIGINT in a command": lambda folder: ended(folder, COMMAND, "tool.output", 2),
    "list": listed,
    "seek": sought,
    "choose": chosen,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="runs of each case (default 5)")
    runs = parser.parse_args().runs
    missed = 0
    for name, measure in CASES.items():
        spent = []
        for _ in range(runs):
            with tempfile.TemporaryDirectory(prefix="jetbox-bench-") as place:
                spent.append(measure(Path(place) / "case") * 1000)
        middle, bound = statistics.median(spent), BOUNDS_MS[name]
        missed += middle > bound
        print(f"{name:<22}{middle:9.1f} ms   bound {bound:6.0f} ms{'   MISSED' if middle > bound else ''}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
