"""States of the screen that are worth looking at: what happened before, and the keys that lead there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from textual.pilot import Pilot

from jetbox.engine import events as e
from jetbox.engine.commands import Close
from jetbox.record.journal import JournalWriter
from jetbox.record.library import find, keep_label
from jetbox.record.playback import read_journal
from jetbox.settings.load import load, parse_assignment
from jetbox.ui.app import JetboxApp
from jetbox.ui.glyphs import UNICODE, Glyphs
from ui.conftest import until
from ui.played import EDIT, MS, Stage, first_round, opened, second_round, stamped, third_round, whole
from ui.test_missing import MISSING
from ui.test_models import SMALL
from ui.test_plan_card import MADE, begun, ended
from ui.test_replay import playback
from ui.test_request import asked
from ui.test_undo import PLAN

READERS = ("sessions", "glimpse", "settings")
"""Workers that read what a screen shows."""
THEMES = Path(__file__).resolve().parents[2] / "themes"
ASKED = e.PermissionAsked(
    id="p1", call="c9", kind="write", title="edit_file mathx/__init__.py", diff=EDIT, why="the mode is ask",
    scope="edit_file, any file of the workspace",
)  # fmt: skip
COMMAND = e.PermissionAsked(
    id="p2", call="c9", kind="command", title="run_cmd pip install numpy", why="no sandbox works here",
    scope="run_cmd pip install",
)  # fmt: skip
QUESTION = e.QuestionAsked(
    id="q1.1", call="c7",
    question="Which database shall the shop be kept in?\nIt can be changed later, but not without a migration.",
    choices=("SQLite, a file beside the code", "PostgreSQL, as on the server"),
)  # fmt: skip
INQUIRY: tuple[e.AnyEvent, ...] = (
    e.ToolCalled(call="c7", name="ask_user", arguments="{}", title=f"ask_user {QUESTION.title}"),
    e.ToolStarted(call="c7"),
    QUESTION,
)
FAILED = e.GoalEnded(
    goal=1, outcome="failed", reason="nothing answers at http://127.0.0.1:11434", exit_code=6, rounds=1,
    hint="start it with `ollama serve`, or try --demo",
)  # fmt: skip
MODELS = e.ModelsListed(
    models=(
        e.ListedModel(
            name="gpt-oss:20b", size=13_793_441_244, parameters="20.9B", quantisation="MXFP4", max_ctx=131_072,
            capabilities=("completion", "tools", "thinking"), loaded=True, memory=14_598_747_612,
            memory_gpu=14_598_747_612, window=16_384, expires=1_750_000_000_000, load_ns=8_200_000_000,
            prefill=4500.0, decode=147.0, ttft_ns=88_000_000, calls=41, calls_ok=40,
        ),
        e.ListedModel(
            name="llama3.2:3b", size=2_019_393_189, parameters="3.2B", quantisation="Q4_K_M", max_ctx=131_072,
            capabilities=("completion", "tools"), load_ns=2_000_000_000, prefill=8000.0, decode=212.0,
            ttft_ns=60_000_000, calls=20, calls_ok=17,
            cost=e.SwitchCost(load_ns=2_000_000_000, prefill_ns=325_000_000, tokens=2600),
        ),
        e.ListedModel(name="gemma2:2b", size=1_629_518_495, parameters="2.6B", quantisation="Q4_0",
                      capabilities=("completion",), lacks="cannot call tools"),
    ),
    tokens=2600, manages=True,
)  # fmt: skip
OWN: tuple[e.AnyEvent, ...] = (
    e.ShellStarted(call="shell.1", command="git status --short"),
    e.ShellEnded(
        call="shell.1",
        state="ok",
        text="exit code 0\n M mathx/__init__.py\n?? notes.md",
        duration_ns=9_000_000,
        told=True,
    ),
    e.ShellStarted(call="shell.2", command="make docs"),
    e.ToolOutput(call="shell.2", text="building the pages\n"),
)
QUEUED = e.QueueChanged(items=("use floats as well", "and write a README"))
DEGRADED = e.SandboxChosen(name="landlock", cannot=("keep .git read-only",))
SWITCHED = e.ModelSwitched(old="gpt-oss:20b", new="llama3.2:3b", reason="user", expected=SMALL.cost)
PAID = e.SwitchPaid(
    model="llama3.2:3b",
    cost=e.SwitchCost(load_ns=1_800 * MS, prefill_ns=1_210 * MS, tokens=9200),
    expected=SMALL.cost,
)
LOADING = e.Waiting(what="loading", detail="gpt-oss:20b, 12.9 GB", expected_ns=5000 * MS)
PULLING = e.ModelPulled(name="qwen3:8b", status="pulling", total=5_200_000_000, completed=1_300_000_000)


class State(msgspec.Struct, frozen=True):
    """How a screen comes about."""

    happened: tuple[e.AnyEvent, ...] = ()
    keys: tuple[str, ...] = ()
    then: tuple[e.AnyEvent, ...] = ()
    """What the engine answers to the keys."""
    more: tuple[str, ...] = ()
    """Keys after that."""
    wait_ms: float = 0
    """Time that passes before the keys."""
    recording: str = ""
    """A shipped recording of which everything happened, with its own times."""
    replayed: bool = False
    """It is a recording that is played."""
    ready: Callable[[JetboxApp, Path], None] | None = None
    """Puts in place what the screen looks for, in an empty folder."""


def recordings(app: JetboxApp, folder: Path) -> None:
    """Three earlier sessions."""
    app.workbench.sessions = folder / "sessions"
    for n, (goal, label) in enumerate((("Build the calculator", ""), ("Mend the parser", "parser day"), ("Why?", ""))):
        name = f"2026010{n + 1}-100000-000-aaaa"
        writer = JournalWriter.create(folder / "sessions" / name)
        for one in stamped(whole()):
            event = one.event
            if isinstance(event, e.SessionOpened):
                event = msgspec.structs.replace(event, id=name)
            elif isinstance(event, e.GoalStarted):
                event = msgspec.structs.replace(event, text=goal)
            writer.record(msgspec.structs.replace(one, event=event))
        writer.flush()
        writer.release()
        if label:
            keep_label(folder / "sessions" / name, label)


def _settings(app: JetboxApp, folder: Path) -> None:
    app.workbench.loaded = load(
        None, environment={"JETBOX_LOOP_MAX_ROUNDS": "7"}, flags=[parse_assignment("ui.notify=bell")]
    )


def _files(app: JetboxApp, folder: Path) -> None:
    for name in ("mathx/__init__.py", "mathx/arithmetic.py", "tests/test_mathx.py", "pyproject.toml"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    app.workbench.completer.root(folder)


IDLE = tuple(opened())
WHOLE = tuple(whole())
BEGUN = (*opened("edits"), *first_round())
STATES: dict[str, State] = {
    "idle": State(IDLE),
    "commands": State(IDLE, ("slash",)),
    "files": State(IDLE, tuple("see @"), ready=_files, more=("m",)),
    "loading": State((*IDLE, *first_round()[:3], LOADING)),
    "at-work": State((*BEGUN, *second_round()[:7], QUEUED)),
    "plan": State((*BEGUN, *second_round()[:2], MADE, begun("1"), begun("2"), ended("1"))),
    "red": State((*IDLE, *first_round(), *second_round())),
    "question": State((*IDLE, *first_round()[:8], ASKED)),
    "asked": State((*IDLE, *first_round()[:8], *INQUIRY)),
    "asked-typed": State((*IDLE, *first_round()[:8], *INQUIRY), wait_ms=500, keys=tuple("duckdb")),
    "command": State((*IDLE, *first_round()[:8], COMMAND)),
    "own-command": State((*BEGUN, *OWN), tuple("!git log")),
    "done": State(WHOLE),
    "expanded": State(WHOLE, ("ctrl+o",)),
    "failed": State((*opened()[:2], DEGRADED, *first_round()[:3], FAILED)),
    "switched": State((*BEGUN, SWITCHED, *second_round(), PAID, *third_round())),
    "recorded": State(recording="fix-test"),
    "number": State(WHOLE, ("slash", *"round", "enter"), more=("2",)),
    "search": State(WHOLE, ("ctrl+f", *"pytest", "enter")),
    "help": State(WHOLE, ("f1",)),
    "timing": State(recording="fix-test", keys=("f2",)),
    "timing-table": State(recording="fix-test", keys=("f2", "t", "s")),
    "timing-savings": State(recording="mathx", keys=("f2", "tab")),
    "timing-expected": State(recording="fix-test", keys=("f2", "shift+tab")),
    "timing-round": State(recording="refactor", keys=("f2", "enter")),
    "undo": State(WHOLE, ("f3",), (PLAN,)),
    "undo-did": State(WHOLE, ("f3", "d", "up", "up")),
    "request": State((*IDLE, *asked()), ("f4",)),
    "models": State(WHOLE, ("ctrl+l",), (MODELS,), ("down",)),
    "missing": State((*opened()[:1], MISSING)),
    "pulling": State((*opened()[:1], MISSING, PULLING)),
    "sessions": State(WHOLE, ("ctrl+r",), ready=recordings),
    "leaving": State((*IDLE, *first_round()[:5]), ("ctrl+r",), ready=recordings, more=("p",)),
    "settings": State(WHOLE, ("slash", *"settings", "enter"), ready=_settings),
    "palette": State(WHOLE, ("ctrl+p",)),
    "replay": State(replayed=True, keys=("5",)),
}  # fmt: skip

Ready = Callable[[Pilot[int]], Awaitable[None]]


def on_stage(
    state: State, folder: Path, *, theme: str = "jetbox-dark", glyphs: Glyphs = UNICODE
) -> tuple[JetboxApp, Ready]:
    """An application, and what leads it into the state once it runs; `folder` is an empty one."""
    source = playback() if state.replayed else None
    stage = Stage()

    async def engine() -> int:
        while not isinstance(await stage.session.next_command(), Close):
            pass
        return 0

    app = JetboxApp(
        source or stage.feed, theme=theme, driver=None if source else engine, glyphs=glyphs, home="/home/ada",
        theme_folders=(THEMES,), sessions=folder / "sessions",
    )  # fmt: skip

    async def lead(pilot: Pilot[int]) -> None:
        for each in read_journal(find(state.recording)).events if state.recording else ():
            stage.clock.now = max(stage.clock.now, each.t)
            stage.emit(each.event)
        stage.emit(*state.happened, after_ms=40)
        if source is None:
            await app.workbench.reached(stage.last)
        if state.ready is not None:
            state.ready(app, folder)
        await settled(app, pilot)
        stage.clock.advance(state.wait_ms)
        await pilot.press(*state.keys)
        if state.then:
            await app.workbench.reached(stage.emit(*state.then))
        await settled(app, pilot)
        await pilot.press(*state.more)
        await settled(app, pilot)

    return app, lead


async def settled(app: JetboxApp, pilot: Pilot[int]) -> None:
    """Wait until nothing is read or searched any more."""

    def reading() -> bool:
        searching = any(task.get_name() == "files" for task in asyncio.all_tasks())
        return searching or any(each.group in READERS and not each.is_finished for each in app.workers)

    await until(pilot, lambda: not reading())
    reply = app.workbench.reply
    if app.workbench.inquired is not None and reply is not None:  # it is made when it is asked for
        await until(pilot, lambda: app.workbench.inquired is None or reply.has_focus or reply.disabled)
    await pilot.pause()
