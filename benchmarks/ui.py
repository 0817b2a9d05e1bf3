"""How soon the screen answers, measured on a real terminal: start-up, keys and tokens while a model streams.

    python benchmarks/ui.py [--quick] [--only startup|rates|lengths|rounds|corners|beside|side] [--json FILE]

The terminal is a pty of 120x40 whose reader time-stamps each read and answers the query for
synchronized output. Keys are typed all the time, 20 to 60 ms apart: one is answered when the
terminal has got it. A token is late by the time from when it was due to the first bytes that
hold it, or a later one. `beside` runs the same workbench with Textual's MarkdownStream in the
place of the transcript. `side` is the panel alone, ten times a second and without keys, less
what the same screen takes when nothing happens. Rounds that are over are whole ones: a request and its answer, text, a
call with its diff, two verdicts, spans. The panel is fed those too, and memory is that of a session of them.

Warmed are the starts, by two before those that count: they leave compiled modules, these in one file, and the kept
colours for them. A case counts from a second after its rounds and the message of its length were handed over; what the
first tokens and keys cost beyond later ones is in its figures.

All figures stand against their goals at the end, and the exit code says whether all that were measured are met. The
goals are for a machine that imports Textual in 130 ms; what this one takes for it, and for the first frame of an
application of Textual's that shows one line and nothing else, is measured between the starts.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.terminal import Terminal, share

from jetbox.engine.errors import ExitCode

MARK = re.compile(rb"q(\d{6})z")
TYPED = re.compile(rb"#([A-Z])([a-z]*)")
CYCLE = 18
"""Letters typed before the line is cleared."""
WORDS = re.findall(
    r"\w+",
    "the quick agent reads file then plans next step and calls tool with args to probe cache while model decodes more "
    "text for user",
)
ROUND = "The **package** is complete: both `add` and `multiply` are typed and tested, and ruff finds nothing.\n" * 6
DIFF = """--- a/{0}
+++ b/{0}
@@ -1,3 +1,4 @@
 def add(a: int, b: int) -> int:
-    return a - b
+    # both are whole
+    return a + b
 
"""
MS = 1_000_000
HEAD = (
    f"{'case':<26}{'keys p50':>9}{'p95':>7}{'p99':>7}{'lag p50':>9}{'p95':>7}{'cpu':>7}{'kB/s':>7}{'MiB':>6}{'peak':>6}"
)

Case = dict[str, Any]
Figures = dict[str, float]
BARE = """
from textual.app import App
from textual.widgets import Static

class Bare(App):
    def compose(self):
        yield Static("a bare frame")

