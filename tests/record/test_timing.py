"""Where the time of sessions went: against the recordings that ship, and against figures worked out by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import msgspec
import pytest

from jetbox.engine import events as e
from jetbox.engine.clock import Span, phases
from jetbox.record.library import find
from jetbox.record.playback import read_journal
from jetbox.record.targets import targets
from jetbox.record.timing import Timing, percentile
from jetbox.ui.figures import expected_rows, round_rows, saving_rows, session_rows
from jetbox.ui.glyphs import UNICODE

MS = 1_000_000
NAMES = ("fix-test", "mathx", "question", "refactor")


def journal(name: str) -> list[e.Stamped]:
    return list(read_journal(find(name)).events)


def taken(events: Iterable[e.Stamped]) -> Timing:
    timing = Timing()
    for stamped in events:
        timing.take(stamped)
    return timing


@pytest.mark.parametrize("name", NAMES)
def test_rounds_phases_and_walls_are_the_journals(name: str) -> None:
    events = journal(name)
    timing = taken(events)
    ended = [s.event for s in events if isinstance(s.event, e.RoundEnded)]
    assert [r.wall for r in timing.rounds] == [event.wall_ns for event in ended]
    assert list(timing.worked) == sorted(event.wall_ns - event.phases.get("waiting for you", 0) for event in ended)
    assert sum(timing.phases.values()) == sum(event.wall_ns for event in ended)
    for done, event in zip(timing.rounds, ended, strict=True):
        split = dict.fromkeys(event.phases, 0)
        for phase, low, high in done.segments:
            split[phase] += high - low
        assert split == event.phases
        assert done.start == done.segments[0][1]
        assert done.end == done.segments[-1][2]


@pytest.mark.parametrize("name", NAMES)
def test_the_live_round_agrees_with_the_journal_to_the_millisecond(name: str) -> None:
    timing = Timing()
    compared = 0
    for stamped in journal(name):
        event, live = stamped.event, timing.live
        if isinstance(event, e.RoundEnded) and live is not None:
            end = live.start + event.wall_ns
            shown = phases(live.spans(end), live.start, end)
            for phase in {*shown, *event.phases}:
                assert shown.get(phase, 0) == pytest.approx(event.phases.get(phase, 0), abs=MS), (live.number, phase)
            compared += 1
        timing.take(stamped)
        if isinstance(event, e.RoundStarted) and timing.live is not None:
            began = timing.live.start
            assert stamped.t - began < 5 * MS
    assert compared == len(timing.rounds)


@pytest.mark.parametrize("name", NAMES)
def test_the_live_round_has_no_gap_and_only_grows(name: str) -> None:
    timing = Timing()
    for stamped in journal(name):
        timing.take(stamped)
        if timing.live is not None and stamped.t > timing.live.start:
            parts = timing.live.segments(stamped.t)
            assert parts[0][1] == timing.live.start
            assert parts[-1][2] == stamped.t
            assert all(a[2] == b[1] for a, b in itertools.pairwise(parts))
            assert "other" not in {part[0] for part in parts}


@pytest.mark.parametrize("estimated", [False, True])
def test_what_was_reused_is_an_estimate_where_the_server_does_not_count(estimated: bool) -> None:
    metrics = {"prompt_eval_count": 1000} | ({} if estimated else {"prompt_eval_cached_count": 900})
    answered = e.ModelAnswered(attempt=1, complete=True, metrics=metrics)
    reused = e.PrefixReused(tokens=900, of=1000, expected=950, estimated=estimated)
    ended = e.RoundEnded(wall_ns=9, phases={"decode": 9}, spans=(Span("decode", 0, 9),))
    events: list[e.AnyEvent] = [e.RoundStarted(model="m", limit=1), answered, reused, ended]
    timing = taken(e.Stamped(n, n * 3, 1, event) for n, event in enumerate(events))
    (done,) = timing.rounds
    assert (timing.reused, timing.reused_guessed) == (900, estimated)
    assert done.reuse_words == ("~90%" if estimated else "90%")
    told = str([*saving_rows(timing, 80, UNICODE), *round_rows(done, timing, 80, UNICODE)])
    assert ("~900 tokens reused" in told, "~90% of it reused" in told) == (estimated, estimated)


def test_reading_begins_with_the_first_word_of_it() -> None:
    sent = e.RequestSent(attempt=1, head="", count=1, tail="", sha="", bytes=1, estimate=1)
    said = ["loading", "reading", "reading", "reading"]
    waits = [e.Waiting(what=what, detail=str(n)) for n, what in enumerate(said)]  # type: ignore[arg-type]
    events: list[e.AnyEvent] = [e.RoundStarted(model="m", limit=1), sent, *waits]
    timing = taken(e.Stamped(n, n * MS, 1, event) for n, event in enumerate(events))
    assert timing.live is not None
    parts = {name: (start, end) for name, start, end in timing.live.segments(9 * MS)}
    assert parts["prompt eval"] == (3 * MS, 9 * MS)


def test_tools_verdicts_and_ttft_are_counted() -> None:
    events = journal("fix-test")
    timing = taken(events)
    assert {name: tool.calls for name, tool in timing.tools.items()} == {
        "run_cmd": 2,
        "read_file": 2,
        "edit_file": 2,
        "finish": 1,
    }
    assert timing.tools["run_cmd"].failed == 1
    assert timing.tools["run_cmd"].total == 439_988_917 + 395_286_861
    assert timing.tools["run_cmd"].longest == 439_988_917
    assert (timing.verdicts, timing.hits, timing.probes_saved) == (6, 2, 24_650_076 + 431_811_882)
    assert timing.rounds[0].ttft == 3_247_687_347
    assert timing.rounds[1].reuse == pytest.approx(887 / 1100)
    assert timing.reused == 887 + 1161 + 1535 + 1879 + 1937
    fresh = 857 + 213 + 283 + 216 + 30 + 35
    spent = 245240462 + 61070169 + 81072387 + 61980617 + 28615902 + 22592876
    assert timing.prefix_saved == pytest.approx(timing.reused * spent / fresh, abs=2)


def test_a_rate_is_clocked_where_the_server_tells_no_durations() -> None:
    def told(stamped: e.Stamped) -> e.Stamped:
        event = stamped.event
        if not isinstance(event, e.ModelAnswered):
            return stamped
        counts = {name: n for name, n in event.metrics.items() if name.endswith("_count")}
        return msgspec.structs.replace(stamped, event=msgspec.structs.replace(event, metrics=counts))

    events = journal("mathx")
    by_server, by_us = taken(events).rounds, taken(map(told, events)).rounds
    assert not any(each.clocked for each in by_server)
    assert by_server[0].rate_words == f"{by_server[0].rate:.0f}"
    clocked = [each for each in by_us if each.rate]
    assert len(clocked) >= 6, "but for answers that came in one piece"
    assert all(each.clocked and each.rate_words == f"~{each.rate:.0f}" for each in clocked)
    assert clocked[0].rate == pytest.approx(by_server[0].rate, rel=0.1)


def test_what_could_be_saved_in_a_recording() -> None:
    found = [(s.kind, s.round, s.ns) for s in taken(journal("fix-test")).savings]
    # The first load; the probe of round 3 beside round 4's 680 ms, and that of round 4 beside round 5's 573 ms.
    assert found == [("load", 1, 2_982_675_811), ("probe", 3, 556_912_472), ("probe", 4, 435_365_113)]


def made(*events: tuple[float, int, e.AnyEvent]) -> Timing:
    return taken(e.Stamped(n, int(ms * MS), number, event) for n, (ms, number, event) in enumerate(events))


def read_round(number: int, at: float, *, model: str = "m", call_ms: float = 10, calls: int = 1) -> list:  # type: ignore[type-arg]
    """A round of 100 ms before the first token, 50 of writing, then reads one after another."""
    metrics = {
        "prompt_eval_count": 1000 * number,
        "prompt_eval_cached_count": 1000 * (number - 1),
        "prompt_eval_duration": 80 * MS,
        "eval_count": 5,
        "eval_duration": 50 * MS,
    }
    out: list[tuple[float, int, e.AnyEvent]] = [
        (at, number, e.RoundStarted(model=model)),
        (at, number, e.RequestSent(attempt=1, head="h", count=1, tail="", sha="", bytes=1)),
        (at + 100, number, e.TextDelta(text="x")),
        (at + 150, number, e.ModelAnswered(attempt=1, ttft_ns=100 * MS, metrics=metrics)),
    ]
    t = at + 150
    for n in range(calls):
        call = f"{number}.{n}"
        out += [
            (t, number, e.ToolCalled(call=call, name="read_file", arguments="{}")),
            (t, number, e.ToolStarted(call=call)),
            (t + call_ms, number, e.ToolEnded(call=call, state="ok", duration_ns=int(call_ms * MS))),
        ]
        t += call_ms
    spans = (
        Span("queue and load", int(at * MS), int((at + 20) * MS)),
        Span("prompt eval", int((at + 20) * MS), int((at + 100) * MS)),
        Span("decode", int((at + 100) * MS), int((at + 150) * MS)),
        Span("tools", int((at + 150) * MS), int(t * MS)),
    )
    wall = int((t - at) * MS)
    split = phases(spans, int(at * MS), int(at * MS) + wall)
    ended = e.RoundEnded(wall_ns=wall, phases=split, spans=spans, tier="instant", tools=calls)
    return [*out, (t, number, ended)]


def test_rounds_that_only_read_could_have_been_one() -> None:
    timing = made((0, 0, e.GoalStarted(goal=1, text="")), *read_round(1, 0), *read_round(2, 160))
    assert [(s.kind, s.round, s.ns) for s in timing.savings] == [("reads", 2, 100 * MS)]
    assert timing.savings[0].why == "rounds 1 and 2 only read"


def test_reads_that_ran_one_after_another_could_have_run_together() -> None:
    timing = made((0, 0, e.GoalStarted(goal=1, text="")), *read_round(1, 0, calls=3, call_ms=10))
    assert [(s.kind, s.ns, s.why) for s in timing.savings] == [("reads", 20 * MS, "3 reads ran one after another")]


def test_a_broken_prefix_costs_what_is_read_again() -> None:
    second = read_round(2, 160)
    broken = e.PrefixReused(tokens=400, of=2000, expected=500, miss="message 3 changed")
    second.insert(-1, (310, 2, broken))
    timing = made((0, 0, e.GoalStarted(goal=1, text="")), *read_round(1, 0), *second)
    lost = next(s for s in timing.savings if s.kind == "prefix")
    # 1,000 tokens could have been reused, 400 were; both rounds read 1,000 tokens in 80 ms.
    assert lost.why == "message 3 changed: 600 tokens"
    assert lost.ns == pytest.approx(600 * 80 * MS / 1000, abs=2)


def test_medians_before_and_after_a_switch() -> None:
    timing = made(
        (0, 0, e.GoalStarted(goal=1, text="")),
        *read_round(1, 0),
        (160, 1, e.ModelSwitched(old="m", new="k", reason="user")),
        *read_round(2, 160, model="k"),
    )
    assert timing.around(timing.switches[0]) == (150 * MS, 150 * MS)
    assert timing.rounds[1].model == "k"


def test_how_long_one_waits_for_the_user_says_nothing_of_how_fast_it_is() -> None:
    events, hour = journal("fix-test"), 3_600_000 * MS
    later: list[e.Stamped] = []
    for stamped in events:
        event = stamped.event
        if isinstance(event, e.RoundEnded) and stamped.round == 2:
            end = max(span.end for span in event.spans)
            event = msgspec.structs.replace(
                event,
                phases=event.phases | {"waiting for you": hour},
                spans=(*event.spans, Span("waiting for you", end, end + hour)),
                wall_ns=event.wall_ns + hour,
            )
        later.append(msgspec.structs.replace(stamped, t=stamped.t + hour * (stamped.round > 2), event=event))
    usual, waited = taken(events), taken(later)
    assert waited.rounds[1].wall > hour
    assert waited.worked == usual.worked
    assert targets(waited) == targets(usual)
    shown = [row.text for rows in (session_rows, saving_rows, expected_rows) for row in rows(waited, 76, UNICODE)]
    assert [line.split(UNICODE.block)[0].strip() for line in shown if "1h 00m" in line] == [
        "without the 1h 00m that it waited for you",
        f"{UNICODE.square} waiting for you",
    ]


def test_percentiles_by_hand() -> None:
    assert percentile([], 0.5) == -1
    assert percentile([7], 0.99) == 7
    assert percentile([10, 20, 30, 40], 0.5) == 25
    assert percentile(list(range(101)), 0.95) == 95


def test_targets_have_lights_that_know_how_few_values_there_are() -> None:
    lights = {t.name: (t.light, t.n) for t in targets(taken(journal("fix-test")))}
    assert lights == {
        "P50": ("met", 6),
        "P95": ("few", 6),
        "P99": ("few", 6),
        "hit rate": ("met", 6),
        "parallel": ("missed", 7),
    }
    assert {t.light for t in targets(Timing())} == {"none"}
