from __future__ import annotations

from typing import cast

import pytest

from jetbox.cli.output import LineOut
from jetbox.cli.printer import GLYPHS, Progress, Summary, cache_sign
from jetbox.engine import events as e
from jetbox.ui.glyphs import UNICODE

MS = 1_000_000


class Kept:
    """Keeps lines."""

    def __init__(self) -> None:
        self.text = ""

    def put(self, data: bytes) -> None:
        self.text += data.decode()


def said(*events: e.AnyEvent, number: int = 3) -> str:
    out = Kept()
    progress = Progress(cast("LineOut", out))
    for seq, event in enumerate(events):
        progress.apply(e.Stamped(seq, 0, number, event))
    return out.text


def ended(**fields: object) -> e.ProbeEnded:
    known: dict[str, object] = {"name": "pytest", "state": "passed", "cache": "ran", "summary": "3 passed"}
    return e.ProbeEnded(**{**known, "duration_ns": 64 * MS, **fields})  # type: ignore[arg-type]


def test_signs_are_those_of_the_screen() -> None:
    assert {"ran": UNICODE.ran, "hit": UNICODE.hit, "partial": UNICODE.partial, "none": UNICODE.skipped} == GLYPHS
    assert cache_sign("passed", "hit", unproven=True) == "↻?"
    assert cache_sign("skipped", "ran") == "⏭"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (ended(), "⚡ pytest passed  3 passed  64 ms"),
        (ended(cache="hit", saved_ns=480 * MS, duration_ns=0), "↻ pytest passed  3 passed  0 ms, saved 480 ms"),
        (ended(cache="hit", unproven=True), "↻? pytest passed  3 passed  64 ms  (unproven)"),
        (ended(cache="partial"), "◐ pytest passed  3 passed  64 ms"),
        (ended(state="skipped", cache="none", summary="no tests"), "⏭ pytest skipped  no tests  64 ms"),
        (ended(of_round=2), "⚡ pytest passed  3 passed  64 ms  (of round 2)"),
        (ended(of_round=3), "⚡ pytest passed  3 passed  64 ms"),
        (
            ended(state="failed", summary="2 failed", known=("a", "b")),
            "⚡ pytest failed  2 failed  64 ms  (2 known)",
        ),
        (
            ended(state="failed", summary="1 new of 3 failed: c (2 known)", known=("a", "b")),
            "⚡ pytest failed  1 new of 3 failed: c (2 known)  64 ms",
        ),
        (ended(baseline=True), "⚡ pytest passed  3 passed  64 ms  (before the first change)"),
    ],
)
def test_a_verdict_is_a_line(event: e.ProbeEnded, line: str) -> None:
    assert said(event) == f"  {line}\n"


def test_what_others_change_is_told_while_the_agent_works() -> None:
    def changed(by: str, *paths: str, count: int = 0) -> e.FilesChanged:
        changes = tuple(e.FileChange(path, "modified") for path in paths)
        return e.FilesChanged(changes=changes, by=by, count=count)  # type: ignore[arg-type]

    start = e.GoalStarted(goal=1, text="do it")
    end = e.GoalEnded(goal=1, outcome="done", reason="done", exit_code=0)
    text = said(
        changed("you", "before.py"),
        start,
        changed("agent", "agent.py"),
        changed("command", "command.py"),
        changed("probe", "probe.xml"),
        changed("you", "a.py", "b\x1b[2J.py"),
        changed("git", "a", "b", "c", "d", count=10_000),
        end,
        changed("you", "after.py"),
    )
    first, second, third = text.splitlines()
    assert first == "❯ do it"
    assert second.startswith("  you changed a.py, b")
    assert "\x1b" not in second
    assert third == "  git changed a, b, c and 9997 more"


def test_the_summary_tells_hits_what_they_saved_and_what_was_waited_for() -> None:
    summary = Summary()
    assert summary.probing == ""
    for event in (
        ended(baseline=True),
        ended(state="cancelled", cache="none"),
        ended(state="skipped", cache="none"),
        ended(),
        ended(cache="hit", saved_ns=64 * MS),
        ended(cache="hit", saved_ns=36 * MS, unproven=True),
        ended(state="failed", cache="partial", summary="1 failed"),
        e.RoundEnded(wall_ns=100 * MS, phases={"decode": 84 * MS, "probe": 16 * MS}),
    ):
        summary.apply(e.Stamped(0, 0, 1, event))
    assert summary.probing == "probes: 2 of 4 from the cache (50%), 1 unproven, saved 100 ms, waited for 16 ms"
    assert summary.probes == {"pytest": {"state": "failed", "summary": "1 failed", "cache": "partial"}}
