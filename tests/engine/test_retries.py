"""What is sent again, when, and what never is: each row of the table against the embedded server."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Literal

import pytest

from engine.conftest import OpenRig
from engine.gateway import PAGE, answer, gateway
from engine.moving import Clock
from engine.rig import Rig, within
from jetbox.engine import events as e
from jetbox.engine import retries
from jetbox.engine.errors import ServerBusy, ServerUnreachable
from jetbox.engine.models import prefix
from jetbox.engine.models.connect import connect
from jetbox.engine.models.http import retry_after
from jetbox.engine.models.manage import warm
from jetbox.engine.options import ModelOptions
from jetbox.engine.resend import given_up
from jetbox.engine.retries import WITHOUT_COUNTS, WITHOUT_LOGPROBS
from jetbox.engine.session import NoRecorder
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

YES = step(text="Yes and no.")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.01, 0.01, 0.01, 0.01))


async def test_a_busy_server_is_asked_five_times(rig: OpenRig) -> None:
    live = await rig(YES, faults=("busy:99",))
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("failed", 6)
    requests = live.events(e.RequestSent)
    assert [r.attempt for r in requests] == [1, 2, 3, 4, 5]
    assert len({r.sha for r in requests}) == 1
    assert [w.what for w in live.events(e.Waiting)].count("retrying") == 4


async def test_the_servers_own_pause_comes_first(rig: OpenRig) -> None:
    live = await rig(YES, faults=("limited:0.3@1",))
    assert (await live.run()).outcome == "answered"
    waiting = next(w for w in live.events(e.Waiting) if w.what == "retrying")
    assert waiting.expected_ns == 300_000_000
    first, second = [s.t for s in live.seen if isinstance(s.event, e.RequestSent)]
    assert second - first >= 290_000_000


async def test_a_pause_that_is_too_long_is_not_waited_for(rig: OpenRig) -> None:
    live = await rig(YES, faults=("limited:86400@1",))
    ended = await live.run()
    assert (ended.outcome, len(live.events(e.RequestSent))) == ("failed", 1)
    assert ended.reason.endswith("; it asks to be left alone for 24 h")


@pytest.mark.parametrize("fault", ["html:502@1", "html:503@1", "html:504@1"])
async def test_a_gateways_page_is_a_busy_server(rig: OpenRig, fault: str) -> None:
    live = await rig(YES, faults=(fault,))
    assert (await live.run()).outcome == "answered"
    text = live.events(e.Notice)[0].text
    assert "does not reach it (50" in text
    assert "<" not in text


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
@pytest.mark.parametrize(
    ("status", "fields", "outcome", "said"),
    [
        (429, (), "answered", ""),
        (302, ("Location: https://box/sso",), "failed", "redirects to https://box/sso (302)"),
        (403, (), "failed", "refused (403, a page of HTML)"),
        (404, (), "failed", "refused (404, a page of HTML)"),
    ],
)
async def test_a_gateway_that_refuses_in_mid_session_is_told_from_the_server(
    tmp_path: Path,
    write_script: WriteScript,
    sim_server: Callable[..., ServerProcess],
    protocol: Literal["ollama", "openai"],
    status: int,
    fields: tuple[str, ...],
    outcome: str,
    said: str,
) -> None:
    flavour = "vllm" if protocol == "openai" else "ollama"
    server = sim_server(scripts=[str(write_script(YES))], flavour=flavour)
    async with gateway(server.url, answer(status, PAGE, *fields)) as host:
        client = connect(ModelOptions(host=host, protocol=protocol))
        live = await Rig(server, tmp_path).open(client=client)
        ended = await live.run()
        await live.close()
    assert ended.outcome == outcome, ended.reason
    assert len(live.events(e.RequestSent)) == 1 + (outcome == "answered")
    assert said in ended.reason
    assert "protocol" not in ended.reason


def ended(reason: str, text: str) -> bytes:
    """An answer in OpenAI's protocol that ended for this reason."""
    events = [{"choices": [{"index": 0, "delta": {"content": text}}]}, {"choices": [{"finish_reason": reason}]}]
    return answer(200, "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())


@pytest.mark.parametrize(
    ("reason", "text", "requests", "said"),
    [
        ("abort", "I can", 2, "the server broke the answer off (abort)"),
        ("error", "I can", 2, "the server broke the answer off (error)"),
        ("cancelled", "I can", 2, "the server broke the answer off (cancelled)"),
        ("insufficient_system_resource", "I can", 2, "the server broke the answer off (insufficient_system_resource)"),
        ("TIMEOUT", "I can", 2, "the server broke the answer off (TIMEOUT)"),
        ("max_tokens", "I can", 2, "the answer was cut at its length limit"),
        ("content_filter", '{"name": "run_cmd", "arguments": {"command": ["rm", "a"', 2, "a filter of the server's"),
    ],
)
async def test_an_answer_that_a_server_gave_up_or_filtered_is_not_taken_for_a_good_one(
    tmp_path: Path,
    write_script: WriteScript,
    sim_server: Callable[..., ServerProcess],
    reason: str,
    text: str,
    requests: int,
    said: str,
) -> None:
    server = sim_server(scripts=[str(write_script(YES))], flavour="vllm")
    async with gateway(server.url, ended(reason, text)) as host:
        live = await Rig(server, tmp_path).open(client=connect(ModelOptions(host=host, protocol="openai")))
        assert (await live.run()).outcome == "answered"
        await live.close()
    assert len(live.events(e.RequestSent)) == requests
    assert said in live.events(e.Notice)[0].text
    assert not live.events(e.ToolCalled)


@pytest.mark.parametrize("reason", ["stop", "eos_token", "end_turn", "content_filter", "safety"])
async def test_words_that_nobody_knows_end_an_answer_and_a_filter_ends_none_well(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess], reason: str
) -> None:
    server = sim_server(scripts=[str(write_script(YES))], flavour="vllm")
    async with gateway(server.url, ended(reason, "I can")) as host:
        live = await Rig(server, tmp_path).open(client=connect(ModelOptions(host=host, protocol="openai")))
        goal = await live.run()
        await live.close()
    assert len(live.events(e.RequestSent)) == 1
    filtered = reason in ("content_filter", "safety")
    assert goal.outcome == ("failed" if filtered else "answered")
    assert goal.reason == ("a filter of the server's cut the answer" if filtered else "answered")
    assert len(live.events(e.Notice)) == filtered


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("cut@1:1", "the server broke off in mid-answer"),
        ("no_done@1:1", "the answer ended without the server's word that it is done"),
        ("error:boom@1:1", "the server reported an error in mid-answer: boom"),
        ("error:boom@1:0", "the server answered 500: boom"),
        ("guard@1", "the answer repeated '<unused50>' over and over, and the server broke it off"),
    ],
)
async def test_what_breaks_off_is_sent_once_more_as_it_was(rig: OpenRig, fault: str, said: str) -> None:
    live = await rig(YES, faults=(fault,))
    assert (await live.run()).outcome == "answered"
    assert [answered.error for answered in live.events(e.ModelAnswered)] == [said, ""]
    bodies = [entry["body"] for entry in (await live.stats())["bodies"]]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1], "byte for byte"