Bare().run()
"""
"""As little of Textual as there can be on a screen."""
WORST: tuple[Case, ...] = (
    {"rate": 10_000, "length": 100_000, "rounds": 10_000},
    {"rate": 10_000, "length": 1000, "rounds": 10_000},
    {"rate": 10_000, "length": 100_000, "rounds": 0},
    {"rate": 500, "length": 100_000, "rounds": 10_000},
)
"""Where several of rate, length and rounds are at their most; the groups before vary one each."""
TYPED_S = (0.0, 0.005, 0.015, 0.03, 0.06, 0.1, 0.15, 0.2)
"""How long after a start the first keys are typed, one start after another: from its first instant on."""
KEPT_S = 2.5
"""How long a start has to keep what the next ones find."""
GOALS = {
    "skeleton painted, ms": 20.0,
    "first frame, ms": 180.0,
    "first key echoed, ms": 220.0,
    "starts that lost a key": 0.0,
    "keys at 500/s, p50, ms": 6.0,
    "keys at 500/s, p95, ms": 10.0,
    "keys, worst p95, ms": 17.0,
    "keys, worst p99, ms": 25.0,
    "lag at 500/s, p50, ms": 20.0,
    "lag at 500/s, p95, ms": 40.0,
    "processor at 500/s, %": 15.0,
    "10,000 rounds, key p50 over none": 1.5,
    "most memory, MiB": 80.0,
    "peak memory, MiB": 80.0,
    "side panel at 10 Hz, %": 3.0,
}
"""What is aimed at, and at most."""


def cases(quick: bool, chosen: Sequence[str] = ()) -> dict[str, list[Case]]:
    """What is measured, by group; what takes minutes beside us only where it is chosen."""
    seconds = 4 if quick else 8
    base: Case = {"rate": 500, "length": 1000, "rounds": 0, "seconds": seconds, "kind": "transcript"}
    lengths = (20_000,) if quick else (20_000, 100_000)
    rounds = (200, 10_000) if quick else (200, 2000, 10_000)
    beside = [base | {"kind": "markdown"}]
    if not quick and "beside" in chosen:
        beside += [base | {"kind": "markdown", "rate": 2000}, base | {"kind": "markdown", "length": 20_000}]
    return {
        "rates": [base | {"rate": rate} for rate in ((500, 10_000) if quick else (100, 500, 2000, 10_000))],
        "lengths": [base | {"length": length} for length in lengths],
        "rounds": [base | {"rounds": count} for count in rounds],
        "corners": [base | corner for corner in (WORST[:1] if quick else WORST)],
        "beside": beside,
        "side": [base | {"kind": kind, "rate": 0} for kind in ("idle", "panel")],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    groups = cases(False)
    parser.add_argument("--quick", action="store_true", help="fewer cases, shorter ones")
    parser.add_argument("--only", choices=["startup", *groups], action="append")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        asyncio.run(draw(json.loads(options.child)))
        return 0
    chosen = options.only or ["startup", *groups]
    out: dict[str, Any] = {}
    if "startup" in chosen:
        out["startup"] = startup(3 if options.quick else 9)
    print(HEAD)
    ran: list[tuple[Case, Figures]] = []
    for group, members in cases(options.quick, options.only or ()).items():
        for case in members if group in chosen else ():
            figures = measure(case)
            print(line(case, figures), flush=True)
            out[name_of(case)] = figures
            ran.append((case, figures))
    judged = reached(out.get("startup"), ran)
    table(judged)
    if options.json:
        options.json.write_text(json.dumps(out, indent=1), encoding="utf-8")
    return 0 if all(map(met, judged, judged.values())) else int(ExitCode.BENCH_GATE)


def met(name: str, value: float) -> bool:
    """Whether a figure reaches its goal."""
    return value <= GOALS[name]


def table(judged: Figures) -> None:
    """Every figure against its goal."""
    print(f"\n{'against the goals':<36}{'here':>9}{'goal':>8}")
    for name, value in judged.items():
        print(f"{name:<36}{value:>9.1f}{GOALS[name]:>8g}  {'met' if met(name, value) else 'missed'}")


def reached(started: Figures | None, ran: Sequence[tuple[Case, Figures]]) -> Figures:
    """The figures that have a goal, as far as they were measured."""
    out: Figures = {}
    if started is not None:
        figures = (started["skeleton"], started["frame"], started["key"], started["lost"])
        out |= dict(zip(list(GOALS)[:4], figures, strict=True))
    ours = [(case, found) for case, found in ran if case["kind"] == "transcript"]
    usual = next(
        (found for case, found in ours if (case["rate"], case["length"], case["rounds"]) == (500, 1000, 0)), None
    )
    if usual is not None:
        out |= {f"keys at 500/s, p{n}, ms": usual[f"key{n}"] for n in (50, 95)}
    if ours:
        out |= {f"keys, worst p{n}, ms": max(found[f"key{n}"] for _, found in ours) for n in (95, 99)}
    if usual is not None:
        out |= {f"lag at 500/s, p{n}, ms": usual[f"lag{n}"] for n in (50, 95)}
        out["processor at 500/s, %"] = usual["cpu"] * 100
        long = next((found for case, found in ours if case["rounds"] == 10_000), None)
        if long is not None:
            out["10,000 rounds, key p50 over none"] = long["key50"] / usual["key50"]
    if ours:
        out["most memory, MiB"] = max(found["mib"] for _, found in ours)
        out["peak memory, MiB"] = max(found["peak"] for _, found in ours)
    alone = {case["kind"]: found for case, found in ran if case["kind"] in ("idle", "panel")}
    if len(alone) == 2:
        out["side panel at 10 Hz, %"] = (alone["panel"]["cpu"] - alone["idle"]["cpu"]) * 100
    return {name: out[name] for name in GOALS if name in out}


def name_of(case: Case) -> str:
    kind = "" if case["kind"] == "transcript" else f"{case['kind']} "
    return f"{kind}{case['rate']}/s {case['length']} tok {case['rounds']} r"


def line(case: Case, found: Figures) -> str:
    return (
        f"{name_of(case):<26}{found['key50']:>9.1f}{found['key95']:>7.1f}{found['key99']:>7.1f}{found['lag50']:>9.1f}"
        f"{found['lag95']:>7.1f}{found['cpu']:>7.1%}{found['kbs']:>7.0f}{found['mib']:>6.0f}{found['peak']:>6.0f}"
    )


def startup(times: int) -> Figures:
    """From the start of the process to skeleton, first frame and first key; keys typed before are to be there."""
    names = ("skeleton", "frame", "key", "then", "cpu", "textual", "bare", "its cpu")
    found: dict[str, list[float]] = {name: [] for name in names}
    lost = 0
    with tempfile.TemporaryDirectory() as home:
        environ = {"HOME": home, "XDG_CONFIG_HOME": f"{home}/c", "XDG_DATA_HOME": f"{home}/d"}
        environ |= {"XDG_STATE_HOME": f"{home}/s", "XDG_CACHE_HOME": f"{home}/k", "OLLAMA_HOST": "http://127.0.0.1:9"}
        command = [sys.executable, "-c", "from jetbox.cli.main import console; console()", "-C", home, "--no-session"]
        for attempt in range(-1, times + 1):
            figures = start(command, environ, KEPT_S if attempt < 1 else 0, TYPED_S[attempt % len(TYPED_S)])
            lost += "key" not in figures
            began = time.monotonic()
            subprocess.run([sys.executable, "-c", "import textual.app"], check=True)
            figures["textual"] = (time.monotonic() - began) * 1000
            figures |= bare(environ)
            if attempt > 0 and "key" in figures:
                for name, value in figures.items():
                    found[name].append(value)
    medians = {name: statistics.median(values) for name, values in found.items() if values}
    least = {name: min(values) for name, values in found.items() if values}
    print(f"start-up, n = {times}, ms: {'':<6}" + "".join(f"{name:>10}" for name in medians))
    for said, values in (("median", medians), ("least", least)):
        print(f"{said:>31}" + "".join(f"{value:>10.0f}" for value in values.values()))
    print("(`then`: a key after the first frame; `cpu`: until the first key; `textual`: import of it alone;")
    print("`bare`: the first frame of Textual with one line)\n")
    return medians | {"lost": lost}


def bare(environ: dict[str, str]) -> Figures:
    """The first frame of next to nothing, ms."""
    terminal = Terminal([sys.executable, "-c", BARE], environ)
    shown = terminal.wait_for(rb"a bare frame", 20)
    cpu = terminal.computed_ms()
    terminal.end()
    if shown is None:
        raise SystemExit("an application of Textual's shows nothing here")
    return {"bare": (shown - terminal.begun) * 1000, "its cpu": cpu}


def start(command: list[str], environ: dict[str, str], stays: float, typed_after: float) -> Figures:
    """One start, ms; without "key" where a key was lost. Keys come so long after it; it `stays` for so long, s."""
    terminal = Terminal(command, environ)
    terminal.pump_until(terminal.begun + typed_after)
    terminal.write(b"#Aab")
    skeleton = terminal.wait_for(rb"\x1b\[\?1049h", 20)
    if skeleton is None:
        raise SystemExit(b"".join(data for _, data in terminal.reads).decode(errors="replace"))
    # What stands there before is the terminal's own echo.
    early = terminal.wait_for(rb"#Aab", 20, skeleton)
    cpu = terminal.computed_ms()
    frame = terminal.time_of(rb"no model yet")
    typed = terminal.write(b"c")
    answered = terminal.wait_for(rb"#Aabc|b\x1b[^A-Za-z]*[Hm]c", 20, typed)
    terminal.pump_until(time.monotonic() + stays)
    terminal.end()
    out = {"skeleton": (skeleton - terminal.begun) * 1000}
    if early is not None and answered is not None:
        out |= {"frame": ((frame or early) - terminal.begun) * 1000, "key": (early - terminal.begun) * 1000}
        out |= {"then": (answered - typed) * 1000, "cpu": cpu}
    return out


def measure(case: Case) -> Figures:
    """Run one case; ms, share of a core, kB/s, MiB."""
    with tempfile.TemporaryDirectory() as folder:
        case = case | {"out": f"{folder}/figures.json", "ready": f"{folder}/ready"}
        terminal = Terminal([sys.executable, __file__, "--child", json.dumps(case)], {"HOME": folder})
        while not Path(case["ready"]).exists():
            if not terminal.pump(0.02):
                raise SystemExit(b"".join(data for _, data in terminal.reads[-3:]).decode(errors="replace"))
        keys = type_on(terminal, Path(case["out"])) if case["kind"] not in ("idle", "panel") else []
        while not Path(case["out"]).exists():
            terminal.pump(0.02)
        terminal.end()
        told = json.loads(Path(case["out"]).read_text(encoding="utf-8"))
    begin, end = told["begin"], told["end"]
    waited = [seconds * 1000 for at, seconds in answers(terminal.reads, keys) if begin <= at <= end]
    lags = [seconds * 1000 for seconds in lateness(terminal.reads, told["marks"])]
    sent = sum(len(data) for at, data in terminal.reads if begin <= at <= end)
    return {
        **{f"key{n}": share(waited, n) for n in (50, 95, 99)},
        **{f"lag{n}": share(lags, n) for n in (50, 95)},
        "keys": len(waited),
        "cpu": told["cpu"] / (end - begin),
        "kbs": sent / (end - begin) / 1000,
        "mib": told["mib"],
        "peak": told["peak"],
    }


Key = tuple[float, int, int]
"""When it was typed, the line's number, and how many letters the line has with it."""


