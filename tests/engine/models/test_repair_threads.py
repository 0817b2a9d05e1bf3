"""Calls in the forms in which users met them: of each thread the form alone, with tools and files of ours in it."""

from __future__ import annotations

import json
from typing import Any, Literal

import pytest

from engine.models.test_repair import TOOLS, exact, fits
from jetbox.engine.errors import CallGarbled
from jetbox.engine.models.http import Refused
from jetbox.engine.models.refusals import by_ollama
from jetbox.engine.models.repair import looks_like_a_call, recover, recover_raw
from jetbox.engine.tools.arguments import decode_arguments
from jetbox.engine.tools.registry import find

Calls = list[tuple[str, dict[str, Any]]]
Otherwise = Literal["asked", "words"]
"""No call is run: the model is asked to make it again, or it is an answer in words."""

A = ("read_file", {"path": "src/a.py"})
B = ("list_dir", {"path": "."})
CODE = "/** A part. */\nexport const parts = [{ id: 1 }, { id: 2 }];\n"
W = ("write_file", {"path": "src/parts.ts", "content": CODE})

THREADS: dict[str, tuple[str, Calls | Otherwise]] = {
    "ollama #12174, qwen2.5-coder: an object and nothing else": (
        '{"name": "read_file", "arguments": {"path": "src/a.py"}}',
        [A],
    ),
    "opilot #149, qwen2.5-coder: an object over lines": (
        '{\n"name": "read_file",\n"arguments": {\n"path": "src/a.py"\n}\n}',
        [A],
    ),
    "opilot #149, qwen2.5-coder: an object a line": (
        '{"name": "read_file", "arguments": {"path": "src/a.py"}}\n{"name": "list_dir", "arguments": {"path": "."}}',
        [A, B],
    ),
    "crush #2073: backslashes of a path that are no escapes": (
        r'{"name":"read_file","arguments":{"path":".\Source\a.py"}}',
        [("read_file", {"path": r".\Source\a.py"})],
    ),
    "opencode #6223, qwen2.5-coder: a tool that was never offered": (
        '{\n  "name": "remember",\n  "arguments": {\n    "input": "hi"\n  }\n}',
        "words",
    ),
    "goose #2926, qwen2.5-coder: shown between two explanations": (
        "You can use `read_file` for that.\n\nHere is how:\n\n```json\n"
        '{"name": "read_file", "arguments": {"path": "src/a.py"}}\n```\n\nThis will give you the whole file.',
        "words",
    ),
    "goose #2926, qwen2.5-coder: announced, and nothing behind it": (
        'Sure, let\'s do that.\n\n```json\n{"name": "read_file", "arguments": {"path": "src/a.py"}}\n```',
        [A],
    ),
    "ollama #13519, llama3.2: parameters in a code block": (
        '```json\n{"name": "read_file", "parameters": {"path": "src/a.py"}}\n```',
        [A],
    ),
    "omlx #1153, llama4: parameters, bare": ('{"name": "read_file", "parameters": {"path": "src/a.py"}}', [A]),
    "ollama #7824, llama3.2: a list as Python writes it": ('[read_file(path="src/a.py"), list_dir(path=".")]', [A, B]),
    "vllm #9991, llama3.2: behind its tag": (
        '<|python_tag|>{"name": "read_file", "parameters": {"path": "src/a.py"}}',
        [A],
    ),
    "LocalAI #3010, llama3.1: a function tag with JSON": ('<function=read_file>{"path": "src/a.py"}</function>', [A]),
    "crush #1831, qwen3-coder: tags with JSON": (
        '<tool_call>\n{"name": "list_dir", "arguments": {"path": "."}}\n</tool_call>',
        [B],
    ),
    "ollama #11621, qwen3-coder: a tag that has no end": (
        '<tool_call>\n{"name": "read_file", "arguments": {"path": "src/a.py"}}',
        [A],
    ),
    "ollama #17742, qwen3-coder: the opening tag left out, the closing one not": (
        "<function=read_file>\n<parameter=path>\nsrc/a.py\n</parameter>\n</function>\n</tool_call>",
        [A],
    ),
    "opencode #4428, qwen3-coder: words, then parameter tags": (
        "I look at it first.\n\n<function=read_file>\n<parameter=path>\nsrc/a.py\n</parameter>\n</function>",
        [A],
    ),
    "continue #13057, qwen3-coder: parameters that are not closed": (
        'I\'ll write "hello" to it.\n\n<function=write_file>\n<parameter=path> a.txt\n<parameter=content> hello',
        "asked",
    ),
    "ollama #16383, qwen3.6: closed twice, and with a tag of another age": (
        "<tool_call>\n<function=read_file>\n<parameter=path>\nsrc/a.py\n</parameter>\n</function>\n</function>\n"
        "</function_invocation>\n</tool_call>",
        [A],
    ),
    "goose #9662: tags that came to nothing": ("Let me try something else.\n\n<function\n<function", "words"),
    "opencode #856, devstral: a name before its arguments": ('[TOOL_CALLS]read_file[ARGS]{"path": "src/a.py"}', [A]),
    "opencode #856, devstral: arguments that are only hinted at": (
        '[TOOL_CALLS]read_file[ARGS]{"path": "src/a.py", ...}',
        "asked",
    ),
    "Rapid-MLX #1071, devstral: without the mark of the arguments": ('[TOOL_CALLS]read_file{"path": "src/a.py"}', [A]),
    "mlx-lm #1374, ministral: a list": (
        '[TOOL_CALLS] [{"name": "read_file", "arguments": {"path": "src/a.py"}}]',
        [A],
    ),
    "ollama #5284, mistral: in single quotes": (
        "[TOOL_CALLS] [{'name': 'read_file', 'arguments': {'path': 'src/a.py'}}]",
        [A],
    ),
    "ollama #11505, granite: its own tag, arguments first": (
        '<|tool_call|>[{"arguments": {"path": "src/a.py"}, "name": "read_file"}]',
        [A],
    ),
    "ollama #7544, granite: a tag with a space": (
        '<function_call> {"name": "read_file", "arguments": {"path": "src/a.py"}}',
        [A],
    ),
    "llama.cpp #15676, nemotron: tags in capitals": (
        '<TOOLCALL>[{"name": "read_file", "arguments": {"path": "src/a.py"}}]</TOOLCALL>',
        [A],
    ),
    "vllm #23454, deepseek: tokens of its own": (
        'I look at it.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>read_file<｜tool▁sep｜>{"path": "src/a.py"}'
        "<｜tool▁call▁end｜><｜tool▁call▁begin｜>list_dir<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        [A, ("list_dir", {})],
    ),
    "deepseek v3: tokens, its kind, and a code block": (
        "<|tool▁calls▁begin|><|tool▁call▁begin|>function<|tool▁sep|>read_file\n```json\n"
        '{"path": "src/a.py"}\n```<|tool▁call▁end|><|tool▁calls▁end|><|end▁of▁sentence|>',
        [A],
    ),
    "opensquilla #985, deepseek v4: tags in its own namespace": (
        "Both, then.\n\n<｜DSML｜tool_calls>\n"
        '<｜DSML｜invoke name="read_file">\n<｜DSML｜parameter name="path" string="true">src/a.py</｜DSML｜parameter>\n'
        '</｜DSML｜invoke>\n<｜DSML｜invoke name="list_dir">\n'
        '<｜DSML｜parameter name="path" string="true">.</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜tool_calls>',
        [A, B],
    ),
    "Memoh #435, deepseek v4: the name in the tag": (
        '<tool_call id="call_00_x" name="read_file">\n{"path": "src/a.py"}\n</tool_call>',
        [A],
    ),
    "DeepSeek-V3 #1244, deepseek v4: a name and its arguments": ('I read it.\n\nread_file({"path": "src/a.py"})', [A]),
    "Kimi-K2 #26, kimi: tokens, the arguments as text": (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.read_file:0<|tool_call_argument_begin|>"
        '"{\\"path\\": \\"src/a.py\\"}"<|tool_call_end|><|tool_calls_section_end|>',
        [A],
    ),
    "vllm #31207, kimi: two, with spaces": (
        "<|tool_calls_section_begin|> <|tool_call_begin|> functions.read_file:0 <|tool_call_argument_begin|> "
        '{"path": "src/a.py"} <|tool_call_end|> <|tool_call_begin|> list_dir:1 <|tool_call_argument_begin|> '
        '{"path": "."} <|tool_call_end|> <|tool_calls_section_end|>',
        [A, B],
    ),
    "vllm #31207, kimi: what is left without its tokens": ('functions.read_file:0 {"path": "src/a.py"}', [A]),
    "oh-my-pi #8495, kimi k3: its tags in pieces": (
        '<|open|>toolscall tool="read_file" index="1"<|sep|><|open|>argument key="path"<|sep|>src/aargument',
        "asked",
    ),
    "kimi k3: words, then its calls": (
        'I look.<|close|>response<|sep|><|open|>tools<|sep|><|open|>call tool="read_file" index="1"<|sep|>'
        '<|open|>argument key="path" type="string"<|sep|>src/a.py<|close|>argument<|sep|><|close|>call<|sep|>'
        '<|open|>call tool="list_dir" index="2"<|sep|><|open|>argument key="path" type="string"<|sep|>.'
        "<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|><|end_of_msg|>",
        [A, B],
    ),
    "kimi k3: its tokens set apart, a number and a file over lines": (
        '<|open|> tools <|sep|> <|open|> call tool="write_file" index="1" <|sep|> '
        f'<|open|> argument key="content" type="string" <|sep|>{CODE}<|close|> argument <|sep|> '
        '<|open|> argument key="path" type="string" <|sep|>src/parts.ts<|close|> argument <|sep|> '
        "<|close|> call <|sep|> <|close|> tools <|sep|>",
        [W],
    ),
    "kimi k3: without the mark of its calls": (
        '<|open|>call tool="read_file" index="1"<|sep|><|open|>argument key="path" type="string"<|sep|>src/a.py'
        '<|close|>argument<|sep|><|open|>argument key="limit" type="number"<|sep|>3<|close|>argument<|sep|>'
        "<|close|>call<|sep|>",
        [("read_file", {"path": "src/a.py", "limit": 3})],
    ),
    "kimi k3: cut within a value": (
        '<|open|>tools<|sep|><|open|>call tool="write_file" index="1"<|sep|><|open|>argument key="path" type="string"'
        '<|sep|>a.txt<|close|>argument<|sep|><|open|>argument key="content" type="string"<|sep|>one',
        "asked",
    ),
    "kimi k3: cut between two values": (
        '<|open|>tools<|sep|><|open|>call tool="read_file" index="1"<|sep|><|open|>argument key="path" type="string"'
        "<|sep|>src/a.py<|close|>argument<|sep|>",
        "asked",
    ),
    "apertus: thoughts, then names as keys": (
        "<|inner_prefix|>Which?<|inner_suffix|>Both."
        '<|tools_prefix|>[{"read_file": {"path": "src/a.py"}}, {"list_dir": {"path": "."}}]<|tools_suffix|>',
        [A, B],
    ),
    "apertus: one is no call": ('<|tools_prefix|>[{"read_file": {"path": "src/a.py"}}, {"b": 1}]', "asked"),
    "apertus: cut": ('<|tools_prefix|>[{"write_file": {"path": "a.txt", "content": "o', "asked"),
    "gemini: printed, in its own block": (
        "```tool_code\nprint(default_api.read_file(path='src/a.py'))\nprint(default_api.list_dir(path='.'))\n```",
        [A, B],
    ),
    "gemini: printed": ("I look.\n\nprint(default_api.read_file(path='src/a.py'))", [A]),
    "gemini: printed over lines": ("print(\n  default_api.read_file(path='src/a.py')\n)", [A]),
    "gemini: printed, and cut": ("print(default_api.write_file(path='a.txt', content='o", "asked"),
    "gemini: what is printed has to be worked out": (
        "```tool_code\nprint(default_api.read_file(path=default_api.list_dir(path='.')))\n```",
        "asked",
    ),
    "gemini: an example": ("For example:\n```tool_code\nprint(default_api.read_file(path='a'))\n```", "words"),
    "no function of the model's is printed": ("```python\nprint(read_file(path='a'))\n```", "words"),
    "functionary: a recipient": ('>>>read_file\n{"path": "src/a.py"}', [A]),
    "functionary: words to all, then two": (
        '>>>all\nI look at both.>>>read_file\n{"path": "src/a.py"}\n>>>list_dir\n{"path": "."}',
        [A, B],
    ),
    "functionary: quoted, and in a block of another language": (
        '> >>>read_file\n> {"path": "a"}\n\n```text\n>>>read_file\n{"path": "a"}\n```\nSo it looks.',
        "words",
    ),
    "kimi k3: quoted": (
        'It wrote `<|open|>tools<|sep|><|open|>call tool="read_file" index="1"<|sep|><|close|>call<|sep|>` then.',
        "words",
    ),
    "apertus: an example": (
        'A call looks like this:\n<|tools_prefix|>[{"read_file": {"path": "a"}}]<|tools_suffix|>',
        "asked",
    ),
    "functionary: cut": ('>>>write_file\n{"path": "a.txt", "content": "o', "asked"),
    "functionary: a session of Python's, and words behind it": (
        '>>> read_file("a")\n{"path": "a"}\nThat is what it says.',
        "words",
    ),
    "an argument that is not known, and may be the end of another": (
        "<function=run_cmd><parameter=command>echo a</parameter><parameter=b>c</parameter></function>",
        "asked",
    ),
    "claude's habit: an argument that says what the call is for": (
        "<function=run_cmd><parameter=command>ls</parameter><parameter=description>Look</parameter></function>",
        [("run_cmd", {"command": "ls"})],
    ),
    "pi #368, minimax: invoke tags in its namespace": (
        '<minimax:tool_call>\n<invoke name="read_file">\n<parameter name="path">src/a.py</parameter>\n</invoke>\n'
        '<invoke name="list_dir">\n<parameter name="path">.</parameter>\n</invoke>\n</minimax:tool_call>',
        [A, B],
    ),
    "MiniMax-M3 #31, minimax: a mark before each tag": (
        'Let me see.]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="read_file">]<]minimax[>[<path>src/a.py'
        "]<]minimax[>[</path>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>",
        [A],
    ),
    "hermes-agent #35935, minimax: arrows": (
        '[TOOL_CALL]\n{tool => "read_file", args => {\n  --path "src/a.py"\n}}\n[/TOOL_CALL]',
        "asked",
    ),
    "ollama #15315, gemma4: quotation marks of its own": ('call:read_file{path:<|"|>src/a.py<|"|>}', [A]),
    "hermes-agent #48412, gemma4: its channel, then its tags": (
        "<|channel>thought\nI'll write it.\n<channel|><|tool_call>call:write_file{content:"
        f'<|"|>{CODE}<|"|>,path:<|"|>src/parts.ts<|"|>}}<tool_call|><turn|>',
        [W],
    ),
    "ollama #15315, gemma4: a quotation mark is missing": ('call:read_file{path:<|"|>src/a.py}', "asked"),
    "functiongemma: marks of its own": (
        "<start_function_call>call:read_file{path:<escape>src/a.py<escape>}<end_function_call>",
        [A],
    ),
    "lfm2: Python between tokens": (
        '<think>Which?</think>Both.<|tool_call_start|>[read_file(path="src/a.py"), list_dir(path=".")]'
        "<|tool_call_end|>",
        [A, B],
    ),
    "olmo3: Python between tags, with constants of JSON": (
        '<function_calls>read_file(path="src/a.py", limit=null)\ngrep(pattern="x", ignore_case=true)</function_calls>',
        [A, ("grep", {"pattern": "x", "ignore_case": True})],
    ),
    "cohere: actions": (
        '<|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": "read_file", "parameters": {"path": "src/a.py"}},\n'
        '    {"tool_call_id": "1", "tool_name": "list_dir", "parameters": {"path": "."}}\n]<|END_ACTION|>',
        [A, B],
    ),
    "seed-oss: function tags in its namespace": (
        "<seed:tool_call>\n<function=read_file>\n<parameter=path>src/a.py</parameter>\n</function>\n</seed:tool_call>",
        [A],
    ),
    "phi4-mini: a list behind a word": (
        'functools[{"name": "read_file", "arguments": {"path": "src/a.py"}}]',
        [A],
    ),
    "llama.cpp #20650, glm: no arguments, and its thinking not begun": (
        "Let me look.</think><tool_call>list_dir</tool_call>",
        [("list_dir", {})],
    ),
    "laguna: a name and its arguments in a tag": ('<tool_call>read_file\n{"path": "src/a.py"}</tool_call>', [A]),
    "hermes: a bracket too many": (
        '<tool_call>{"name": "read_file", "arguments": {"path": "src/a.py"}}}</tool_call>',
        [A],
    ),
    "ollama #5284, mistral: an end to its list": (
        '[TOOL_CALLS] [{"name": "read_file", "arguments": {"path": "src/a.py"}}][/TOOL_CALLS]',
        [A],
    ),
    "qwen3: words between two calls": (
        'First this:\n<tool_call>\n{"name": "read_file", "arguments": {"path": "src/a.py"}}\n</tool_call>\n'
        'Then that:\n<tool_call>\n{"name": "list_dir", "arguments": {"path": "."}}\n</tool_call>',
        [A, B],
    ),
    "step3: tokens, and tags in its namespace": (
        "<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜>"
        '<steptml:invoke name="read_file"><steptml:parameter name="path">src/a.py</steptml:parameter></steptml:invoke>'
        "<｜tool_call_end｜><｜tool_calls_end｜>",
        [A],
    ),
    "hunyuan 3: a name, keys and values": (
        "<tool_calls>\n<tool_call>read_file<tool_sep>\n<arg_key>path</arg_key>\n<arg_value>src/a.py</arg_value>\n"
        "</tool_call>\n</tool_calls>",
        [A],
    ),
    "longcat: a tag of its own": (
        '<longcat_tool_call>{"name": "read_file", "arguments": {"path": "src/a.py"}}</longcat_tool_call>',
        [A],
    ),
    "gigachat 3: a role": (
        'I look.<|message_sep|>\n\nfunction call<|role_sep|>\n{"name": "read_file", "arguments": {"path": "src/a.py"}}',
        [A],
    ),
    "minicpm5: parameters by name": (
        '<function name="read_file"><param name="path">src/a.py</param></function>',
        [A],
    ),
    "qwen3: lines of another system": (
        '```json\r\n{"name": "read_file", "arguments": {"path": "src/a.py"}}\r\n```\r\n',
        [A],
    ),
    "webbrain #2682: what will not be done": (
        'I will not run this, since it is late:\n\n```json\n{"name": "read_file", "arguments": {"path": "a"}}\n```',
        "words",
    ),
    "continue #11070: what calls look like": (
        'Calls are JSON, for example:\n\n{"name": "read_file", "arguments": {"path": "path/to/the_file"}}',
        "asked",
    ),
    "macprovider #743, gpt-oss: channels as text": (
        'analysisI should read it.assistantcommentary to=functions.read_file json{"path": "src/a.py"}',
        [A],
    ),
    "macprovider #743, gpt-oss: an answer with its channels": (
        "analysisThey want one word.assistantfinalfour",
        "words",
    ),
}
RAW: dict[str, tuple[str, Calls]] = {
    "ollama #12884: the whole call, its content over lines": (
        json.dumps({"name": W[0], "parameters": W[1]}).replace("\\n", "\n"),
        [W],
    ),
    "ollama #12064: arguments alone, content over lines": (json.dumps(W[1]).replace("\\n", "\n"), [W]),
    "ollama #17638: the end of an array whose beginning is gone": (json.dumps(W[1]) + "]", [W]),
    "ollama #17638: more than its end": (json.dumps(W[1]) + ", {}]", []),
    "ollama #12064: closed by the wrong bracket": (json.dumps(W[1])[:-1] + ', "encoding": "utf-8"]}', []),
    "ollama #11704: words where a value should begin": ("commentary: " + "I write it now.", []),
    "unexpected end of JSON input: a command": ('{"command": ["rm", "-rf", "build"', []),
    "unexpected end of JSON input: a name and its arguments": (json.dumps({"name": W[0], "parameters": W[1]})[:-1], []),
    "unexpected end of JSON input: a text": (json.dumps(W[1])[:-1], []),
    "continue #10221: a command": ("ls -R\n", []),
}
ERRORS = {
    "ollama #12380": "XML syntax error on line 7: expected element name after <",
    "ollama #14834": "XML syntax error on line 115: unexpected EOF",
    "ollama #17276": "XML syntax error on line 9: element <parameter> closed by </function>",
    "ollama #16810": "XML syntax error on line 8: element <function> closed by </parameter>",
    "continue #10896": "failed to parse XML: XML syntax error on line 1: element <tool_call> closed by </arg_value>",
    "continue #10896, qwen3.6": "expected element type <function> but have <parameter>",
}


