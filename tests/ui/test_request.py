"""The exact request: its messages, what is new in it, and the first that broke the prefix."""

from __future__ import annotations

import json
from typing import Literal

import pytest

from jetbox.engine import events as e
from jetbox.ui import prompts
from jetbox.ui.prompts import Compared, Prompts
from ui.conftest import Showing
from ui.played import answered, opened, stamped

HEAD = '{"model":"gpt-oss:20b","tools":[{"function":{"name":"read_file","description":"Read."}}],"messages":['


def message(index: int, role: str, content: str) -> e.MessageAdded:
    return e.MessageAdded(
        index=index, role=role, json=json.dumps({"role": role, "content": content}, separators=(",", ":"))
    )


def sent(count: int, head: str = "h") -> e.RequestSent:
    return e.RequestSent(attempt=1, head=head, count=count, tail='],"stream":true}', sha="s", bytes=900)


def asked() -> list[e.AnyEvent]:
    return [
        e.PromptHead(sha="h", json=HEAD),
        message(0, "system", "You are an agent."),
        e.GoalStarted(goal=1, text="Do it"),
        message(1, "user", "Do it"),
        e.RoundStarted(model="gpt-oss:20b"),
        sent(2),
        answered(),
        message(2, "assistant", "I look."),
        message(3, "tool", "nothing here"),
        e.RoundStarted(model="gpt-oss:20b"),
        sent(4),
        e.PrefixReused(tokens=90, of=100, expected=95),
    ]


def compared(*events: e.AnyEvent) -> Compared | None:
    prompts = Prompts()
    for each in stamped([*asked(), *events]):
        prompts.take(each)
    return prompts.compared(len(prompts.sent) - 1)


def test_a_prompt_that_grew_begins_as_the_one_before() -> None:
    assert compared() == Compared(2, 0)


def test_what_broke_the_prefix_is_named() -> None:
    late = message(3, "tool", "nothing here\n[pytest: failed]")
    assert compared(late, sent(4)) == Compared(3, 4, "words were added to its end")
    assert compared(e.PromptRewound(count=2), message(2, "user", "Other"), sent(3)) == Compared(
        2, 3, "messages were taken out of the prompt"
    )
    other = e.PromptHead(sha="i", json=HEAD.replace("Read.", "Reads."))
    assert compared(other, sent(4, "i")) == Compared(0, -1, "tools changed: read_file changed")
    other = e.PromptHead(sha="i", json=HEAD.replace("read_file", "plan"))
    assert compared(other, sent(4, "i")) == Compared(0, -1, "tools changed: plan came; read_file went")
    anew = message(1, "user", "[a summary]")
    shorter = e.Compacted(why="full", how="summary", before=9, after=4, messages=2, of=4)
    assert compared(shorter, anew, sent(2)) == Compared(1, 2, "the history was made shorter")
    assert compared(e.PromptHead(sha="i", json=HEAD.replace("gpt-oss:20b", "other")), sent(4, "i")) is None


def test_messages_have_the_tokens_that_were_counted_once() -> None:
    prompts = Prompts()
    first, second = e.MessagesCounted(first=0, tokens=(250, 4), head=600), e.MessagesCounted(first=2, tokens=(20, 9))
    anew: list[e.AnyEvent] = [message(1, "user", "[a summary]"), sent(2), e.MessagesCounted(first=1, tokens=(30,))]
    events = asked()
    for each in stamped([*events[:7], first, *events[7:], second, *anew]):
        prompts.take(each)
    assert [prompts.tokens(at) for at in range(3)] == [[600, 250, 4], [600, 250, 4, 20, 9], [600, 250, 30]]
    prompts.take(stamped([sent(2)])[0])
    assert prompts.tokens(3) == [], "the server has not counted it yet"


def test_the_messages_are_those_that_were_sent() -> None:
    prompts = Prompts()
    events = [*asked(), message(3, "tool", "something else"), sent(4)]
    for each in stamped(events):
        prompts.take(each)
    assert [json.loads(each)["content"] for each in prompts.messages(1)][-1] == "nothing here"
    assert [json.loads(each)["content"] for each in prompts.messages(2)][-1] == "something else"
    assert prompts.head(2) == HEAD


