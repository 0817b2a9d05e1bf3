from __future__ import annotations

import os
import shlex
import shutil
from functools import partial
from pathlib import Path

import msgspec
import pytest
from textual.events import Key
from textual.pilot import Pilot

from jetbox.cli.dispatch import dispatch
from jetbox.cli.taken import _recorded
from jetbox.engine import events as e
from jetbox.engine.errors import RecordingError
from jetbox.engine.session import Batch
from jetbox.record.journal import JournalWriter
from jetbox.record.library import samples
from jetbox.record.playback import Playback
from jetbox.record.recording import Recording, read_journal
from jetbox.ui.app import JetboxApp
from jetbox.ui.screens.number import Number
from jetbox.ui.screens.workbench import Workbench
from jetbox.ui.transcript.story import Story
from ui.conftest import Playing, Showing, screen_text, until
from ui.played import MS, ManualClock, first_round, opened, second_round, stamped, whole


def playback(events: list[e.AnyEvent] | None = None, clock: ManualClock | None = None) -> Playback:
    played = stamped(whole() if events is None else events)
    header = played[0].event
    assert isinstance(header, e.SessionOpened)
    recording = Recording(Path("journal.jsonl"), header, tuple(played), ())
    return Playback(recording, clock=clock or ManualClock())


async def settle(app: JetboxApp, pilot: Pilot[int], source: Playback) -> str:
    await app.workbench.reached(source.seq)
    await pilot.pause()
    return screen_text(app)


async def test_a_recording_and_the_live_session_make_the_same_screen(show: Showing, on_source: Playing) -> None:
    async with show() as s:
        for each in stamped(whole()):
            s.stage.clock.now = each.t
            await s.play(each.event)
        live = s.text.split("\n")[2:34]
    source = playback()
    async with on_source(source) as (app, pilot):
        await pilot.press("end")
        played = (await settle(app, pilot, source)).split("\n")[2:34]
    # The panel is as high; the transcript has one row more or less for the transport bar.
    assert [line.rsplit("│", 1)[-1] for line in played] == [line.rsplit("│", 1)[-1] for line in live]
    assert played[-5][:72].strip() in "\n".join(live)


async def test_a_slash_searches_what_is_shown_and_leads_back_to_the_bar(on_source: Playing) -> None:
    source = playback()
    async with on_source(source) as (app, pilot):
        await pilot.press("end")
        await settle(app, pilot, source)
        await pilot.press("slash", *"5 mathx", "enter")
        await until(pilot, lambda: app.workbench.search.said != "")
        assert app.workbench.search.wanted == "5 mathx", "its digit is no key of the bar"
        await pilot.press("escape", "home")
        await settle(app, pilot, source)
        assert source.seq == 0


async def test_stepping_forth_and_back(on_source: Playing) -> None:
    source = playback()
    async with on_source(source) as (app, pilot):
        text = await settle(app, pilot, source)
        assert "Create mathx" not in text
        for _ in range(3):
            await pilot.press("right")
        assert "❯ Create mathx" in await settle(app, pilot, source)
        await pilot.press("left")
        await pilot.pause()
        await app.workbench.reached(source.seq)
        await pilot.pause()
        assert app.workbench.view.seq == source.seq == 2
        assert "❯ Create mathx" not in screen_text(app)


async def test_rounds_tenths_and_ends(on_source: Playing) -> None:
    source = playback()
    async with on_source(source) as (app, pilot):
        await pilot.press("shift+right")
        await pilot.press("shift+right")
        await settle(app, pilot, source)
        assert source.round == 2
        await pilot.press("shift+left")
        assert source.round == 1
        await pilot.press("end")
        assert "✓ done, probes green" in await settle(app, pilot, source)
        assert source.at_end
        await pilot.press("g")
        assert "❯ Create mathx" in await settle(app, pilot, source)
        assert app.workbench.transcript.scroll_offset.y == 0
        await pilot.press("j", "down", "k")
        assert app.workbench.transcript.scroll_offset.y == 1
        await pilot.press("G")
        assert "✓ done, probes green" in await settle(app, pilot, source)
        assert source.at_end, "reading moves nothing of the recording"
        await pilot.press("5")
        assert source.position == round(source.duration * 0.5)
        await pilot.press("home")
        assert source.position == 0


