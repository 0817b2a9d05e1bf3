"""The session by lines: what is told, and what is typed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.engine.session import Session
from jetbox.record.journal import JournalWriter
from jetbox.ui.by_line.desk import LineDesk
from jetbox.ui.by_line.told import Told
from jetbox.ui.commands import COMMANDS
from jetbox.ui.glyphs import ASCII, UNICODE, Glyphs
from ui.played import EDIT, MS, Stage, first_round, opened, stamped, whole
from ui.states import STATES

ASKED = e.PermissionAsked(
    id="p1", call="c9", kind="write", title="edit_file a.py", diff=EDIT, why="mode ask", scope="every `edit_file`"
)


NOWHERE = Path("/nowhere")


class Reader:
    """A session on a stage, told by lines."""

    def __init__(
        self, *events: e.AnyEvent, glyphs: Glyphs = UNICODE, grace: bool = False, sessions: Path = NOWHERE
    ) -> None:
        self.stage = Stage()
        self.said: list[str] = []
        self.told = Told(self.said.append, glyphs)
        self.desk = LineDesk(self.told, self.stage.feed, sessions, grace=grace)
        self.play(*events)

    def play(self, *events: e.AnyEvent) -> list[str]:
        """Emit events; returns the lines that they gave."""
        before = len(self.said)
        self.stage.emit(*events, after_ms=40)
        for one in self.stage.feed.drain().events:
            self.told.apply(one)
            self.desk.note(one)
        return self.said[before:]

    def type(self, line: str) -> list[str]:
        before = len(self.said)
        self.desk.take(line)
        return self.said[before:]

    @property
    def asked(self) -> list[commands.AnyCommand]:
        """What was asked of the session since the last time."""
        session: Session = self.stage.session
        return [session._inbox.get_nowait() for _ in range(session._inbox.qsize())]


def test_a_whole_session_is_told_in_words() -> None:
    text = "\n".join(Reader(*whole()).said)
    for line in (
        "you:\n  Create mathx package with add and multiply, add tests.",
        "round 1\n",
        "thought for 80 ms\n",
        "I begin with the **package**, in `mathx`.",
        "write_file mathx/__init__.py: ok, +3, 3 ms\n",
        "  +def add(a: int, b: int) -> int:\n",
        "probe ruff: passed, 0 problems, 11 ms\nprobe pytest: skipped, no tests\n",
        "round 1 took 695 ms: prompt eval 135 ms, decode 541 ms, tools 3 ms, probe 16 ms\n",
        "running: pytest -q\n",
        "probe pytest: failed, 1 of 3 failed: test_mul, 64 ms\n",
        "probe ruff: passed, 0 problems, 11 ms, from the cache\n",
        "done, probes green: ruff 0 problems, pytest 3 passed (3 rounds, 2.60 s)",
    ):
        assert line in text, line
    assert "\x1b" not in text


def test_its_own_words_are_plain_ascii_where_that_is_all_there_is() -> None:
    reader = Reader(*opened(), glyphs=ASCII)
    said = reader.play(e.Notice(level="warning", text="slow — very", hint="wait…"))
    assert said == ["warning: slow - very (wait...)"]


def test_every_state_of_a_session_is_told_in_ascii() -> None:
    for name, state in STATES.items():
        said = Reader(*state.happened, *state.then, glyphs=ASCII).said
        assert all(line.isascii() for line in said), name


def test_words_stream_by_the_line_and_controls_are_gone() -> None:
    reader = Reader(*opened(), *first_round()[:3])
    assert reader.play(e.TextDelta(text="one\ntw"), e.TextDelta(text="o \x1b[2Jthree")) == ["one"]
    assert reader.play(*[e.TextDelta(text=".")] * 3) == []
    assert reader.told._open[-3:] == ["."] * 3, "a long line is put together once"
    assert reader.play(e.TextDelta(text="\n\n \nfour")) == ["two three...", "", " "]
    assert reader.play(e.ToolCalled(call="c", name="glob", arguments="{}"))[0] == "four"
    assert "\x1b" not in "".join(reader.said)


def test_a_call_that_was_read_out_of_the_text_says_so() -> None:
    reader = Reader()
    for call, recovered in (("a", ""), ("b", "hermes")):
        reader.play(e.ToolCalled(call=call, name="glob", arguments="{}", title="glob *.py", recovered=recovered))
    told = [line for call in "ab" for line in reader.play(e.ToolEnded(call=call, state="ok", text=""))]
    assert [line.partition(":")[0] for line in told] == ["glob *.py", "glob *.py (recovered)"]


def test_a_wait_is_told_once_and_once_more_where_it_lasts_longer_than_it_should() -> None:
    reader = Reader(*opened(), e.GoalStarted(goal=1, text="Do it"), e.RoundStarted(model="m"))
    told = reader.play(*(e.Waiting(what="reading", detail=f"{n} of 9,200 tokens") for n in (0, 512)))
    assert told == ["the model reads 0 of 9,200 tokens"]
    late = "9,200 tokens; a stopped answer may still run; unloading ends it"
    assert reader.play(*[e.Waiting(what="reading", detail=late)] * 2) == [f"the model reads {late}"]


def test_a_question_is_answered_by_a_line() -> None:
    reader = Reader(*opened(), *first_round()[:3], grace=True)
    said = reader.play(ASKED)
    assert said[:3] == [
        "permission wanted: edit_file a.py",
        "  why: mode ask",
        "  session and always would allow every `edit_file`",
    ]
    assert "  +    return a + b" in said
    assert said[-1] == "allow it? y once, s this session, a always here, n no"
    assert "too soon" in reader.type("y")[0]
    assert reader.asked == []
    reader.stage.clock.advance(500)
    assert "the question still waits" in reader.type("use floats")[0]
    reader.type("Yes")
    assert reader.asked == [commands.Steer("use floats"), commands.Answer("p1", "once")]
    assert reader.play(e.PermissionAnswered(id="p1", answer="no")) == ["not allowed by you"]


QUESTION = e.QuestionAsked(id="q1", call="c7", question="Which?\nSay so.", choices=("red", "a blue\x1b[2J"))


def test_a_question_of_the_models_is_answered_by_number_or_in_words() -> None:
    reader = Reader(*opened(), *first_round()[:3], grace=True)
    assert reader.play(QUESTION) == [
        "the model asks:",
        "  Which?",
        "  Say so.",
        "  1 red",
        "  2 a blue",
        "your answer? 1 to 2, or a line in your own words; an empty line is no answer",
    ]
    assert "too soon" in reader.type("2")[0]
    reader.stage.clock.advance(500)
    assert "the question still waits: 1 to 2" in reader.type("/mode auto")[-1]
    for line in ("1", " neither of them ", "3", "/etc/passwd", ""):
        assert reader.type(line) == []
    assert reader.asked == [
        commands.SetMode("auto"),
        *(commands.Reply("q1", text) for text in ("red", "neither of them", "3", "/etc/passwd", "")),
    ]
    assert reader.play(e.QuestionAnswered(id="q1", text="red")) == ["you answer: red"]
    assert reader.play(e.QuestionAsked(id="q2", call="c7", question="Why?"))[-1].startswith("your answer? a line in")
    reader.desk.give_up()
    assert reader.asked == [commands.Reply("q2")]
    assert reader.play(e.QuestionAnswered(id="q2")) == ["no answer"]


def test_lines_are_goals_words_commands_and_the_users_own_commands() -> None:
    reader = Reader(*opened())
    reader.type("  do it ")
    reader.type("!ls -l")
    reader.type("/mode auto")
    reader.type("")
    assert reader.asked == [commands.Goal("do it"), commands.RunShell("ls -l"), commands.SetMode("auto")]
    assert reader.desk.begun
    reader.play(*first_round()[:3], e.ShellStarted(call="shell.1", command="ls -l"))
    assert reader.play(e.ToolOutput(call="shell.1", text="a.py\nb"), e.ShellEnded(
        call="shell.1", state="ok", text="exit code 0\na.py\nb", duration_ns=3 * MS, told=True)
    ) == ["a.py", "b", "ls -l: exit code 0, 3 ms"]  # fmt: skip
    assert reader.desk.interrupt()
    reader.type("and more")
    assert reader.type("/model nix") == ["from the next round on: nix"]
    assert reader.type("/model nix now") == ["now: nix"]
    wishes = [commands.SetModel("nix"), commands.SetModel("nix", now=True)]
    assert reader.asked == [commands.Cancel(), commands.Steer("and more"), *wishes]
    reader.play(e.GoalEnded(goal=1, outcome="interrupted", reason="interrupted by the user", exit_code=130))
    assert not reader.desk.begun
    assert not reader.desk.interrupt()


async def test_an_export_is_written_beside_whatever_runs(tmp_path: Path) -> None:
    reader = Reader(*whole(), sessions=tmp_path)
    writer = JournalWriter.create(tmp_path / reader.told.view.id)
    for one in stamped(whole()):
        writer.record(one)
    writer.flush()
    writer.release()
    over = asyncio.Event()
    reader.desk.settled = over.set
    loop_at_work: list[int] = []
    assert reader.type(f"/export {tmp_path / 'out.md'}") == []
    asyncio.get_running_loop().call_soon(loop_at_work.append, 1)
    assert reader.desk.begun
    async with asyncio.timeout(120):
        await over.wait()
    assert loop_at_work
    assert not reader.desk.begun
    assert reader.said[-1] == f"exported: {tmp_path / 'out.md'}"
    assert "Create mathx package" in (tmp_path / "out.md").read_text()
    assert {path.name for path in tmp_path.iterdir()} == {reader.told.view.id, "out.md"}
    for name, why in (("out.md", "File exists"), ("no/out.md", "No such file or directory")):
        over.clear()
        reader.type(f"/export {tmp_path / name}")
        async with asyncio.timeout(120):
            await over.wait()
        assert reader.said[-1] == f"not exported: {why}: {tmp_path / name}"


async def test_every_command_says_something_or_asks_for_something() -> None:
    reader = Reader(*whole())
    arguments = {"label": " it", "round": " 2", "now": " stop", "set": " loop.max_rounds 3"}
    for command in COMMANDS:
        said = reader.type(f"/{command.name}{arguments.get(command.name, '')}")
        assert said or reader.asked or reader.desk.begun, command.name
    assert (
        reader.type("/timing")[-4]
        == "round 3: 264 ms, instant: model 240 ms, first token 70 ms, probes waited for 20 ms"
    )


def test_what_is_asked_for_is_told_when_it_comes() -> None:
    reader = Reader(*whole())
    reader.type("/model")
    listed = e.ModelsListed(models=(e.ListedModel(name="m:1b", size=10**9, loaded=True, decode=80.4),))
    assert reader.play(listed)[0] == "m:1b: 1.0 GB, loaded, 80 tokens a second here"
    reader.type("/undo")
    plan = e.UndoPlanned(
        round=1,
        rounds=(e.UndoRound(round=1, goal=1, title="Create", files=2),),
        files=(e.UndoFile(path="a.py", kind="deleted"),),
        messages=3,
    )
    assert reader.play(plan) == [
        "round 1: 2 files, Create",
        "before round 1: a.py deleted; 3 messages out of the prompt",
        "/undo 1 goes back to before it",
    ]
    missing = e.ModelMissing(name="x", why="there is no model x", there=("a", "b"), pull="x")
    assert reader.play(missing) == [
        "warning: there is no model x (p fetches x, /model NAME uses another)",
        "there are: a, b",
    ]
    reader.type("p")
    assert commands.PullModel("x") in reader.asked


def test_what_was_handed_on_is_counted_until_events_tell_what_became_of_it() -> None:
    end = e.GoalEnded(goal=1, outcome="done", reason="done", exit_code=0)
    reader = Reader(*opened())
    begun = reader.desk.begun
    reader.type("!sleep 9")
    assert reader.type("!echo") == ["a command of yours runs already: Ctrl+C stops it"]
    assert reader.asked == [commands.RunShell("sleep 9")]
    reader.play(e.ShellStarted(call="s", command="sleep 9"))
    assert begun
    reader.play(e.ShellEnded(call="s", state="ok", text="exit code 0"))
    assert not begun
    # Two goals before either started: the other one is words for the one that runs, or waits for its turn.
    for joined in (True, False):
        reader.type("one")
        reader.type("two")
        reader.play(e.GoalStarted(goal=1, text="one"))
        assert begun
        if joined:
            reader.play(e.QueueChanged(items=("two",)), e.QueueChanged(items=()), end)
        else:
            reader.play(end)
            assert begun
            reader.play(e.GoalStarted(goal=2, text="two"), end)
        assert not begun
    reader.play(e.GoalStarted(goal=1, text="one"))
    reader.type("more")
    reader.play(end, e.GoalStarted(goal=2, text="more"), end)
    assert not begun, "words that came too late are a goal"
    reader.desk.begun.goals = 1
    for old in (e.QueueChanged(items=("a",)), e.GoalStarted(goal=1, text="old"), end):
        reader.desk.note(e.Stamped(0, 0, 0, old), past=True)
    assert begun, "what an earlier process did is not what this one was asked for"
    reader.play(e.QueueChanged(items=("a",)))
    assert begun


def test_a_download_is_told_by_tenths() -> None:
    reader = Reader(*opened())
    told = [reader.play(e.ModelPulled(name="m", total=2_000, completed=n)) for n in (0, 100, 250, 290, 1900)]
    assert told == [[], [], ["fetching m: 10% of 2.0 kB"], [], ["fetching m: 90% of 2.0 kB"]]
