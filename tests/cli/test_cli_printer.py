from __future__ import annotations

import json
from typing import cast

import pytest

from jetbox.cli.output import LineOut
from jetbox.cli.printer import Progress, Summary
from jetbox.engine import events as e
from jetbox.ui.glyphs import UNICODE
from jetbox.ui.verdicts import cache_sign, came

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


def test_a_reload_by_another_client_has_its_reason() -> None:
    why = "the server loaded the model again: another client with other options?"
    told = said(e.PrefixReused(tokens=0, of=4096, expected=4000, miss=why))
    assert told == f"  the prompt was read anew, 0 of 4,096 tokens were cached: {why}\n"
    assert said(e.PrefixReused(tokens=4000, of=4096, expected=4000)) == ""


def test_a_prompt_that_takes_longer_than_it_should_is_said_to_at_once() -> None:
    late = "900 tokens, longer than it took before; other requests may come first"
    told = said(*(e.Waiting(what="reading", detail=text) for text in ("900 tokens", "900 tokens", late)))
    assert told == f"  … reading 900 tokens\n  … reading {late}\n"


def test_what_of_a_prompt_was_cached_is_an_estimate_where_the_server_does_not_count() -> None:
    told = said(e.PrefixReused(tokens=1200, of=4096, expected=4000, estimated=True, miss="x"))
    assert told == "  the prompt was read anew, ~1,200 of 4,096 tokens were cached: x\n"


def test_a_prompt_of_which_most_was_cached_was_not_read_anew() -> None:
    told = said(e.PrefixReused(tokens=3600, of=4096, expected=3000, again=450, miss="x"))
    assert told == "  ~450 of 4,096 tokens of the prompt were read again: x\n"
    told = said(e.PrefixReused(tokens=3600, of=4096, expected=3000, miss="x"))
    assert told == "  of the prompt 3,600 of 4,096 tokens were cached: x\n"


@pytest.mark.parametrize(("seconds", "words"), [(1530, "1,530"), (999.7, "1,000"), (36000, "36,000"), (4.25, "4.25")])
def test_long_times_are_no_powers_of_ten(seconds: float, words: str) -> None:
    told = said(e.Waiting(what="reading", detail="", expected_ns=int(seconds * 1e9)))
    assert told == f"  … reading (about {words} s)\n"


def test_how_far_a_prompt_is_takes_few_lines() -> None:
    sent = e.RequestSent(attempt=1, head="", count=1, tail="", sha="", bytes=1, estimate=1)
    read = [e.Waiting(what="reading", detail=f"{n} of 9 tokens") for n in range(3)]
    assert said(sent, *read, sent, read[2]) == "  … reading 0 of 9 tokens\n  … reading 2 of 9 tokens\n"
    assert said(read[0], e.Waiting(what="loading"), read[1]).count("reading") == 2


def test_how_a_verdict_came_about_has_a_sign() -> None:
    signs = {"ran": "⚡", "hit": "↻", "unproven": "↻?", "partial": "◐", "skipped": "⏭", "none": "⏭", "error": "✗"}
    assert {how: cache_sign(how, UNICODE) for how in signs} == signs
    assert came("passed", "hit", unproven=True) == "unproven"
    assert came("skipped", "ran") == "skipped"
    assert came("failed", "none") == "error"


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


def test_the_last_words_are_kept_in_pieces_and_told_as_one() -> None:
    summary = Summary()
    for event in (
        e.TextDelta(text="before"),
        e.RoundStarted(model="m"),
        e.TextDelta(text="All "),
        e.TextDelta(text="done."),
        e.ToolCalled(call="c", name="finish", arguments='{"summary": "in other words"}'),
    ):
        summary.apply(e.Stamped(0, 0, 1, event))
    assert summary.said == ["All ", "done."]
    told = json.loads(summary.json())
    assert told["text"] == summary.text == "All done."
    assert "said" not in told
    summary.apply(e.Stamped(0, 0, 2, e.RoundStarted(model="m")))
    summary.apply(e.Stamped(0, 0, 2, e.ToolCalled(call="c", name="finish", arguments='{"summary": "short"}')))
    assert summary.text == "short"


def test_a_plan_is_told_step_by_step() -> None:
    steps = (e.PlannedStep("1", "write_file a.py"), e.PlannedStep("2", "run_cmd cat a.py", ("1",)))
    text = said(
        e.PlanMade(plan="p", steps=steps, notes=("step 3 left out",)),
        e.StepEnded(plan="p", step="1", state="failed"),
        e.StepEnded(plan="p", step="2", state="skipped", why="not run: it needs step 1, which failed"),
        e.PlanEnded(plan="p", outcome="broken", why="step 1 failed", wall_ns=30 * MS, alone_ns=52 * MS, together=1),
        e.PlanJoined(plan="p", done=False),
        e.PlanEnded(plan="q", outcome="refused", why="the plan has no steps"),
        e.PlanJoined(plan="r", done=True),
    )
    assert text.splitlines() == [
        "  plan: 2 steps (step 3 left out)",
        "    1 write_file a.py",
        "    2 run_cmd cat a.py  after 1",
        "  – step 2 not run: it needs step 1, which failed",
        "  plan broken: step 1 failed; 0 done, up to 1 at once, 30 ms, one by one 52 ms",
        "  plan joined: going on call by call",
        "  plan not taken: the plan has no steps; going on call by call",
        "  plan joined: done",
    ]