class Offered:
    """What was offered, as the loop tells it."""

    def fits(self, name: str, arguments: str) -> bool:
        return fits(name, arguments)

    def exact(self, name: str, arguments: str) -> bool:
        return exact(name, arguments)

    def offered(self, name: str) -> bool:
        return name in TOOLS

    def begins(self, word: str) -> bool:
        return any(name.startswith(word) for name in TOOLS)

    def takers(self, keys: frozenset[str]) -> list[str]:
        return [name for name, tool in TOOLS.items() if keys <= set(tool.parameters["properties"])]


def decoded(found: Any) -> Calls:
    calls = found.calls if found is not None else ()
    return [
        (call.function.name, decode_arguments(TOOLS[call.function.name], bytes(call.function.arguments).decode())[0])
        for call in calls
    ]


def as_decoded(calls: Calls) -> Calls:
    return [(name, decode_arguments(TOOLS[name], json.dumps(arguments))[0]) for name, arguments in calls]


def test_there_are_many() -> None:
    assert len(THREADS) + len(RAW) + len(ERRORS) >= 40
    assert {what for _, what in THREADS.values() if isinstance(what, str)} == {"asked", "words"}


@pytest.mark.parametrize(("text", "expected"), THREADS.values(), ids=THREADS.keys())
def test_a_call_that_users_were_shown_as_text(text: str, expected: Calls | Otherwise) -> None:
    found = recover(text, "", fits, offered=TOOLS.__contains__, exact=exact)
    if isinstance(expected, list):
        assert decoded(found) == as_decoded(expected)
        return
    assert found is None
    assert looks_like_a_call(text, Offered()) is (expected == "asked")


@pytest.mark.parametrize(("raw", "expected"), RAW.values(), ids=RAW.keys())
def test_a_call_that_users_met_in_an_error(raw: str, expected: Calls) -> None:
    assert decoded(recover_raw(raw, Offered())) == as_decoded(expected)


@pytest.mark.parametrize("text", ERRORS.values(), ids=ERRORS.keys())
def test_an_error_of_a_parser_is_known_as_one(text: str) -> None:
    refusal = by_ollama("http://127.0.0.1:11434", Refused(500, json.dumps({"error": text}).encode(), "/api/chat"))
    assert isinstance(refusal, CallGarbled), "it would come again with the same request"


def test_a_call_in_nothing_but_thinking() -> None:
    thinking = 'I have to read it.\n<tool_call>\n{"name": "read_file", "arguments": {"path": "src/a.py"}}\n</tool_call>'
    assert decoded(recover("", thinking, fits)) == as_decoded([A]), "omlx #484"


def test_a_name_with_a_channel_behind_it() -> None:
    assert find(TOOLS, "read_file<|channel|>analysis") is TOOLS["read_file"], "ollama #12132"
    assert find(TOOLS, "functions.read_file:0") is TOOLS["read_file"], "vllm #50768: Kimi's name and number"