@pytest.mark.parametrize("fault", ["status:401@1", "status:404@1"])
async def test_a_sign_in_or_a_missing_path_is_not_asked_for_twice(rig: OpenRig, fault: str) -> None:
    live = await rig(YES, faults=(fault,))
    ended = await live.run()
    assert (ended.outcome, len(live.events(e.RequestSent))) == ("failed", 1)
    assert "ollama signin" in ended.hint or "401" not in fault


async def test_a_server_that_refuses_to_tell_probabilities_is_asked_without_them(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    script = str(write_script(step(call("list_dir", path=".")), finish()))
    server = sim_server(scripts=[script], flavour="llamacpp")
    live = await Rig(server, tmp_path).open(protocol="openai", model={"heartbeats": True})
    ended = await live.run()
    await live.close()
    assert (ended.outcome, ended.rounds) == ("unverified", 2)
    assert [a.complete for a in live.events(e.ModelAnswered)] == [False, True, True]
    (told,) = live.events(e.Notice)
    assert told.text.endswith("logprobs is not supported with tools + stream")
    assert told.hint == WITHOUT_LOGPROBS
    bodies = [json.loads(body["body"]) for body in (await live.stats())["bodies"]]
    assert not any("logprobs" in body for body in bodies), "what was refused is not counted as one of them"
    reuses = live.events(e.PrefixReused)
    assert [(reuse.miss, bool(reuse.expected)) for reuse in reuses] == [("", False), ("", True)], "nor was it read"


async def test_a_server_that_takes_no_wish_for_counts_is_asked_without_it(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    script = str(write_script(step(call("list_dir", path=".")), finish()))
    server = sim_server(scripts=[script], flavour="vllm")
    refusal = json.dumps({"error": {"message": "Unrecognized request argument supplied: stream_options"}}).encode()
    async with gateway(server.url, answer(400, refusal)) as host:
        live = await Rig(server, tmp_path).open(client=connect(ModelOptions(host=host, protocol="openai")))
        ended = await live.run()
        await live.close()
    assert (ended.outcome, ended.rounds) == ("unverified", 2)
    (told,) = live.events(e.Notice)
    assert "stream_options" in told.text
    assert told.hint == WITHOUT_COUNTS
    heads = [event.json for event in live.events(e.PromptHead)]
    assert ["stream_options" in head for head in heads] == [True, False]
    shas = [event.sha for event in live.events(e.PromptHead)]
    assert [sent.head for sent in live.events(e.RequestSent)] == [shas[0], shas[1], shas[1]]
    bodies = [json.loads(body["body"]) for body in (await live.stats())["bodies"]]
    assert len(bodies) == 2
    assert not any("stream_options" in body for body in bodies)
    assert not any("prompt_eval_count" in answered.metrics for answered in live.events(e.ModelAnswered))
    assert all(sent.estimate for sent in live.events(e.RequestSent))


@pytest.mark.parametrize(("most", "outcome"), [(75, "answered"), (3, "failed")])
async def test_a_server_that_still_loads_its_model_is_waited_for_as_long_as_that_may_take(
    tmp_path: Path,
    write_script: WriteScript,
    sim_server: Callable[..., ServerProcess],
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    outcome: str,
) -> None:
    monkeypatch.setattr(retries, "LOADS", most)
    said = {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}
    server = sim_server(scripts=[str(write_script(YES))], flavour="llamacpp")
    loading, busy = answer(503, json.dumps(said).encode()), answer(503, b'{"error": "for a moment"}')
    async with gateway(server.url, *[loading] * 9, busy) as host:
        client, context = connect(ModelOptions(host=host, protocol="openai")), {"num_ctx": 16_384}
        live = await Rig(server, tmp_path).open(client=client, context=context)
        over = await live.run()
        await live.close()
    assert over.outcome == outcome
    tries = min(most, 9)
    assert len(live.events(e.RequestSent)) == tries + 1 + (outcome == "answered")
    assert [w.detail for w in live.events(e.Waiting) if w.what == "loading"] == ["gpt-oss:20b"] * tries
    assert ["for a moment" in notice.text for notice in live.events(e.Notice)] == [True] * (outcome == "answered")
    assert "still loads its model (503: Loading model)" in over.reason or outcome == "answered"


@pytest.mark.parametrize(("status", "requests"), [(400, 1), (418, 1), (422, 1), (408, 2), (500, 2)])
async def test_what_is_refused_for_reasons_that_nobody_knows_is_not_asked_for_twice(
    rig: OpenRig, status: int, requests: int
) -> None:
    live = await rig(YES, faults=(f"status:{status}@*",))
    ended = await live.run()
    assert (ended.outcome, ended.exit_code, len(live.events(e.RequestSent))) == ("failed", 6, requests)
    assert f"({status}): scripted fault" in ended.reason or requests == 2


async def test_a_request_whose_call_has_run_is_never_sent_again(rig: OpenRig) -> None:
    append = call("run_cmd", command="echo x >> log.txt")
    live = await rig(step(append, append), finish(), faults=("restart:0.05@1:1",))
    await live.run()
    assert (live.root / "log.txt").read_text() == "x\n"
    shas = [r.sha for r in live.events(e.RequestSent)]
    assert len(set(shas)) >= 2
    assert shas.count(shas[0]) == 1


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
async def test_a_server_that_restarts_between_rounds_is_waited_for(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.1, 0.2, 0.4, 10.0))
    monkeypatch.setattr(prefix, "LOAD_NS", 1)  # that server loads at once
    write = call("write_file", path="a.txt", content="a\n")
    live = await rig(step(write), finish(), faults=("restart:0.15@2:0",), protocol=protocol)
    assert (await live.run()).outcome == "unverified"
    assert (await live.stats())["restarts"] == 1
    why = prefix.RESTARTED if protocol == "ollama" else "the server had dropped it"  # loads are not told of there
    assert [reuse.miss for reuse in live.events(e.PrefixReused)] == ["", why]


@pytest.mark.parametrize("fault", ["restart:0.15@1:0", "restart:0.15@1:1"])
async def test_a_server_that_restarts_in_the_first_round_is_waited_for(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.1, 0.2, 0.4, 10.0))
    live = await rig(YES, faults=(fault,))
    assert (await live.run()).outcome == "answered"
    assert (await live.stats())["restarts"] == 1