def test_what_was_sent_long_ago_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompts, "LOOSE", 64)
    events: list[e.AnyEvent] = [e.PromptHead(sha="h", json=HEAD), message(0, "system", "You are an agent.")]
    told: list[list[str]] = []
    contents = ["You are an agent."]
    for number in range(300):
        if len(contents) > 20:
            del contents[1:]
            events.append(e.PromptRewound(count=1))
        contents.append(f"words {number}")
        events.append(message(len(contents) - 1, "user", contents[-1]))
        events += [e.RoundStarted(model="m"), sent(len(contents))]
        events.append(e.PrefixReused(tokens=number, of=400, expected=0))
        by: Literal["bytes", "tokenizer"] = "tokenizer" if number % 2 else "bytes"
        events.append(e.MessagesCounted(first=len(contents) - 1, tokens=(number,), head=7, by=by))
        told.append(list(contents))
    kept = Prompts()
    for each in stamped(events):
        kept.take(each)
    assert kept.sent.is_packed(0)
    assert not kept.sent.is_packed(299)
    assert [[json.loads(each)["content"] for each in kept.messages(at)] for at in range(300)] == told
    assert [each.reuse.tokens for each in kept.sent if each.reuse is not None] == list(range(300))
    assert (kept.tokens(18)[-1], kept.tokens(299)[-1]) == (18, 299)
    assert [kept.weighed(at, len(told[at])) for at in (8, 9)] == [False, True]
    broke = kept.compared(40)
    assert broke is not None
    assert broke.same == broke.broke - 1


async def test_the_request_of_each_round_is_shown(show: Showing) -> None:
    async with show() as s:
        counted = e.MessagesCounted(first=0, tokens=(250, 4, 20, 9), head=600)
        await s.play(*opened(), *asked(), counted, message(3, "tool", "nothing here\n[pytest: failed]"), sent(4))
        await s.play(e.GoalEnded(goal=1, outcome="done", reason="done", exit_code=0))
        await s.press("f4")
        text = s.text
        assert "request of round 2" in text
        assert "differs from message 4 on: words were added to its end" in text
        assert "the prefix breaks here" in text
        assert "[pytest: failed]" in text
        await s.press("left")
        assert "first 2 messages as before; 90% of 100 tokens from the cache" in s.text
        assert "nothing here" in s.text
        await s.press("g")
        assert "read_file" in s.text
        assert "600 tokens: its share of what the server counted, by its size" in s.text
        await s.press("b")
        assert '"function":{"name":"read_file"' in s.text.replace("\n", "")
        await s.press("slash", *"AGEN", "enter")
        assert "in 1 message" in s.text


async def test_each_message_is_listed_by_what_it_says_and_not_by_what_stands_behind_that(show: Showing) -> None:
    spoken = {"role": "assistant", "content": 'One \\ "two"\nthree.', "thinking": "Hm."}
    called = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "read_file", "arguments": {}}}]}
    added = [
        e.MessageAdded(index=index, role="assistant", json=json.dumps(each, separators=(",", ":")))
        for index, each in ((2, spoken), (3, called))
    ]
    async with show() as s:
        await s.play(*opened(), *asked()[:7], *added, e.RoundStarted(model="gpt-oss:20b"), sent(4))
        await s.press("f4", "g")
        listed = [line for line in s.text.splitlines() if "assistant" in line]
        assert [line.partition(" B  ")[2].split("  ")[0] for line in listed] == [
            'One \\ "two" three.',
            "calls read_file",
        ]


async def test_before_anything_came_it_says_that_nothing_was_sent(show: Showing) -> None:
    async with show() as s:
        await s.press("f4", "left", "right", "b", "n")
        assert "no request was sent yet" in s.text


async def test_a_prefix_that_breaks_in_the_head_is_shown_there(show: Showing) -> None:
    async with show(size=(80, 24)) as s:
        planned = e.PromptHead(sha="i", json=HEAD.replace("[{", '[{"function":{"name":"plan"}},{', 1))
        await s.play(*opened(), *asked(), answered(), planned, e.RoundStarted(model="gpt-oss:20b"), sent(4, "i"))
        await s.press("f4")
        assert "another head: tools changed: plan came" in s.text
        assert "✗ head" in s.text
        assert "the prefix breaks here: tools changed: plan came" in s.text
