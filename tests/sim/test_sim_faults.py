"""Faults happen where they are asked for, and a client that goes is noticed."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse, IncompleteRead, RemoteDisconnected
from threading import Thread
from typing import Any

import pytest

from jetbox.sim import faults
from scripted import WriteScript, call, step
from sim.conftest import TOOLS

QUESTION = {"role": "user", "content": "What is a context manager?"}
BODY = json.dumps({"model": "gpt-oss:20b", "messages": [QUESTION]}).encode()
SLOW = {"speed": 0.05, "profile": "F"}
"""Minutes to load."""


def begin(client: Any, body: bytes = BODY) -> tuple[HTTPConnection, HTTPResponse]:
    connection = HTTPConnection(client.server.url.removeprefix("http://"), timeout=120)
    connection.request("POST", "/api/chat", body)
    return connection, connection.getresponse()


def open_and_send(client: Any) -> socket.socket:
    host, port = client.server.url.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)), timeout=120)
    head = f"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n\r\n"
    sock.sendall(head.encode() + BODY)
    return sock


def lines_of(data: bytes) -> list[bytes]:
    return [line for line in data.split(b"\n") if line]


def test_error_in_mid_stream_keeps_status_200(client_of: Any) -> None:
    client = client_of(faults=["error:out of memory@1:3"])
    status, _, data = client.send("POST", "/api/chat", BODY)
    assert status == 200
    assert len(lines_of(data)) == 4
    assert json.loads(lines_of(data)[-1]) == {"error": "out of memory"}
    assert client.chat(QUESTION)[-1]["done"] is True


def test_error_before_the_first_chunk_is_a_real_status(client_of: Any) -> None:
    assert client_of(faults=["error@1:0"]).refused(QUESTION)[0] == 500


def test_an_error_before_the_first_word_stands_in_the_streams_place(client_of: Any, write_script: WriteScript) -> None:
    script = str(write_script(step(call("list_dir", path="."))))
    kinds = {True: "application/json", False: "application/json; charset=utf-8"}
    for fault in ("error:no@*:0", "send:raw-error"):
        client = client_of(faults=[fault], scripts=[script])
        for stream, kind in kinds.items():
            body = {"model": "gpt-oss:20b", "messages": [QUESTION], "tools": TOOLS, "stream": stream}
            status, headers, _ = client.send("POST", "/api/chat", body)
            assert (status, headers["content-type"], "transfer-encoding" in headers) == (500, kind, stream)


def test_error_without_stream_is_a_real_status(client_of: Any) -> None:
    assert client_of(faults=["error@1:3"]).refused(QUESTION, stream=False)[0] == 500


def test_cut_leaves_the_stream_unfinished(client_of: Any) -> None:
    client = client_of(faults=["cut@2:5"])
    assert client.chat(QUESTION)[-1]["done"] is True
    connection, reply = begin(client)
    with closing(connection), pytest.raises(IncompleteRead) as broken:
        reply.read()
    assert len(lines_of(broken.value.partial)) == 5
    assert client.server.stats()["faults"] == 1


def test_garbage_is_one_line_and_the_answer_goes_on(client_of: Any) -> None:
    data = client_of(faults=["garbage@1:2"]).send("POST", "/api/chat", BODY)[2]
    broken = [i for i, line in enumerate(lines_of(data)) if b"garbage" in line]
    assert broken == [2]
    with pytest.raises(ValueError, match=r"Expecting|delimiter"):
        json.loads(lines_of(data)[2])
    assert json.loads(lines_of(data)[-1])["done"] is True


@pytest.mark.parametrize(("spec", "least"), [("no_done@1:4", 4), ("no_done", 50)])
def test_no_done_is_a_clean_end(client_of: Any, spec: str, least: int) -> None:
    status, _, data = client_of(faults=[spec]).send("POST", "/api/chat", BODY)
    assert status == 200
    assert len(lines_of(data)) >= least
    assert all(json.loads(line)["done"] is False for line in lines_of(data))


def test_busy_so_many_times(client_of: Any) -> None:
    client = client_of(faults=["busy:2"])
    for _ in range(2):
        status, text = client.refused(QUESTION)
        assert status == 503
        assert text == "server busy, please try again.  maximum pending requests exceeded"
    assert client.chat(QUESTION)[-1]["done"] is True


def test_status_on_one_request(client_of: Any) -> None:
    client = client_of(faults=["status:429@2"])
    client.chat(QUESTION)
    assert client.refused(QUESTION)[0] == 429
    client.chat(QUESTION)


def test_die_ends_the_process_in_mid_stream(client_of: Any) -> None:
    client = client_of(faults=["die@1:3"])
    connection, reply = begin(client)
    with closing(connection), pytest.raises(IncompleteRead) as broken:
        reply.read()
    assert len(lines_of(broken.value.partial)) == 3
    assert client.server.process.wait(60) == 1


def test_a_stall_sends_nothing_until_it_is_released(client_of: Any) -> None:
    client = client_of(faults=["stall@1:3"])
    connection, reply = begin(client)
    with closing(connection):
        early = [reply.readline() for _ in range(3)]
        assert client.server.stats(stalled=1)["stalled"] == 1
        client.server.release()
        rest = reply.read()
    assert all(json.loads(line)["done"] is False for line in early)
    assert json.loads(lines_of(rest)[-1])["done"] is True
    assert client.server.stats()["stalled"] == 0


def test_a_stall_before_the_first_chunk_holds_the_headers_back(client_of: Any) -> None:
    client = client_of(faults=["stall@1"])
    with open_and_send(client) as sock:
        client.server.stats(stalled=1)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
    assert client.server.stats(cancelled=1)["cancelled"] == 1


def test_slow_headers_come_late(client_of: Any) -> None:
    client = client_of(faults=["slow_headers:0.4@1"])
    client.chat(QUESTION)
    ((_, received, answered),) = client.server.stats()["timeline"]
    assert answered - received >= 400_000_000


def test_a_client_that_goes_in_mid_stream_ends_the_generation(client_of: Any, write_script: WriteScript) -> None:
    client = client_of(scripts=[str(write_script(step(text="word " * 20_000)))], speed=20, profile="E")
    with open_and_send(client) as sock:
        assert sock.recv(10).startswith(b"HTTP/1.1")
    stats = client.server.stats(cancelled=1)
    assert (stats["cancelled"], stats["finished"]) == (1, 0)
    assert client.json("GET", "/api/ps")["models"]


def test_a_client_that_goes_while_it_waits_for_the_slot(client_of: Any) -> None:
    client = client_of(faults=["stall@1"])
    with open_and_send(client):
        client.server.stats(stalled=1)
        with open_and_send(client):
            client.server.stats(chats=2)
        assert client.server.stats(cancelled=1)["stalled"] == 1
        client.server.release()
        client.server.stats(finished=1)
    assert client.chat(QUESTION)[-1]["done"] is True


def test_a_client_that_goes_during_the_load(client_of: Any) -> None:
    client = client_of(**SLOW)
    with open_and_send(client):
        client.server.stats(loading=1)
    stats = client.server.stats(cancelled=1)
    assert (stats["cancelled"], stats["loads"]) == (1, 0)
    assert client.json("GET", "/api/ps") == {"models": []}


def test_ps_waits_for_a_load(client_of: Any) -> None:
    client = client_of(**SLOW)
    answers: list[Any] = []
    with open_and_send(client):
        client.server.stats(loading=1)
        asking = Thread(target=lambda: answers.append(client.json("GET", "/api/ps")))
        asking.start()
        client.server.stats(requests=4)
        assert answers == []
    asking.join(120)
    assert answers == [{"models": []}]


def test_ps_of_older_releases_names_what_is_loaded_and_waits_for_nothing(client_of: Any) -> None:
    client = client_of(**SLOW, version="0.24.0")
    with open_and_send(client):
        client.server.stats(loading=1)
        assert client.json("GET", "/api/ps") == {"models": []}


def test_a_fault_of_a_step_strikes_once(client_of: Any, script_file: Any) -> None:
    step = '[[step]]\nid = "s"\ntext = "one two three"\nfault = "cut@:1"\n'
    client = client_of(scripts=[script_file('[script]\nname = "own"\nmatch = "."\n' + step)])
    connection, reply = begin(client)
    with closing(connection), pytest.raises(IncompleteRead):
        reply.read()
    assert "".join(line["message"]["content"] for line in client.chat("go")) == "one two three"


def test_a_cut_before_anything_was_sent(client_of: Any) -> None:
    client = client_of(faults=["cut@1:0"])
    with pytest.raises(RemoteDisconnected):
        begin(client)


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("cut@2:5", faults.Fault("cut", "", 2, 5)),
        ("stall", faults.Fault("stall", "", None, 0)),
        ("status:503@*", faults.Fault("status", "503", None, 1)),
        ("error:a b@:2", faults.Fault("error", "a b", None, 2)),
        ("slow_headers:0.5", faults.Fault("slow_headers", "0.5", None, 1)),
    ],
)
def test_specifications(spec: str, fault: faults.Fault) -> None:
    assert faults.parse(spec) == fault


@pytest.mark.parametrize("spec", ["", "explode", "cut:5", "status:700", "status:x", "busy:many", "cut@x", "cut@1:y"])
def test_specifications_that_say_nothing(spec: str) -> None:
    with pytest.raises(faults.FaultError, match="fault"):
        faults.parse(spec)