class Kept(NoRecorder):
    """As of a session that a later process can go on with."""

    keeps = True


@pytest.mark.parametrize(
    ("attended", "recorder", "on"),
    [
        (False, Kept(), "; then go on with --continue. With --set model.retries=75 it is waited for five minutes"),
        (False, NoRecorder(), "--demo`. With --set model.retries=75 it is waited for five minutes"),
        (True, NoRecorder(), "; then tell it to go on"),
    ],
)
async def test_a_server_that_does_not_come_back_is_given_up(
    rig: OpenRig, attended: bool, recorder: NoRecorder, on: str
) -> None:
    live = await rig(YES, faults=("die@1:1",), attended=attended, recorder=recorder)
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("failed", 6)
    assert [r.attempt for r in live.events(e.RequestSent)] == [1, 2, 3, 4, 5]
    assert "no Ollama server answers" in ended.reason
    assert "ollama serve" in ended.hint
    assert ended.hint.endswith(on)
    assert ended.hint.count("then") == on.count("then")


async def test_as_often_as_is_wished_a_server_is_asked_before_it_is_given_up(rig: OpenRig) -> None:
    live = await rig(YES, faults=("die@1:1",), model={"retries": 75}, recorder=Kept())
    ended = await live.run()
    assert len(live.events(e.RequestSent)) == 76
    assert ended.hint.count("--continue") == 1
    assert "model.retries" not in ended.hint, "it is as high as that already"


