"""What of a streamed text is shown at once, and what only when it is known to be no call."""

from __future__ import annotations

import time

import pytest

from jetbox.engine.models.holding import HeldBack
from jetbox.engine.models.repair import looks_like_a_call
from jetbox.engine.tools.registry import standard_tools

NAMES = list(standard_tools())


class Offered:
    """The standard tools, by their names."""

    def fits(self, name: str, arguments: str) -> bool:
        return self.offered(name)

    def exact(self, name: str, arguments: str) -> bool:
        return self.fits(name, arguments)

    def offered(self, name: str) -> bool:
        return name in NAMES

    def begins(self, word: str) -> bool:
        return any(name.startswith(word) for name in NAMES)

    def takers(self, keys: frozenset[str]) -> list[str]:
        return []


def streamed(text: str, size: int) -> tuple[str, str]:
    """What was shown while it came in pieces of that size, and what after its end."""
    held = HeldBack(Offered())
    shown = "".join(held.feed(text[at : at + size]) for at in range(0, len(text), size))
    return shown, held.rest()


CALLS = [
    "read_file(path='a.py')",
    "read_file(\n    path='a.py',\n)",
    "  read_file(path='a.py')",
    "list_dir()\n",
    "list_dir();\nread_file(path='a')",
    "[read_file(path='a.py')]",
    "```python\nread_file(path='a.py')\n```",
    '```\njson\n{"name": "read_file", "arguments": {"path": "a.py"}}\n```',
    "functions.read_file(path='a.py')",
    '{"name": "read_file", "arguments": {"path": "a.py"}}',
    'read_file {"path": "a.py"}',
    'read_file\n{"path": "a.py"}',
    'functions.read_file:0{"path": "a.py"}',
    'call:read_file{path:<|"|>a.py<|"|>}',
    '<|tool_call>call:read_file{path:<|"|>a.py<|"|>}<tool_call|>',
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>read_file<｜tool▁sep｜>{"path": "a.py"}',
    '<|tool_calls_section_begin|><|tool_call_begin|>functions.read_file:0<|tool_call_argument_begin|>{"path": "a.py"}',
    '<｜DSML｜function_calls>\n<｜DSML｜invoke name="read_file">',
    '<minimax:tool_call>\n<invoke name="read_file">',
    ']<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="read_file">',
    '<tool_call id="call_00_x" name="read_file">\n{"path": "a.py"}\n</tool_call>',
    '<|START_ACTION|>[{"tool_call_id": "0"}]',
    'functools[{"name": "read_file"}]',
    '<longcat_tool_call>{"name": "read_file"}',
    'function call<|role_sep|>\n{"name": "read_file"}',
    'assistant to=functions.read_file <|constrain|>json<|message|>{"path": "a.py"}',
    'assistantcommentary to=functions.read_file json{"path": "a.py"}',
    '```xml\n<tool_call>{"name": "read_file"}</tool_call>\n```',
    '<|open|>tools<|sep|><|open|>call tool="read_file" index="1"<|sep|>',
    '<|close|>response<|sep|><|open|>tools<|sep|><|open|>call tool="read_file" index="1"<|sep|>',
    '<|open|> call tool="read_file" index="1"<|sep|>',
    '<|tools_prefix|>[{"read_file": {"path": "a.py"}}]<|tools_suffix|>',
    '>>>read_file\n{"path": "a.py"}',
    "print(default_api.read_file(path='a.py'))",
    "print(\n  default_api.read_file(path='a.py')\n)",
    "```tool_code\nprint(default_api.read_file(path='a.py'))\n```",
]
WORDS = [
    "finish() is what I call when I am done.\nread_file is a tool.\nread the file, then write it.",
    "read_file('a.py') has no names.\nlaunch(path='a') is no tool.\n    read_file(path='a') is code.",
    "I would use read_file(path='a') for that.\nrun\nlist_dir\nfinish\n",
    "call me\nif a < b: c[0] = d]\n<b class='x'>bold</b>\nconfig {\n  a: 1\n}\nfinish\n\nread_file: it reads.",
    ">>> read_file()\n>>>launch\n{1}\n> a quotation\n3 > 2 >> 1 >>> 0, and >>>read_file is no call\n<|open|> a tag",
    "print(read_file(path='a'))\nprint(default)\nprint('a', end='')\nprinted\nprint(default_api.launch(path='a'))",
    "def read(path):\n    return open(path).read()\n\nread(path='a')\n",
]


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_held_back_however_it_is_cut(call: str, size: int) -> None:
    shown, rest = streamed(f"I look:\n\n{call}", size)
    assert shown.strip() == "I look:"
    assert shown + rest == f"I look:\n\n{call}"


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_call_behind_a_word_alone_in_its_line_is_held_back(size: int) -> None:
    assert streamed(f"Sure\n{CALLS[8]}", size) == ("Sure\n", CALLS[8])


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize("words", WORDS)
def test_words_are_shown_as_they_come(words: str, size: int) -> None:
    shown, rest = streamed(f"{words}\nSo much for that.", size)
    assert shown == f"{words}\nSo much for that."
    assert rest == ""


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_words_before_a_call_are_shown_once_and_as_they_were_written(size: int) -> None:
    words = "The proper <tool_call> format, then."
    held = HeldBack(Offered())
    text = f"{words}\n\n{CALLS[0]}"
    shown = "".join(held.feed(text[at : at + size]) for at in range(0, len(text), size))
    assert shown + held.before_call(words) == words
    assert held.rest() == ""


@pytest.mark.parametrize(
    "text",
    [
        "{" + 20_000 * "\n",
        "[" + 20_000 * "\n",
        10_000 * "{ \n",
        "read_file(" + 20_000 * "\n",
        "```js\n" + 2_000 * '{"name": 1,\n',
        3_000 * "a `word` and ",
        10_000 * ">>>",
        2_000 * "<|open|> tools <|sep|> ",
        ">>>read_file" + 20_000 * "\n",
        5_000 * '  ">>>read_file\n{>>>',
        '"' + 2_500 * "><function=read_file>",
    ],
)
@pytest.mark.parametrize("size", [4, 200_000])
def test_no_text_takes_long_to_show(text: str, size: int) -> None:
    begun = time.process_time()
    shown, rest = streamed(text, size)
    assert shown + rest == text
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("text", "suspect"),
    [
        ("read_file(path='a.py')\nThen I go on.", True),
        ("read_file(\n  path='a.py'\n)\nThen I go on.", True),
        ("read_file(path='a.py') opens the file.", False),
        ("launch(path='a.py')\nThen I go on.", False),
        ("```python\nread_file(path='a.py')\n```\nis how.", False),
        ("finish() ends it.", False),
        ('read_file(path="', True),
        ("I read it.\n<tool_call>\n", True),
        ("It begins with <tool_call>", False),
        (f"```text\n{CALLS[8]}\n```", True),
        (f"```text\n{CALLS[8]}\n```\nis how.", False),
        (f"```python\n# I read it\n{CALLS[0]}\n```", True),
        (f"```tool_code\nprint(default_api.{CALLS[0]})\n```", True),
        (f"I wrap it in ``` fences then.\n\n{CALLS[8]}", True),
        (f"Plan\n~~~~\n\nI read it.\n\n{CALLS[8]}", True),
        (f"~~~~\n{CALLS[8]}\n~~~~", False),
        ("```json\n{}\n```\nThen:\n<tool_call>{}".replace("{}", CALLS[8]), True),
    ],
)
def test_a_call_that_stands_alone_is_not_taken_for_an_answer(text: str, suspect: bool) -> None:
    assert looks_like_a_call(text, Offered()) is suspect