def type_on(terminal: Terminal, until: Path) -> list[Key]:
    """Type lines of letters until the child has told its figures."""
    chance, keys, number = random.Random(3), list[Key](), 0
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and not until.exists():
        for begin in (b"\x15", b"#", bytes([65 + number % 26])):
            terminal.write(begin)
            terminal.pump_until(time.monotonic() + 0.06)
        for letter in range(CYCLE):
            keys.append((terminal.write(bytes([97 + letter])), number % 26, letter + 1))
            terminal.pump_until(time.monotonic() + chance.uniform(0.02, 0.06))
        number += 1
    return keys


def answers(reads: Sequence[tuple[float, bytes]], keys: list[Key]) -> list[tuple[float, float]]:
    """For each key when it was typed and how long until the terminal had it, s; 8 where it never came."""
    seen: dict[int, list[tuple[float, int]]] = {}
    carried = b""
    for at, data in reads:
        buffer = carried + data
        for found in TYPED.finditer(buffer):
            seen.setdefault(found[1][0] - 65, []).append((at, len(found[2])))
        carried = buffer[-64:]
    out = []
    for at, number, length in keys:
        after = (when for when, letters in seen.get(number, ()) if at <= when < at + 8 and letters >= length)
        out.append((at, next(after, at + 8) - at))
    return out


