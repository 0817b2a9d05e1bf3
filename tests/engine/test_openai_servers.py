"""A goal over each server with OpenAI's protocol: what differs between them comes to the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.rig import Rig
from jetbox.engine import events as e
from jetbox.engine import retries
from jetbox.engine.models.connect import connect
from jetbox.engine.options import ModelOptions
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

Serve = Callable[..., ServerProcess]
FLAVOURS = ["vllm", "sglang", "llamacpp", "lmstudio", "ollama"]
WRITES = (call("write_file", path="a.txt", content='if a < b:\n    "é"\n'), call("list_dir", path="."))


@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_thinking_calls_and_counts_come_to_the_same(
    tmp_path: Path, write_script: WriteScript, sim_server: Serve, flavour: str
) -> None:
    script = str(write_script(step(*WRITES, think="I write it.", text="Here:"), finish()))
    server = sim_server(scripts=[script], flavour=flavour, api_key="sesame", faults=("strict@*", "ping:0@*"))
    client = connect(ModelOptions(host=f"{server.url}/v1"), "sesame")
    live = await Rig(server, tmp_path).open(client=client)
    ended = await live.run()
    bodies = [json.loads(entry["body"]) for entry in (await live.stats())["bodies"]]
    await live.close()
    assert (ended.outcome, ended.rounds) == ("unverified", 2), ended.reason
    assert "".join(delta.text for delta in live.events(e.ThinkingDelta)) == "I write it."
    assert "".join(delta.text for delta in live.events(e.TextDelta)) == "Here:"
    assert (tmp_path / "a.txt").read_text() == WRITES[0][1]["content"]
    assert [(called.name, called.recovered) for called in live.events(e.ToolCalled)][:2] == [
        ("write_file", ""),
        ("list_dir", ""),
    ]
    asked, *results = bodies[1]["messages"][-3:]
    assert [made["id"] for made in asked["tool_calls"]] == [result["tool_call_id"] for result in results]
    first, second = [answer.metrics for answer in live.events(e.ModelAnswered)]
    assert 0 < first["prompt_eval_count"] < second["prompt_eval_count"]
    assert first["eval_count"] > 0
    assert ("prompt_eval_duration" in first and "eval_duration" in first) == (flavour in ("vllm", "llamacpp"))
    for body, prompt in zip(bodies, (first["prompt_eval_count"], second["prompt_eval_count"]), strict=True):
        assert 0 < body["max_tokens"] <= live.parts.budget.num_ctx - prompt
        assert "response_format" not in body
    assert first["prompt_eval_cached_count"] == 0 < second["prompt_eval_cached_count"]
    (reused,) = [each for each in live.events(e.PrefixReused) if each.expected]
    assert (reused.tokens, reused.estimated) == (second["prompt_eval_cached_count"], False)
    assert not reused.miss, "what a server that caches in blocks leaves of the last one is no miss"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "BACKOFF_S", (0.01, 0.01, 0.01, 0.01))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", ["cut@1:5", "no_done@1:5", "error:boom@1:5", "garbage@1:5"])
@pytest.mark.parametrize("whole", [0, 1])
async def test_a_call_that_breaks_off_is_not_run_and_asked_for_again_unless_another_has_run(
    tmp_path: Path, write_script: WriteScript, sim_server: Serve, fault: str, whole: int
) -> None:
    log = call("run_cmd", command="echo x >> log.txt")
    long = call("write_file", path="a.txt", content="a line of a file\n" * 20)
    script = str(write_script(step(*[log] * whole, long), finish()))
    server = sim_server(scripts=[script], flavour="vllm", faults=(fault.replace(":5", f":{5 + 20 * whole}"),))
    live = await Rig(server, tmp_path).open(protocol="openai")
    assert (await live.run()).outcome == "unverified"
    bodies = [entry["body"] for entry in (await live.stats())["bodies"]]
    await live.close()
    assert [answer.complete for answer in live.events(e.ModelAnswered)] == [False, *[True] * (2 - whole)]
    assert (bodies[0] == bodies[1]) is not bool(whole)
    assert (tmp_path / "a.txt").exists() is not bool(whole)
    assert (tmp_path / "log.txt").exists() is bool(whole)
    assert [called.name for called in live.events(e.ToolCalled)] == ["run_cmd" if whole else "write_file", "finish"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("flavour", FLAVOURS)
async def test_whatever_way_an_answer_breaks_off_it_is_asked_for_once_more_as_it_was(
    tmp_path: Path, write_script: WriteScript, sim_server: Serve, flavour: str
) -> None:
    looks = [step(call("list_dir", path="."), text=f"I look at it for the {n}. time.") for n in range(3)]
    faults = ("cut@1:2", "no_done@3:2", "error:boom@5:2", "error:boom@7:0")
    server = sim_server(scripts=[str(write_script(*looks, finish()))], flavour=flavour, faults=faults)
    live = await Rig(server, tmp_path).open(protocol="openai")
    ended = await live.run()
    bodies = [entry["body"] for entry in (await live.stats())["bodies"]]
    await live.close()
    assert (ended.outcome, ended.rounds) == ("unverified", 4), ended.reason
    assert [answer.complete for answer in live.events(e.ModelAnswered)] == [False, True] * 4
    assert bodies[::2] == bodies[1::2], "byte for byte"


@pytest.mark.parametrize(
    ("flavour", "cure"),
    [("vllm", "--enable-auto-tool-choice"), ("llamacpp", "--jinja"), ("sglang", ""), ("lmstudio", "")],
)
async def test_without_a_parser_of_calls_they_are_read_out_of_the_text_or_the_cure_is_told(
    tmp_path: Path, write_script: WriteScript, sim_server: Serve, flavour: str, cure: str
) -> None:
    script = str(write_script(step(*WRITES), finish()))
    server = sim_server(scripts=[script], flavour=flavour, lacks=("tool-parser",))
    live = await Rig(server, tmp_path).open(protocol="openai")
    ended = await live.run()
    await live.close()
    if cure:
        assert (ended.outcome, ended.exit_code, len(live.events(e.RequestSent))) == ("failed", 6, 1)
        assert cure in ended.hint
    else:
        assert ended.outcome == "unverified"
        assert (tmp_path / "a.txt").read_text() == WRITES[0][1]["content"]
        assert all(called.recovered for called in live.events(e.ToolCalled))
