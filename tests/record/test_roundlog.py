from __future__ import annotations

from jetbox.engine import events as e
from jetbox.record.library import find
from jetbox.record.recording import read_journal
from jetbox.record.roundlog import round_log

MS = 1_000_000


def ended(wall: int, llm: int, probe: int = 0) -> e.RoundEnded:
    phases = {"decode": llm * MS, "probe": probe * MS, "other": (wall - llm - probe) * MS}
    return e.RoundEnded(wall_ns=wall * MS, phases=phases, spans=())


def verdict(name: str, **fields: object) -> e.ProbeEnded:
    known: dict[str, object] = {"name": name, "state": "passed", "cache": "ran", "duration_ns": MS}
    return e.ProbeEnded(**{**known, **fields})  # type: ignore[arg-type]


def lines(*rounds: tuple[e.AnyEvent, ...]) -> list[str]:
    events = [e.Stamped(0, 0, number, event) for number, told in enumerate(rounds, 1) for event in told]
    return [one.line for one in round_log(events)]


def test_the_published_rounds_read_as_they_were_published() -> None:
    hit = verdict("ruff", cache="hit")
    assert lines(
        (verdict("ruff"), verdict("pytest", state="skipped", cache="none"), ended(3685, 3640, 32)),
        (verdict("ruff", baseline=True), verdict("pytest", state="failed"), ended(862, 711, 113)),
        (hit, verdict("pytest", cache="hit"), ended(694, 676)),
    ) == [
        "Round 1: 3685ms (LLM: 3640ms) - Probe: 32ms ⚡",
        "Round 2: 862ms (LLM: 711ms) - Probe: 113ms ⚡",
        "Round 3: 694ms (LLM: 676ms) - Cache hit ↻",
    ]


def test_what_was_not_whole_not_proved_skipped_late_or_cut_off_is_told_apart() -> None:
    late = verdict("pytest", of_round=1)
    assert lines(
        (verdict("ruff", cache="hit"), ended(500, 400, 20)),
        (late, verdict("ruff", cache="hit", unproven=True), verdict("pytest", state="cancelled"), ended(300, 299)),
        (verdict("pytest", cache="partial"), verdict("ruff", cache="hit"), ended(450, 400, 45)),
        (verdict("pytest", state="skipped", cache="none"), ended(90, 80)),
        (ended(70, 60),),
        (e.RoundStarted(model="m", limit=9),),
    ) == [
        "Round 1: 500ms (LLM: 400ms) - Probe: 20ms ⚡",
        "Round 2: 300ms (LLM: 299ms) - Cache hit ↻?",
        "Round 3: 450ms (LLM: 400ms) - Probe: 45ms ◐",
        "Round 4: 90ms (LLM: 80ms) - Probe skipped ⏭",
        "Round 5: 70ms (LLM: 60ms)",
        "Round 6: cut off",
    ]


def test_in_five_of_nine_rounds_of_mathx_no_probe_had_to_run() -> None:
    log = round_log(read_journal(find("mathx")).events)
    still = [one.number for one in log if not {"ran", "partial"}.intersection(one.verdicts.values())]
    assert (len(still), len(log)) == (5, 9)
    assert log[-1].verdicts == {"ruff": "hit", "pytest": "hit"}
    for one in log:
        assert abs(sum(one.phases_ms.values()) - one.wall_ms) < 0.001
