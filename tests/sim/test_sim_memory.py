"""What is loaded, for how long, on what, and what other clients and restarts do to it."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, closing, suppress
from http.client import HTTPConnection, HTTPException
from threading import Event, Thread
from typing import Any

import pytest

from jetbox.sim.catalog import MODELS
from jetbox.sim.http import Connection, Disconnected, Request
from jetbox.sim.profiles import PROFILES, Work
from jetbox.sim.scheduler import CPU_FACTOR, Limits, Scheduler
from jetbox.sim.world import World

QUESTION = {"role": "user", "content": "What is a context manager?"}
GIB = 1024**3


def cached(line: dict[str, Any]) -> int:
    return int(line.get("prompt_eval_cached_count", 0))


def running(client: Any) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in client.json("GET", "/api/ps")["models"]}


def sending(client: Any, body: dict[str, Any]) -> socket.socket:
    host, port = client.server.url.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)), timeout=120)
    data = json.dumps(body).encode()
    sock.sendall(f"POST /api/chat HTTP/1.1\r\nHost: x\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data)
    return sock


def test_a_model_that_does_not_fit_spills_and_is_slower(client_of: Any) -> None:
    roomy, tight = (client_of(speed=50, profile="A", vram=vram) for vram in (24, 8))
    whole, spilled = (client.chat(QUESTION)[-1] for client in (roomy, tight))
    fits, does_not = (running(client)["gpt-oss:20b"] for client in (roomy, tight))
    assert fits["size_vram"] == fits["size"]
    assert 0.4 < does_not["size_vram"] / does_not["size"] < 0.7
    assert does_not["size_vram"] == 8 * GIB
    for end, server in ((whole, fits), (spilled, does_not)):
        read = end["prompt_eval_count"]
        nominal = PROFILES["A"].timing(Work(1, False, read, read - 1, 0, end["eval_count"])).decode / 50
        share = server["size_vram"] / server["size"]
        assert end["eval_duration"] >= 0.8e9 * nominal * (share + (1 - share) * CPU_FACTOR), "its jitter is 5 %"


def test_a_larger_window_takes_more_memory(client: Any) -> None:
    client.chat(QUESTION, options={"num_ctx": 4096})
    small = running(client)["gpt-oss:20b"]["size"]
    client.chat(QUESTION, options={"num_ctx": 65536})
    assert running(client)["gpt-oss:20b"]["size"] > small + 2 * GIB


def test_models_displace_each_other_where_memory_is_short(client_of: Any) -> None:
    client = client_of(vram=18)
    client.chat(QUESTION, model="gpt-oss:20b")
    client.chat(QUESTION, model="llama3.2:3b")
    assert set(running(client)) == {"gpt-oss:20b", "llama3.2:3b"}
    client.chat(QUESTION, model="qwen2.5-coder:7b")
    assert "gpt-oss:20b" not in running(client)


def test_the_keep_alive_of_the_server_holds_where_a_request_names_none(client_of: Any) -> None:
    client = client_of(keep_alive="40ms")
    client.chat(QUESTION)
    while running(client):
        pass
    client.chat(QUESTION, keep_alive="1h")
    assert running(client)["gpt-oss:20b"]["expires_at"] > time.strftime(
        "%Y-%m-%dT%H:%M", time.gmtime(time.time() + 3000)
    )
    assert client.server.stats()["loads"] == 2


def test_requests_beyond_the_queue_are_turned_away(client_of: Any) -> None:
    """Only those that need a load: who wants the model that is there waits."""
    client = client_of(max_queue=1, faults=["stall@1:1"])
    body = {"model": "gpt-oss:20b", "messages": [QUESTION]}
    with closing(sending(client, body)):
        client.server.stats(stalled=1)
        with closing(sending(client, {**body, "options": {"num_ctx": 8192}})):
            client.server.stats(queued=1)
            refused = client.refused(QUESTION, options={"num_ctx": 2048})
            waiting = Thread(target=client.chat, args=(QUESTION,))
            waiting.start()
            client.server.stats(chats=4)
            client.server.release()
            waiting.join(120)
            # A connection that is closed before its answer was written to the end is none that finished.
            stats = client.server.stats(finished=3)
    assert refused == (503, "server busy, please try again.  maximum pending requests exceeded")
    assert (stats["finished"], stats["errors"]) == (3, 1)


def test_while_a_model_loads_the_queue_is_as_short_for_those_who_want_that_one(client_of: Any) -> None:
    client = client_of(max_queue=1, faults=["stuck@1"])
    body = {"model": "gpt-oss:20b", "messages": [QUESTION]}
    with closing(sending(client, body)):
        client.server.stats(loading=1)
        with closing(sending(client, body)):
            client.server.stats(queued=1)
            refused = client.refused(QUESTION)
            client.server.release()
            client.server.stats(finished=2)
    assert refused[0] == 503


def test_who_waits_for_a_load_is_served_before_who_came_later() -> None:
    waiting = Event()
    scheduler = Scheduler(Limits(), lambda more: waiting.set())
    loads: list[int] = []

    def ask(window: int) -> None:
        launch = {"num_ctx": window}
        with scheduler.runner(MODELS[0], launch, None, load=lambda: loads.append(window), still_there=lambda: None):
            if window == 1:
                thread.start()
                assert waiting.wait(60)

    thread = Thread(target=ask, args=(2,))
    ask(1)
    ask(3)
    thread.join(60)
    assert loads == [1, 2, 3]


def test_the_wait_for_a_turn_at_a_model_that_is_there_is_no_part_of_its_load(client_of: Any) -> None:
    client = client_of(profile="C", speed=200, faults=["stall@1:1"])
    body = {"model": "gpt-oss:20b", "messages": [QUESTION]}
    ends: list[dict[str, Any]] = []
    with closing(sending(client, body)):
        client.server.stats(stalled=1)
        waiting = Thread(target=lambda: ends.append(client.chat(QUESTION)[-1]))
        waiting.start()
        client.server.stats(chats=2)
        begun = time.monotonic()
        while time.monotonic() < begun + 0.3:
            assert client.json("POST", "/api/chat", {"model": "gpt-oss:20b"})["done_reason"] == "load", "at once"
        client.server.release()
        waiting.join(120)
    (end,) = ends
    parts = sum(end[f"{name}_duration"] for name in ("load", "prompt_eval", "eval"))
    assert end["load_duration"] < end["total_duration"] - parts, "it waits as long as the other is at work"


def test_another_client_reloads_the_model(client_of: Any) -> None:
    client = client_of(faults=["other_client:2048@3"])
    options = {"num_ctx": 8192}
    client.chat(QUESTION, options=options)
    assert cached(client.chat(QUESTION, options=options)[-1]) > 0
    assert cached(client.chat(QUESTION, options=options)[-1]) == 0
    assert client.server.stats()["loads"] == 3
    client.server.other_client("gpt-oss:20b", num_ctx=2048)
    assert running(client)["gpt-oss:20b"]["context_length"] == 2048
    client.chat(QUESTION, options=options)
    assert client.server.stats()["loads"] == 5
    client.server.other_client("gpt-oss:20b", unload=True)
    assert running(client) == {}


@pytest.mark.parametrize(("fault", "loads"), [("expire@2", 2), ("evict@2", 3), ("foreign_slot@2", 1)])
def test_the_cache_is_lost_with_the_model_or_the_slot(client_of: Any, fault: str, loads: int) -> None:
    client = client_of(faults=[fault])
    client.chat(QUESTION)
    assert cached(client.chat(QUESTION)[-1]) == 0
    assert cached(client.chat(QUESTION)[-1]) > 0
    assert client.server.stats()["loads"] == loads


def test_conversations_may_be_kept_beside_each_other(client_of: Any) -> None:
    other = {"role": "user", "content": "Create mathx package"}
    for kept, expected in ((1, False), (2, True)):
        client = client_of(kept_prompts=kept)
        for message in (QUESTION, other):
            client.chat({"role": "system", "content": f"{message['content']} " * 40}, message)
        again = client.chat({"role": "system", "content": f"{QUESTION['content']} " * 40}, QUESTION)[-1]
        assert (cached(again) == again["prompt_eval_count"] - 1) is expected


def test_checkpoints_allow_appending_alone(client_of: Any) -> None:
    client = client_of(faults=["checkpoints"])
    system = {"role": "system", "content": "Be careful. " * 30}
    answer = {"role": "assistant", "content": "yes " * 50}
    first = client.chat(system, QUESTION)[-1]
    appended = client.chat(system, QUESTION, answer, QUESTION)[-1]
    assert cached(appended) == first["prompt_eval_count"]
    edited = {"role": "assistant", "content": "yes " * 49}
    assert cached(client.chat(system, QUESTION, edited, QUESTION)[-1]) == first["prompt_eval_count"]
    assert cached(client.chat(system, {"role": "user", "content": "Create mathx"})[-1]) == 0


def test_tools_in_the_newest_user_message_move(client_of: Any) -> None:
    turn = [QUESTION, {"role": "assistant", "content": "yes"}, {"role": "tool", "tool_name": "x", "content": "ok"}]
    steady, moving = client_of(), client_of(faults=["go_template"])
    sizes = []
    for client in (steady, moving):
        asked = client.chat(*turn[:1])[-1]["prompt_eval_count"]
        sizes.append((asked, client.chat(*turn)[-1]["prompt_eval_count"]))
    assert sizes[0][0] == pytest.approx(sizes[1][0], abs=2)
    assert sizes[1][1] < sizes[0][1] - 100


def test_tools_that_render_differently_each_time(client_of: Any) -> None:
    field = {"type": "string", "description": "d", "enum": ["a", "b"], "default": "a"}
    steady = {"type": "string", "description": "d", "enum": ["a", "b"]}
    system = {"role": "system", "content": "Be careful. " * 30}
    client = client_of(faults=["shuffle"])
    for schema, whole in ((steady, True), (field, False)):
        nested = {"type": "array", "items": {"type": "object", "properties": {"y": steady}, "required": ["y"]}}
        properties = {"x": schema, "z": nested}
        function = {"name": "f", "parameters": {"type": "object", "properties": properties, "required": ["x"]}}
        tools = [{"type": "function", "function": function}]
        client.chat(system, QUESTION, tools=tools)
        again = client.chat(system, QUESTION, tools=tools)[-1]
        assert (cached(again) == again["prompt_eval_count"] - 1) is whole


def test_a_window_that_is_clipped_in_silence(client_of: Any) -> None:
    client = client_of(faults=["clip:512"])
    last = client.chat("mathx " * 2000, truncate=False, options={"num_ctx": 32768})[-1]
    assert last["prompt_eval_count"] == 512 - (512 - 4) // 2
    assert running(client)["gpt-oss:20b"]["context_length"] == 512


@pytest.mark.parametrize(("window", "counted"), [(4096, 2050), (32768, 16386)])
def test_the_silent_cut_keeps_what_the_formula_says(client: Any, window: int, counted: int) -> None:
    last = client.chat("mathx " * 60_000, options={"num_ctx": window, "num_predict": 1})[-1]
    assert last["prompt_eval_count"] == counted


def test_a_message_cut_may_drop_the_goal(client_of: Any) -> None:
    messages = [QUESTION, {"role": "assistant", "content": "ok"}, {"role": "tool", "content": "long " * 300}]
    options = {"num_ctx": 430}
    assert client_of().chat(*messages, options=options, tools=[])[-1]["done"] is True
    refused = client_of(faults=["no_user"]).refused(*messages, options={"num_ctx": 390}, tools=[])
    assert refused == (500, "no user query found in messages")


def test_a_window_that_slides(client_of: Any) -> None:
    plain, sliding = client_of(), client_of(faults=["shift"])
    options = {"num_ctx": 60}
    assert plain.chat(QUESTION, tools=[], options=options)[-1]["done_reason"] == "length"
    last = sliding.chat(QUESTION, tools=[], options=options)[-1]
    assert last["done_reason"] == "stop"
    assert last["eval_count"] > 60


def test_a_load_without_enough_memory_fails_and_a_smaller_one_does_not(client_of: Any) -> None:
    client = client_of(faults=["oom:8192"])
    status, text = client.refused(QUESTION, options={"num_ctx": 16384})
    assert (status, text) == (500, "llama runner process has terminated: cudaMalloc failed: out of memory")
    assert running(client) == {}
    assert client.chat(QUESTION, options={"num_ctx": 8192})[-1]["done"] is True


def test_a_prompt_that_memory_does_not_do_for_fails_and_a_shorter_one_does_not(client_of: Any) -> None:
    client = client_of(faults=["heavy:2000"])
    status, text = client.refused({"role": "user", "content": "mathx " * 3000})
    assert (status, text) == (500, "CUDA error: out of memory while the prompt was read")
    assert client.chat(QUESTION)[-1]["done"] is True


def test_a_restart_hears_nothing_more_over_any_connection_once_one_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(list)
    heard: list[Request | None] = []

    def abort(ended: Connection) -> None:
        for connection, client in pairs:
            if connection is not ended:
                client.sendall(b"GET /api/version HTTP/1.1\r\nHost: x\r\n\r\n")
                with suppress(Disconnected):
                    heard.append(connection.read_request())

    monkeypatch.setattr(Connection, "abort", abort)
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as ends:
        clients = [ends.enter_context(socket.create_connection(listener.getsockname())) for _ in range(2)]
        pairs = [(Connection(ends.enter_context(listener.accept()[0])), client) for client in clients]
        for connection, _ in pairs:
            world.met(connection)
        world.went_down()
    assert heard == []
    assert world.stats.report()["restarts"] == 1


@pytest.mark.parametrize("pause", ["0", "600"])
def test_a_restart_ends_connections_and_forgets_models(client_of: Any, pause: str) -> None:
    client = client_of(faults=[f"restart:{pause}@2:3"])
    client.chat(QUESTION)
    idle = HTTPConnection(client.server.url.removeprefix("http://"), timeout=120)
    idle.request("GET", "/api/version")
    idle.getresponse().read()
    with pytest.raises((HTTPException, OSError)):
        client.chat(QUESTION)
    with closing(idle):
        assert idle.sock.recv(1) == b""
    if pause == "600":
        with pytest.raises(OSError, match="refused"):
            client.send("GET", "/api/version")
        return
    while True:
        try:
            assert running(client) == {}
            break
        except ConnectionError:
            continue
    assert cached(client.chat(QUESTION)[-1]) == 0
    stats = client.server.stats()
    assert (stats["restarts"], stats["loads"]) == (1, 2)


def test_several_requests_at_once_where_the_server_takes_them(client_of: Any) -> None:
    client = client_of(parallel=2, faults=["stall@1:1"])
    with closing(sending(client, {"model": "gpt-oss:20b", "messages": [QUESTION]})) as first:
        first.recv(10)
        client.server.stats(stalled=1)
        done: list[Any] = []
        second = Thread(target=lambda: done.append(client.chat(QUESTION)[-1]["done"]))
        second.start()
        second.join(120)
        client.server.release()
    assert done == [True]


def test_older_and_newer_servers_count_and_tell_differently(client_of: Any) -> None:
    for version, names in (("0.33.2", False), ("0.33.3", True), ("0.40.12", True)):
        client = client_of(version=version)
        client.chat(QUESTION)
        assert ("prompt_eval_cached_count" in client.chat(QUESTION)[-1]) is names
        assert client.json("GET", "/api/version") == {"version": version}
        thinking = client.json("POST", "/api/show", {"model": "gpt-oss:20b"}).get("thinking")
        wanted = {"values": ["high", "low", "medium"], "default": "medium"}
        assert thinking == (wanted if version == "0.40.12" else None)
    client = client_of(version="0.30.0")
    first, again = (client.chat(QUESTION)[-1]["prompt_eval_count"] for _ in range(2))
    assert first > again == 1


def test_further_models_are_there_where_they_are_asked_for(client_of: Any) -> None:
    client = client_of(models=["all"])
    models = {model["name"]: model for model in client.json("GET", "/api/tags")["models"]}
    assert len(models) == 10
    assert models["gpt-oss:120b-cloud"]["remote_host"] == "https://ollama.com:443"
    assert client.json("POST", "/api/show", {"model": "gpt-oss:120b-cloud"})["remote_host"]
    status, _, data = client.send("POST", "/api/chat", {"model": "gpt-oss:120b-cloud", "messages": [QUESTION]})
    assert status == 401
    assert json.loads(data)["error"] == "unauthorized"
    assert json.loads(data)["signin_url"].startswith("https://")
