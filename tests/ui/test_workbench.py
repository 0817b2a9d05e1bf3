from __future__ import annotations

import pytest

from jetbox.engine import commands
from jetbox.engine import events as e
from jetbox.engine.errors import ServerUnreachable
from jetbox.engine.waiting import DEAF
from ui.conftest import Showing
from ui.played import MS, answered, first_round, opened, request, second_round, third_round, whole, write_call


async def test_a_whole_session_is_on_the_screen(show: Showing) -> None:
    async with show(size=(160, 90)) as s:
        await s.play(*whole())
        text = s.text
    for words in (
        "❯ Create mathx package with add and multiply, add tests.",
        "▸ thought for 0 ms",
        "I begin with the package, in mathx.",
        "• multiply",
        "write_file mathx/__init__.py  +3",
        "1 + def add(a: int, b: int) -> int:",
        "⚡ ruff ✓ 0 problems 11 ms   ⏭ pytest skipped: no tests",
        "◆ 2   1.65 s",
        "print(add(1, 2))",
        "FAILED test_mul",
        "pytest ✗ 1 of 3 failed: test_mul 64 ms",
        "FAILED tests/test_mathx.py::test_mul - assert 5 == 6",
        "edit_file mathx/__init__.py  +4 -2",
        "2 -     return a - b",
        "↻ ruff ✓ 0 problems 11 ms, saved 48 ms",
        "✓ done, probes green: ruff 0 problems, pytest 3 passed",
        "  3 rounds, 2.60 s",
        "~/code/mathx",
        "gpt-oss:20b ● 30m",
        "16% of 16k",
        "round 3/24",
        "hits 1 of 5 (20%)",
        "A mathx/__init__.py",
        "saved 48 ms, waited 100 ms",
        "mode edits",
    ):
        assert words in text, words
    assert "pytest ✓ skipped" not in text


