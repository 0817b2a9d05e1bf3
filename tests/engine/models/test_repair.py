"""Calls that stand in an answer's text: a corpus of what models write, mutated, and fuzz beyond it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jetbox.engine.errors import ToolError
from jetbox.engine.models.mendjson import read
from jetbox.engine.models.repair import recover
from jetbox.engine.tools.arguments import decode_arguments
from jetbox.engine.tools.registry import standard_tools

TOOLS = standard_tools()
READ = ("read_file", {"path": "src/a.py"})
CODE = 'def f(a: int) -> str:\n    return f"<{a}>" if a < 2 & a else "x"\n'
WRITE = ("write_file", {"path": "src/a.py", "content": CODE})
RUN = ("run_cmd", {"command": ["pytest", "-q"]})


def fits(name: str, arguments: str) -> bool:
    """As the loop asks it: the tool was offered, and takes these arguments."""
    if name not in TOOLS:
        return False
    try:
        decode_arguments(TOOLS[name], arguments)
    except ToolError:
        return False
    return True


def exact(name: str, arguments: str) -> bool:
    """As the loop asks it: the tool also knows every one of them."""
    return fits(name, arguments) and not any("ignored" in note for note in decode_arguments(TOOLS[name], arguments)[1])


def dumped(call: tuple[str, dict[str, Any]], key: str = "arguments", name: str = "name") -> str:
    return json.dumps({name: call[0], key: call[1]})


def raw_newlines(text: str) -> str:
    """As small models write it: the line breaks of a string stand there as they are."""
    return text.replace("\\n", "\n")


def parameters(call: tuple[str, dict[str, Any]], *, newline: bool = True) -> str:
    n = "\n" if newline else ""
    inner = "".join(
        f"<parameter={k}>{n}{v if isinstance(v, str) else json.dumps(v)}{n}</parameter>{n}" for k, v in call[1].items()
    )
    return f"<function={call[0]}>{n}{inner}</function>"


def glm(call: tuple[str, dict[str, Any]]) -> str:
    pairs = "".join(
        f"<arg_key>{k}</arg_key>\n<arg_value>{v if isinstance(v, str) else json.dumps(v)}</arg_value>\n"
        for k, v in call[1].items()
    )
    return f"<tool_call>{call[0]}\n{pairs}</tool_call>"


def pythonic(call: tuple[str, dict[str, Any]]) -> str:
    return f"{call[0]}({', '.join(f'{k}={v!r}' for k, v in call[1].items())})"


def harmony(call: tuple[str, dict[str, Any]], lead: str = "<|channel|>commentary ") -> str:
    return f"{lead}to=functions.{call[0]} <|constrain|>json<|message|>{json.dumps(call[1])}"


def one(call: tuple[str, dict[str, Any]]) -> dict[str, str]:
    """Every way of writing one call."""
    name, arguments = call
    python_dict = repr({"name": name, "arguments": arguments})
    return {
        "tagged": f"<tool_call>\n{dumped(call)}\n</tool_call>",
        "tagged on one line": f"<tool_call>{dumped(call)}</tool_call>",
        "tag not closed": f"<tool_call>\n{dumped(call)}",
        "tagged with parameters for arguments": f"<tool_call>{dumped(call, 'parameters')}</tool_call>",
        "tagged with raw newlines": f"<tool_call>\n{raw_newlines(dumped(call))}\n</tool_call>",
        "tagged in single quotes": f"<tool_call>{python_dict}</tool_call>",
        "tagged with a trailing comma": f"<tool_call>{dumped(call)[:-1]},}}</tool_call>",
        "tagged without the last brace": f"<tool_call>{dumped(call)[:-1]}",
        "function_call tags": f"<function_call>{dumped(call)}</function_call>",
        "tools tags": f"<tools>\n{dumped(call)}\n</tools>",
        "function tags": parameters(call),
        "function tags in tool_call": f"<tool_call>\n{parameters(call)}\n</tool_call>",
        "function tags without their end": parameters(call).removesuffix("</function>"),
        "function tags on one line": parameters(call, newline=False),
        "function with JSON": f"<function={name}>{json.dumps(arguments)}</function>",
        "function with JSON, not closed": f"<function={name}>{json.dumps(arguments)}",
        "bare": dumped(call),
        "bare, pretty": json.dumps({"name": name, "arguments": arguments}, indent=2),
        "bare, arguments first": json.dumps({"arguments": arguments, "name": name}),
        "bare, arguments as text": json.dumps({"name": name, "arguments": json.dumps(arguments)}),
        "bare, args": dumped(call, "args"),
        "bare, tool": dumped(call, "parameters", "tool"),
        "bare, in function": json.dumps({"type": "function", "function": {"name": name, "arguments": arguments}}),
        "bare, function as name": json.dumps({"function": name, "arguments": arguments}),
        "bare list": f"[{dumped(call)}]",
        "fenced": f"```json\n{dumped(call)}\n```",
        "fenced without language": f"```\n{dumped(call)}\n```",
        "fenced, not closed": f"```json\n{dumped(call)}",
        "fenced tool_call": f"```tool_call\n{dumped(call)}\n```",
        "fenced tags": f"```xml\n<tool_call>{dumped(call)}</tool_call>\n```",
        "TOOL_CALLS list": f"[TOOL_CALLS][{dumped(call)}]",
        "TOOL_CALLS with a space": f"[TOOL_CALLS] [{dumped(call)}]",
        "TOOL_CALLS ARGS": f"[TOOL_CALLS]{name}[ARGS]{json.dumps(arguments)}",
        "TOOL_CALLS CALL_ID": f"[TOOL_CALLS]{name}[CALL_ID]abc123[ARGS]{json.dumps(arguments)}",
        "harmony": harmony(call),
        "harmony with its end": harmony(call) + "<|call|>",
        "harmony from assistant": harmony(call, "assistant "),
        "harmony with start": harmony(call, "<|start|>assistant<|channel|>commentary "),
        "pythonic": pythonic(call),
        "pythonic list": f"[{pythonic(call)}]",
        "python tag": f"<|python_tag|>{pythonic(call)}",
        "python tag with JSON": f"<|python_tag|>{dumped(call, 'parameters')}",
        "python fence": f"```python\n{pythonic(call)}\n```",
        "py fence": f"```py\n{pythonic(call)}\n```",
        "fenced tool_calls": f"```tool_calls\n{dumped(call)}\n```",
        "GLM": glm(call),
    }


POSITIVE = [
    (f"{call[0]}: {form}{mutated}", f"{before}{text}{behind}", call)
    for call in (READ, WRITE, RUN)
    for form, text in one(call).items()
    for mutated, (before, behind) in {
        "": ("", ""),
        ", after prose": ("I will look at it <first> & then go on.\n\n", ""),
        ", after thinking": ("<think>\nWhat now?\n</think>\n\n", "\n"),
    }.items()
]

TWO = {
    "tagged": f"<tool_call>{dumped(READ)}</tool_call>\n<tool_call>{dumped(RUN)}</tool_call>",
    "bare list": f"[{dumped(READ)}, {dumped(RUN)}]",
    "objects in a row": f"{dumped(READ)}\n{dumped(RUN)}",
    "objects with a semicolon": f"{dumped(READ)};\n{dumped(RUN)}",
    "pythonic": f"[{pythonic(READ)}, {pythonic(RUN)}]",
    "pythonic, on lines": f"Both:\n\n{pythonic(READ)}\n{pythonic(RUN)}\n",
    "pythonic, with a semicolon": f"{pythonic(READ)}; {pythonic(RUN)}",
    "pythonic, over lines": "read_file(\n    path='src/a.py',\n)\n\nrun_cmd(\n    command=['pytest', '-q'],\n)",
    "pythonic, fenced": f"```tool_code\n{pythonic(READ)}\n{pythonic(RUN)}\n```",
    "pythonic, with a namespace": f"functions.{pythonic(READ)}\nfunctions.{pythonic(RUN)}",
    "function tags": f"{parameters(READ)}\n{parameters(RUN)}",
    "TOOL_CALLS": f"[TOOL_CALLS][{dumped(READ)}, {dumped(RUN)}]",
    "GLM": f"{glm(READ)}\n{glm(RUN)}",
}

NEGATIVE = {
    "nothing": "",
    "prose": "The file src/a.py is fine; I read it with read_file.",
    "prose behind a call": f"<tool_call>{dumped(READ)}</tool_call>\nThat would read the file. Shall I?",
    "prose behind bare JSON": f"{dumped(READ)}\nis what I would call.",
    "inline code": f"Call `{dumped(READ)}`",
    "a quotation": f"> {dumped(READ)}",
    "in quotation marks": f'He wrote "{dumped(READ)}',
    "a code block of a language": f"```javascript\n{dumped(READ)}\n```",
    "a code block of shell": f"```bash\n{pythonic(READ)}\n```",
    "a tool that was not offered": dumped(("launch_missiles", {"path": "a"})),
    "one offered, one not": f"[{dumped(READ)}, {dumped(('rm_rf', {'path': '/'}))}]",
    "arguments missing": dumped(("read_file", {})),
    "arguments of a wrong type": dumped(("write_file", {"path": "a", "content": {"a": {"b": [1]}}})).replace(
        "}}}", "}"
    ),
    "no arguments at all": json.dumps({"name": "read_file"}),
    "JSON data": json.dumps({"name": "a package", "version": "1.0"}),
    "a package.json": '{\n  "name": "read_file",\n  "version": "1.0.0"\n}',
    "a list of numbers": "[1, 2, 3]",
    "an unclosed string": '{"name": "write_file", "arguments": {"path": "a.py", "content": "def f():',
    "an unclosed string in tags": f"<tool_call>{dumped(WRITE)[:-9]}",
    "a parameter that is not closed": "<function=write_file><parameter=path>\na.py\n</parameter>"
    "<parameter=content>\nx = ",
    "a function that goes on": "<function=read_file> is how you would call it",
    "positional arguments": 'read_file("src/a.py")',
    "code that is shown": f"One would write\n\n    {pythonic(READ)}",
    "a call that is assigned": f"text = {pythonic(READ)}",
    "a call within another": f"print({pythonic(READ)})",
    "a call in inline code": f"Use `{pythonic(READ)}`",
    "a call that is quoted": f"> {pythonic(READ)}",
    "a call in a list": f"- {pythonic(READ)}",
    "a call on a line before prose": f"{pythonic(READ)}\nis what I would do.",
    "bytes": "read_file(path=b'src/a.py')",
    "a set": "run_cmd(command={'pytest'})",
    "a call that is not closed": "write_file(path='a.py', content='x = 1",
    "a call of something else": "launch_missiles(path='a')",
    "one offered, one not, in Python": f"{pythonic(READ)}\nlaunch_missiles(path='a')",
    "an expression": "read_file(path=open('x').read())",
    "a nested call": "read_file(path=str(1))",
    "a Python program": "def read_file(path):\n    return open(path).read()\n",
    "a call in a sentence": "read_file(path='a.py') opens the file and returns it.",
    "broken braces": '{"name": "read_file", "arguments": {"path": "a.py"]}',
    "deep nesting": "[" * 5000,
    "deep objects": '{"a":' * 5000,
    "harmony prose": "assistant to=functions.read_file would be the call",
    "TOOL_CALLS alone": "[TOOL_CALLS]",
    "a tag alone": "<tool_call>",
    "an example": f"A call looks like this:\n\n```json\n{dumped(RUN)}\n```",
    "what will not be done": f"It is late. I won't run that for you:\n{dumped(RUN)}",
    "an indented block": f"One writes\n\n    {dumped(RUN)}",
    "an example in German": f"Ein Aufruf ist zum Beispiel dieser:\n{dumped(RUN)}",
    "an example in Chinese": f"例如：\n{dumped(RUN)}",
    "far behind a quotation mark": 'He wrote "' + 20 * "some words " + f"<tool_call>{dumped(RUN)}</tool_call>",
    "two in quotation marks": f'He wrote "<tool_call>{dumped(RUN)}</tool_call> and <tool_call>{dumped(RUN)}',
    "in German quotation marks": "Er schrieb „<tool_call>" + dumped(RUN),
    "an indented tag": f"One writes\n\n    <tool_call>{dumped(RUN)}</tool_call>",
    "a block within a block": f"```markdown\n# A\n```json\n{dumped(RUN)}\n```\n```",
    "a block that holds a call and more": f"```python\n{pythonic(RUN)}\nx = 1\n```",
    "a list that is not closed": f'["a", "Use it so:\n{dumped(RUN)}',
    "positional arguments that go on": f'write_file("a.md", "Use it so:\n{dumped(RUN)}',
    "a block between tildes": f"~~~json\n{dumped(RUN)}\n",
    "a call in a document whose end is missing": "<function=write_file>\n<parameter=path>\na.md\n</parameter>\n"
    f"<parameter=content>\nUse it so:\n<tool_call>\n{dumped(RUN)}\n</tool_call>",
    "a document that closes what it quotes": "<function=write_file>\n<parameter=path>\na\n</parameter>\n"
    '<parameter=content>\nx <invoke name="run_cmd">\n<parameter name="command">["pytest"]</parameter>\n',
    "a call behind one that cannot be read": '<tool_call>{"name": "write_file", "arguments": {"path": "a", '
    f'"content": "x = "1""}}}}</tool_call>\n<tool_call>{dumped(RUN)}</tool_call>',
    "a Python call behind one that cannot be read": f"write_file(path='a', content='it's')\n\n{pythonic(RUN)}",
    "a call behind what its predecessor is to have said": f"<tool_call>{dumped(READ)}</tool_call>\n"
    f"<tool_response>\nx = 1\n</tool_response>\n<tool_call>{dumped(RUN)}</tool_call>",
    "arguments that only begin": '{"name": "list_dir", "arguments": {',
    "a list that goes on": '{"name": "edit_file", "arguments": {"path": "a", "edits": [{"old": "a", "new": "b"},',
    "a call in a list of something": f'{{"later": [\n{dumped(RUN)}]}}',
    "a value with the tags of another": "<function=write_file>\n<parameter=path>\na.md\n</parameter>\n"
    "<parameter=content>\nA value ends with\n</parameter>\n<parameter=path>\nb\n"
    "</parameter>\nand so on.\n</parameter>\n</function>",
    "a value with tags in its line": "<function=write_file>\n<parameter=path>\na\n</parameter>\n<parameter=content>\n"
    'SEP = "</parameter><parameter=b>"\nx = 1\n</parameter>\n</function>',
    "a value with the tags of an argument that no tool knows": "<function=write_file><parameter=path>a</parameter>"
    "<parameter=content>x = 1\ny = 2\n</parameter>\n<parameter=b>\n</parameter>\n</function>",
    "pairs that come twice": "<tool_call>write_file<arg_key>path</arg_key><arg_value>a</arg_value><arg_key>content"
    '</arg_key><arg_value>S = "</arg_value><arg_key>path</arg_key><arg_value>"\nx = 1\n</arg_value></tool_call>',
    "a pair that no tool knows": "<tool_call>write_file<arg_key>path</arg_key><arg_value>a</arg_value><arg_key>content"
    '</arg_key><arg_value>S = "</arg_value><arg_key>b</arg_key><arg_value>"\nx = 1\n</arg_value></tool_call>',
    "a quotation that is not escaped": '<tool_call>{"name": "write_file", "arguments": {"path": "a", "content": '
    '"close with "</tool_call>',
    "code that is not escaped": '<tool_call>{"name": "write_file", "arguments": {"path": "a", "content": "f("'
    "</tool_call>",
    "a block, and another call behind it": f"First:\n```json\n{dumped(WRITE)}\n```\nThen:\n<tool_call>{dumped(RUN)}",
    "the beginning of another call": f'{dumped(RUN)}\n{{"name"',
    "the beginning of another call in a list": f'[{dumped(RUN)}, {{"name"',
    "two tags, one empty": f"<tool_call>{dumped(READ)}</tool_call><tool_call></tool_call>x",
    "an XML document": "<function>read_file</function>",
    "markdown": "# read_file\n\n- path: src/a.py\n",
    "a table": "| name | arguments |\n|---|---|\n| read_file | a |\n",
}


def test_the_corpus_is_large() -> None:
    assert len(POSITIVE) + len(TWO) + len(NEGATIVE) > 200


def test_every_textual_format_is_in_the_corpus() -> None:
    marks = ("<tool_call>", "<function=", "<parameter=", "```", "[TOOL_CALLS]", "[ARGS]", "<|channel|>")
    for mark in (*marks, "assistant to=", "<|python_tag|>", "<arg_key>", "'arguments'", '"arguments"', "read_file("):
        assert sum(mark in text for _, text, _ in POSITIVE) >= 3, mark


@pytest.mark.parametrize(("text", "call"), [(t, c) for _, t, c in POSITIVE], ids=[name for name, _, _ in POSITIVE])
def test_a_call_is_found_with_its_arguments(text: str, call: tuple[str, dict[str, Any]]) -> None:
    found = recover(text, "", fits)
    assert found is not None
    (got,) = found.calls
    decoded, _ = decode_arguments(TOOLS[got.function.name], bytes(got.function.arguments).decode())
    expected, _ = decode_arguments(TOOLS[call[0]], json.dumps(call[1]))
    if "content" in expected:  # one newline on each side belongs to the tags
        assert decoded.pop("content").strip("\n") == expected.pop("content").strip("\n")
    assert (got.function.name, decoded) == (call[0], expected)
    assert "tool_call" not in found.text


@pytest.mark.parametrize("text", TWO.values(), ids=TWO.keys())
def test_two_calls_come_in_their_order(text: str) -> None:
    found = recover(text, "", fits)
    assert found is not None
    assert [call.function.name for call in found.calls] == ["read_file", "run_cmd"]


@pytest.mark.parametrize("text", NEGATIVE.values(), ids=NEGATIVE.keys())
def test_nothing_is_taken_where_no_call_is_meant(text: str) -> None:
    assert recover(text, "", fits, offered=TOOLS.__contains__, exact=exact) is None


@pytest.mark.parametrize(
    ("name", "given", "run"),
    [
        ("run_cmd", "security_risk=LOW command=ls", True),
        ("read_file", "foo=1 path=a", True),
        ("list_dir", "recursive=true", True),
        ("run_cmd", "command=ls is_background=false", True),
        ("read_file", "path=a foo=1", False),
        ("write_file", "path=a content=a description=b", False),
    ],
)
def test_an_argument_that_is_not_known_keeps_a_call_back_where_it_may_be_of_another(
    name: str, given: str, run: bool
) -> None:
    pairs = [pair.split("=") for pair in given.split()]
    text = "".join(f"<parameter={key}>{value}</parameter>" for key, value in pairs)
    assert (recover(f"<function={name}>{text}</function>", "", fits, exact=exact) is not None) is run


def test_a_word_to_a_command_that_its_tool_does_not_take_keeps_it_not_back() -> None:
    description = "<parameter=description>\nRun the tests\n</parameter>\n</function>"
    found = recover(parameters(RUN).replace("</function>", description), "", fits, exact=exact)
    assert found is not None


@pytest.mark.parametrize(
    "text",
    [
        dumped(READ)[:-1],
        '<tool_call>{"name": "read_file", "arguments": {"path": "a.py"</tool_call>',
        '{"name": "write_file", "arguments": {"path": "a.py", "content": "x\\n"</tool_call>',
        '{"name": "read_file", "arguments": {"path": "a.py", "limit": 1',
        "<function=grep><parameter=pattern>x</parameter>",
        "<tool_call>grep<arg_key>pattern</arg_key><arg_value>x</arg_value>",
        'call:grep{pattern:<|"|>x<|"|>',
    ],
)
def test_what_may_lack_its_end_is_no_call_where_the_answer_was_cut(text: str) -> None:
    assert recover(text, "", fits) is not None
    assert recover(text, "", fits, cut=True) is None


def test_a_whole_call_is_one_though_the_answer_was_cut() -> None:
    found = recover(f"<tool_call>{dumped(READ)}", "", fits, cut=True)
    assert found is not None


def test_a_python_string_holds_whatever_a_file_holds() -> None:
    content = 'x = """a\\d"""\n```python\nf(1)]\n```\n'
    found = recover(f"So:\nwrite_file(path='a.md', content={content!r})", "", fits)
    assert found is not None
    assert json.loads(bytes(found.calls[0].function.arguments))["content"] == content
    block = "```\nread_file(path='b')\n```\n"
    found = recover(f'write_file(path=\'a.md\', content="""{block}""")', "", fits)
    assert found is not None
    assert json.loads(bytes(found.calls[0].function.arguments))["content"] == block


@pytest.mark.parametrize(
    "words",
    [
        "It looks like I have to read it first:",
        "I will not guess. I read the example file:",
        "I don't know the `<tool_call>` tags well, but I try:",
        "The proper <tool_call> format then:",
        "He said `read_file(path='b')`, so:",
        'I use the <function=...> style, the [TOOL_CALLS] mark and <invoke name="x"> here:',
        "The tags are <tool_call> and </tool_call>, between <tool_call></tool_call> it goes:",
        "To explain to=functions.read_file once: read_file(path) reads. Now:",
        'The "config" is {"key": "value"}, and config {\n  a: 1\n}\nbelow. I say "hello" first:',
        "```bash\nls\n```\n~~~\nx\n~~~\n> quoted",
        "```json\n{}\n```\nNow:",
    ],
)
def test_words_before_a_call_do_not_keep_it_back(words: str) -> None:
    for form, text in one(READ).items():
        assert recover(f"{words}\n\n{text}", "", fits, offered=TOOLS.__contains__) is not None, form


def test_what_stands_before_the_call_stays_text() -> None:
    found = recover(f"I read it.\n<tool_call>{dumped(READ)}</tool_call>", "", fits)
    assert found is not None
    assert found.text == "I read it."


def test_a_call_in_the_thinking_counts_where_nothing_else_was_said() -> None:
    inside = f"I must read it.\n<tool_call>{dumped(READ)}</tool_call>"
    found = recover("", inside, fits)
    assert found is not None
    assert found.form == "tool_call tags in thinking"
    assert recover("Done.", inside, fits) is None


def test_content_with_closing_tags_is_kept_whole() -> None:
    content = "A parameter ends with </parameter> or so.\n</function>\n"
    path = "<parameter=path>\na.md\n</parameter>"
    text = f"<function=write_file>{path}\n<parameter=content>\n{content}\n</parameter></function>"
    found = recover(text, "", fits)
    assert found is not None
    assert json.loads(bytes(found.calls[0].function.arguments))["content"] == content


@pytest.mark.parametrize(
    "text",
    [
        "assistant to=functions.read_file" + 3_000 * " " + "x",
        "<tool_call>" + 50_000 * " " + "x",
        40_000 * "<think>",
        "<tool_call>write_file" + 6_000 * "<arg_key>a</arg_key><arg_value>",
        "read_file" + 50_000 * " " + "x",
        *(5_000 * unit for unit in ('<|tools_prefix|>[\\"', '[TOOL_CALLS][\\"', '<tool_call>[\\"', "x{a:1\\'}\n")),
    ],
)
def test_a_text_that_fits_in_no_way_takes_no_time(text: str) -> None:
    begun = time.process_time()
    assert recover(text, "", fits) is None
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    "line", ["f(a=1)\n", '{"name": "x", "arguments": {"a": 1}}\n', "<tool_call>{\n", "```\n{}\n```\n", "<function=f>\n"]
)
def test_a_long_text_about_calls_is_looked_at_in_bounds(line: str) -> None:
    text = line * (300_000 // len(line)) + "and so on"
    asked = 0

    def counted(name: str, arguments: str) -> bool:
        nonlocal asked
        asked += 1
        return True

    assert recover(text, "", counted) is None
    assert asked < 1_000


@given(st.text(alphabet="<>/=[]{}\"':,\\ \n`abc|_()functiontool_callreadwrite0", max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    found = recover(text, text, fits)
    assert found is None or all(call.function.name in TOOLS for call in found.calls)


@given(st.sampled_from(POSITIVE), st.data())
def test_a_cut_call_is_never_one_with_other_content(case: tuple[str, str, Any], data: st.DataObject) -> None:
    _, text, call = case
    found = recover(text[: data.draw(st.integers(0, len(text)))], "", fits)
    if found is None:
        return
    decoded, _ = decode_arguments(TOOLS[call[0]], bytes(found.calls[0].function.arguments).decode())
    content = decoded.get("content")
    assert content is None or content.strip("\n") == CODE.strip("\n")


@given(
    *[st.sampled_from(sorted(one(RUN)))] * 2,
    st.sampled_from(["{}", "# Calls\n\n{}\n", "```json\n{}\n```\n"]),
    st.sampled_from(["", "I write it:\r\n", "The <tool_call> tags:\n"]),
    st.data(),
)
def test_a_call_in_what_another_one_writes_is_never_run(
    outer: str, inner: str, around: str, before: str, data: st.DataObject
) -> None:
    content = around.replace("{}", one(RUN)[inner])
    text = before + one(("write_file", {"path": "a.md", "content": content}))[outer]
    end = data.draw(st.sampled_from([len(text), text.rfind("pytest") + 7]) | st.integers(0, len(text)))
    found = recover(text[:end], "", fits, offered=TOOLS.__contains__, cut=data.draw(st.booleans()))
    if found is not None:
        (got,) = found.calls
        assert got.function.name == "write_file"
        assert json.loads(bytes(got.function.arguments))["content"].strip("\n") == content.strip("\n")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**50), 2**50) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
        max_leaves=20,
    ).filter(lambda value: isinstance(value, (dict, list)))
)
def test_proper_json_is_read_as_it_is(value: Any) -> None:
    for text in (json.dumps(value), json.dumps(value, indent=1), json.dumps(value, ensure_ascii=False)):
        loose = read(text + " behind")
        assert loose is not None
        assert (loose.value, loose.end, loose.complete) == (value, len(text), True)
