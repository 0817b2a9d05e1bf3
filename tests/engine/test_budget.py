"""What is counted of a prompt, what is kept of that, and what gives a silent cut away."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.conftest import OpenRig
from engine.rig import Rig, within
from jetbox.engine import events as e
from jetbox.engine.context.budget import BYTES_PER_TOKEN, LEAST_ANSWER, MARGIN, Budget
from jetbox.engine.context.cut import CutWatch, kept
from jetbox.engine.errors import ContextOverflow
from jetbox.engine.models.figures import Figures, FiguresReader
from jetbox.engine.models.prefix import CUT
from jetbox.record.figures import FiguresStore
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

HOST = "http://127.0.0.1:11434"


def test_what_ollama_leaves_is_what_it_was_seen_to_leave() -> None:
    assert [kept(4096, keep) for keep in (4, 5)] == [2050, 2051]
    assert kept(32768, 5) == 16387


def test_a_budget_begins_with_what_was_learned_before() -> None:
    budget = Budget(8192)
    assert budget.estimate(3400) == int(3400 / BYTES_PER_TOKEN)
    budget.begin(4.25)
    assert budget.estimate(4250) == 1000
    budget.learn(8000, 1600)
    assert budget.estimate(8500) == 1700, "what was counted as counted, the rest by the newest ratio"
    budget.begin(0)
    assert budget.estimate(5000) == 1000, (
        "of a model that nobody has measured, what the one before had is the best guess"
    )


def test_an_answer_is_bounded_by_what_is_left_for_certain() -> None:
    budget = Budget(8192)
    budget.begin(4.0)
    assert budget.num_predict(4000, 8192) == 8192 - 4000 - MARGIN
    assert budget.unsure(16_000) == 400
    assert budget.num_predict(4000, 8192, budget.unsure(16_000)) == 8192 - 4000 - MARGIN - 400
    assert budget.num_predict(4000, 100, 400) == 100
    budget.learn(16_000, 4000)
    assert budget.unsure(16_000) == 0, "what the server counted is certain"
    assert budget.num_predict(8192 - MARGIN - LEAST_ANSWER, 8192, 400) == LEAST_ANSWER
    with pytest.raises(ContextOverflow):
        budget.num_predict(8192 - MARGIN - LEAST_ANSWER + 1, 8192)


@pytest.mark.parametrize("count", [2050, 2051, 4096])
def test_a_length_that_gives_a_window_away(count: int) -> None:
    watch = CutWatch()
    cut = watch.look("m", 60_000, 15_700, {"prompt_eval_count": count}, window=16384, whole=False)
    assert cut is not None
    assert (cut.read, cut.of, cut.window) == (count, 15_700, 4096)
    assert CutWatch().look("m", 8000, count + 50, {"prompt_eval_count": count}, window=16384, whole=True) is None


def test_a_prompt_that_only_grew_is_not_shorter() -> None:
    watch = CutWatch()
    assert watch.look("m", 20_000, 5000, {"prompt_eval_count": 5000}, window=8192, whole=True) is None
    cut = watch.look("m", 24_000, 6000, {"prompt_eval_count": 3111}, window=8192, whole=True)
    assert cut is not None
    assert (cut.of, cut.window) == (6000, 0)
    assert watch.look("m", 24_000, 6000, {"prompt_eval_count": 6000}, window=8192, whole=True) is None


def test_a_server_that_counts_what_it_evaluated_alone_is_not_accused() -> None:
    watch = CutWatch()
    watch.look("m", 20_000, 5000, {"prompt_eval_count": 5000}, window=8192, whole=False)
    assert watch.look("m", 24_000, 6000, {"prompt_eval_count": 900}, window=8192, whole=False) is None


@pytest.mark.parametrize(("clip", "read", "window", "requests"), [(4096, 2050, 4096, 1), (3000, 1502, 0, 2)])
async def test_a_prompt_cut_in_silence_is_told_once_and_not_learned_from(
    rig: OpenRig, clip: int, read: int, window: int, requests: int
) -> None:
    write = call("write_file", path="a.txt", content="a\n")
    live = await rig(step(write), finish(), faults=(f"clip:{clip}@*",))
    ended = await live.run("Do it " + "word " * 6000)
    cuts = live.events(e.PromptCut)
    assert (cuts[0].tokens, [cut.window for cut in cuts]) == (read, [window] * requests)
    assert cuts[0].of > 7000
    told = [n.text for n in live.events(e.Notice) if "in silence" in n.text]
    assert len(told) == 1
    assert f"it read {read:,} of about" in told[0]
    assert live.parts.budget.estimate(live.parts.history.size) > 7000
    assert len(live.events(e.RequestSent)) == requests, "where the window is known, no more is sent than it takes"
    if window:
        assert (ended.outcome, ended.exit_code) == ("limit", 4)
        assert "of the window's 4,096 tokens: no room for an answer" in ended.reason
        assert ended.hint.startswith("have the server take a larger window"), "it was asked for one"


async def test_an_answer_to_half_of_a_goal_is_none(rig: OpenRig) -> None:
    live = await rig(step(text="Well."), step(text="Well, then."), faults=("clip:4096@1",))
    ended = await live.run("Do it " + "word " * 6000)
    assert (ended.outcome, ended.exit_code) == ("limit", 4)
    assert "no room for an answer" in ended.reason


async def test_an_answer_to_half_of_what_was_read_is_asked_for_again(rig: OpenRig) -> None:
    faults = tuple(f"clip:8192@{n}" for n in range(2, 6))
    live = await rig(step(call("read_file", path="a.txt")), *(step(text=f"{n}.") for n in range(4)), faults=faults)
    (live.root / "a.txt").write_text("".join(f"line {n} of a long file that fills windows\n" for n in range(1200)))
    ended = await live.run()
    assert (ended.outcome, ended.rounds) == ("answered", 3)
    assert [cut.window for cut in live.events(e.PromptCut)] == [8192], "the answer that counts is to what was read"


async def test_ollama_cuts_in_silence_what_comes_over_openais_protocol_and_that_is_told(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    script = str(write_script(step(call("write_file", path="a.txt", content="a\n")), finish()))
    live = await Rig(sim_server(scripts=[script], context_length=4096), tmp_path).open(protocol="openai")
    ended = await live.run("Do it " + "word " * 6000)
    await live.close()
    (cut,) = live.events(e.PromptCut)
    assert (cut.tokens, cut.window) == (2050, 4096)
    (told,) = live.events(e.Notice)
    assert "--host without /v1" in told.hint
    assert (ended.outcome, ended.rounds) == ("limit", 2), "nothing more is sent that would be cut"
    assert ended.hint.startswith("have the server take a larger window"), "requests of this protocol name none"


async def test_messages_that_a_server_drops_are_missed(rig: OpenRig) -> None:
    writes = [step(call("write_file", path=f"{n}.py", content="x = 1\n" * 600)) for n in range(5)]
    live = await rig(*writes, finish(), faults=("clip:4096@5",))
    await live.run()
    counts = [a.metrics["prompt_eval_count"] for a in live.events(e.ModelAnswered)]
    assert 2100 < counts[4] < counts[3], "the oldest alone: the count itself is no sign"
    (cut,) = live.events(e.PromptCut)
    assert (cut.tokens, cut.window) == (counts[4], 0)
    assert cut.of > counts[3]


@pytest.mark.parametrize("size", [26_000, 60_000])
def test_a_prompt_that_grew_less_than_what_was_added_to_it_was_cut(size: int) -> None:
    watch = CutWatch()
    assert watch.look("m", 20_000, 5000, {"prompt_eval_count": 5000}, window=16384, whole=True) is None
    estimate, least = size // 4, 5000 + (size - 20_000) // 16
    cut = watch.look("m", size, estimate, {"prompt_eval_count": least - 100}, window=16384, whole=True)
    assert (cut is not None) == (size == 60_000), "of little more, the text may have been easy on the tokens"
    assert watch.look("m", size, estimate, {"prompt_eval_count": least}, window=16384, whole=True) is None


@pytest.mark.parametrize("lines", [900, 440])
async def test_a_cut_at_a_window_that_nobody_named_is_told_when_it_comes(rig: OpenRig, lines: int) -> None:
    reads = [step(call("read_file", path=f"{n}.txt")) for n in range(2)]
    live = await rig(*reads, finish(), faults=(f"clip:{6000 if lines == 900 else 4096}@*",))
    for n in range(2):
        (live.root / f"{n}.txt").write_text("".join(f"line {i % 10} of a file\n" for i in range(lines)))
    await live.run()
    counts = [a.metrics["prompt_eval_count"] for a in live.events(e.ModelAnswered)]
    (cut,) = live.events(e.PromptCut)
    assert cut.tokens == counts[2] > counts[1] - 64, "the count itself is no sign: the prompt should have grown"
    missed = live.events(e.PrefixReused)[2].miss
    assert missed == (CUT if lines == 900 else ""), (
        "the server did not drop what it cut; of the shorter one half was there"
    )


async def test_tools_that_a_template_leaves_out_are_no_cut(rig: OpenRig) -> None:
    write = call("write_file", path="a.txt", content="a\n")
    live = await rig(
        step(write), step(think=" ".join(map(str, range(800))), text="Well."), finish(), faults=("go_template@*",)
    )
    await live.run()
    await live.run("Go on")
    counts = [a.metrics["prompt_eval_count"] for a in live.events(e.ModelAnswered)]
    assert counts[1] < counts[0]
    assert not live.events(e.PromptCut)


def test_what_a_template_may_leave_out_does_not_hide_a_cut() -> None:
    watch = CutWatch()
    watch.look("m", 40_000, 10_000, {"prompt_eval_count": 10_000}, window=16384, whole=True)

    def look(count: int) -> bool:
        metrics = {"prompt_eval_count": count}
        return (
            watch.look("m", 41_000, 10_250, metrics, window=16384, whole=True, optional=lambda since: 9000) is not None
        )

    assert look(5700)
    assert not look(5900)


def test_bytes_a_token_are_kept_by_model_without_its_digest() -> None:
    reader = FiguresReader()

    def answered(size: int, count: int) -> None:
        sent = e.RequestSent(attempt=1, head="", count=1, tail="", sha="", bytes=size)
        for event in (sent, e.ModelAnswered(attempt=1, metrics={"prompt_eval_count": count})):
            reader.take(e.Stamped(0, 0, 1, event))

    reader.take(e.Stamped(0, 0, 0, e.ModelReady(name="m", num_ctx=8192)))
    answered(4000, 1000)
    answered(4000, 10)
    answered(5000, 1000)
    reader.take(e.Stamped(0, 0, 1, e.PromptCut(tokens=1000, of=2000)))
    assert reader.collect()["m"].bytes_per_token == [4.0]
    FiguresStore().add(HOST, "m", "0123456789abcdef", Figures(bytes_per_token=[4.0]))
    FiguresStore().add(HOST, "other", "0123456789abcdef", Figures(bytes_per_token=[5.0]))
    assert FiguresStore().read(HOST, "m", "").bytes_per_token == [4.0]
    assert FiguresStore().read("http://gpu.lan:11434", "m", "").empty


async def test_waits_say_what_was_measured_before(rig: OpenRig) -> None:
    live = await rig(step(text="Yes."), faults=("stall@1:0",))
    live.parts.recall(Figures(load=[5 * 10**9], prefill=[1000.0], bytes_per_token=[4.0]))
    goal = live.start()
    waiting = await live.until(e.Waiting, what="loading")
    assert waiting.expected_ns == 5 * 10**9
    waiting = await live.until(e.Waiting, what="reading")
    assert waiting.expected_ns == live.events(e.RequestSent)[0].estimate * 10**6
    await live.release()
    await within(goal)


async def test_a_long_prompt_is_given_time_to_be_read(rig: OpenRig) -> None:
    live = await rig(step(text="Yes."), faults=("slow_headers:0.4@1",), model={"first_chunk_s": 0.1})
    tokens = live.parts.budget.estimate(live.parts.history.size)
    live.parts.recall(Figures(prefill=[tokens / 0.5]))
    assert (await live.run()).outcome == "answered"
    assert len(live.events(e.RequestSent)) == 1