async def test_an_idle_session_says_what_can_be_typed(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        assert "what shall be done here?" in s.text
        assert "no round yet" in s.text
        assert "mode ask" in s.text


async def test_what_is_typed_becomes_a_goal_and_then_words_for_the_running_one(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        await s.press(*"go", "enter")
        assert await s.asked() == commands.Goal("go")
        await s.play(*first_round()[:3])
        await s.press(*"wait", "enter")
        assert await s.asked() == commands.Steer("wait")
        await s.play(e.QueueChanged(items=("wait", "and more")))
        assert "next round ❯ wait" in s.text
        assert "❯ and more" in s.text
        await s.play(e.Steered(text="wait"), e.QueueChanged(items=()))
        assert "next round" not in s.text


async def test_now_interrupts_with_words(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        await s.type("/now stop that", "enter")
        assert await s.asked() == commands.Steer("stop that", now=True)


async def test_escape_interrupts_the_goal_and_nothing_else(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        await s.press("escape")
        assert s.nothing_asked
        await s.play(*first_round()[:3])
        await s.press("escape")
        assert await s.asked() == commands.Cancel()
        await s.play(
            e.GoalEnded(goal=1, outcome="interrupted", reason="interrupted by the user", exit_code=130, rounds=1)
        )
        assert "! interrupted by the user" in s.text


async def test_shift_tab_asks_for_the_next_mode(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened("edits"))
        await s.press("shift+tab")
        assert await s.asked() == commands.SetMode("auto")
        assert "mode edits" in s.text
        await s.play(e.ModeChanged(mode="auto"))
        assert "mode auto" in s.text
        await s.press("shift+tab")
        assert await s.asked() == commands.SetMode("ask")


async def test_a_line_that_begins_with_a_path_is_no_command(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        await s.type("/tmp/foo.py is broken", "enter")
        assert await s.asked() == commands.Goal("/tmp/foo.py is broken")
        await s.type("/nosuch", "enter")
        assert "there is no /nosuch" in s.text
        assert s.nothing_asked


async def test_stopping_is_said_until_it_has_stopped(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        await s.press("escape")
        assert "stopping: what was streamed is kept" in s.text
        await s.play(e.GoalEnded(goal=1, outcome="interrupted", reason="interrupted", exit_code=130))
        assert "stopping" not in s.text


async def test_slash_commands(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        await s.type("/mode auto", "enter")
        assert await s.asked() == commands.SetMode("auto")
        await s.type("/model llama3.2:3b", "enter")
        assert await s.asked() == commands.SetModel("llama3.2:3b")
        await s.type("/model llama3.2:3b now", "enter")
        assert await s.asked() == commands.SetModel("llama3.2:3b", now=True)
        await s.type("/probe", "enter")
        assert await s.asked() == commands.RunProbes()
        await s.type("/m")
        assert "2 commands    tab completes" in s.text
        await s.press("ctrl+c")
        await s.type("/teme", "enter")
        assert "there is no /teme; did you mean /theme?" in s.text
        await s.type("/mode wild", "enter")
        assert "there is no mode 'wild'" in s.text
        await s.type("/theme jetbox-light", "enter")
        assert s.app.theme == "jetbox-light"
        assert s.nothing_asked


async def test_clearing_quitting_and_the_exit_code(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        await s.type("half a sentence")
        await s.press("ctrl+c")
        assert s.bench.prompt.text == ""
        assert "^C again quits" in s.text
        await s.press("x")
        assert "^C again quits" not in s.text
        await s.press("ctrl+c")
        assert s.bench.prompt.text == "", "another key came between: it clears"
        assert "^C again quits" in s.text
        s.app._disarm()
        await s.pilot.pause()
        assert "^C again quits" not in s.text, "it does not any more"
        s.bench.prompt.remember("said before")
        await s.press("up")
        assert s.bench.prompt.text == "said before"
        await s.press("ctrl+c", "up")
        assert s.bench.prompt.text == "said before", "it is the newest again"
        s.app._disarm()
        await s.press("f4", "ctrl+c")
        assert s.app.screen is s.bench
        assert s.bench.prompt.text == "said before", "what lay over it was closed, nothing else"
        await s.pilot.press("ctrl+c")
        await s.pilot._wait_for_screen()
    assert s.app.return_value == 3


async def test_a_failure_of_the_engine_is_told_and_ends_with_its_code(show: Showing) -> None:
    async with show(failure=ServerUnreachable("nothing answers at :11434", "start it with: ollama serve")) as s:
        await s.pilot.pause()
        assert "✗ nothing answers at :11434 — start it with: ollama serve" in s.text
        await s.type("hello", "enter")
        assert "the session is over" in s.text
        await s.pilot.press("ctrl+q")
        await s.pilot._wait_for_screen()
    assert s.app.return_value == 6
    assert isinstance(s.app.failure, ServerUnreachable)


async def test_history_at_the_edges_of_the_input(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        await s.type("one", "enter")
        await s.type("two", "enter")
        await s.type("draft", "up")
        assert s.bench.prompt.text == "two"
        await s.press("up", "up")
        assert s.bench.prompt.text == "one"
        await s.press("down", "down")
        assert s.bench.prompt.text == "draft"
        await s.press("ctrl+j", "x")
        assert s.bench.prompt.text == "draft\nx"


async def test_keys_that_nothing_took_go_to_the_input(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened())
        s.bench.transcript.focus()
        await s.press("h", "i")
        assert s.bench.prompt.text == "hi"
        assert s.bench.prompt.has_focus


async def test_what_is_waited_for_is_said_in_words(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        assert "waiting for the model" in s.text
        await s.play(e.Waiting(what="loading", expected_ns=5000 * MS))
        assert "loading the model of 12.9 GB" in s.text
        await s.play(e.Waiting(what="loading", detail="gpt-oss:20b, 12.9 GB", expected_ns=5000 * MS))
        assert "loading gpt-oss:20b, 12.9 GB" in s.text
        assert "of about 5.00 s" in s.text
        assert "gpt-oss:20b ● loading" in s.text
        s.stage.clock.advance(4_000)
        await s.play(e.Waiting(what="reading", detail="9,200 tokens", expected_ns=3000 * MS))
        assert "the model reads 9,200 tokens  0.0 s of about 3.00 s" in s.text
        for said in (DEAF, f"{DEAF}, which is longer than it took before; other requests may come first"):
            await s.play(e.Waiting(what="reading", detail=f"9,200 tokens; {said}"))
            last = s.text.splitlines()[-1]
            assert "the model reads 9,200 tokens; a stopped answer may still run; " in last
            assert "  0.0 s    esc " in last
            assert last.endswith("mode ask ")
        assert "…  0.0 s" in last
        await s.play(e.ThinkingDelta(text="hm"))
        assert "thinking ~1 tokens" in s.text
        await s.play(*write_call()[:2])
        s.stage.clock.advance(300)
        s.bench._tick()
        await s.pilot.pause()
        assert "0.3 s …" in s.text
        for what in ("writing", "thinking"):
            await s.play(e.Waiting(what="loading"), e.Waiting(what=what))
            assert "gpt-oss:20b ● loading" not in s.text
            assert s.bench.view.loaded == "loaded"


async def test_a_word_does_not_hide_for_long_what_is_waited_for(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        await s.type("/model llama3.2:3b now")
        await s.press("enter")
        assert "now: llama3.2:3b" in s.text
        await s.play(e.Waiting(what="loading", detail="llama3.2:3b"))
        assert "now: llama3.2:3b" in s.text
        s.stage.clock.advance(4_000)
        s.bench._tick()
        await s.pilot.pause()
        assert "loading llama3.2:3b" in s.text
        s.bench.switch_model("nix", now=False)
        await s.play(e.Notice(level="warning", text="the server does not have nix; going on with llama3.2:3b"))
        assert "from the next round on: nix" not in s.text


async def test_what_is_done_ahead_of_a_goal_is_said_too(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), e.Waiting(what="loading", detail="gpt-oss:20b, 12.9 GB", expected_ns=5000 * MS))
        assert "loading gpt-oss:20b, 12.9 GB  0.0 s of about 5.00 s" in s.text
        assert s.bench._fast, "its time moves"
        await s.play(e.Notice(level="info", text="the model could not be made ready"))
        assert "loading" not in s.text
        assert not s.bench._fast
        await s.play(e.Waiting(what="choosing", detail="qwen3:8b"))
        assert "which model? there is no qwen3:8b" in s.text
        await s.play(e.Waiting(what="asking", detail="the server about its models"))
        assert "asking the server about its models" in s.text
        await s.play(e.ModelSwitched(old="gpt-oss:20b", new="llama3.2:3b"))
        assert "asking" not in s.text
        await s.play(e.Waiting(what="compacting", detail="9,200 tokens"))
        assert "making room, a summary of 9,200 tokens" in s.text
        await s.press("escape")
        assert await s.asked() == commands.Cancel()


async def test_time_moves_on_the_screen_without_events(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        s.stage.clock.advance(11_200)
        s.bench._tick()
        await s.pilot.pause()
        assert "00:11.2" in s.text
        assert "◆ 1   11.2 s" in s.text


async def test_the_share_of_the_window_grows_while_an_answer_streams(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:2], request(1638))
        assert "~10% of 16" in s.text
        await s.play(*(e.ThinkingDelta(text="so ") for _ in range(500)), *(e.TextDelta(text="on ") for _ in range(500)))
        assert "~16% of 16" in s.text
        await s.play(answered(tokens=3217))
        assert " 20% of 16" in s.text


async def test_before_a_probe_runs_it_is_said_what_takes_the_time(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:8], *write_call(), after_ms=100)
        s.stage.clock.advance(3_000)
        s.bench._tick()
        await s.pilot.pause()
        assert "looking at the files  3.0 s" in s.text
        await s.play(e.ProbeStarted(name="ruff"))
        assert "probing ruff" in s.text
        asked = e.PermissionAsked(id="p1", call="", kind="command", title="run the probes")
        await s.play(e.ProbeEnded(name="ruff", state="passed", cache="ran"), asked)
        s.stage.clock.advance(60_000)
        await s.play(e.PermissionAnswered(id="p1", answer="once"))
        s.stage.clock.advance(2_000)
        s.bench._tick()
        await s.pilot.pause()
        assert "looking at the files  2.0 s" in s.text, "without the minute of waiting"


async def test_a_call_that_waits_behind_another_question_does_not_run(show: Showing) -> None:
    calls = [e.ToolCalled(call=f"c{n}", name="write_file", arguments="{}", title=f"write_file {n}.py") for n in "12"]
    asked = [e.PermissionAsked(id=f"p{n}", call=f"c{n}", kind="write", title=f"write_file {n}.py") for n in "12"]
    async with show() as s:
        await s.play(*opened(), *first_round()[:3], calls[0], e.ToolStarted(call="c1"), asked[0])
        await s.play(calls[1], e.ToolStarted(call="c2"), e.ToolHeld(call="c2"))
        s.stage.clock.advance(60_000)
        await s.play(e.ThinkingDelta(text="so"))
        first, second = (next(line for line in s.text.split("\n") if f"  write_file {n}.py" in line) for n in "12")
        assert "waiting for you" in first
        assert "waits" in second
        await s.play(e.PermissionAnswered(id="p1", answer="session"), e.ToolHeld(call="c2", held=False))
        s.stage.clock.advance(2000)
        s.bench._tick()
        await s.pilot.pause()
        ran = [line.split("│")[0].split() for line in s.text.split("\n") if "  write_file " in line]
        assert [words[2:4] for words in ran] == [["2.0", "s"], ["2.0", "s"]], "without the minute of waiting"


async def test_control_sequences_reach_no_terminal(show: Showing) -> None:
    evil = "\x1b[31mred\x1b]0;title\x07\x9b2Jx"
    async with show() as s:
        await s.play(
            *opened(),
            e.GoalStarted(goal=1, text=f"goal {evil}"),
            e.RoundStarted(model="m"),
            request(),
            e.TextDelta(text="cut \x1b"),
            e.TextDelta(text="[31min two"),
            e.ToolCalled(call="c", name="run_cmd", arguments="{}", title=f"run_cmd {evil}"),
            e.ToolStarted(call="c"),
            e.ToolOutput(call="c", text=evil),
            e.Notice(level="error", text=evil, hint=evil),
            e.ProbeEnded(name="ruff", state="failed", cache="ran", summary=evil, output=evil),
        )
        assert "\x1b" not in s.text
        assert "\x9b" not in s.text
        assert "\x07" not in s.text
        assert "cut in two" in s.text


async def test_a_second_verdict_of_the_round_stands_for_itself(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:-1])
        await s.play(e.ProbeEnded(name="ruff", state="failed", cache="ran", summary="1 problem", duration_ns=MS))
        text = s.text
    assert "⚡ ruff ✓ 0 problems" in text
    assert "⚡ ruff ✗ 1 problem" in text


async def test_expanding_shows_thinking_and_the_rest_of_a_diff(show: Showing) -> None:
    diff = "--- /dev/null\n+++ b/x\n@@ -0,0 +1,30 @@\n" + "".join(f"+line {n}\n" for n in range(1, 31))
    async with show(size=(120, 60)) as s:
        await s.play(*opened(), *first_round()[:6])
        await s.play(
            e.ToolCalled(call="d", name="write_file", arguments="{}", title="write_file x"),
            e.ToolEnded(call="d", state="ok", diff=diff, changes=(e.FileChange("x", "created", added=30),)),
        )
        assert "… 18 more lines  ^O expands" in s.text
        assert "line 30" not in s.text
        await s.press("ctrl+o")
        assert "line 30" in s.text
        assert "The package needs a module and tests." in s.text
        await s.press("ctrl+o")
        assert "line 30" not in s.text


async def test_all_rounds_apply(show: Showing) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round(), *second_round(), *third_round())
        view = s.bench.view
        assert [figures.cache for figures in view.rounds] == ["ran", "ran", "ran"]
        assert [figures.red for figures in view.rounds] == [False, True, False]
        assert view.files["mathx/__init__.py"].change.added == 7
        assert not view.running


async def test_however_many_words_come_a_frame_lays_them_down_once(
    show: Showing, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with show() as s:
        await s.play(*opened(), *first_round()[:3])
        frames = 0
        update = s.bench.transcript.update

        def counted(now: int) -> None:
            nonlocal frames
            frames += 1
            update(now)

        monkeypatch.setattr(s.bench.transcript, "update", counted)
        await s.play(*(e.TextDelta(text=f"word {n} ") for n in range(2000)))
        assert "word 1999" in s.text
        assert frames <= 2
