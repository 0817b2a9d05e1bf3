"""The rounds of the published speed test on the screen: what is drawn and summed is what was recorded."""

from __future__ import annotations

import pytest

from jetbox.engine import events as e
from jetbox.ui.glyphs import UNICODE
from ui.conftest import Show, Showing
from ui.played import MS, opened

LARGE = (3685, 862, 694, 728, 602, 466, 472, 452, 656, 635)
"""Milliseconds of each round with gpt-oss:20b; three of them ran probes, in seven nothing had changed."""
LARGE_LLM = (3640, 711, 676, 676, 569, 449, 428, 426, 452, 432)
LARGE_PROBES = (32, 113, 0, 0, 96, 0, 0, 0, 0, 0)
SMALL = (724, 568, 712, 247, 391, 224, 326, 347, 333)
SMALL_LLM = (677, 403, 314, 227, 221, 205, 205, 223, 205)
SMALL_PROBES = (32, 36, 371, 0, 128, 0, 0, 0, 0)
Round = tuple[int, int, int]
"""Wall time, of which for the model, and for probes; a probe of 0 ms is a hit that saved 250 ms."""


def happened(number: int, times: Round) -> list[e.AnyEvent]:
    wall, llm, probe = times
    load = 3000 * MS if wall > 3000 else 0
    metrics = {"prompt_eval_count": 1000 + 100 * number, "eval_count": 60, "eval_duration": 500 * MS}
    phases = {"decode": llm * MS, "probe": probe * MS, "other": (wall - llm - probe) * MS}
    return [
        e.RoundStarted(model="m", limit=24),
        e.RequestSent(attempt=1, head="h", count=2, tail="t", sha="s", bytes=4000, estimate=900),
        e.TextDelta(text="x"),
        e.ModelAnswered(attempt=1, ttft_ns=88 * MS, metrics={**metrics, "load_duration": load}),
        e.ProbeEnded(
            name="pytest",
            state="passed",
            cache="ran" if probe else "hit",
            duration_ns=probe * MS,
            saved_ns=0 if probe else 250 * MS,
        ),
        e.RoundEnded(wall_ns=wall * MS, phases={n: ns for n, ns in phases.items() if ns}, spans=(), tier="fast"),
    ]


async def play(s: Show, rounds: list[Round]) -> None:
    await s.play(*opened(), e.GoalStarted(goal=1, text="Create mathx"))
    for number, times in enumerate(rounds, 1):
        *before, ended = happened(number, times)
        s.stage.emit(*before)
        await s.play(ended, after_ms=times[0])


def line(s: Show, name: str) -> str:
    """The panel's line of this name."""
    found = (row.rsplit("│", 1)[-1].strip() for row in s.text.splitlines())
    return next(row for row in found if row.startswith(f"{name} "))


def levels(values: list[int], most: int) -> str:
    return " ".join(UNICODE.sparks[int(value / most * 7 + 0.5)] for value in values)


LARGE_ROUNDS = list(zip(LARGE, LARGE_LLM, LARGE_PROBES, strict=True))
SMALL_ROUNDS = list(zip(SMALL, SMALL_LLM, SMALL_PROBES, strict=True))


@pytest.mark.parametrize("rounds", [LARGE_ROUNDS, SMALL_ROUNDS])
async def test_bars_are_as_high_as_what_was_recorded(show: Showing, rounds: list[Round]) -> None:
    async with show() as s:
        await play(s, rounds)
        llm, probes = [each[1] for each in rounds], [each[2] for each in rounds]
        assert line(s, "llm").removeprefix("llm").strip().startswith(levels(llm, max(llm)))
        assert line(s, "llm").endswith(f"{llm[-1]} ms")
        assert line(s, "probe").removeprefix("probe").strip().startswith(levels(probes, max(probes)))