async def test_errors_red_verdicts_and_other_marks_are_gone_to_by_a_key(on_source: Playing) -> None:
    events = [
        *opened(),
        *first_round(),
        e.ToolEnded(call="c", state="failed", text="no such file", duration_ns=1),
        e.SessionLabelled(label="here"),
        e.ProbeEnded(name="ruff", state="passed", cache="ran"),
        *second_round(),
        e.ProbeEnded(name="ruff", state="error", cache="ran"),
        e.ModelSwitched(old="a", new="b"),
    ]
    source = playback(events)
    kinds = {mark.seq: mark.kind for mark in source.marks}
    async with on_source(source) as (app, pilot):
        there: list[str] = []
        for _ in range(len(kinds)):
            await pilot.press("right_square_bracket")
            await settle(app, pilot, source)
            there.append(kinds[source.seq])
        assert there[:2] == ["error", "mark"]
        assert there[-2:] == ["red", "mark"]
        assert source.at_end
        await pilot.press("right_square_bracket")
        assert source.at_end
        assert "no error, red verdict or mark behind this place" in screen_text(app)
        for kind in reversed(there[:-1]):
            await pilot.press("left_square_bracket")
            assert kinds[source.seq] == kind
        row = screen_text(app).split("\n")[-2]
        assert "!" in row
        assert "✗" in row
        assert "] next error" in screen_text(app)


async def go_to_round(app: JetboxApp, pilot: Pilot[int], source: Playback, *typed: str) -> str:
    """Have a round asked for in the palette, and type this."""
    await pilot.press("ctrl+p")
    await pilot.press(*"round")
    await until(pilot, lambda: "/round [NUMBER]" in screen_text(app))
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, Number))
    for key in typed:  # as a terminal hands them over that had them all at once
        app.post_message(Key(key, key if len(key) == 1 else None))
    await until(pilot, lambda: isinstance(app.screen, Workbench))
    return await settle(app, pilot, source)


async def test_a_round_of_a_recording_is_gone_to_by_its_number(on_source: Playing) -> None:
    source = playback()
    async with on_source(source, size=(80, 24)) as (app, pilot):
        go = partial(go_to_round, app, pilot, source)
        await go("x", "2", "enter")
        assert source.round == 2, "it had not come so far"
        await pilot.press("end")
        assert "◆ 1" not in await settle(app, pilot, source)
        assert "◆ 1" in await go("1", "7", "backspace", "enter")
        assert source.at_end, "what was played already is only scrolled to"
        assert "there is no round" not in await go("3", "escape")
        assert "there is no round 77 in this recording: it has rounds 1 to 3" in await go("7", "7", "enter")


async def test_a_round_that_was_not_played_yet_is_shown_wherever_one_was(on_source: Playing) -> None:
    events = opened()
    for number in range(1, 31):
        said = e.TextDelta(text=f"words of round {number}, " + "several rows of them " * 20)
        events += [e.RoundStarted(model="m"), said, e.RoundEnded(wall_ns=5, phases={}, tier="instant")]
    source = playback(events)
    source.seek_round(9)
    async with on_source(source, size=(80, 24)) as (app, pilot):
        await settle(app, pilot, source)
        there = await go_to_round(app, pilot, source, "3", "enter")
        assert "◆ 3" in there
        assert "◆ 9" not in there
        there = await go_to_round(app, pilot, source, "2", "8", "enter")
        assert source.round == 28
        assert "◆ 28" in there
        assert "◆ 3 " not in there


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (e.ToolEnded(call="c1", state="failed", text="no such file", duration_ns=1), "error"),
        (e.ToolEnded(call="c1", state="denied", text="no", duration_ns=1), ""),
        (e.ShellEnded(call="s", state="failed", text="", duration_ns=1), "error"),
        (e.Notice(level="error", text="it broke"), "error"),
        (e.Notice(level="warning", text="only a word"), ""),
        (e.ProbeEnded(name="slow", state="timeout", cache="ran"), "red"),
        (e.ProbeEnded(name="none", state="skipped", cache="none"), ""),
    ],
)
def test_the_bars_of_the_transcript_and_of_a_recording_mark_the_same(event: e.AnyEvent, kind: str) -> None:
    call = e.ToolCalled(call="c1", name="read_file", arguments="{}", title="read_file x")
    source = playback([*opened(), e.RoundStarted(model="m"), call, e.ShellStarted(call="s", command="false"), event])
    story = Story()
    for each in source.events:
        story.apply(each)
    assert [mark.kind for mark in source.marks] == [kind] * bool(kind)
    assert (len(story.alarms), len(story.reds)) == (kind != "", kind == "red")