def lateness(reads: Sequence[tuple[float, bytes]], marks: list[tuple[int, float]]) -> list[float]:
    """How long after it was due each marked token, or a later one, was on the terminal, s."""
    seen: list[tuple[int, float]] = []
    carried, newest = b"", -1
    for at, data in reads:
        buffer = carried + data
        for found in MARK.finditer(buffer):
            if int(found[1]) > newest:
                newest = int(found[1])
                seen.append((newest, at))
        carried = buffer[-64:]
    out, n = [], 0
    for number, due in marks:
        while n < len(seen) and seen[n][0] < number:
            n += 1
        out.append(max(0.0, seen[n][1] - due) if n < len(seen) else 8.0)
    return out


async def draw(case: Case) -> None:
    """The process that draws: a session whose model streams as the case says."""
    from jetbox.engine.session import NoRecorder, Session
    from jetbox.ui.app import JetboxApp

    session = Session(NoRecorder())

    async def engine() -> int:
        await app.workbench.reached(open_session(session, case))
        put = await beside(app, case) if case["kind"] == "markdown" else told(session)
        await put(text_of(case["length"], 7))
        await asyncio.sleep(0.6)
        await asyncio.to_thread(Path(case["ready"]).touch)
        await asyncio.sleep(0.4)
        figures = await (stream(put, case) if case["rate"] else panel(app.workbench, case))
        await asyncio.sleep(0.3)
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        for name, field in (("mib", "VmRSS"), ("peak", "VmHWM")):
            found = re.search(rf"{field}:\s+(\d+)", status)
            figures[name] = int(found[1]) / 1024 if found else 0.0
        spare = Path(case["out"] + ".part")
        spare.write_text(json.dumps(figures), encoding="utf-8")
        spare.rename(case["out"])
        await asyncio.Event().wait()
        return 0

    app = JetboxApp(session.feed(), driver=engine)
    await app.run_async()


