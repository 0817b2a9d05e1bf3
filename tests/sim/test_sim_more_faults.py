"""Refusals, slowness, deafness, odd bytes, odd answers: each fault over real HTTP, and none without a test."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from jetbox.sim import fault_kinds, faults, profiles
from scripted import WriteScript, step

QUESTION = {"role": "user", "content": "What is a context manager?"}
BODY = json.dumps({"model": "gpt-oss:20b", "messages": [QUESTION]}).encode()


def said(lines: list[dict[str, Any]], field: str = "content") -> str:
    return "".join(line["message"].get(field, "") for line in lines)


def opened(client: Any) -> socket.socket:
    host, port = client.server.url.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)), timeout=120)
    head = f"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n"
    sock.sendall(head.encode() + BODY)
    return sock


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (401, "unauthorized"),
        (403, "ollama cloud is disabled: remote model details are unavailable"),
        (429, "you've reached your usage limit, please try again later"),
        (499, "request cancelled"),
        (502, "could not reach ollama.com"),
        (503, "server busy, please try again.  maximum pending requests exceeded"),
        (500, "scripted fault: status 500"),
    ],
)
def test_statuses_have_the_words_of_the_server(client_of: Any, code: int, words: str) -> None:
    client = client_of(faults=[f"status:{code}@1"])
    status, _, data = client.send("POST", "/api/chat", BODY)
    assert status == code
    assert json.loads(data)["error"] == words
    assert ("signin_url" in json.loads(data)) is (code == 401)


def test_a_limit_says_when_to_come_back(client_of: Any) -> None:
    status, headers, _ = client_of(faults=["limited:2@1"]).send("POST", "/api/chat", BODY)
    assert (status, headers["retry-after"]) == (429, "2")


def test_a_gateway_answers_in_html(client_of: Any) -> None:
    for spec, code in (("html", 502), ("html:504", 504)):
        status, headers, data = client_of(faults=[spec]).send("POST", "/api/chat", BODY)
        assert (status, headers["content-type"]) == (code, "text/html")
        assert data.startswith(b"<html>")


def test_an_error_about_a_context_that_is_no_overflow(client_of: Any) -> None:
    status, text = client_of(faults=["context_words@1"]).refused(QUESTION)
    assert status == 500
    assert "context" in text
    assert "exceed_context_size_error" not in text


def test_strict_servers_refuse_what_the_standard_does_not_know(client_of: Any) -> None:
    client = client_of(faults=["strict"])
    call: dict[str, Any] = {"id": "a", "type": "function", "function": {"name": "f", "arguments": {}}}
    odd = {**call, "function": {**call["function"], "index": 0}}
    assert client.chat(QUESTION, {"role": "assistant", "content": "", "tool_calls": [call]}, QUESTION)[-1]["done"]
    refused = client.refused(QUESTION, {"role": "assistant", "content": "", "tool_calls": [odd]}, QUESTION)
    assert refused == (422, "messages[1].tool_calls[0].function.index: Extra inputs are not permitted")


def test_slowness_of_everything(client_of: Any) -> None:
    client = client_of(profile="C", speed=60, faults=["slow:5@2"])
    client.chat(QUESTION, think=False)
    end = client.chat(QUESTION, think=False)[-1]
    work = profiles.Work(1, False, end["prompt_eval_count"], end["prompt_eval_count"] - 1, 0, end["eval_count"])
    nominal = profiles.PROFILES["C"].timing(work).decode / 60
    assert end["eval_duration"] >= 4 * nominal * 1e9 > 0, "its jitter is within 5 %"


def test_a_server_that_hangs_answers_nothing_at_all(client_of: Any) -> None:
    client = client_of(faults=["hang@1"])
    answers: list[Any] = []
    threads = [
        Thread(target=lambda: answers.append(client.json("GET", "/api/version"))),
        Thread(target=lambda: answers.append(client.chat(QUESTION)[-1]["done"])),
    ]
    with opened(client) as sock:
        client.server.stats(stalled=1)
        for thread in threads:
            thread.start()
        assert client.server.stats(stalled=3)["stalled"] == 3
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        assert answers == []
        client.server.release()
        sock.settimeout(120)
        assert sock.recv(12) == b"HTTP/1.1 200"
    for thread in threads:
        thread.join()
    assert len(answers) == 2


@pytest.mark.parametrize("asked", [[QUESTION], []], ids=["an answer", "a load alone"])
def test_a_load_that_is_stuck_ends_when_it_is_released(client_of: Any, asked: list[Any]) -> None:
    client = client_of(faults=["stuck@1"])
    body = {"model": "gpt-oss:20b", "messages": asked, "stream": False}
    answers: list[Any] = []
    thread = Thread(target=lambda: answers.append(client.json("POST", "/api/chat", body)["done"]))
    thread.start()
    stats = client.server.stats(loading=1, stalled=1)
    assert (stats["loading"], stats["stalled"], stats["loads"], answers) == (1, 1, 0, [])
    client.server.release()
    thread.join(120)
    assert answers == [True]
    assert client.server.stats()["loads"] == 1


@pytest.mark.parametrize(("until", "finished"), [("prompt", 0), ("end", 1)])
def test_a_client_that_goes_is_noticed_late(
    client_of: Any, write_script: WriteScript, until: str, finished: int
) -> None:
    # Long enough for the client to be gone before the end, and for the end to come.
    words = "word " * (300 if finished else 20_000)
    script = write_script(step(text=words))
    client = client_of(scripts=[str(script)], profile="E", speed=25, faults=[f"deaf:{until}@1"])
    with opened(client):
        client.server.stats(chats=1)
    stats = client.server.stats(**({"finished": 1} if finished else {"cancelled": 1}))
    assert stats["finished"] == finished
    assert stats["loads"] == 1
    assert client.server.stats(cancelled=1)["cancelled"] == 1


def test_an_answer_that_dribbles_is_the_same(client_of: Any) -> None:
    client = client_of(faults=["dribble:3@1"])
    with closing(HTTPConnection(client.server.url.removeprefix("http://"), timeout=120)) as connection:
        connection.request("POST", "/api/chat", BODY)
        reply = connection.getresponse()
        first = reply.read1(100)
        lines = (first + reply.read()).split(b"\n")
    assert len(first) <= 3
    texts = [json.loads(line)["message"]["content"] for line in lines if line]
    assert "".join(texts) == said(client.chat(QUESTION))


def test_answers_that_say_nothing(client_of: Any) -> None:
    client = client_of(faults=["empty@1", "thinking_only@2", "empty_length@3"])
    for thinking, reason in ((False, "stop"), (True, "stop"), (False, "length")):
        lines = client.chat(QUESTION)
        assert said(lines) == ""
        assert bool(said(lines, "thinking")) is thinking
        assert lines[-1]["done_reason"] == reason
    assert lines[-1]["eval_count"] > 1
    assert said(client.chat(QUESTION)) != ""


def test_an_answer_that_repeats_itself_up_to_the_limit(client_of: Any) -> None:
    lines = client_of(faults=["repeat:never ending"]).chat(QUESTION, options={"num_predict": 400})
    assert said(lines).startswith("never ending never ending never ending")
    assert (lines[-1]["done_reason"], lines[-1]["eval_count"]) == ("length", 400)


def test_the_guard_against_repetition(client_of: Any) -> None:
    silent = client_of(faults=["guard"]).chat(QUESTION)
    assert said(silent) == "<unused50>" * 30
    assert not any(line["done"] for line in silent)
    *lines, last = client_of(faults=["guard:<unused50>"], version="0.34.0").chat(QUESTION)
    assert said(lines) == "<unused50>" * 100
    assert list(last) == ["error"]


def test_every_kind_of_fault_is_in_the_help_and_in_a_test() -> None:
    tests = "\n".join(path.read_text() for path in Path(__file__).parent.glob("test_sim_*.py"))
    guide = (Path(__file__).parents[2] / "docs" / "scripted-models.md").read_text()
    for name in fault_kinds.KINDS:
        assert name + fault_kinds.KINDS[name].usage in fault_kinds.table()
        assert f'"{name}' in tests, f"no test provokes {name}"
        assert f"`{name}" in guide, f"the guide does not name {name}"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("send:morse", "send needs one of chunk, done"),
        ("send", "send needs one of"),
        ("damage:acid", "damage needs one of"),
        ("slow:very", "FACTOR must be a number"),
        ("html:200", "CODE must be a status from 400 to 599, as in html:500"),
        ("expire:3", "expire takes no value"),
    ],
)
def test_specifications_that_say_nothing(spec: str, words: str) -> None:
    with pytest.raises(faults.FaultError, match=words):
        faults.parse(spec)
