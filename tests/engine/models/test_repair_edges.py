"""Calls beside what looks like thoughts, quotations, examples and other calls."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.models.test_repair import CODE, READ, RUN, TOOLS, dumped, fits
from jetbox.engine.models.repair import Recovered, recover
from jetbox.engine.models.thoughts import Thoughts

SHOWN = [
    "I can not run this:",
    "I am unable to run this:",
    "I am not allowed to run this:",
    "I don't think I should run this:",
    "I won't be executing this:",
    "I will not do that:",
    "I refuse to execute the following:",
    "I will not run the following command:",
    "I will not run this; I think it is dangerous:",
    "I won't run this, but you can:",
    "Please run this yourself:",
    "You would call it like this:",
    "Use it like so:",
    "A sample call:",
    "An example:",
    "Here is an example.",
    "The syntax:",
    "The call would be:",
    "The README contains:",
    "The log says:",
    "One may delete it, e.g. with:",
    "For example, after `</think>` you would write:",
    "For example, one may have a look at the place where it all began, and write:",
]
"""Words before what is not to be run."""
K3_CONTENT = (
    '<|open|>call tool="write_file"<|sep|><|open|>argument key="content" type="string"<|sep|>'
    "Use it so <|close|>call<|sep|>\n"
)


def tagged(call: tuple[str, dict[str, Any]]) -> str:
    return f"<tool_call>{dumped(call)}</tool_call>"


def found(text: str) -> Recovered | None:
    return recover(text, "", fits, offered=TOOLS.__contains__)


@pytest.mark.parametrize(
    "content",
    ["T = ('[THINK]', '[/THINK]')\n", "a <think>b</think> c\n", "x.partition('</think>')\n", "<|channel>a<channel|>\n"],
)
def test_tags_of_thoughts_in_what_is_written_are_written(content: str) -> None:
    call = ("write_file", {"path": "a.py", "content": content})
    for text in (tagged(call), f"<think>Hm.</think>\n{tagged(call)}", f"Hm.</think>{tagged(call)}"):
        got = found(text)
        assert got is not None
        assert json.loads(bytes(got.calls[0].function.arguments)) == call[1]


@pytest.mark.parametrize(
    "before",
    [
        "~~~\ncode\n~~~\n> ",
        '~~~\ncode\n~~~\nas he said "',
        "<function=write_file><parameter=path>a</parameter><parameter=content>\nx = '</think>'\n",
        f"{tagged(READ)}\nFor example, a call would look like this:\n",
        f"{tagged(READ)}\nI will not run this:\n",
        "Das führe ich nicht aus:\n",
        "Ich werde diesen Befehl nicht ausführen:\n",
        *(f"Ich {words} ausführen:\n" for words in ("werde den folgenden Befehl nicht", "kann nicht diesen Befehl")),
        *(f"Diesen Befehl {words}:\n" for words in ("werde ich nicht ausführen", "führe ich nicht aus")),
        "Ich führe das nicht aus:\n",
        "Je ne vais pas exécuter ceci :\n",
        "Je ne vais pas exécuter la commande suivante :\n",
        "Je n'exécuterai pas cette commande :\n",
        "No voy a ejecutar esto:\n",
        "No voy a ejecutar el siguiente comando:\n",
        "No ejecutaré este comando:\n",
        *(f"我不会{words}：\n" for words in ("执行这个命令", "执行以下命令", "运行下面的命令", "调用下列工具")),
        *(f"{words}\n" for words in SHOWN),
        '<|channel|>commentary to=write_file<|message|>{"path": "a", "content": "x\n',
        'write_file\n{"path": "a", "content": "x\n',
        '{"name": "write_file", "id": "c1", "arguments": {"path": "a", "content": "x\n',
        '{"path": "a.md", "content": "Use it so:\n',
        "{'path': 'a.md', 'content': 'Use it so:\n",
        '{path: <|"|>a.md<|"|>, content: <|"|>\n',
        '{"tool": "write_file", "content": "\n',
        '{"id": "c1", "function": {"name": "write_file", "arguments": {"path": "a", "content": "x\n',
        'I write: {"path": "a", "content": "\n',
        '```json\n{"path": "a", "content": "\n',
        "<function=write_file>\n<path>a</path>\n<content>\n",
        *(begin + K3_CONTENT for begin in ("", "<|open|>tools<|sep|>", "<|close|>response<|sep|>")),
        K3_CONTENT.replace('tool="', 'index="1" tool="'),
        '<invoke name="write_file"><parameter name="path">a</parameter><parameter name="content">\n',
        '<tool_call>write_file path=a content="\n',
        '<function name="write_file"><param name="path">a</param><param name="content">'
        "<function=run_cmd><parameter=command>x</parameter></function>",
    ],
)
def test_no_call_is_run_that_was_shown_or_belongs_to_another(before: str) -> None:
    got = found(before + tagged(RUN))
    assert got is None or all(call.function.name != "run_cmd" for call in got.calls)
    function = "<function=run_cmd><parameter=command>pytest</parameter></function>"
    assert before.startswith(("~", tagged(READ))) or found(before + function) is None, (
        "nor is a file written that is cut"
    )


@pytest.mark.parametrize(
    "words",
    [
        "The tests do not run without the fixture, so I look at it first:",
        "We can't run the tests before the import is mended, so:",
        "Since pytest cannot run here, let me read it:",
        "The format is wrong, so I read the file:",
        "I'll look at a few files, e.g. the setup:",
        "It looks like this is a bug in the parser, so let me check it:",
        "It looks like that test fails because of the import; I'll open the file:",
        "The button would look better in bold, so I read the stylesheet:",
        "Some files, for example the setup, are not clear yet, so I look:",
        "Manche Dateien, zum Beispiel die Einrichtung, sind unklar; ich lese sie:",
        "The bug is that close exists but we never call it, so I look at the file:",
        "We should not call this twice, so I add a guard:",
        "The shell cannot execute it; let me look:",
        "Let me see what the README contains:",
        "I can't do this without the file, so let me read it:",
        "I do not want to break this, so I read it first:",
        "I haven't run this yet, so let me do it:",
        "The `</think>` tag stays in the text, so I read it:",
        "Die Tests laufen nicht, also rufe ich das auf:",
        "Ich kann die Tests hier nicht ausführen, lese aber die Datei:",
        "Le test ne peut pas exécuter ce module, je lis donc le fichier :",
        "La prueba no se ejecuta sin el archivo, así que lo leo:",
        "测试现在不能运行，所以我先读取文件：",
        "Das reicht nicht aus:",
        "Ich gebe nicht auf:",
        "Das sieht nicht gut aus:",
        "Ich kann die Datei nicht aufrufen:",
        "Es kann sein, dass ich den Test nicht ausführen kann:",
        "Das führe ich nicht nur aus:",
        "Je ne vais pas lancer les tests :",
        "No ejecutaré los tests:",
        "Je ne sais pas faire autrement :",
        "Il ne faut pas faire d'erreur ici :",
        "La función no llama a nada:",
        *(f"{words}：" for words in ("我不得不运行它", "不妨运行一下", "不如直接运行", "不断调用", "需要不同的调用")),
        *(f"{words}：" for words in ("差不多可以运行了", "测试不会运行", "我还不知道怎么运行", "程序不能正确执行")),
    ],
)
def test_words_of_what_does_not_run_are_no_refusal_of_the_call(words: str) -> None:
    for text in (tagged(READ), f"```json\n{dumped(READ)}\n```"):
        got = found(f"{words}\n{text}")
        assert got is not None
        assert [call.function.name for call in got.calls] == ["read_file"]
        assert got.text == words


@pytest.mark.parametrize(
    "words",
    [
        "Ich lese „a.py“ zuerst.",
        "»a.py« zuerst:",
        'I check the 5" page.',
        '“a.py” and `"`:',
        'The "5" first:',
        "A » b:",
    ],
)
def test_quotation_marks_that_are_closed_keep_no_call_of_their_line_back(words: str) -> None:
    for between in ("", " "):
        got = found(f"{words}{between}{tagged(READ)}")
        assert got is not None
        assert got.text == words


@pytest.mark.parametrize(
    "content",
    ["it's \"one", "# never call it\n", "for example", "It looks like this", 'He said: "', "I will not run this:"],
)
@pytest.mark.parametrize(
    "form",
    [
        "<tool_call>{}</tool_call><tool_call>{}</tool_call>",
        "<tool_call>{}</tool_call>\n<tool_call>{}</tool_call>",
        "<tool_call>{}</tool_call>\nThen:\n<tool_call>{}</tool_call>",
        "{}\n{}",
    ],
)
def test_what_one_call_writes_are_no_words_before_the_next(form: str, content: str) -> None:
    got = found(form.format(dumped(("write_file", {"path": "a.md", "content": content})), dumped(RUN)))
    assert got is not None
    assert [call.function.name for call in got.calls] == ["write_file", "run_cmd"]


@pytest.mark.parametrize("word", ["json", "tool_call", "assistant", "Sure", "```\njson", "Sure\n```json\njson"])
def test_a_word_alone_in_its_line_is_none_of_the_calls_behind_it(word: str) -> None:
    end = "\n```" if "```" in word else ""
    write: tuple[str, dict[str, Any]] = ("write_file", {"path": "a.md", "content": "x"})
    for calls in ([READ], [write, RUN]):
        got = found(f"{word}\n" + "\n".join(dumped(call) for call in calls) + end)
        assert got is not None
        assert [call.function.name for call in got.calls] == [name for name, _ in calls]


def test_a_mark_that_opens_one_call_closes_none_before_it() -> None:
    other = ("read_file", {"path": "src/b.py"})
    for text in (
        f"<|tool_call|>{dumped(READ)}<|tool_call|>{dumped(other)}",
        f"<|tool_call|>{dumped(READ)}<|/tool_call|><|tool_call|>{dumped(other)}<|/tool_call|>",
        f"<|tool_call|>{dumped(READ)}<|tool_call|>\n",
    ):
        got = found(text)
        assert got is not None
        assert len(got.calls) == text.count("read_file")


def test_thoughts_of_empty_lines_take_no_time() -> None:
    thoughts = Thoughts()
    pieces = [thoughts.feed(piece) for piece in ("<think>a", *["\n"] * 3_000, "b", "</think>", CODE)]
    assert "".join(thought for thought, _ in pieces) == "a" + "\n" * 3_000 + "b"
    assert pieces[-1] == ("", CODE)
