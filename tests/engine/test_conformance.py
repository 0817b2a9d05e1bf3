"""What every request holds, and what bytes of a server come to, where no other test says it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.conftest import OpenRig
from engine.gateway import gateway
from engine.rig import Rig, within
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine import retries
from jetbox.engine.loop import serve
from jetbox.engine.models.connect import connect
from jetbox.engine.models.desk import ModelsDesk
from jetbox.engine.models.figures import Figures
from jetbox.engine.models.manage import warm
from jetbox.engine.models.measure import Asked, measure
from jetbox.engine.options import ModelOptions
from jetbox.engine.tasks import end_tasks
from jetbox.engine.warmup import WarmUp
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

LAUNCH = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread", "draft_num_predict")
GETS = ("tags", "ps", "version")
ENDS: dict[type, type[e.Event]] = {c.Goal: e.GoalEnded, c.Compact: e.Compacted, c.SetModel: e.ModelSwitched}


async def bodies(live: Rig) -> list[dict[str, Any]]:
    return [json.loads(entry["body"]) for entry in (await live.stats())["bodies"]]


def launched(body: dict[str, Any]) -> str:
    """What of a request the server loads a model with, and for how long."""
    return json.dumps([body["keep_alive"], {name: body["options"].get(name) for name in LAUNCH}])


async def two_rounds(rig: OpenRig, **options: Any) -> Rig:
    live = await rig(step(call("write_file", path="a.txt", content="a\n")), finish(), **options)
    assert (await live.run()).outcome == "unverified"
    assert len(await bodies(live)) == 2
    return live


async def test_every_request_forbids_cuts_and_bounds_its_answer(rig: OpenRig) -> None:
    live = await two_rounds(rig, context={"num_ctx": 4096})
    read = [answer.metrics["prompt_eval_count"] for answer in live.events(e.ModelAnswered)]
    for body, prompt in zip(await bodies(live), read, strict=True):
        assert body["truncate"] is False
        assert "shift" not in body
        assert "format" not in body
        assert 0 < body["options"]["num_predict"] <= body["options"]["num_ctx"] - prompt


async def test_launch_options_never_change_within_a_session(rig: OpenRig) -> None:
    live = await two_rounds(rig, model={"keep_alive": "-1"})
    sent = await bodies(live)
    assert len({launched(body) for body in sent}) == 1
    assert sent[0]["keep_alive"] == -1, "the text would be refused"
    await within(warm(live.parts.model, "gpt-oss:20b", live.parts.options.model, live.parts.budget.num_ctx))
    assert (await live.stats())["loads"] == 1, "warming up is sent the same"
    (held,) = await live.parts.model.running()
    assert held.expires_at > "2300", "and is to be kept as long"


async def test_launch_options_are_the_same_for_a_plan_a_summary_and_after_a_switch_and_back(rig: OpenRig) -> None:
    other = "llama3.2:3b"
    summary = {**step(text="It was written, and nothing is left."), "id": "top"}
    plan = call("plan", steps=[{"tool": "write_file", "arguments": {"path": "a.txt", "content": "long\n" * 3000}}])
    live = await rig(
        {**summary, "when": {"last_message_contains": "Write a summary"}},
        {**finish(), "when": {"last_message_contains": "Go on"}, "goto": "top"},
        {**step(plan), "goto": "top"},
        loop={"plan": True},
    )
    serving = asyncio.create_task(serve(live.parts))
    try:
        for wanted in (c.Goal("Plan it"), c.Compact(), c.SetModel(other), c.Goal("Go on"), c.SetModel("gpt-oss:20b")):
            live.submit(wanted)
            await live.until(ENDS[type(wanted)])
        live.submit(c.Goal("Go on"))
        await live.until(e.GoalEnded)
    finally:
        live.submit(c.Close())
        await within(serving)
    assert live.events(e.PlanMade)
    sent, raw = await bodies(live), [entry["body"] for entry in (await live.stats())["bodies"]]
    summaries = [n for n, body in enumerate(sent) if "Write a summary" in body["messages"][-1]["content"]]
    assert len(summaries) == len(live.events(e.Compacted)) > 1
    for n in summaries:
        assert raw[n].startswith(raw[n - 1].rpartition('],"options"')[0]), "what is summed up is in the server's cache"
    assert {body["model"] for body in sent} == {"gpt-oss:20b", other}
    assert not any("format" in body for body in sent)
    for name in ("gpt-oss:20b", other):
        assert len({launched(body) for body in sent if body["model"] == name}) == 1
    assert (await live.stats())["loads"] == 2, "each model once"
    for body in sent:  # no less than a token for 6 bytes
        assert body["truncate"] is False
        assert "shift" not in body
        assert "format" not in body
        assert "_debug_render_only" not in body
        assert 0 < body["options"]["num_predict"] < body["options"]["num_ctx"] - len(json.dumps(body)) / 6


@pytest.mark.parametrize(
    ("flavour", "asked"),
    [
        ("ollama", {f"POST /api/{w}" for w in ("chat", "show", "pull")} | {f"GET /api/{w}" for w in GETS}),
        ("vllm", {"POST /v1/chat/completions", "GET /v1/models", "GET /version"}),
        ("llamacpp", {"POST /v1/chat/completions", "GET /v1/models", "GET /props"}),
    ],
)
async def test_a_session_asks_for_chats_and_for_what_there_is_and_for_no_text_and_no_embedding(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess], flavour: str, asked: set[str]
) -> None:
    said = {**step(text="It was written, and nothing is left."), "id": "top", "goto": "top"}
    server = sim_server(scripts=[str(write_script(said))], flavour=flavour)
    lines = set[str]()

    def note(request: bytes) -> None:
        lines.add(request.split(b" HTTP/", 1)[0].decode())

    async with gateway(server.url, instead=note) as host:
        client = connect(ModelOptions(host=host, protocol="ollama" if flavour == "ollama" else "openai"))
        live = await Rig(server, tmp_path).open(client=client, attended=True)
        beside = asyncio.create_task(ModelsDesk(live.parts).run())
        serving = asyncio.create_task(serve(live.parts))
        await WarmUp(live.parts).run()
        wants: list[tuple[c.AnyCommand, type[e.Event]]] = [
            (c.Goal("Say it"), e.GoalEnded),
            (c.ListModels(anew=True), e.ModelsListed),
            (c.PullModel("llama3.2:3b"), e.ModelPulled),
        ]
        for wanted, end in wants if client.manages else wants[:2]:
            live.submit(wanted)
            await live.until(end)
        info, _ = await client.info("gpt-oss:20b"), await client.version()
        set_of = Asked("gpt-oss:20b", info, live.parts.options.model, live.parts.budget.num_ctx, repeats=1)
        assert [taken.what async for taken in measure(client, set_of, Figures())][-1] == "call"
        live.submit(c.Close())
        await within(serving)
        await end_tasks(beside)
        await live.close()
    assert lines == asked


async def test_a_line_ends_at_a_line_feed_alone(rig: OpenRig) -> None:
    text = "one\u0085two\u2028three\u2029 <four> & \x0bfive"
    live = await rig(step(text=text))
    assert (await live.run()).outcome == "answered"
    assert "".join(delta.text for delta in live.events(e.TextDelta)) == text


async def test_garbage_in_the_stream_is_an_error_and_asked_for_again(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.01, 0.01, 0.01, 0.01))
    live = await rig(step(text="Yes and no."), faults=("garbage@1:1",))
    assert (await live.run()).outcome == "answered"
    assert [sent.attempt for sent in live.events(e.RequestSent)] == [1, 2]
    first, second = [entry["body"] for entry in (await live.stats())["bodies"]]
    assert first == second, "byte for byte"
    assert "garbage in the answer's stream" in live.events(e.Notice)[0].text


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "the server at {host} broke off before it answered (Silent)"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", "the server at {host} broke off before it answered (RemoteProtocolError)"),
        (b"220 ready for mail\r\n", "what listens at {host} speaks no HTTP: it says '220 ready for mail'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "the server broke off in mid-answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnothex\r\n", "the server broke off in mid-answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "the answer ended without the server's word that it is done"),
    ],
)
async def test_an_answer_that_is_none_is_an_error_in_words_and_asked_for_again(
    tmp_path: Path,
    write_script: WriteScript,
    sim_server: Callable[..., ServerProcess],
    monkeypatch: pytest.MonkeyPatch,
    said: bytes,
    words: str,
) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.01, 0.01, 0.01, 0.01))
    server = sim_server(scripts=[str(write_script(step(text="Yes.")))])
    async with gateway(server.url, said) as host:
        live = await Rig(server, tmp_path).open(client=connect(ModelOptions(host=host, protocol="ollama")))
        assert (await live.run()).outcome == "answered"
        await live.close()
    assert [answered.error for answered in live.events(e.ModelAnswered)] == [words.format(host=host), ""]


CALLS = '{"message":{"role":"assistant","content":"","tool_calls":[%s]},"done":%s}\n'
COMES_AS = {
    "each in mid-stream, ids of Ollama's, an end without a reason": (
        ("call_ab12cd34", "call_ef56gh78"),
        CALLS % ("%s", "false") + CALLS % ("%s", "false") + '{"message":{"content":""},"done":true}\n',
    ),
    "all on the last line, ids of llama-server's": (
        ("0123456789abcdefghijklmnopqrstuv", "1123456789abcdefghijklmnopqrstuv"),
        CALLS % ("%s,%s", 'true,"done_reason":"stop"'),
    ),
    "all in one chunk before it, no ids": (
        ("", ""),
        CALLS % ("%s,%s", "false") + '{"message":{"content":"","tool_calls":null},"done":true,"done_reason":"stop"}\n',
    ),
    "all on the last line, what is absent as null": (
        (None, None),
        '{"message":{"content":null,"thinking":null},"done":null,"done_reason":null,"logprobs":null,"error":null}\n'
        + CALLS % ("%s,%s", 'true,"done_reason":null,"prompt_eval_count":null'),
    ),
}
ARGUMENTS = ('{"path" : "b.txt",  "content":"ü\u0085\u2028 1e3\\n"}', '{"content":"<\\u0026>", "path":"a.txt" }')


@pytest.mark.parametrize("how", COMES_AS)
async def test_calls_are_run_and_go_back_as_they_came_in_whatever_pieces(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess], how: str
) -> None:
    ids, lines = COMES_AS[how]
    given = ['"id":null,' if name is None else f'"id":"{name}",' if name else "" for name in ids]
    functions = [f'"function":{{"index":{n},"name":"write_file","arguments":{ARGUMENTS[n]}}}' for n in (0, 1)]
    calls = tuple(f"{{{name}{function}}}" for name, function in zip(given, functions, strict=True))
    said = ('{"message":{"content":"Süß\u0085."},"done":false}\n' + lines % calls).encode()

    async def dribble(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n")
        for start in range(0, len(said), 7):
            writer.write(said[start : start + 7])
            while client.exchange.received < min(start + 7, len(said)):
                await asyncio.sleep(0)

    server = sim_server(scripts=[str(write_script(finish()))])
    async with gateway(server.url, dribble) as host:
        client = connect(ModelOptions(host=host, protocol="ollama"))
        live = await Rig(server, tmp_path).open(client=client)
        assert (await live.run()).outcome == "unverified"
        await live.close()
    answered = live.events(e.ModelAnswered)[0]
    assert (answered.complete, answered.error) == (True, "")
    assert answered.done_reason == ("stop" if '"stop"' in lines else "")
    assert (tmp_path / "b.txt").read_text(encoding="utf-8") == "ü\u0085\u2028 1e3\n"
    assert (tmp_path / "a.txt").read_text() == "<&>"
    (body,) = [entry["body"] for entry in (await live.stats())["bodies"]]
    assert all(arguments in body for arguments in ARGUMENTS), "byte for byte"
    asked, *results = json.loads(body)["messages"][-3:]
    assert asked["content"] == "Süß\u0085."
    assert [each.get("id", "") for each in asked["tool_calls"]] == [name or "" for name in ids]
    assert [(each["tool_name"], each.get("tool_call_id", "")) for each in results] == [
        ("write_file", name or "") for name in ids
    ]


async def test_a_model_that_runs_elsewhere_is_said_to_before_anything_is_sent(
    tmp_path: Path, sim_server: Callable[..., ServerProcess]
) -> None:
    live = await Rig(sim_server(models=["gpt-oss:120b-cloud"]), tmp_path).open(name="gpt-oss:120b-cloud")
    ended = await live.run()
    await live.close()
    assert (ended.outcome, ended.exit_code) == ("failed", 6)
    assert "has to be signed in for this model (401: unauthorized)" in ended.reason
    kinds = [kind for kind in live.kinds if kind in (e.Notice, e.RequestSent)]
    assert kinds[:2] == [e.Notice, e.RequestSent]
    assert live.events(e.Notice)[0].text == (
        "gpt-oss:120b-cloud runs at https://ollama.com:443: what it is sent leaves this machine"
    )


@pytest.mark.parametrize(("protocol", "field"), [("ollama", "thinking"), ("openai", "reasoning_content")])
async def test_thinking_in_tags_is_no_part_of_the_answer(rig: OpenRig, protocol: str, field: str) -> None:
    live = await rig(
        step(call("list_dir", path="."), think="I look first.", text="Now I look."),
        step(think="Hm. Yes.", text="It is <empty>."),
        faults=("thinking:tags@*",),
        protocol=protocol,
    )
    assert (await live.run("What is there?")).outcome == "answered"
    assert "".join(delta.text for delta in live.events(e.ThinkingDelta)) == "I look first.Hm. Yes."
    assert "".join(delta.text for delta in live.events(e.TextDelta)) == "Now I look.It is <empty>."
    said = (await live.requests())[1][2]
    assert (said["content"], said[field], len(said["tool_calls"])) == ("Now I look.", "I look first.", 1)
    assert all(one.phases["thinking"] > 0 for one in live.events(e.RoundEnded))


async def test_a_models_own_marks_around_plain_words_are_not_shown(rig: OpenRig) -> None:
    marked = "<|open|>think<|sep|>Hm.<|close|>think<|sep|><|open|>response<|sep|>Yes <b>.<|close|>response<|sep|>"
    live = await rig(step(text=marked))
    for _ in range(2):
        assert (await live.run("What is there?")).outcome == "answered"
    assert "".join(delta.text for delta in live.events(e.TextDelta)) == "Yes <b>.Yes <b>."
    said = (await live.requests())[1][2]
    assert (said["content"], said["thinking"]) == ("Yes <b>.", "Hm.")


async def test_an_answer_that_only_thinks_in_tags_is_none(rig: OpenRig) -> None:
    live = await rig(step(text="Is 3 <", think="Hm."), faults=("thinking:tags-open@1",))
    assert (await live.run()).outcome == "answered"
    asked = (await live.requests())[1]
    assert (asked[-2]["content"], asked[-2]["thinking"]) == ("", "Hm.\n\nIs 3 <")
    assert "Your answer was" in asked[-1]["content"]