async def test_keys_say_what_goes_on_with_a_recording_and_what_lists_its_rounds(
    on_source: Playing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    sessions, work = tmp_path / "jetbox" / "sessions", tmp_path / "work here"
    work.mkdir()
    own, gone, shipped = sessions / "20260101-120000-abcd", tmp_path / "a copy", samples()["question"]
    for folder, workspace in ((own, work), (gone, tmp_path / "gone")):
        written(folder, [msgspec.structs.replace(opened()[0], id=own.name, workspace=str(workspace)), *whole()[1:]])
    only = "it only plays, and does not go on: "
    for path, goes_on, name in (
        (own, f"goes on from its end only: jetbox-tui -r {own.name} --cwd '{work}'", own.name),
        (gone, f"{only}its folder is gone", "'a copy'"),
        (shipped, f"{only}it is no session of yours", "question"),
    ):
        async with on_source(Playback(read_journal(path), clock=ManualClock()), size=(300, 24)) as (app, pilot):
            app.workbench.sessions = sessions
            await pilot.press("f")
            assert goes_on in screen_text(app).splitlines()[-1]
            await pilot.press("c")
            wanted = f"jetbox-tui sessions show {name}"
            assert wanted in screen_text(app).splitlines()[-1]
        assert dispatch(shlex.split(wanted)[1:]) == 0
        assert "Round 1: " in capsys.readouterr().out
    start = _recorded(work, sessions, shlex.split(f"jetbox-tui -r {own.name}")[-1])
    assert start == own
    (lost := tmp_path / "lost").mkdir()
    monkeypatch.chdir(lost)
    lost.rmdir()
    async with on_source(Playback(read_journal(own), clock=ManualClock()), size=(300, 24)) as (app, pilot):
        app.workbench.sessions = sessions
        await pilot.press("f")
        assert f"jetbox-tui -r {own.name} --cwd '{work}'" in screen_text(app).splitlines()[-1]


def written(folder: Path, happened: list[e.AnyEvent]) -> Path:
    """A session's folder with these events."""
    writer = JournalWriter.create(folder)
    for each in stamped(happened):
        writer.record(each)
    writer.flush()
    writer.release()
    return folder


@pytest.mark.parametrize("what", ["blobs", "journal", "all of it"])
async def test_a_recording_that_goes_away_while_it_plays_ends_where_it_can_be_read(
    on_source: Playing, tmp_path: Path, what: str
) -> None:
    said: list[e.AnyEvent] = [e.Notice(level="info", text=f"word {n}" + "." * 400) for n in range(300)]
    large = e.Notice(level="info", text="long " * 2000)
    where = written(tmp_path / "one", [*whole(), *said, large, *whole()[1:]])
    source = Playback(read_journal(where), clock=ManualClock())
    full = source.duration
    async with on_source(source) as (app, pilot):
        if what == "blobs":
            shutil.rmtree(where / "blobs")
        else:
            os.truncate(where / "journal.jsonl", 90_000 if what == "journal" else 0)
        await pilot.press("end")
        bench = app.workbench
        if what == "all of it":
            await until(pilot, lambda: app.failure)
            return
        await until(pilot, lambda: source.duration < full and bench.view.seq == source.seq)
        last = source.seq
        assert (last == len(whole()) + len(said) - 1) is (what == "blobs")
        assert "it ends here: " in screen_text(app).splitlines()[-1]
        await pilot.press("home", "right", "right")
        await until(pilot, lambda: bench.view.seq == 2)
        await pilot.press("end", "shift+right")
        await until(pilot, lambda: bench.view.seq == last)
        assert (source.position, source.seq) == (source.duration, last)
        told = "".join(block.source() for block in bench.transcript.story.blocks)
        assert ("is missing" if what == "blobs" else "since it was opened") in told
    assert isinstance(app.failure, RecordingError), "that is its exit code"


async def test_what_could_not_be_read_is_told_above_a_recording(on_source: Playing, tmp_path: Path) -> None:
    where = written(tmp_path / "torn", whole())
    with (where / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"seq":99,"t')
    source = Playback(read_journal(where), clock=ManualClock())
    async with on_source(source) as (app, pilot):
        await pilot.press("end", "home", "right")
        await settle(app, pilot, source)
        first = app.workbench.transcript.story.blocks[0].source()
        assert f"the last line of {where / 'journal.jsonl'} is torn and was dropped (12 bytes)" in first


async def test_playing_moves_with_its_clock_and_speed(on_source: Playing) -> None:
    clock = ManualClock()
    source = playback(clock=clock)
    async with on_source(source) as (app, pilot):
        await pilot.press("greater_than_sign")
        assert source.speed == 2.0
        assert "2x" in screen_text(app)
        await pilot.press("space")
        assert source.playing
        clock.advance(200)
        await settle(app, pilot, source)
        assert source.position == 400 * MS
        assert app.workbench.view.seq == 10
        await pilot.press("space")
        assert not source.playing
        await pilot.press("less_than_sign", "less_than_sign")
        assert source.speed == 0.5


async def test_a_click_on_the_bar_seeks(on_source: Playing) -> None:
    source = playback()
    async with on_source(source) as (app, pilot):
        bar = app.workbench.bar
        assert bar is not None
        start, room = bar._bar
        await pilot.click("#transport", offset=(start + room - 1, 0))
        assert source.at_end


async def test_a_question_is_shown_as_answered_and_never_asked(on_source: Playing) -> None:
    events = [
        *opened(),
        *first_round()[:3],
        e.PermissionAsked(id="p1", call="c", kind="write", title="write_file x"),
        e.PermissionAnswered(id="p1", answer="session"),
        e.QuestionAsked(id="q1", call="c", question="Which one?", choices=("this", "that")),
        e.QuestionAnswered(id="q1", text="that"),
    ]
    source = playback(events)
    async with on_source(source) as (app, pilot):
        await pilot.press("end", "left")
        assert "was asked: Which one?" in await settle(app, pilot, source)
        assert app.workbench.inquired is None
        await pilot.press("left", "left")
        assert "was asked: write_file x" in await settle(app, pilot, source)
        assert not app.workbench.permission.display
        await pilot.press("end")
        text = await settle(app, pilot, source)
        assert "write_file x — allowed for this session by you" in text
        assert "Which one? — you: that" in text


async def test_it_takes_no_commands(on_source: Playing) -> None:
    source = playback()
    async with on_source(source) as (app, pilot):
        await pilot.press("end")
        await settle(app, pilot, source)
        assert not app.workbench.query_one("#entry").display
        await pilot.press("shift+tab")
        await pilot.pause()
        assert "nothing can be asked of it" in screen_text(app)
        await pilot.press("f1")
        await pilot.pause()
        text = screen_text(app)
        assert "replay.play" in text
        assert "permission.once" not in text
        await pilot.press("escape")
        await pilot.press("ctrl+q")
        await pilot.pause()
    assert app.return_value == 0


class Ending:
    """A source that another process wrote and that breaks."""

    def __init__(self) -> None:
        self.drained = False

    def now(self) -> int:
        return 0

    def drain(self) -> Batch:
        from jetbox.engine.errors import RecordingError

        if self.drained:
            raise RecordingError("line 7 is damaged", "see sessions verify")
        self.drained = True
        return Batch(tuple(stamped([*opened(), *first_round()])), reset=True)

    async def ready(self) -> bool:
        return True

    def submit(self, command: object) -> None:
        raise AssertionError("nobody asks anything of it")


async def test_a_source_that_breaks_is_told_and_what_was_shown_stays(on_source: Playing) -> None:
    async with on_source(Ending()) as (app, pilot):
        await app.workbench.reached(5)
        await app.workers.wait_for_complete()
        await pilot.pause()
        text = screen_text(app)
        assert "line 7 is damaged — see sessions verify" in text
        assert "❯ Create mathx" in text
