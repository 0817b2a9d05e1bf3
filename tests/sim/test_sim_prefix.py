"""The cache of the server: the longest common prefix with the last request is free."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from jetbox.sim import prompt

GOAL = {"role": "user", "content": "Create mathx package"}
TEXT = st.text(max_size=40)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool", "system"]), "content": TEXT}),
    min_size=1,
    max_size=6,
)


def cached(line: dict[str, Any]) -> int:
    return int(line.get("prompt_eval_cached_count", 0))


def test_an_append_only_conversation_reuses_everything_before_the_new_messages(agent: Any) -> None:
    agent.executing = False
    agent.play("Create mathx package")
    for before, after in zip(agent.metrics, agent.metrics[1:], strict=False):
        assert cached(after) >= before["prompt_eval_count"] + before["eval_count"] - 2
        assert cached(after) < after["prompt_eval_count"]
    assert cached(agent.metrics[0]) == 0


def test_the_same_request_again_evaluates_one_token(client: Any) -> None:
    first = client.chat(GOAL)[-1]
    again = client.chat(GOAL)[-1]
    assert cached(again) == first["prompt_eval_count"] - 1


def test_what_breaks_the_prefix(client: Any) -> None:
    system = {"role": "system", "content": "You are careful. " * 20}
    answer = {"role": "assistant", "content": "Which one?"}
    more = {"role": "user", "content": "mathx, as I said"}
    whole = client.chat(system, GOAL, answer, more)[-1]["prompt_eval_count"]
    assert whole <= cached(client.chat(system, GOAL, answer, more, GOAL)[-1]) <= whole + 1
    late_system = {"role": "system", "content": "It is late."}
    assert cached(client.chat(system, GOAL, answer, more, late_system)[-1]) < whole / 2 + 100
    client.chat(system, GOAL, answer, more)
    assert cached(client.chat(system, GOAL, answer, more, tools=[])[-1]) < whole / 2
    client.chat(system, GOAL, answer, more)
    edited = {"role": "assistant", "content": "which one?"}
    assert cached(client.chat(system, GOAL, edited, more)[-1]) < whole - 4


def test_another_level_of_thinking_changes_the_prompt_from_its_beginning_on(client: Any) -> None:
    system = {"role": "system", "content": "You are careful. " * 20}
    client.chat(system, GOAL, think="high")
    assert cached(client.chat(system, GOAL, think="low")[-1]) < 8
    assert cached(client.chat(system, GOAL, think="low")[-1]) > 80


def test_a_user_message_drops_the_thinking_before_it(client: Any) -> None:
    thinking = {"role": "assistant", "content": "ok", "thinking": "long thoughts " * 30}
    shorter = client.chat(GOAL, thinking, GOAL)[-1]["prompt_eval_count"]
    tool = {"role": "tool", "tool_name": "x", "content": "Create mathx package"}
    longer = client.chat(GOAL, thinking, tool)[-1]["prompt_eval_count"]
    assert longer > shorter + 90


def test_a_reload_empties_the_cache(client: Any) -> None:
    client.chat(GOAL, options={"num_ctx": 4096})
    assert cached(client.chat(GOAL, options={"num_ctx": 8192})[-1]) == 0


def test_models_have_a_cache_each(client: Any) -> None:
    client.chat(GOAL)
    assert cached(client.chat(GOAL, model="llama3.2:3b")[-1]) == 0
    assert cached(client.chat(GOAL)[-1]) > 0


def test_the_rendered_prompt_tells_where_two_requests_differ(client: Any) -> None:
    def rendered(*messages: Any) -> str:
        body = {"model": "gpt-oss:20b", "messages": messages, "_debug_render_only": True}
        reply = client.json("POST", "/api/chat", body)
        assert reply["done"] is False
        return str(reply["_debug_info"]["rendered_template"])

    short, long = rendered(GOAL), rendered(GOAL, {"role": "assistant", "content": "Which?"}, GOAL)
    assert long.startswith(short)
    late = rendered({"role": "system", "content": "It is late."}, GOAL)
    assert not late.startswith(short[:40])
    stats = client.server.stats()
    assert (stats["chats"], stats["loads"]) == (0, 1)


@settings(max_examples=60, deadline=None)
@given(MESSAGES, MESSAGES)
def test_shared_tokens_are_a_prefix_of_both(one: list[Any], two: list[Any]) -> None:
    a, b = (prompt.render(messages, [], None, thinking=True) for messages in (one, two))
    shared = prompt.shared_tokens(a, b)
    assert 0 <= shared <= min(prompt.count(a), prompt.count(b) - 1)
    assert prompt.shared_tokens(a, a) == prompt.count(a) - 1


@settings(max_examples=60, deadline=None)
@given(MESSAGES, TEXT)
def test_appending_shares_the_whole_prompt(messages: list[Any], text: str) -> None:
    longer = [*messages, {"role": "tool", "content": text}]
    a, b = (prompt.render(m, [], None, thinking=True) for m in (messages, longer))
    assert prompt.shared_tokens(a, b) == prompt.count(a)
