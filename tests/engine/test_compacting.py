"""A history that is made shorter: what of it stays, that work goes on over a small window, and that it never loops."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.conftest import OpenRig
from engine.gateway import answer, gateway
from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.compacting import on_wish
from jetbox.engine.context import compact
from jetbox.engine.context.budget import MARGIN
from jetbox.engine.context.compact import ASKED, HEADING, SUMMARY, listed, newest, rewritten, without_old_outputs
from jetbox.engine.loop import serve
from jetbox.engine.models.base import Call, CallFunction
from jetbox.engine.models.connect import connect
from jetbox.engine.models.openai_compat import OpenAIModel
from jetbox.engine.options import ModelOptions
from jetbox.engine.trail import Trail
from jetbox.record.resume import add_message
from jetbox.sim.launch import ServerProcess
from scripted import Step, WriteScript, call, finish, step

GOAL = "Do it: read all parts, and mind the word KINGFISHER."
PARTS = 12
WORDS = "Read three parts so far; the fourth comes next."


def message(role: str, content: str, **more: Any) -> bytes:
    return msgspec.json.encode({"role": role, "content": content, **more})


def a_round(n: int, output: str) -> list[bytes]:
    asked = {"function": {"name": "read_file", "arguments": {"path": f"{n}.txt"}}}
    return [message("assistant", "", tool_calls=[asked]), message("tool", output, tool_name="read_file")]


SYSTEM, USER = message("system", "You are."), message("user", "Do it.")
LONG = [SYSTEM, USER, *[m for n in range(5) for m in a_round(n, f"{n} " * 400)]]


def test_old_outputs_are_left_out_and_everything_else_stays() -> None:
    lean = without_old_outputs(LONG)
    assert len(lean) == len(LONG)
    changed = [n for n, (a, b) in enumerate(zip(LONG, lean, strict=True)) if a != b]
    assert changed == [3, 5, 7], "outputs of all rounds but the newest two"
    assert "800 bytes of output were left out" in json.loads(lean[3])["content"]
    assert json.loads(lean[3])["tool_name"] == "read_file"
    assert without_old_outputs(lean) == lean, "once is enough"


def test_the_newest_rounds_stay_as_they_are_and_the_goal_word_for_word() -> None:
    start = newest(LONG, 2500)
    made = rewritten(LONG, start, "All went well.", "Do it.", 10_000)
    assert made[0] == SYSTEM
    assert made[2:] == LONG[-4:]
    text = json.loads(made[1])["content"]
    assert text == "\n\n".join([HEADING, ASKED, "Do it.", SUMMARY, "All went well."])


def test_what_was_asked_survives_any_number_of_summaries() -> None:
    messages = LONG
    for n in range(4):
        messages = rewritten(messages, newest(messages, 2500), f"Summary {n}.", "Do it.", 10_000)
        messages = [*messages, message("user", f"And {n}."), *a_round(n, "x" * 2000), *a_round(n, "y" * 2000)]
    text = json.loads(messages[1])["content"]
    asked = text.partition(ASKED)[2].partition(SUMMARY)[0].split("\n\n")
    assert [line for line in asked if line] == ["Do it.", "And 0.", "And 1.", "And 2."]
    assert text.endswith("Summary 3.")


def test_words_of_the_engine_are_not_the_users() -> None:
    engine = [message("user", words) for words in ("[probes] pytest: failed", "Your answer was empty. Go on.")]
    made = rewritten([SYSTEM, USER, *a_round(1, "x"), *engine, *a_round(2, "y")], 6, "S.", "Do it.", 10_000)
    text = json.loads(made[1])["content"]
    assert "probes" not in text
    assert "Your answer" not in text


def test_older_words_are_clipped_before_the_goal_is() -> None:
    long = "b" * 5000
    before = [SYSTEM, message("user", "a" * 5000), *a_round(1, "x"), message("user", long), *a_round(2, "y")]
    text = json.loads(rewritten(before, 5, "S.", long, 6000)[1])["content"]
    assert long in text
    assert "4,000 characters left out" in text


def test_a_list_of_calls_needs_no_model() -> None:
    said = listed(LONG[1:6])
    assert said.splitlines()[0].startswith('- read_file {"path":"0.txt"}: 0 0 0')
    assert len(said.splitlines()) == 2
    many = listed([m for n in range(100) for m in a_round(n, "x")])
    assert many.splitlines()[0] == "- 40 earlier calls"
    assert len(many.splitlines()) == compact.LINES + 1


TALK = "I have read this part and go on to the next. " * 35


def reading_steps(summary: Step, talk: str = "") -> list[Step]:
    """A model that goes by the newest output alone, so that it needs none of the older messages."""
    steps = [{**summary, "id": "top", "when": {"last_message_contains": "Write a summary"}}]
    for n in range(1, PARTS):
        read = step(call("read_file", path=f"part{n + 1}.txt"), text=talk)
        steps.append({**read, "id": f"p{n}", "when": {"last_tool_contains": f"this is part {n} "}, "goto": "top"})
    done = {**finish(), "id": "last", "when": {"last_tool_contains": f"this is part {PARTS} "}}
    return [*steps, done, {**step(call("read_file", path="part1.txt")), "id": "begin", "goto": "top"}]


def parts_in(root: Path) -> None:
    for n in range(1, PARTS + 1):
        (root / f"part{n}.txt").write_text(f"this is part {n} of it\n" + f"word{n} " * 400)


@pytest.mark.parametrize(
    ("summary", "talk", "how"),
    [
        (step(text=WORDS), "", "outputs"),
        (step(text=WORDS), TALK, "summary"),
        (step(call("list_dir")), TALK, "list"),
        (step(text="x", fault="error:no@:0"), TALK, "list"),
    ],
    ids=["outputs", "summary", "a call instead", "an error instead"],
)
async def test_a_session_over_a_small_window_finishes(rig: OpenRig, summary: Step, talk: str, how: str) -> None:
    live = await rig(*reading_steps(summary, talk), context={"num_ctx": 6144})
    parts_in(live.root)
    ended = await live.run(GOAL)
    assert (ended.outcome, ended.rounds) == ("unverified", PARTS + 1)
    told = live.events(e.Compacted)
    assert told[0].how == how
    assert all(each.after < each.before for each in told)
    assert not [a.error for a in live.events(e.ModelAnswered) if a.error]
    for sent in await live.requests():
        assert sent[0]["role"] == "system"
        assert sum(GOAL in m["content"] for m in sent) == 1, "word for word, in every request"
        calls = sum(len(m.get("tool_calls") or ()) for m in sent)
        assert calls == sum(m["role"] == "tool" for m in sent), "calls keep their results"
    misses = {reused.miss for reused in live.events(e.PrefixReused) if reused.miss}
    assert misses == {"the history was made shorter: the window is nearly full"}


async def test_the_journal_knows_what_stands_after_it(rig: OpenRig) -> None:
    live = await rig(*reading_steps(step(text=WORDS)), context={"num_ctx": 6144})
    parts_in(live.root)
    await live.run(GOAL)
    messages: list[bytes] = []
    for event in live.events(e.MessageAdded):
        add_message(messages, event)
    assert messages == list(live.parts.history.parts[1])


async def test_a_server_that_counts_more_makes_room_once(rig: OpenRig) -> None:
    live = await rig(*reading_steps(step(text=WORDS)), context={"num_ctx": 6144})
    parts_in(live.root)
    real = live.parts.budget.estimate
    live.parts.budget.estimate = lambda size: real(size) // 4  # type: ignore[method-assign]  # as if we had counted wrongly
    ended = await live.run(GOAL)
    assert ended.outcome == "unverified"
    refused = [a for a in live.events(e.ModelAnswered) if "does not fit the window" in a.error]
    assert refused
    assert {each.why for each in live.events(e.Compacted)} == {"the server refused the prompt as too long"}
    for attempts in by_round(live).values():
        assert attempts <= 2


def by_round(live: Rig) -> dict[int, int]:
    rounds: dict[int, int] = {}
    for stamped in live.seen:
        if isinstance(stamped.event, e.RequestSent):
            rounds[stamped.round] = stamped.event.attempt
    return rounds


async def test_what_cannot_be_made_shorter_ends_in_words(rig: OpenRig) -> None:
    live = await rig(step(text="Yes."), context={"num_ctx": 4096})
    ended = await within(live.start("word " * 8000))
    assert (ended.outcome, ended.exit_code) == ("limit", 4)
    assert "no room for an answer" in ended.reason
    assert live.events(e.Compacted) == []


async def test_it_can_be_switched_off(rig: OpenRig) -> None:
    live = await rig(*reading_steps(step(text=WORDS)), context={"num_ctx": 6144, "compact": False})
    parts_in(live.root)
    assert (await live.run(GOAL)).exit_code == 4
    assert live.events(e.Compacted) == []


async def test_below_its_threshold_nothing_is_made_shorter_and_what_was_is_kept(rig: OpenRig) -> None:
    live = await rig(*reading_steps(step(text=WORDS), TALK), context={"num_ctx": 32_768, "compact_tokens": 6144})
    parts_in(live.root)
    ended = await live.run(GOAL)
    assert (ended.outcome, ended.rounds) == ("unverified", PARTS + 1)
    told, sent = live.events(e.Compacted), live.events(e.RequestSent)
    assert {each.why for each in told} == {"it is as long as you let it be"}
    threshold = 6144 - 6144 // 8 - MARGIN
    assert all(each.before > threshold > each.after for each in told)
    assert max(request.estimate for request in sent) <= threshold
    # Between two of them each request begins with all of the one before: what was made once is not made again.
    bodies = await live.requests()
    asked = [body for body in bodies if "Write a summary" not in body[-1]["content"]]
    anew = sum(later[: len(body)] != body for body, later in itertools.pairwise(asked))
    assert 0 < anew == len(told) < PARTS / 2


async def test_one_output_that_fills_the_window_is_cut_where_it_is_needed(rig: OpenRig) -> None:
    reads = [call("read_file", path=f"part{n}.txt") for n in range(1, 8)]
    live = await rig(step(*reads), finish(), context={"num_ctx": 6144})
    parts_in(live.root)
    assert (await live.run(GOAL)).outcome == "unverified"
    (told,) = live.events(e.Compacted)
    assert told.how == "outputs"
    last = (await live.requests())[-1]
    assert [m["role"] for m in last] == ["system", "user", "assistant", *["tool"] * 7]
    assert all("left out to make room" in m["content"] for m in last if m["role"] == "tool")


async def test_a_prompt_that_is_too_long_for_the_smaller_window_is_made_shorter_for_it(rig: OpenRig) -> None:
    faults = ("other_client@10", "oom:9000@10")
    live = await rig(*reading_steps(step(text=WORDS), TALK), faults=faults, context={"num_ctx": 12_288})
    parts_in(live.root)
    ended = await live.run(GOAL)
    assert ended.outcome == "unverified", ended.reason
    (told, *_) = live.events(e.Compacted)
    assert (told.why, told.how) == ("the server has not enough memory for so long a prompt", "list")
    assert told.before > 8192 > told.after
    assert live.parts.budget.window == 8192
    ready = live.events(e.ModelReady)[-1]
    assert ready.num_ctx == 8192


async def test_a_server_that_names_no_window_gets_a_shorter_prompt_once(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    script = str(write_script(*reading_steps(step(text=WORDS), TALK)))
    server = sim_server(scripts=[script], flavour="llamacpp", faults=("heavy:7000",))
    live = await Rig(server, tmp_path).open(protocol="openai")
    parts_in(tmp_path)
    ended = await live.run(GOAL)
    await live.close()
    assert ended.outcome == "unverified", ended.reason
    assert live.events(e.Compacted)[0].how == "list", "a server without memory is not asked for a summary"
    assert live.parts.budget.window < 7000, "from then on there is room before it is too late"
    assert sum("not enough memory" in a.error for a in live.events(e.ModelAnswered)) == 1


@pytest.mark.parametrize("talk", ["", TALK], ids=["outputs", "list"])
async def test_a_server_that_drops_the_goal_gets_a_shorter_prompt_that_has_it(rig: OpenRig, talk: str) -> None:
    faults = ("clip:7200", "no_user")
    live = await rig(*reading_steps(step(text=WORDS), talk), faults=faults, context={"num_ctx": 32_768})
    parts_in(live.root)
    ended = await live.run(GOAL)
    assert ended.outcome == "unverified", ended.reason
    refused = [a.error for a in live.events(e.ModelAnswered) if a.error]
    assert len(refused) == 1, "from then on there is room before it is too late"
    assert "takes less than the window that it was asked for, and dropped what you had said" in refused[0]
    (told, *_) = live.events(e.Compacted)
    assert told.why == "the server dropped your words from so long a prompt"
    assert told.summary == "" or told.how == "list", "a summary of what the server has cut would leave out the goal"
    assert live.parts.budget.window < 7200
    assert all(sum(GOAL in m["content"] for m in sent) == 1 for sent in await live.requests())


async def test_a_goal_that_is_dropped_from_a_short_prompt_too_ends_in_words(rig: OpenRig) -> None:
    live = await rig(step(call("read_file", path="part1.txt")), finish(), faults=("clip:700", "no_user"))
    parts_in(live.root)
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("limit", 4)
    assert "dropped what you had said" in ended.reason
    assert "OLLAMA_CONTEXT_LENGTH" in ended.hint
    assert "as short as it gets" in ended.hint
    assert ended.hint.count("begin anew with a smaller goal") == 1
    assert len([a for a in live.events(e.ModelAnswered) if a.error]) == 2
    assert len(live.events(e.Compacted)) == 1


@pytest.mark.parametrize(
    ("options", "fault", "code", "words"),
    [
        ({"context": {"num_ctx": 16_384}}, "oom@1", 6, "not enough memory"),
        ({"context": {"num_ctx": 16_384, "compact": False}}, "oom@1", 6, "not enough memory"),
        ({"context": {"num_ctx": 16_384}}, "status:413@1", 4, "too large for the server"),
    ],
)
async def test_what_cannot_be_made_smaller_is_refused_once_and_told(
    rig: OpenRig, options: dict[str, Any], fault: str, code: int, words: str
) -> None:
    live = await rig(step(text="Yes."), faults=(fault,), **options)
    ended = await live.run("word " * 8_000)
    assert (ended.exit_code, len(live.events(e.RequestSent))) == (code, 1)
    assert words in ended.reason
    assert ("as short as it gets" in ended.hint) is (options["context"].get("compact", True))
    assert ended.hint.count("smaller goal") <= 1


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
async def test_a_server_that_goes_on_refusing_is_asked_once_more_with_a_shorter_prompt(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess], protocol: Any
) -> None:
    flavour = "vllm" if protocol == "openai" else "ollama"
    server = sim_server(scripts=[str(write_script(step(text="Yes.")))], flavour=flavour)
    refusal = answer(400, b'{"error":"the input length exceeds the context length"}')
    async with gateway(server.url, *[refusal] * 9) as host:
        live = await Rig(server, tmp_path).open(client=connect(ModelOptions(host=host, protocol=protocol)))
        long_ago(live)
        ended = await live.run(GOAL)
        await live.close()
    assert (ended.outcome, ended.exit_code) == ("limit", 4)
    assert "as short as it gets" in ended.hint
    assert [told.how for told in live.events(e.Compacted)] == ["outputs"]
    first, second = live.events(e.RequestSent)
    assert second.bytes < first.bytes - 2000


async def test_the_user_can_ask_for_it_between_goals(rig: OpenRig) -> None:
    live = await rig(*reading_steps(step(text=WORDS)), attended=True)
    parts_in(live.root)
    serving = asyncio.create_task(serve(live.parts))
    live.submit(c.Compact())
    notice = await live.until(e.Notice)
    assert notice.text == "there is nothing yet that could be made shorter"
    live.submit(c.Goal(GOAL))
    await live.until(e.GoalEnded)
    live.submit(c.Compact())
    told = await live.until(e.Compacted)
    assert (told.how, told.why, told.summary) == ("summary", "you asked for it", WORDS)
    assert told.metrics["eval_count"] > 0
    live.submit(c.Close())
    await within(serving)
    assert WORDS in live.events(e.MessageAdded)[-1].json or WORDS in live.everything()


async def test_asked_for_it_keeps_the_newest_rounds_alone_however_much_room_there_is(rig: OpenRig) -> None:
    live = await rig(*reading_steps(step(text=WORDS), TALK), context={"num_ctx": 131_072})
    parts_in(live.root)
    await live.run(GOAL)
    await within(on_wish(live.parts))
    (told,) = live.events(e.Compacted)
    assert (told.how, told.kept) == ("summary", 2 * 2)
    assert told.after < told.before / 2


def long_ago(live: Rig) -> None:
    """A history of five rounds, as if they had just been worked on."""
    live.parts.history.user(GOAL)
    for n in range(5):
        asked = Call(CallFunction("read_file", msgspec.Raw(b'{"path":"%d.txt"}' % n)))
        live.parts.history.assistant("", "", [asked])
        live.parts.history.tool("read_file", "", f"{n} " * 400)


@pytest.mark.parametrize(
    ("answer", "faults", "why"),
    [
        (step(call("list_dir"), text="Part 6 is next."), (), "it called a tool instead"),
        (step(call("list_dir"), text="Part 6 is next."), ("send:hermes",), "it called a tool instead"),
        (step(text='<tool_call>{"name": "list_dir", "argum'), (), "it called a tool instead"),
        (step(text='Part 6 is next.\nread_file\n{"path": "a.py"}'), (), "it called a tool instead"),
        (step(think="What to write?"), ("thinking:tags-open",), "it wrote nothing"),
        (step(text=WORDS), ("repeat:lorem",), "the answer repeated itself over and over and was stopped"),
        (step(text=WORDS), ("cut",), "the server broke off in mid-answer"),
        (step(text=" ".join(f"word{n}" for n in range(2_000))), (), "it did not come to an end"),
    ],
    ids=["a call", "as text", "half a call", "by its name", "only thoughts", "repetition", "broken off", "too long"],
)
async def test_what_is_no_summary_is_not_taken_for_one(
    rig: OpenRig, answer: Step, faults: tuple[str, ...], why: str
) -> None:
    live = await rig(answer, faults=faults)
    long_ago(live)
    await within(on_wish(live.parts))
    (told,) = live.events(e.Compacted)
    assert (told.how, told.summary.splitlines()[0][:14]) == ("list", '- read_file {"')
    assert f"the model wrote no summary: {why}" in [n.text for n in live.events(e.Notice)]


async def test_thoughts_in_the_text_of_a_summary_are_left_out(rig: OpenRig) -> None:
    live = await rig(step(text=WORDS, think="What to write?"), faults=("thinking:tags",))
    long_ago(live)
    await within(on_wish(live.parts))
    (told,) = live.events(e.Compacted)
    assert (told.how, told.summary) == ("summary", WORDS)


async def test_a_summary_that_stops_is_not_waited_for_longer_than_any_answer(rig: OpenRig) -> None:
    live = await rig(step(text=WORDS), faults=("stall@1:2",), model={"chunk_s": 0.05})
    long_ago(live)
    await within(on_wish(live.parts))
    assert [told.how for told in live.events(e.Compacted)] == ["list"]
    assert "the answer stopped for 0.05 s" in live.events(e.Notice)[-1].text


async def test_a_request_for_a_summary_can_be_sent_again(rig: OpenRig) -> None:
    live = await rig(step(text=WORDS), faults=("stall@1",), attended=True)
    long_ago(live)
    making = asyncio.create_task(on_wish(live.parts))
    await live.stats(stalled=1)
    live.submit(c.SendAgain())
    await within(making)
    assert [told.summary for told in live.events(e.Compacted)] == [WORDS]


async def test_it_can_be_stopped_between_goals(rig: OpenRig) -> None:
    live = await rig(step(text=WORDS), faults=("stall@1",), attended=True)
    long_ago(live)
    serving = asyncio.create_task(serve(live.parts))
    live.submit(c.Compact())
    await live.stats(stalled=1)
    live.submit(c.Cancel())
    await live.until(e.Notice, text="stopped: the history is as it was")
    live.submit(c.Close())
    await within(serving)
    assert live.events(e.Compacted) == []


async def test_another_wish_comes_before_it(rig: OpenRig) -> None:
    live = await rig(*reading_steps(step(text=WORDS, fault="stall@:0")), attended=True)
    parts_in(live.root)
    serving = asyncio.create_task(serve(live.parts))
    live.submit(c.Goal(GOAL))
    await live.until(e.GoalEnded)
    live.submit(c.Compact())
    await live.until(e.Waiting, what="compacting")
    await live.stats(stalled=1)
    live.submit(c.Close())
    await within(serving)
    assert live.events(e.Compacted) == []


async def test_while_a_goal_runs_it_happens_before_the_next_request(rig: OpenRig) -> None:
    live = await rig(*reading_steps(step(text=WORDS)))
    parts_in(live.root)
    goal = live.start(GOAL)
    for _ in range(6):
        await live.until(e.RoundEnded)
    live.submit(c.Compact())
    assert (await within(goal)).outcome == "unverified"
    assert [told.why for told in live.events(e.Compacted)] == ["you asked for it"]


@pytest.mark.parametrize("flavour", ["vllm", "sglang", "llamacpp", "lmstudio"])
async def test_every_servers_refusal_tells_its_window(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess], flavour: str
) -> None:
    server = sim_server(
        scripts=[str(write_script(*reading_steps(step(text=WORDS))))], flavour=flavour, context_length=6144
    )
    name = (await _only(server)).name
    live = await Rig(server, tmp_path).open(client=OpenAIModel(server.url), name=name)
    live.parts.budget.num_ctx = 32768  # as if the server had not said
    parts_in(tmp_path)
    ended = await live.run(GOAL)
    await live.close()
    assert ended.outcome == "unverified", ended.reason
    assert live.parts.budget.real == 6144
    assert live.events(e.Compacted)


async def _only(server: ServerProcess) -> Any:
    model = OpenAIModel(server.url)
    try:
        return (await model.installed())[0]
    finally:
        await model.close()


async def test_what_was_written_anew_cannot_be_gone_back_to(rig: OpenRig) -> None:
    live = await rig(*reading_steps(step(text=WORDS), TALK), context={"num_ctx": 6144})
    parts_in(live.root)
    await live.run(GOAL)
    assert live.events(e.Compacted)
    trail = Trail()
    for stamped in live.seen:
        trail.take(stamped)
    live_ones = [each for each in trail.steps if not each.gone]
    assert 2 <= len(live_ones) < PARTS
    messages = [json.loads(m) for m in live.parts.history.parts[1]]
    for each in live_ones:
        assert messages[each.count]["role"] == "assistant"
    assert trail.cut(trail.steps[0]) == (live_ones[0].count, "")
