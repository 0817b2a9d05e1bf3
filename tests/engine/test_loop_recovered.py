"""Calls that the server left in the answer's text."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Literal

import pytest

from engine.gateway import answer, gateway
from engine.models.test_repair_threads import THREADS, A
from engine.rig import Rig
from jetbox.engine import events as e
from jetbox.engine.models.connect import connect
from jetbox.engine.options import ModelOptions
from jetbox.sim.answer import split
from jetbox.sim.fault_kinds import FORMS
from jetbox.sim.launch import ServerProcess
from scripted import WriteScript, call, finish, step

OpenRig = Callable[..., Awaitable[Rig]]

WRITE = json.dumps({"name": "write_file", "arguments": {"path": "a.txt", "content": "one\n"}})


async def test_a_call_in_the_text_is_run_and_marked(rig: OpenRig) -> None:
    live = await rig(step(text=f"I write it.\n<tool_call>{WRITE}</tool_call>"), finish())
    assert (await live.run()).outcome == "unverified"
    assert (live.root / "a.txt").read_text() == "one\n"
    assert [called.recovered for called in live.events(e.ToolCalled)] == ["tool_call tags", ""]
    second = json.loads((await live.stats())["bodies"][1]["body"])["messages"]
    assert second[-2]["content"] == "I write it."
    assert second[-2]["tool_calls"][0]["function"] == {
        "name": "write_file",
        "arguments": {"path": "a.txt", "content": "one\n"},
        "index": 0,
    }
    assert "id" not in second[-2]["tool_calls"][0]
    assert second[-1]["role"] == "tool"
    assert "tool_call_id" not in second[-1]


@pytest.mark.parametrize(
    "call",
    [
        f"<tool_call>{WRITE}</tool_call>",
        f"<tool_call>{WRITE}</tool_call>{WRITE}</tool_call>",
        f"[{WRITE}]{{",
        f"```json\n{WRITE}\n```",
        WRITE,
        f"[TOOL_CALLS][{WRITE}]",
        f"<|tool_call|>[{WRITE}]",
        f"<TOOLCALL>[{WRITE}]</TOOLCALL>",
        'assistant to=functions.write_file {"path": "a.txt", "content": "one"}',
        "[write_file(path='a.txt', content='one')]",
        "write_file(path='a.txt', content='one')",
        "write_file(\n    path='a.txt',\n    content='one',\n)\nwrite_file(path='b.txt', content='two')",
        "```python\nwrite_file(path='a.txt', content='one')\n```",
        "<function=write_file><parameter=path>a.txt</parameter><parameter=content>one</parameter></function>",
        '<｜DSML｜tool_calls>\n<｜DSML｜invoke name="write_file">\n<｜DSML｜parameter name="path" string="true">a.txt'
        '</｜DSML｜parameter>\n<｜DSML｜parameter name="content" string="true">one</｜DSML｜parameter>\n'
        "</｜DSML｜invoke>",
        "<|tool_call_begin|>functions.write_file:0<|tool_call_argument_begin|>"
        '{"path": "a.txt", "content": "one"}<|tool_call_end|>',
        'call:write_file{content:<|"|>one<|"|>,path:<|"|>a.txt<|"|>}',
        'write_file{"path": "a.txt", "content": "one"}',
    ],
)
async def test_a_call_in_the_text_is_never_shown_as_words(rig: OpenRig, call: str) -> None:
    live = await rig(step(text=f"I [will] write < 2 lines:\n{call}"), finish())
    assert (await live.run()).outcome == "unverified"
    assert live.events(e.ToolCalled)[0].recovered
    shown = "".join(delta.text for delta in live.events(e.TextDelta))
    assert shown.strip() == "I [will] write < 2 lines:"


@pytest.mark.parametrize("form", FORMS)
async def test_every_form_of_a_call_in_text_is_run_as_it_was_meant(rig: OpenRig, form: str) -> None:
    content = 'if a < b and c > d:\n    print("it\'s")\n'
    writes = [call("write_file", path=path, content=content) for path in ("a.txt", "b.txt")]
    live = await rig(step(*writes, send=form), finish())
    assert (await live.run()).outcome == "unverified"
    assert {path.name: path.read_text() for path in live.root.iterdir()} == {"a.txt": content, "b.txt": content}
    *both, last = live.events(e.ToolCalled)
    assert [(called.name, bool(called.recovered)) for called in both] == [("write_file", True)] * 2
    assert not last.recovered
    assert "".join(delta.text for delta in live.events(e.TextDelta)).strip() == ""


async def test_calls_in_the_forms_in_which_users_met_them_are_run(rig: OpenRig) -> None:
    met = [text for text, calls in THREADS.values() if calls == [A]]
    texts = [text.replace("src/a.py", f"src/{n}.py") for n, text in enumerate(met)]
    live = await rig(*[step(text=text) for text in texts], finish(), match="^Do it", loop={"max_rounds": 99})
    (live.root / "src").mkdir()
    for n in range(len(texts)):
        (live.root / "src" / f"{n}.py").write_text(f"X = {n}\n")
    ended = await live.run()
    *reads, _ = live.events(e.ToolCalled)
    assert len(met) > 30
    assert [json.loads(called.arguments)["path"] for called in reads] == [f"src/{n}.py" for n in range(len(texts))]
    assert all(called.recovered for called in reads)
    assert (ended.outcome, ended.rounds) == ("unverified", len(texts) + 1)
    shown = "".join(delta.text for delta in live.events(e.TextDelta))
    assert "read_file" not in shown


@pytest.mark.parametrize("form", ["hermes", "json", "json-fenced", "json-array", "mistral-args", "harmony", "llama"])
async def test_a_damaged_call_is_run_as_it_was_meant_or_asked_for_again(rig: OpenRig, form: str) -> None:
    content = "if a < b and c > d:\n\treturn {}\n"
    damages = ("newlines", "bracket", "comma", "quotes", "two", "braces", "extra")
    steps = [step(call("write_file", path=how, content=content), send=form, damage=how) for how in damages]
    live = await rig(*steps, finish(), match="^Do it")
    ended = await live.run()
    assert (ended.outcome, ended.rounds) == ("unverified", 8)
    unread = {"json": {"bracket"}, "mistral-args": {"bracket"}, "json-array": {"two"}}.get(form, {"bracket", "two"})
    assert {path.name: path.read_text() for path in live.root.iterdir()} == dict.fromkeys({*damages} - unread, content)
    answers = [request[-1]["content"] for request in (await live.requests())[1:]]
    assert {how for how, said in zip(damages, answers, strict=True) if "looks like a tool call" in said} == unread
    shown = "".join(delta.text for delta in live.events(e.TextDelta))
    assert {how for how in damages if f'"{how}"' in shown} == unread


async def test_words_that_look_like_a_call_are_shown_in_the_end(rig: OpenRig) -> None:
    text = 'Calls look like\n{"name": "nope", "arguments": {}}\nand so on.'
    live = await rig(step(text=text))
    assert (await live.run()).outcome == "answered"
    assert "".join(delta.text for delta in live.events(e.TextDelta)) == text


async def test_a_call_that_is_talked_about_is_not_run(rig: OpenRig) -> None:
    live = await rig(step(text=f"To write it, one would answer `{WRITE}`, and nothing else."))
    assert (await live.run()).outcome == "answered"
    assert not (live.root / "a.txt").exists()
    assert not live.events(e.ToolCalled)


@pytest.mark.parametrize(
    "words",
    [
        "The last line of notes.md is:",
        "The file wants me to run this.",
        "In der Datei steht:",
        "Should I do it?",
        "Log:",
    ],
)
@pytest.mark.parametrize("form", ["{}", "<tool_call>{}</tool_call>", "```json\n{}\n```", "[TOOL_CALLS][{}]"])
async def test_a_call_that_the_model_may_quote_is_not_run_and_asked_for_again(
    rig: OpenRig, words: str, form: str
) -> None:
    text = f"{words}\n{form.replace('{}', WRITE)}"
    live = await rig(step(text=text), step(text="It was the file's."), match="^Do it")
    assert (await live.run()).outcome == "answered"
    assert not (live.root / "a.txt").exists()
    assert not live.events(e.ToolCalled)
    assert "was not run" in (await live.requests())[1][-1]["content"]
    assert text in "".join(delta.text for delta in live.events(e.TextDelta)), "it is shown as it is"


async def test_a_call_that_was_asked_for_again_is_run_where_it_stands_alone(rig: OpenRig) -> None:
    live = await rig(step(text=f"The file:\n{WRITE}"), step(text=WRITE), finish(), match="^Do it")
    assert (await live.run()).outcome == "unverified"
    assert (live.root / "a.txt").read_text() == "one\n"
    assert "with no words before it" in (await live.requests())[1][-1]["content"]


async def test_a_call_in_a_document_that_the_model_writes_is_not_run(rig: OpenRig) -> None:
    head = "<function=write_file>\n<parameter=path>\ndoc.md\n</parameter>\n<parameter=content>\n"
    text = f"{head}Use it so:\n<tool_call>\n{WRITE}\n</tool_call>"
    live = await rig(step(text=text), step(text="Well then."), match="^Do it")
    assert (await live.run()).outcome == "answered"
    assert not (live.root / "a.txt").exists()
    second = json.loads((await live.stats())["bodies"][1]["body"])["messages"]
    assert "was not made as one" in second[-1]["content"]


async def test_half_of_a_call_is_not_run_where_the_answer_was_cut(rig: OpenRig) -> None:
    half = '{"name": "edit_file", "arguments": {"path": "a.txt", "edits": [{"old": "1", "new": "2"}'
    cut = {"num_predict": len(split(half))}
    rest = ', {"old": "3", "new": "4"}]}}'
    live = await rig(step(text=half + rest), step(text="Well then."), model=cut, match="^Do it")
    (live.root / "a.txt").write_text("1\n1 and 3\n")
    assert (await live.run()).outcome == "answered"
    assert [answered.done_reason for answered in live.events(e.ModelAnswered)] == ["length", "stop"]
    assert (live.root / "a.txt").read_text() == "1\n1 and 3\n"


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (f"<tool_call>{WRITE.replace('write_file', 'launch')}</tool_call>", False),
        (f"{WRITE}\n{WRITE.replace('write_file', 'launch')}", True),
        (f"<tool_call>{WRITE.replace('path', 'content')}</tool_call>", True),
        (f"<tool_call>{WRITE[:-8]}", True),
        (f"> {WRITE}", False),
        (f"```javascript\n{WRITE}\n```", False),
        (f"```json\n{WRITE[:-2]}]}}\n```", True),
        (f"```json\n{WRITE[:-2]}]}}\n```\nis how.", False),
    ],
)
async def test_what_is_no_whole_call_of_a_tool_that_was_offered_is_not_run(
    rig: OpenRig, text: str, asked: bool
) -> None:
    live = await rig(step(text=text), finish(), match="^Do it")
    assert (await live.run()).outcome == ("unverified" if asked else "answered")
    assert [called.name for called in live.events(e.ToolCalled)] == ["finish"] * asked
    assert "".join(delta.text for delta in live.events(e.TextDelta)) == text, "it is shown as it is"


async def test_a_call_that_the_server_could_not_read_is_cut_out_of_its_error(rig: OpenRig) -> None:
    raw = """{"path": "a.txt", "content": "one\ntwo\n"}"""
    fault = f"error:error parsing tool call: raw='{raw}', err=invalid character in string literal@1:0"
    live = await rig(step(text="..."), finish(), faults=(fault,))
    assert (await live.run()).outcome == "unverified"
    assert (live.root / "a.txt").read_text() == "one\ntwo\n"
    assert live.events(e.ToolCalled)[0].recovered == "the server's error"


async def test_the_call_in_an_error_is_whole_in_the_other_protocol_too(rig: OpenRig) -> None:
    content = "a line of a file\n" * 60
    write = step(call("write_file", path="a.txt", content=content), send="raw-error", damage="newlines")
    live = await rig(write, finish(), protocol="openai")
    assert (await live.run()).outcome == "unverified"
    assert (live.root / "a.txt").read_text() == content
    assert live.events(e.ToolCalled)[0].recovered == "the server's error"


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
@pytest.mark.parametrize(
    "content",
    [
        "CUDA error: out of memory",
        "the prompt is longer than the context length",
        "no user query found in messages",
        "logprobs",
    ],
)
async def test_what_a_garbled_call_writes_is_not_taken_for_the_servers_own_words(
    rig: OpenRig, content: str, protocol: Literal["ollama", "openai"]
) -> None:
    write = step(call("write_file", path="a.txt", content=f"{content}\n"), send="raw-error", damage="newlines")
    live = await rig(write, finish(), protocol=protocol)
    window = live.parts.budget.num_ctx
    assert (await live.run()).outcome == "unverified"
    assert (live.root / "a.txt").read_text() == f"{content}\n"
    assert live.events(e.ToolCalled)[0].recovered == "the server's error"
    assert (live.parts.budget.num_ctx, live.parts.budget.real) == (window, 0)


@pytest.mark.parametrize(("protocol", "at"), [("ollama", "1:1"), ("ollama", "1:0"), ("openai", "1:0")])
async def test_a_call_that_nobody_can_read_is_asked_for_again_and_not_resent(
    rig: OpenRig, protocol: str, at: str
) -> None:
    fault = f"error:XML syntax error on line 4: element <parameter> closed by </function>@{at}"
    live = await rig(step(text="Well then."), finish(), faults=(fault,), protocol=protocol)
    assert (await live.run()).outcome == "answered"
    first, second = (await live.stats())["bodies"][:2]
    assert first["body"] != second["body"]
    assert "could not be read" in json.loads(second["body"])["messages"][-1]["content"]


@pytest.mark.parametrize("protocol", ["ollama", "openai"])
@pytest.mark.parametrize("levels", [70, 20_000])
async def test_a_call_whose_arguments_are_nested_too_deep_is_not_run_and_asked_for_again(
    tmp_path: Path, sim_server: Callable[..., ServerProcess], write_script: WriteScript, protocol: str, levels: int
) -> None:
    deep = f'{{"path": "a", "x": {"[" * levels}{"]" * levels}}}'
    if protocol == "ollama":
        lines = f'{{"message": {{"tool_calls": [{{"function": {{"name": "list_dir", "arguments": {deep}}}}}]}}}}\n'
        lines += '{"done": true, "done_reason": "stop"}\n'
    else:
        function = {"name": "list_dir", "arguments": deep}
        made = {
            "delta": {"tool_calls": [{"index": 0, "id": "c1", "function": function}]},
            "finish_reason": "tool_calls",
        }
        lines = f"data: {json.dumps({'choices': [made]})}\n\ndata: [DONE]\n\n"
    server = sim_server(scripts=[str(write_script(step(text="Well then.")))])
    async with gateway(server.url, answer(200, lines.encode())) as url:
        client = connect(ModelOptions(host=url + ("/v1" if protocol == "openai" else "")))
        live = await Rig(server, tmp_path).open(client=client)
        ended = await live.run()
    (asked,) = (await live.stats())["bodies"]
    await live.close()
    assert (ended.outcome, ended.rounds) == ("answered", 2), ended.reason
    asked_with = json.loads(asked["body"])["messages"][-1]["content"]
    if (protocol, levels) == ("openai", 20_000):  # as text, which is what it came as, the tool says what is wrong
        assert "nested more than 60 levels deep" in asked_with
        return
    assert [answered.garbled for answered in live.events(e.ModelAnswered)] == [True, False]
    assert not live.events(e.ToolCalled)
    assert "could not be read" in asked_with
    assert "nested too deep" in "".join(notice.text for notice in live.events(e.Notice))


@pytest.mark.parametrize(
    ("name", "model", "temperatures", "seeds"),
    [
        ("qwen3-coder:30b", {}, [None, 0.9, 1.0], [None, None, None]),
        ("gpt-oss:20b", {}, [None, 1.0, 1.0], [None, None, None]),
        ("gpt-oss:20b", {"temperature": 0.0, "seed": 7}, [0.0, 0.2, 0.4], [7, 8, 9]),
        ("gpt-oss:20b", {"temperature": 1.3}, [1.3, 1.3, 1.3], [None, None, None]),
    ],
)
async def test_after_a_call_that_nobody_could_read_the_next_is_drawn_otherwise(
    tmp_path: Path,
    write_script: WriteScript,
    sim_server: Callable[..., ServerProcess],
    name: str,
    model: dict[str, object],
    temperatures: list[float | None],
    seeds: list[int | None],
) -> None:
    look = call("list_dir", path=".")
    broken = step(look, send="xml-error")
    server = sim_server(scripts=[str(write_script(broken, broken, step(look), step(text="So.")))], models=["all"])
    live = await Rig(server, tmp_path).open(name=name, model=model)
    assert (await live.run()).outcome == "answered"
    stats = await live.stats()
    sent = [json.loads(entry["body"]) for entry in stats["bodies"]]
    options = [body["options"] for body in sent]
    assert [each.get("temperature") for each in options] == [*temperatures, temperatures[0]], "as configured in the end"
    assert [each.get("seed") for each in options] == [*seeds, seeds[0]]
    assert len({each["num_ctx"] for each in options}) == 1, "what a model is loaded with stays"
    assert all(set(each) <= {"num_ctx", "num_predict", "temperature", "seed"} for each in options)
    assert stats["loads"] == 1
    await live.close()


async def test_calls_that_are_never_readable_end_the_goal(rig: OpenRig) -> None:
    live = await rig(step(text="..."), faults=("error:XML syntax error on line 4@*:0",))
    ended = await live.run()
    assert (ended.outcome, ended.exit_code, ended.rounds) == ("failed", 6, 3)
    assert "--model" in ended.hint


@pytest.mark.parametrize("begun", ["<tool_call>", 'write_file(path="a.txt", content="', f"<tool_call>{WRITE[:-9]}"])
async def test_a_call_that_never_has_its_end_is_no_answer(rig: OpenRig, begun: str) -> None:
    texts = ("<function=write_file><parameter=path>", "[TOOL_CALLS]", begun, "Well then.")
    live = await rig(*[step(text=text) for text in texts], match="^Do it")
    ended = await live.run()
    assert (ended.outcome, ended.exit_code, ended.rounds) == ("failed", 6, 3)
    assert "lack their ends" in ended.reason
    sent = [request[-1]["content"] for request in (await live.requests())[1:]]
    assert all("looks like a tool call" in words for words in sent)


async def test_a_call_between_two_sentences_is_not_run_and_not_taken_for_an_answer(rig: OpenRig) -> None:
    text = f"I write it.\n<tool_call>{WRITE}</tool_call>\nThat is all."
    live = await rig(step(text=text), finish(), match="^Do it")
    assert (await live.run()).outcome == "unverified"
    assert not (live.root / "a.txt").exists()
    second = json.loads((await live.stats())["bodies"][1]["body"])["messages"]
    assert "looks like a tool call" in second[-1]["content"]


async def test_words_that_begin_a_tools_name_stand_before_the_call_that_follows_them(rig: OpenRig) -> None:
    live = await rig(step(call("write_file", path="a.txt", content="x"), text="write"), finish())
    await live.run()
    live.events(e.ToolCalled)
    told = [type(s.event) for s in live.seen if isinstance(s.event, e.TextDelta | e.ToolCalled)]
    assert told[:2] == [e.TextDelta, e.ToolCalled]


async def test_a_secret_that_a_server_makes_names_of_is_hidden(
    tmp_path: Path, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> None:
    secret = "tok-ABCDEFGH-12345678-zyxw"
    made = [
        {"index": 0, "id": f"c-{secret}", "function": {"name": "list_dir", "arguments": '{"path": "."}'}},
        {"index": 1, "id": "c2", "function": {"name": f"list_{secret}", "arguments": "{}"}},
    ]
    choice = {"delta": {"tool_calls": made}, "finish_reason": f"stop {secret}"}
    lines = f"data: {json.dumps({'choices': [choice]})}\n\ndata: [DONE]\n\n"
    server = sim_server(scripts=[str(write_script(step(text="Well then.")))])
    async with gateway(server.url, answer(200, lines.encode())) as url:
        client = connect(ModelOptions(host=f"{url}/v1"))
        live = await Rig(server, tmp_path).open(client=client, environ={"MY_TOKEN": secret})
        assert (await live.run()).outcome == "answered"
    assert secret not in live.everything()
    (asked,) = (await live.stats())["bodies"]
    await live.close()
    *_, said, listed, _ = json.loads(asked["body"])["messages"]
    assert [made["id"] for made in said["tool_calls"]] == ["c-[secret:MY_TOKEN]", "c2"]
    assert listed["tool_call_id"] == "c-[secret:MY_TOKEN]"