async def test_what_waiting_does_not_mend_is_not_said_to_be_waited_for(rig: OpenRig) -> None:
    live = await rig(YES, recorder=Kept())
    error = ServerUnreachable("no machine of the name gpu.lan is known here", "check --host and OLLAMA_HOST")
    told = given_up(error, live.parts)
    assert told.hint == "check --host and OLLAMA_HOST; then go on with --continue"
    assert error.hint == "check --host and OLLAMA_HOST", "whoever holds it is told the same as before"
    assert given_up(ServerBusy("busy"), live.parts).hint == "when it answers again, go on with --continue"


async def test_what_breaks_off_once_the_server_is_back_is_sent_once_more(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.1, 0.2, 0.4, 10.0))
    live = await rig(YES, faults=("busy@1", "cut@2:1"))
    assert (await live.run()).outcome == "answered"
    assert len(live.events(e.RequestSent)) == 3


async def test_too_little_memory_means_a_smaller_window(rig: OpenRig) -> None:
    live = await rig(YES, faults=("oom:9000@*",))
    assert (await live.run()).outcome == "answered"
    assert "not enough memory for a window of 16,384 tokens; going on with 8,192" in live.events(e.Notice)[0].text
    ready = live.events(e.ModelReady)[-1]
    assert (ready.num_ctx, ready.why) == (8192, "lowered: the server's memory did not do for 16,384")
    windows = [json.loads(b["body"])["options"]["num_ctx"] for b in (await live.stats())["bodies"]]
    assert windows == [16384, 8192]
    (small,) = [notice for notice in live.events(e.Notice) if "below 16k an agent soon has no room left" in notice.text]
    assert "the window is 8,192 tokens (lowered: the server's memory did not do for 16,384)" in small.text
    assert "choose a smaller model" in small.hint
    assert "raise" not in live.parts.budget.wider


async def test_a_window_that_is_lowered_and_large_enough_needs_no_warning(rig: OpenRig) -> None:
    live = await rig(YES, faults=("oom:20000@*",), context={"num_ctx": 32_768})
    assert (await live.run()).outcome == "answered"
    assert live.events(e.ModelReady)[-1].num_ctx == 16_384
    assert not [notice for notice in live.events(e.Notice) if "below 16k" in notice.text]