async def stream(put: Any, case: Case) -> dict[str, Any]:
    """Hand the tokens over when they are due."""
    rate, count = case["rate"], int(case["rate"] * case["seconds"])
    # Made before: what a model says is no work of the screen's.
    source, every = itertools.cycle(list(itertools.islice(tokens(11), 5000))), max(1, case["rate"] // 50)
    marks: list[tuple[int, float]] = []
    cpu, begin, sent = time.process_time(), time.monotonic(), 0
    while sent < count and time.monotonic() - begin < case["seconds"] * 3:
        due, parts = min(count, int((time.monotonic() - begin) * rate) + 1), []
        while sent < due:
            token = next(source)
            if sent % every == 0:
                token = f" q{len(marks):06d}z "
                marks.append((len(marks), begin + sent / rate))
            parts.append(token)
            sent += 1
        for token in parts:
            await put(token)
        await asyncio.sleep(max(0.0005, min(0.01, begin + sent / rate - time.monotonic())))
    end = time.monotonic()
    return {"begin": begin, "end": end, "marks": marks, "cpu": time.process_time() - cpu}


async def panel(bench: Any, case: Case) -> dict[str, Any]:
    """Nothing but the panel beside, with rounds that end ten times a second; or nothing at all."""
    from jetbox.engine.session import NoRecorder, Session

    apart = Session(NoRecorder())
    told = apart.feed()
    cpu, begin = time.process_time(), time.monotonic()
    while time.monotonic() - begin < case["seconds"]:
        if case["kind"] == "panel":
            emit_round(apart)
            for stamped in told.drain().events:
                bench.view.apply(stamped)
            bench.side.show(bench.view, bench.source.now())
            bench.show_at_once(bench.side)
        await asyncio.sleep(0.1)
    return {"begin": begin, "end": time.monotonic(), "marks": [], "cpu": time.process_time() - cpu}


def tokens(seed: int) -> Any:
    """Endless tokens of markdown, about 4.7 characters each."""
    chance = random.Random(seed)
    while True:
        kind = chance.random()
        if kind < 0.12:
            yield from ("\n## ", *(f"{word} " for word in chance.sample(WORDS, 5)), "\n\n")
        elif kind < 0.3:
            for _ in range(5):
                yield from ("- ", f"**{chance.choice(WORDS)}** ", *(f"{w} " for w in chance.sample(WORDS, 8)), "\n")
            yield "\n"
        elif kind < 0.45:
            yield "\n```python\n"
            for n in range(8):
                yield from ("def ", chance.choice(WORDS), "(x):", "\n", "    return ", "x + ", str(n), "\n")
            yield "```\n\n"
        else:
            yield from (f"{chance.choice(WORDS)} " for _ in range(chance.randint(25, 70)))
            yield "\n\n"


def text_of(count: int, seed: int) -> str:
    source = tokens(seed)
    return "".join(next(source) for _ in range(count))


def open_session(session: Any, case: Case) -> int:
    """A session with the rounds of the case; returns its last event's number."""
    from jetbox.engine import events as e

    session.emit(e.SessionOpened(format=1, id="bench", created="", workspace="/tmp/bench", app="0", model="bench"))
    session.emit(e.GoalStarted(goal=1, text="stream"))
    for _ in range(case["rounds"]):
        emit_round(session)
    session.round += 1
    last: int = session.emit(e.RoundStarted(model="bench")).seq
    if case["kind"] in ("idle", "panel"):  # nothing runs
        last = session.emit(e.GoalEnded(goal=1, outcome="done", reason="", exit_code=0)).seq
    return last


def emit_round(session: Any) -> None:
    """One that is over, with all that a round tells."""
    from jetbox.engine import events as e
    from jetbox.engine.clock import Span

    session.round += 1
    number = session.round
    call, red, path = f"c{number}", not number % 50, f"package/module_{number % 40}.py"
    begun = session.emit(e.RoundStarted(model="bench", limit=24)).t
    session.emit(
        e.RequestSent(attempt=1, head="h", count=2, tail="t", sha="s", bytes=4000, estimate=900 + number % 500)
    )
    session.emit(e.TextDelta(text=ROUND))
    counts: dict[str, Any] = {"prompt_eval_count": 1500 + number % 500, "eval_count": 60, "eval_duration": 500 * MS}
    wall = (500 + number % 90) * MS
    session.emit(
        e.ModelAnswered(attempt=1, done_reason="stop", ttft_ns=88 * MS, wall_ns=wall, chunks=20, metrics=counts)
    )
    session.emit(
        e.ToolCalled(call=call, name="edit_file", arguments=f'{{"path": "{path}"}}', title=f"edit_file {path}")
    )
    session.emit(e.ToolStarted(call=call))
    changes = (e.FileChange(path, "modified", added=2, removed=1),)
    session.emit(
        e.ToolEnded(call=call, state="ok", text="edited", duration_ns=3 * MS, changes=changes, diff=DIFF.format(path))
    )
    for name, summary, failing in (("ruff", "0 problems", False), ("pytest", "12 passed", red)):
        said, output = ("1 of 12 failed: test_x", "FAILED test_x - assert 5 == 6") if failing else (summary, "")
        session.emit(e.ProbeStarted(name=name))
        state: Any = "failed" if failing else "passed"
        session.emit(
            e.ProbeEnded(name=name, state=state, cache="ran", summary=said, output=output, duration_ns=20 * MS)
        )
    phases = {"prompt eval": 88 * MS, "decode": wall - 88 * MS, "tools": 3 * MS, "probe": 20 * MS}
    starts = itertools.accumulate(phases.values(), initial=begun)
    spans = tuple(Span(name, at, at + ns) for (name, ns), at in zip(phases.items(), starts, strict=False))
    session.emit(e.RoundEnded(wall_ns=sum(phases.values()), phases=phases, spans=spans, tier="fast", tools=1))


def told(session: Any) -> Any:
    """Tokens as events of the session."""
    from jetbox.engine.events import TextDelta

    async def put(token: str) -> None:
        session.emit(TextDelta(text=token))

    return put


async def beside(app: Any, case: Case) -> Any:
    """Tokens into Textual's own stream of markdown, where the transcript stands."""
    from textual.containers import VerticalScroll
    from textual.widgets import Markdown

    holder = VerticalScroll()
    app.workbench.transcript.display = False
    await app.workbench.query_one("#body").mount(holder, before=0)
    shown = Markdown("")
    await holder.mount(shown)
    holder.anchor()
    return Markdown.get_stream(shown).write


if __name__ == "__main__":
    raise SystemExit(main())
