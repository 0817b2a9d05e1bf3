"""HTTP/1.1 as clients of all kinds write it."""

from __future__ import annotations

import json
import socket
from itertools import pairwise
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetbox.sim import answer
from jetbox.sim.http import Connection, Request, encode

BODY = b'{"model": "x", "messages": []}'
PLAIN = b"POST /api/chat?a=1&b= HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
CHUNKED = (
    b"POST /api/chat?a=1&b= HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\n%b\r\n%X\r\n%b\r\n0\r\nTrailer: t\r\n\r\n" % (BODY[:5], len(BODY) - 5, BODY[5:])
)


def read_all(pieces: list[bytes]) -> list[Request]:
    """What a connection makes of bytes that come in these pieces."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    requests = []
    with ours, theirs:

        def write() -> None:
            for piece in pieces:
                theirs.sendall(piece)
            theirs.shutdown(socket.SHUT_WR)

        writer = Thread(target=write)
        writer.start()
        connection = Connection(ours)
        while (request := connection.read_request()) is not None:
            requests.append(request)
        writer.join()
    return requests


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({place % (len(data) + 1) for place in places} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(edges)]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10_000), max_size=8), st.permutations([PLAIN, CHUNKED, PLAIN]))
def test_requests_survive_any_cut(places: list[int], order: list[bytes]) -> None:
    requests = read_all(cut(b"".join(order), places))
    assert [request.body for request in requests] == [BODY] * 3
    assert all(request.path == "/api/chat" and request.query() == {"a": "1"} for request in requests)
    assert all(request.keep_open for request in requests)


@settings(max_examples=50, deadline=None)
@given(
    st.recursive(
        st.text() | st.integers() | st.booleans() | st.none(),
        lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(), v, max_size=4),
        max_leaves=8,
    )
)
def test_a_line_is_one_line_and_reads_back(value: Any) -> None:
    line = encode(value)
    assert b"\n" not in line
    assert json.loads(line) == value


@settings(deadline=None)
@given(st.text())
def test_word_pieces_join_up_to_the_text(text: str) -> None:
    assert "".join(answer.split(text)) == text


def exchange(client: Any, data: bytes) -> bytes:
    """Send bytes, say that no more come, and read to the end."""
    host, port = client.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=120) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        received = b""
        while piece := sock.recv(65536):
            received += piece
    return received


def test_requests_in_a_row_on_one_connection(client: Any) -> None:
    one = b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n"
    assert exchange(client, one * 3).count(b'{"version":"0.33.3"}') == 3


def test_connection_close_and_http_1_0_end_it(client: Any) -> None:
    closing = b"GET /api/version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert exchange(client, closing * 2).count(b"HTTP/1.1 200") == 1
    assert exchange(client, b"GET / HTTP/1.0\r\n\r\n").endswith(b"Ollama is running")


def test_a_stream_to_an_old_client_is_not_chunked(client: Any) -> None:
    body = b'{"model": "gpt-oss:20b", "messages": [{"role": "user", "content": "hello"}]}'
    host, port = client.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=120) as sock:
        sock.sendall(b"POST /api/chat HTTP/1.0\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        received = b""
        while piece := sock.recv(65536):
            received += piece
    head, _, data = received.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert json.loads(data.split(b"\n")[-2])["done"] is True


def test_continue_is_answered(client: Any) -> None:
    data = PLAIN.replace(b"Host: x", b"Host: x\r\nExpect: 100-continue")
    received = exchange(client, data)
    assert received.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / SPDY/3\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000, 431),
    ],
)
def test_what_is_no_request_is_refused_and_the_connection_closed(client: Any, data: bytes, status: int) -> None:
    received = exchange(client, data)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert received.count(b"HTTP/1.1") == 1
    assert client.json("GET", "/api/version")


def test_a_request_that_breaks_off_harms_nobody(client: Any) -> None:
    assert exchange(client, PLAIN[:-5]) == b""
    assert client.server.stats()["last_error"] == ""