async def test_no_window_that_fits_is_an_ending_in_words(rig: OpenRig) -> None:
    live = await rig(YES, faults=("oom@*",))
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("failed", 6)
    assert "the server has not enough memory" in ended.reason
    assert "smaller model" in ended.hint
    assert len(live.events(e.RequestSent)) == 2, "16k, 8k"


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
async def test_silence_of_a_live_server_is_asked_once_more(rig: OpenRig, clock: Clock, protocol: str) -> None:
    live = await rig(YES, faults=("stall@1:0",), model={"first_chunk_s": 600}, protocol=protocol)
    goal = live.start()
    await live.stats(stalled=1)
    clock.forward(601)
    assert (await within(goal)).outcome == "answered"
    assert len(live.events(e.RequestSent)) == 2
    assert (await live.stats(cancelled=1))["cancelled"] == 1


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
async def test_a_server_that_hangs_is_not_asked_again(
    rig: OpenRig, clock: Clock, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setattr(retries, "ALIVE_S", 0.1)
    live = await rig(YES, faults=("hang@1",), model={"first_chunk_s": 600}, protocol=protocol)
    goal = live.start()
    await live.stats(stalled=1)
    clock.forward(601)
    ended = await within(goal)
    assert (ended.outcome, len(live.events(e.RequestSent))) == ("failed", 1)
    assert ended.reason.endswith("the server says nothing at all any more")
    await asyncio.to_thread(live.server.release)


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
@pytest.mark.parametrize("fault", ["thinking_only@1", "empty@1", "empty_length@1"])
async def test_an_answer_that_says_nothing_is_never_asked_for_unchanged(
    rig: OpenRig, fault: str, protocol: str
) -> None:
    live = await rig(YES, faults=(fault,), protocol=protocol)
    assert (await live.run()).outcome == "answered"
    first, second = await live.requests()
    assert second != first
    assert second[-1]["role"] == "user"
    assert "Your answer was" in second[-1]["content"]


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
async def test_an_answer_that_only_thinks_has_its_own_words(rig: OpenRig, protocol: str) -> None:
    live = await rig(YES, faults=("thinking_only@*",), protocol=protocol)
    ended = await live.run()
    assert ended.outcome == "guard"
    assert "nothing but thinking" in ended.reason
    assert "model.think" in ended.hint
    assert "nothing but thinking. Answer now" in (await live.requests())[1][-1]["content"]


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
async def test_a_repetition_that_the_server_ends_is_named(rig: OpenRig, protocol: str) -> None:
    live = await rig(YES, faults=("guard:foo@*",), protocol=protocol)
    ended = await live.run()
    assert (ended.outcome, ended.exit_code) == ("failed", 6)
    assert ended.reason == "the answer repeated 'foo' over and over, and the server broke it off"


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
async def test_an_error_that_speaks_of_a_context_is_no_overflow(rig: OpenRig, protocol: str) -> None:
    reads = [step(call("read_file", path=f"{n}.txt")) for n in range(5)]
    live = await rig(*reads, finish(), faults=("context_words@6",), protocol=protocol)
    for n in range(5):
        (live.root / f"{n}.txt").write_text(f"{n}\n" * 400)
    assert (await live.run()).outcome == "unverified"
    assert not live.events(e.Compacted), "there is enough that could be left out"
    bodies = [entry["body"] for entry in (await live.stats())["bodies"]]
    assert [sent.attempt for sent in live.events(e.RequestSent)] == [1, 1, 1, 1, 1, 1, 2]
    assert bodies[-2] == bodies[-1], "the same again"


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_no_proxy_stands_before_this_machine(
    rig: OpenRig, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        live = await rig(YES)
        assert (await live.run()).outcome == "answered"
        await within(warm(live.parts.model, "gpt-oss:20b", live.parts.options.model, 16384))
        proxy.setblocking(False)
        with pytest.raises(BlockingIOError):
            proxy.accept()


def test_retry_after_is_a_number_or_a_date() -> None:
    assert [retry_after(text) for text in ("", "2", " 1.5 ", "soon", "-3")] == [0, 2, 1.5, 0, 0]
    later = retry_after(format_datetime(datetime.now(UTC) + timedelta(seconds=3000), usegmt=True))
    assert 2000 < later <= 3000
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0


async def test_the_pause_can_be_interrupted(rig: OpenRig) -> None:
    from jetbox.engine.commands import Cancel

    live = await rig(YES, faults=("limited:60@1",))
    goal = live.start()
    await live.until(e.Waiting, what="retrying")
    live.submit(Cancel())
    assert (await asyncio.wait_for(goal, 120)).outcome == "interrupted"


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
async def test_bytes_and_connections_of_each_answer_are_told(rig: OpenRig, protocol: str) -> None:
    live = await rig(*[step(call("list_dir", path=f"{n}")) for n in range(3)], finish(), protocol=protocol)
    await live.run()
    answers = live.events(e.ModelAnswered)
    assert len(answers) == 4
    assert {each.connection for each in answers} <= {"new", "kept"}
    assert "kept" in [each.connection for each in answers], "one serves several rounds"
    assert min(each.received for each in answers) > 100
