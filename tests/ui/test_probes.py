"""What the screen says of verdicts and of files that others change."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from cli.test_cli_printer import Kept
from jetbox.cli.printer import Progress
from jetbox.engine import events as e
from scripted import WriteScript, call, finish, step
from ui.conftest import Showing
from ui.played import MS, answered, ended, opened, request, whole, write_call
from ui.test_live_equals_replay import run_live

if TYPE_CHECKING:
    from jetbox.cli.output import LineOut
    from jetbox.sim.launch import ServerProcess

INPUTS = {"files": "12, digest 3fa9c1d2e4b5", "arguments": "check .", "versions": "ruff 0.17.5", "variables": "PATH"}


def begun(*more: e.AnyEvent) -> list[e.AnyEvent]:
    """A round in which files changed."""
    return [e.RoundStarted(model="m"), request(), answered(), *more]


def verdict(name: str = "pytest", **fields: Any) -> e.ProbeEnded:
    known = {"state": "passed", "cache": "ran", "summary": "3 passed", "duration_ns": 64 * MS}
    return e.ProbeEnded(**{"name": name, **known, **fields})


def row(text: str, words: str) -> str:
    """The first line of the screen that holds the words."""
    return next(line for line in text.splitlines() if words in line)


async def test_signs_tell_how_a_verdict_came_about(show: Showing) -> None:
    async with show(size=(160, 50)) as s:
        await s.play(
            *opened(),
            e.GoalStarted(goal=1, text="do it"),
            *begun(verdict("a"), verdict("b", cache="hit", saved_ns=200 * MS), verdict("c", cache="partial")),
            verdict("d", cache="hit", unproven=True),
            verdict("e", state="skipped", cache="none", summary="no tests"),
            ended(300, probe_ms=64),
        )
        text = s.text
    for words in (
        "⚡ a ✓",
        "↻ b ✓ 3 passed 64 ms, saved 200 ms",
        "◐ c ✓",
        "↻? d ✓ 3 passed 64 ms, unproven",
        "⏭ e skipped",
    ):
        assert words in text, words
    assert "hits 2 of 4 (50%), 1 unproven" in text
    assert "saved 200 ms, waited 64 ms" in text
    assert "probes waited 64 ms, hits 2/4, saved 200 ms" in text


async def test_probes_that_the_user_asks_for_after_the_goal_are_of_no_round(show: Showing) -> None:
    async with show(size=(160, 50)) as s:
        await s.play(*whole())
        figures, tally = list(s.bench.view.rounds), s.bench.view.tally.verdicts
        before = [(each.hits, each.verdicts, each.probe_run) for each in figures]
        headers = [line for line in s.text.splitlines() if "◆ " in line]
        panel = [line for line in s.text.splitlines() if "hits " in line]
        ran = e.ProbeEnded(name="pytest", state="failed", cache="ran", summary="1 failed", duration_ns=181 * MS)
        await s.play(e.ProbeStarted(name="pytest"), ran)
        assert "1 failed" in s.text
        assert [(each.hits, each.verdicts, each.probe_run) for each in figures] == before
        assert s.bench.view.tally.verdicts == tally
        assert [line for line in s.text.splitlines() if "hits " in line] == panel
        assert [line for line in s.text.splitlines() if "◆ " in line][-1:] == headers[-1:]


async def test_late_verdicts_stand_in_their_round(show: Showing) -> None:
    async with show(size=(160, 50)) as s:
        await s.play(
            *opened(),
            e.GoalStarted(goal=1, text="do it"),
            *begun(*write_call(), e.ProbeStarted(name="pytest")),
            ended(300, probe_ms=0),
            e.RoundStarted(model="m"),
            request(),
        )
        assert "pytest …" in s.text
        await s.play(verdict(of_round=1, state="failed", summary="1 of 3 failed: test_mul"), answered(), ended(200))
        lines = [line for line in s.text.splitlines() if "◆ " in line or "✗ 1 of 3" in line]
        view = s.bench.view
    assert [line.split("│")[0].split()[:2] for line in lines[:3]] == [["◆", "1"], ["⚡", "pytest"], ["◆", "2"]]
    assert [[probe.name for probe in figures.probes] for figures in view.rounds] == [["pytest"], []]
    assert (view.rounds[0].red, view.rounds[1].red) == (True, False)


async def test_words_that_stream_are_not_parted_by_a_verdict_of_the_round_before(show: Showing) -> None:
    async with show(size=(160, 50)) as s:
        await s.play(*opened(), *begun(e.ProbeStarted(name="pytest")), ended(300, probe_ms=0))
        said: list[e.AnyEvent] = [
            e.TextDelta(text="Once more, both"),
            verdict(of_round=1),
            e.TextDelta(text=" of them."),
        ]
        await s.play(e.RoundStarted(model="m"), request(), *said)
        assert "Once more, both of them." in s.text


async def test_a_late_verdict_without_a_place_says_of_which_round_it_is(show: Showing) -> None:
    async with show(size=(160, 50)) as s:
        await s.play(*opened(), *begun(), ended(300), *begun(verdict(cache="hit", of_round=1)))
        assert "↻ pytest of round 1 ✓ 3 passed" in s.text


async def test_the_state_before_the_first_change_is_no_rounds_work(show: Showing) -> None:
    async with show(size=(160, 50)) as s:
        before = verdict(baseline=True, state="failed", summary="2 of 9 failed: test_a")
        await s.play(*opened(), *begun(e.ProbeStarted(name="pytest"), before))
        assert "✗ 2 of 9 failed: test_a 64 ms, before the first change" in s.text
        assert s.bench.view.rounds[0].probes == []
        after = verdict(state="failed", summary="2 of 9 failed", known=("test_a", "test_b"))
        await s.play(after)
        assert "✗ 2 of 9 failed 64 ms, 2 known" in s.text
        assert s.bench.view.verdicts["pytest"].known == ("test_a", "test_b")


async def test_the_feed_says_who_changed_what_and_when(show: Showing) -> None:
    async with show(size=(160, 60)) as s:
        await s.play(
            *opened(),
            *begun(*write_call(path="mathx/core.py")),
            e.ToolCalled(call="c8", name="run_cmd", arguments="{}", title="run_cmd make"),
            e.ToolEnded(call="c8", state="ok", changes=(e.FileChange("out.txt", "created"),)),
            e.FilesChanged(changes=(e.FileChange("notes\x1b[2J.md", "modified"),), by="you"),
            e.FilesChanged(changes=(e.FileChange("report.xml", "created"),), by="probe"),
            after_ms=1_000,
        )
        text = s.text
        assert row(text, "A mathx/core.py").split()[-2:] == ["agent", "12:00:08"]
        assert row(text, "A out.txt").split()[-2:] == ["command", "12:00:10"]
        assert row(text, "M notes").split()[-2:] == ["you", "12:00:11"]
        assert row(text, "A report.xml").split()[-2:] == ["probe", "12:00:12"]
        assert "\x1b" not in text
        many = tuple(e.FileChange(f"d/f{n}.py", "deleted") for n in range(3))
        await s.play(e.FilesChanged(changes=many, by="git", count=10_000))
        assert row(s.text, "9,997 more at once").split()[-2:] == ["git", "12:00:12"]
        assert row(s.text, "D d/f2.py").split()[-2:] == ["git", "12:00:12"]
        # What changes again stands at the top, with who did that.
        await s.play(e.FilesChanged(changes=(e.FileChange("mathx/core.py", "modified"),), by="you"), after_ms=1_000)
        assert row(s.text, "A mathx/core.py").split()[-2:] == ["you", "12:00:13"]
        assert "+3" in row(s.text, "A mathx/core.py")


async def test_a_verdict_about_older_files_does_not_stand_as_if_it_were_about_the_present_ones(show: Showing) -> None:
    async with show(size=(160, 60)) as s:
        tool = e.ToolEnded(call="c8", state="ok", changes=(e.FileChange("b.py", "modified"),))
        hit = verdict("ruff", cache="hit", summary="0 problems")
        await s.play(*opened(), *begun(*write_call(), hit, verdict()), ended(100, probe_ms=64), after_ms=1_000)
        assert row(s.text, "0 problems  ").split()[-2:] == ["↻", "unchanged"]
        changes = (e.FileChange("a\x1b[2J.py", "modified"),)
        await s.play(e.FilesChanged(changes=changes, by="probe"))
        assert "files changed since" not in s.text
        for event in (e.FilesChanged(changes=changes, by="git"), tool):
            await s.play(event)
            assert s.text.count("files changed since") == 2
            await s.play(hit)
            assert row(s.text, "0 problems  ").split()[-2:] == ["↻", "unchanged"]
            assert s.text.count("files changed since") == 1
        await s.type("/why", "enter")
        assert "since     b.py changed by agent at 12:00:" in s.text
        assert "\x1b" not in s.text
        await s.play(verdict())
        assert "files changed since" not in s.text
        await s.play(e.SessionResumed(app="0.1.0", created="2026-11-20T12:30:00+00:00"))
        assert row(s.text, "0 problems  ").split()[-2:] == ["from", "before"]
        await s.play(hit)
        assert row(s.text, "0 problems  ").split()[-2:] == ["↻", "unchanged"]


async def test_why_says_the_keys_and_reasons_of_the_latest_verdicts(show: Showing) -> None:
    async with show(size=(160, 50)) as s:
        await s.play(*opened())
        await s.type("/why", "enter")
        assert "no probe has given a verdict yet" in s.text
        await s.play(
            *begun(
                verdict("ruff", cache="hit", saved_ns=35 * MS, key="aa11bb22cc33", inputs=INPUTS),
                verdict(key="dd44ee55ff66", why="tests/test_a.py changed by you 3 s ago", inputs=INPUTS),
            ),
            ended(100, probe_ms=64),
        )
        await s.type("/why", "enter")
        said = [line.split("│")[0].split() for line in s.text.splitlines()]
        assert s.nothing_asked
    for words in (
        "ruff: passed, hit (3 passed)",
        "key aa11bb22cc33",
        "files 12, digest 3fa9c1d2e4b5",
        "arguments check .",
        "versions ruff 0.17.5",
        "variables PATH",
        "hit nothing that it depends on has changed; the run took 35 ms",
        "pytest: passed, ran (3 passed)",
        "key dd44ee55ff66",
        "miss tests/test_a.py changed by you 3 s ago",
        "session: hits 1 of 2 (50%), saved 35 ms, waited 64 ms",
    ):
        assert words.split() in said, words


ASKS = {
    "pytest.ini": "[pytest]\naddopts = --forked\n",
    "conftest.py": "def pytest_addoption(parser):\n    parser.addoption('--forked', action='store_true')\n",
    "test_a.py": "def test_a():\n    pass\n",
}
"""A workspace whose own configuration keeps runs from being forked."""
DIFFERS = {"test_a.py": "import gc\n\n\ndef test_a():\n    assert not gc.get_freeze_count()\n"}
"""A workspace whose test says something else in a forked run."""
SAID = "a forked run said failed (1 of 1 failed: test_a), and one from scratch passed (1 passed)"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forked runs need Linux")
@pytest.mark.parametrize(
    ("files", "why"),
    [(ASKS, "its configuration asks for --forked"), (DIFFERS, SAID)],
    ids=["refused", "disproved"],
)
async def test_why_runs_are_not_forked_is_told_on_the_screen_and_without_one(
    tmp_path: Path,
    sim_server: Callable[..., ServerProcess],
    write_script: WriteScript,
    show: Showing,
    monkeypatch: pytest.MonkeyPatch,
    files: dict[str, str],
    why: str,
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    root = tmp_path / "project"
    root.mkdir()
    for name, text in files.items():
        (root / name).write_text(text)
    script = write_script(step(call("write_file", path="a.txt", content="a\n")), finish())
    server = sim_server(scripts=[str(script)], faults=("stall@1:0",))
    told = f"pytest runs from scratch: {why}"

    going_on: list[asyncio.Task[None]] = []

    def go_on() -> None:
        server.stats(seconds=120, stalled=1)
        server.release()

    def moves(stamped: e.Stamped) -> tuple[()]:
        if isinstance(stamped.event, e.Notice) and stamped.event.text == told:
            going_on.append(asyncio.create_task(asyncio.to_thread(go_on)))
        return ()

    events, _ = await run_live("Write it", server.url, root, tmp_path / "sessions", moves=moves)
    await asyncio.gather(*going_on)
    assert [s.event.outcome for s in events if isinstance(s.event, e.GoalEnded)] == ["done"]

    out = Kept()
    progress = Progress(cast("LineOut", out))
    for stamped in events:
        progress.apply(stamped)
    assert out.text.count(told) == 1
    assert f"  info: {told}\n" in out.text

    over = next(n for n, s in enumerate(events) if isinstance(s.event, e.GoalEnded))
    async with show(size=(240, 60)) as s:
        await s.play(*(stamped.event for stamped in events[: over + 1]))
        assert s.text.count(told) == 1
        await s.type("/why", "enter")
        assert f"it runs from scratch: {why}" in row(s.text, "  slow ")
