from __future__ import annotations

import msgspec
import pytest

from jetbox.engine.context.budget import Budget
from jetbox.engine.context.history import History
from jetbox.engine.context.wire import OllamaWire, Wanted
from jetbox.engine.errors import ContextOverflow
from jetbox.engine.events import MessageAdded, PromptHead
from jetbox.engine.models.base import Call, CallFunction
from jetbox.engine.options import ModelOptions
from jetbox.engine.session import NoRecorder, Session


def history(messages: tuple[bytes, ...] = ()) -> tuple[History, Session]:
    session = Session(NoRecorder())
    session.feed()
    return History(session, OllamaWire(), messages), session


def call(name: str, arguments: str, wire_id: str = "") -> Call:
    return Call(CallFunction(name, msgspec.Raw(arguments.encode())), wire_id)


def test_a_request_begins_with_the_bytes_of_the_one_before() -> None:
    log, _ = history()
    log.head("m", ModelOptions(), b"[]")
    log.system("be brief")
    log.user("do it")
    before = log.body(Wanted(4096, 100))
    log.assistant("", "hm", [call("read_file", '{"path": "a",  "limit":1}', "call_1")])
    log.tool("read_file", "call_1", "text")
    after = log.body(Wanted(4096, 5))
    shared = before.data[: -len(before.tail)]
    assert after.data.startswith(shared)
    assert msgspec.json.decode(after.data)["messages"][2]["tool_calls"][0]["function"]["arguments"] == {
        "path": "a",
        "limit": 1,
    }


def test_arguments_keep_the_bytes_that_came() -> None:
    log, _ = history()
    log.head("m", ModelOptions(), b"")
    log.assistant("", "", [call("f", '{"b":1,   "a":[ 2 ]}')])
    assert b'{"b":1,   "a":[ 2 ]}' in log.body(Wanted(1, 1)).data


def test_the_journal_rebuilds_the_body() -> None:
    session = Session(NoRecorder())
    feed = session.feed()
    log = History(session, OllamaWire())
    log.head("m", ModelOptions(), b"[]")
    log.system("s")
    log.user('quotes " and \u2028 and 日本')
    body = log.body(Wanted(1, 1))
    events = [s.event for s in feed.drain().events]
    messages = [e.json for e in events if isinstance(e, MessageAdded)]
    (head,) = (e.json for e in events if isinstance(e, PromptHead))
    assert (head + ",".join(messages) + body.tail).encode() == body.data


def test_calls_that_a_kill_left_open_get_a_result() -> None:
    log, _ = history()
    log.user("go")
    log.assistant("", "", [call("a", "{}", "1"), call("b", "{}", "2"), call("c", "{}", "3")])
    log.tool("a", "1", "done")
    log.mend()
    log.mend()
    log.head("m", ModelOptions(), b"")
    messages = msgspec.json.decode(log.body(Wanted(1, 1)).data)["messages"]
    assert [m.get("tool_call_id") for m in messages if m["role"] == "tool"] == ["1", "2", "3"]


def test_the_budget_learns_from_the_servers_counts() -> None:
    budget = Budget(8192)
    budget.learn(4000, 1000)
    assert budget.estimate(4000) == 1000
    assert budget.estimate(8000) == 2000
    assert budget.num_predict(1000, 8192) == 8192 - 1000 - 64
    assert budget.num_predict(1000, 500) == 500


def test_no_room_for_an_answer_is_said_in_words() -> None:
    with pytest.raises(ContextOverflow, match="7,950 of the window's 8,192"):
        Budget(8192).num_predict(7950, 8192)