async def test_the_baseline_is_a_line_across_the_rounds(show: Showing) -> None:
    async with show() as s:
        await play(s, LARGE_ROUNDS)
        signs = UNICODE.sparks
        rows = [row.rsplit("│", 1)[-1].strip() for row in s.text.splitlines()]
        at = next(n for n, row in enumerate(rows) if row.startswith("wall "))
        assert rows[at].removeprefix("wall").strip().startswith(levels([min(wall, 1000) for wall in LARGE], 1000))
        assert rows[at].endswith("635 ms")
        # The one round that took longer stands above the line.
        assert rows[at - 1].startswith(signs[-1] + signs[0] * 19 + " ")
        assert rows[at - 1].endswith(f"{signs[0] * 2} 1.00 s")
        s.bench.side.reference = 0
        await play(s, LARGE_ROUNDS[:1])
        assert "wall " not in s.text


async def test_what_is_less_than_the_baseline_is_derived(show: Showing) -> None:
    async with show(size=(160, 50)) as s:
        await play(s, LARGE_ROUNDS)
        await s.press("f2", "shift+tab")
        rows = {row[:13].strip(): " ".join(row[13:].split()) for row in figures(s)}
        assert rows["a round"] == "P50 646 ms of 1.00 s 35% less"
        assert rows["its probes"] == "32 ms-113 ms of 380 ms 70-92% less"
        assert rows["model"].endswith("91% 70% to 80%")
        assert rows["the model"] == "510 ms 1500 to 3000 ms"
        assert rows["a frame"] == "not recorded 5 to 20 ms"


async def test_hits_are_counted_and_what_they_saved_is_summed(show: Showing) -> None:
    async with show() as s:
        await play(s, LARGE_ROUNDS)
        assert "hits 7 of 10 (70%)" in s.text
        assert "saved 1.75 s, waited 241 ms" in s.text
        await s.press("f2")
        assert "hit rate      70% > 30%" in s.text
    async with show() as s:
        await play(s, SMALL_ROUNDS)
        assert "hits 5 of 9 (56%)" in s.text


async def test_statistics_keep_a_cold_round_apart(show: Showing) -> None:
    async with show(size=(160, 50)) as s:
        await play(s, LARGE_ROUNDS)
        await s.press("f2")
        rows = {row.split()[0]: row.split()[1:] for row in figures(s) if row.split()[:1] != []}
        assert " ".join(rows["percentiles"]) == "mean P50 P95 P99 n"
        assert " ".join(rows["round"][:4]) == "925 ms 646 ms"
        assert " ".join(rows["warm"][:4]) == "619 ms 635 ms"
        assert rows["warm"][-1] == "9"
        assert " ".join(rows["cold"]) == "3.69 s 3.69 s 3.69 s 3.69 s 1"
    async with show(size=(160, 50)) as s:
        await play(s, SMALL_ROUNDS)
        await s.press("f2")
        (every,) = (row.split()[1:] for row in figures(s) if row.startswith("round "))
        assert " ".join(every[:4]) == "430 ms 347 ms"


async def test_time_is_parted_by_phase(show: Showing) -> None:
    async with show() as s:
        await play(s, LARGE_ROUNDS)
        await s.press("f2")
        shares = {row.split("  ")[0].strip("■ "): row.split()[-3:] for row in figures(s) if row.startswith("■")}
        assert shares["decode"] == ["8.46", "s", "91%"]
        assert shares["probe"] == ["241", "ms", "3%"]


async def test_what_streams_has_its_figures(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), e.GoalStarted(goal=1, text="x"))
        *_, answered, _, ended = happened(1, (700, 690, 0))
        await s.play(*happened(1, (700, 690, 0))[:3], e.TextDelta(text=" y"))
        assert "writing ~2 tokens" in s.text
        await s.play(answered, ended)
        assert line(s, "ttft").endswith("88 ms")
        assert line(s, "tok/s").endswith("120")


def figures(s: Show) -> list[str]:
    """The rows beside the list of the timing screen."""
    found = []
    for row in s.text.splitlines():
        if row.count("│") == 2:
            right = row.split("│")[1]
            found.append(right[len(right) // 2 - 1 :].strip())
    return found
