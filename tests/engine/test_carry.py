"""What a model said is carried over to others, and comes back to it byte for byte."""

from __future__ import annotations

import json

import pytest

from jetbox.engine.context.carry import Reader, carried, in_form_of, reader_of, short_id
from jetbox.engine.context.history import History
from jetbox.engine.context.wire import OllamaWire, OpenAIWire, Wire
from jetbox.engine.events import MessageAdded
from jetbox.engine.models.base import Call, CallFunction, ModelInfo
from jetbox.engine.session import NoRecorder, Session

import msgspec  # isort: skip

CALL = Call(CallFunction("read_file", msgspec.Raw(b'{"path": "a.py",  "n": 1e3}')), "call_abcdefgh")


def history(wire: Wire) -> tuple[History, Session]:
    session = Session(NoRecorder())
    made = History(session, wire)
    made.read_by(Reader("a"))
    made.system("S")
    made.user("Do it")
    made.assistant("Reading.", "Let me think.", [CALL])
    made.tool("read_file", "call_abcdefgh", "x = 1")
    return made, session


@pytest.mark.parametrize("wire", [OllamaWire(), OpenAIWire()])
def test_thinking_stays_with_its_model_and_comes_back_byte_for_byte(wire: Wire) -> None:
    made, _ = history(wire)
    own = list(made.parts[1])
    made.read_by(Reader("b"))
    seen = [json.loads(data) for data in made.parts[1]]
    assert not any("think" in data or "reasoning" in data for data in map(str, seen))
    assert seen[2]["content"] == "Reading."
    assert b'"n": 1e3' in made.parts[1][2] or "1e3" in str(seen[2])
    made.assistant("", "Only thought.", [])
    made.user("Well?")
    size = made.bytes
    assert size == sum(map(len, made.parts[1]))
    made.read_by(Reader("a"))
    assert list(made.parts[1])[:4] == own
    assert json.loads(made.parts[1][4])["content"] == "Only thought.", (
        "where it said nothing else, that is what it said"
    )
    assert made.bytes == sum(map(len, made.parts[1]))


def test_the_journal_is_told_what_changes_and_what_stands_behind_it() -> None:
    made, session = history(OllamaWire())
    feed = session.feed()
    made.read_by(Reader("b"))
    told = [stamped.event for stamped in feed.drain().events]
    assert [event.index for event in told if isinstance(event, MessageAdded)] == [2, 3]
    made.read_by(Reader("b"))
    assert feed.drain().events == ()


def test_ids_are_translated_for_models_that_take_no_others() -> None:
    made, _ = history(OpenAIWire())
    reader = reader_of(ModelInfo("devstral:24b", family="llama"))
    assert reader.short_ids
    assert not reader_of(ModelInfo("qwen3:8b", family="qwen3")).short_ids
    messages = [json.loads(data) for data in made.as_read_by(reader)]
    new = messages[2]["tool_calls"][0]["id"]
    assert messages[3]["tool_call_id"] == new == short_id("call_abcdefgh")
    assert (len(new), new.isalnum()) == (9, True)
    assert messages[2]["tool_calls"][0]["function"]["arguments"] == '{"path": "a.py",  "n": 1e3}'
    assert (short_id(new), short_id(""), short_id("call_other") == new) == (new, "", False)


@pytest.mark.parametrize(("old", "new"), [(OllamaWire(), OpenAIWire()), (OpenAIWire(), OllamaWire())])
def test_a_history_is_rewritten_for_another_protocol(old: Wire, new: Wire) -> None:
    made, _ = history(old)
    wanted, _ = history(type(new)())
    taken_up = History(Session(NoRecorder()), new, made.parts[1])
    taken_up.rewrite()
    assert [json.loads(data) for data in taken_up.parts[1]] == [json.loads(data) for data in wanted.parts[1]]
    before = list(taken_up.parts[1])
    taken_up.rewrite()
    assert list(taken_up.parts[1]) == before
    assert in_form_of(old, made.parts[1]) == list(made.parts[1])


def test_calls_of_one_answer_with_the_same_id_are_told_apart_and_their_results_too() -> None:
    wire = OpenAIWire()
    for _ in range(2):
        said = json.loads(msgspec.json.encode(wire.assistant("", "", [CALL, CALL, CALL])))
        ids = [call["id"] for call in said["tool_calls"]]
        assert ids[0] == CALL.id
        assert len(set(ids)) == 3
        assert [wire.tool("read_file", CALL.id, text)["tool_call_id"] for text in ("one", "two", "three")] == ids


def test_calls_without_ids_get_some_and_their_results_the_same() -> None:
    source = OllamaWire()
    call = msgspec.structs.replace(CALL, id="")
    messages = [
        msgspec.json.encode(source.assistant("", "", [call, call])),
        msgspec.json.encode(source.tool("read_file", "", "one")),
        msgspec.json.encode(source.tool("read_file", "", "two")),
    ]
    said, *results = [json.loads(data) for data in in_form_of(OpenAIWire(), messages)]
    ids = [call["id"] for call in said["tool_calls"]]
    assert len(set(ids)) == 2
    assert [result["tool_call_id"] for result in results] == ids


def test_users_words_and_what_nobody_is_named_for_are_everybodys() -> None:
    messages = [b'{"role":"user","content":"x","thinking":"t"}']
    assert carried(messages, [""], Reader("b")) == messages


def test_a_message_that_is_amended_stays_its_models() -> None:
    made, _ = history(OllamaWire())
    made.amend("[more]")
    own = list(made.parts[1])
    made.read_by(Reader("devstral", short_ids=True))
    assert b"call_abcdefgh" not in made.parts[1][3]
    made.read_by(Reader("a"))
    assert list(made.parts[1]) == own
