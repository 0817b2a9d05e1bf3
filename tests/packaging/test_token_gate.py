"""The gate on tokens and on time: what it lets pass, what shuts it, and that what it compares can be set."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from benchmarks import token_gate

from jetbox.engine.errors import ExitCode
from jetbox.engine.events import AnyEvent, Compacted, GoalEnded, ModelAnswered
from jetbox.settings.load import load

ROOT = Path(__file__).parents[2]


def runs(tokens: int, *seconds: float, outcome: str = "answered") -> list[token_gate.Run]:
    return [token_gate.Run(tokens, tokens // 2, each, outcome) for each in seconds]


@pytest.mark.parametrize(
    ("tokens", "seconds", "outcome", "word"),
    [
        (842, (215.0, 216.0, 214.0), "answered", "costs time"),  # the optimiser of the seeds
        (842, (140.0, 140.0, 140.0), "answered", "costs time"),  # and what it was hoped to come to
        (842, (108.0, 109.0, 108.0), "answered", "pays"),  # within the noise of 3 %
        (842, (90.0, 91.0, 92.0), "answered", "pays"),
        (1000, (90.0, 91.0, 92.0), "answered", "saves nothing"),
        (842, (90.0, 91.0, 92.0), "red", "ends otherwise"),
    ],
)
def test_tokens_and_time_are_judged_together(tokens: int, seconds: tuple[float, ...], outcome: str, word: str) -> None:
    off = runs(1000, 106.0, 107.0, 105.0)
    verdict = token_gate.judge(off, runs(tokens, *seconds, outcome=outcome))
    assert (verdict.word, verdict.tokens) == (word, tokens - 1000)
    assert verdict.noise == pytest.approx(0.03 * 106)
    assert token_gate.fails(verdict, default=True, strict=False) is (word in ("costs time", "ends otherwise"))
    assert not token_gate.fails(verdict, default=False, strict=False)


def test_what_passes_on_both_sides_of_a_turn_is_no_difference() -> None:
    # The machine grew slower from turn to turn: medians of each side alone would blame the switch.
    off, on = runs(1000, 1.0, 2.0, 9.0), runs(900, 1.01, 2.01, 9.01)
    assert token_gate.judge(off, on).seconds == pytest.approx(0.01)
    assert token_gate.judge(off, on).word == "pays"


def test_a_summary_of_the_history_is_paid_for_on_both_axes() -> None:
    answer = {"prompt_eval_count": 1000, "prompt_eval_cached_count": 900, "eval_count": 10, "load_duration": 10**9}
    spent = {"prompt_eval_count": 800, "prompt_eval_cached_count": 800, "eval_count": 50}
    happened: list[AnyEvent] = [
        ModelAnswered(attempt=1, wall_ns=2 * 10**9, metrics=answer),
        Compacted(why="", how="summary", before=9, after=5, messages=2, of=9, duration_ns=10**9, metrics=spent),
        GoalEnded(goal=1, outcome="answered", reason="", exit_code=0, wall_ns=4 * 10**9),
    ]
    run = token_gate.summary(happened, 4.0)
    assert (run.tokens, run.read) == (1860, 100)
    # Answers and summary four times as long, the load left out, a second of everything else as it was.
    assert run.seconds == pytest.approx(4 * (2 - 1) + 4 * 1 + 1)


def test_its_exit_code_is_the_gates(monkeypatch: pytest.MonkeyPatch) -> None:
    def play(_task: object, option: str, _latency: str, _speed: float) -> object:
        slow = option == token_gate.SWITCHES["tools.spec_style"].on
        return token_gate.Run(900 if slow else 1000, 10, 2.0 if slow else 1.0, "answered")

    monkeypatch.setattr(token_gate, "play", play)
    monkeypatch.setattr(sys, "argv", ["token_gate", "--runs", "2", "--switch", "tools.spec_style"])
    assert token_gate.main() == ExitCode.BENCH_GATE
    monkeypatch.setattr(sys, "argv", ["token_gate", "--runs", "2", "--switch", "context.prompt_version"])
    assert token_gate.main() == 0


def test_every_switch_can_be_set_off_and_on_and_says_which_is_the_default() -> None:
    plain = load(None, environment={}).settings
    for switch in token_gate.SWITCHES.values():
        for option, default in ((switch.off, not switch.default), (switch.on, switch.default)):
            name, _, value = option.partition("=")
            loaded = load(None, environment={}, flags=[(name, value, "--set")]).settings
            assert (loaded == plain) is default
        assert all(Path(script).is_file() for script in switch.task.scripts)


@pytest.mark.parametrize(("option", "words"), [("--runs", "at least 1"), ("--speed", "more than 0")])
def test_nothing_to_play_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str, words: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["token_gate.py", option, "0"])
    with pytest.raises(SystemExit) as ended:
        token_gate.main()
    assert ended.value.code == 2
    assert f"{option}: {words}" in capsys.readouterr().err
