from __future__ import annotations

import json
from typing import Any

import pytest

from jetbox.engine.errors import ToolError
from jetbox.engine.options import SpecStyle
from jetbox.engine.tools.arguments import decode_arguments
from jetbox.engine.tools.registry import find, specs, standard_tools

TOOLS = standard_tools()


@pytest.mark.parametrize(
    ("tool", "given", "expected", "notes"),
    [
        ("read_file", {"path": "a"}, {"path": "a"}, []),
        ("read_file", {"path": "a", "line_end": 20}, {"path": "a"}, ["ignored: line_end"]),
        (
            "read_file",
            {"path": "a", "encoding": "utf-8", "max_size": 1},
            {"path": "a"},
            ["ignored: encoding, max_size"],
        ),
        ("read_file", {"path": "a", "offset": "5", "limit": 10.0}, {"path": "a", "offset": 5, "limit": 10}, []),
        ("read_file", {"path": "a", "offset": None, "limit": ""}, {"path": "a"}, []),
        ("read_file", {"file_path": "a"}, {"path": "a"}, ["file_path taken as path"]),
        ("read_file", {"filename": "a", "path": None}, {"path": "a"}, ["filename taken as path"]),
        ("read_file", {"path": "a", "file": "b"}, {"path": "a"}, ["ignored: file"]),
        ("read_file", {"path": "a", "start_line": 3}, {"path": "a", "offset": 3}, ["start_line taken as offset"]),
        ("read_file", {"arguments": {"path": "a"}}, {"path": "a"}, ["taken out of arguments"]),
        ("read_file", {"parameters": '{"path": "a"}'}, {"path": "a"}, ["taken out of parameters"]),
        ("read_file", [{"path": "a"}], {"path": "a"}, []),
        ("read_file", '{"path": "a"}', {"path": "a"}, []),
        (
            "write_file",
            {"path": "a", "content": "x", "overwrite": True, "line_end": None},
            {"path": "a", "content": "x"},
            ["ignored: overwrite, line_end"],
        ),
        (
            "write_file",
            {"path": "a", "content": "x", "append": False},
            {"path": "a", "content": "x"},
            ["ignored: append"],
        ),
        ("write_file", {"path": "a", "contents": ""}, {"path": "a", "content": ""}, ["contents taken as content"]),
        (
            "write_file",
            {"path": "a", "text": '{"k": 1}'},
            {"path": "a", "content": '{"k": 1}'},
            ["text taken as content"],
        ),
        ("list_dir", {}, {}, []),
        ("list_dir", {"directory": "src"}, {"path": "src"}, ["directory taken as path"]),
        (
            "glob",
            {"glob_pattern": "*.py", "newest": "True"},
            {"pattern": "*.py", "newest": True},
            ["glob_pattern taken as pattern"],
        ),
        (
            "grep",
            {"query": "x", "include": "*.py", "case_insensitive": "false"},
            {"pattern": "x", "glob": "*.py", "ignore_case": False},
            ["query taken as pattern", "include taken as glob", "case_insensitive taken as ignore_case"],
        ),
        ("run_cmd", {"cmd": "ls"}, {"command": "ls"}, ["cmd taken as command"]),
        ("run_cmd", {"command": ["ls", "-n", 3]}, {"command": ["ls", "-n", "3"]}, []),
        ("run_cmd", {"command": '["ls", "-l"]'}, {"command": ["ls", "-l"]}, []),
        ("run_cmd", {"command": "[ -f a ]"}, {"command": "[ -f a ]"}, []),
        ("run_cmd", {"command": "ls", "args": ["-l"]}, {"command": ["ls", "-l"]}, ["args joined to command"]),
        (
            "run_cmd",
            {"command": "ls", "timeout": "60", "workdir": "src"},
            {"command": "ls", "timeout": 60, "cwd": "src"},
            ["workdir taken as cwd"],
        ),
        ("run_cmd", {"command": "ls", "background": False}, {"command": "ls"}, ["ignored: background"]),
        (
            "edit_file",
            {"path": "a", "edits": {"old": "x", "new": "y"}},
            {"path": "a", "edits": [{"old": "x", "new": "y"}]},
            [],
        ),
        (
            "edit_file",
            {"path": "a", "edits": '[{"old": "x", "new": ""}]'},
            {"path": "a", "edits": [{"old": "x", "new": ""}]},
            [],
        ),
        (
            "edit_file",
            {"path": "a", "edits": [{"old_string": "x", "new_string": "y", "replaceAll": "true"}]},
            {"path": "a", "edits": [{"old": "x", "new": "y", "replace_all": True}]},
            ["old_string taken as old", "new_string taken as new", "replaceAll taken as replace_all"],
        ),
        (
            "edit_file",
            {"file_path": "a", "old_str": "x", "new_str": ""},
            {"path": "a", "edits": [{"old": "x", "new": ""}]},
            ["file_path taken as path", "one edit taken as edits"],
        ),
        (
            "edit_file",
            {"path": "a", "edits": [{"old": "x", "new": "y", "line": 3}]},
            {"path": "a", "edits": [{"old": "x", "new": "y"}]},
            ["ignored: edits[0].line"],
        ),
        ("finish", {}, {"summary": ""}, []),
        ("finish", "", {"summary": ""}, []),
        ("finish", {"message": "done"}, {"summary": "done"}, ["message taken as summary"]),
        ("finish", {"success": True, "summary": "ok"}, {"summary": "ok"}, ["ignored: success"]),
    ],
)
def test_what_models_get_wrong_is_mended_and_told(
    tool: str, given: Any, expected: dict[str, Any], notes: list[str]
) -> None:
    raw = given if given == "" else json.dumps(given)
    assert decode_arguments(TOOLS[tool], raw) == (expected, notes)


@pytest.mark.parametrize(
    ("tool", "raw", "words"),
    [
        (
            "read_file",
            "{}",
            "missing path; allowed: path: string, offset: integer (optional), limit: integer (optional)",
        ),
        ("read_file", "null", "missing path"),
        ("read_file", '{"path": 5}', "path must be a string, not a number ('5')"),
        ("read_file", '{"path": ["a"]}', "path must be a string, not a list"),
        ("read_file", '{"path": "a", "offset": "ten"}', "offset must be a whole number, not a string ('ten')"),
        ("read_file", '{"path": "a", "offset": true}', "offset must be a whole number, not true or false ('True')"),
        ("read_file", '{"path": "a", "offset": 1.5}', "offset must be a whole number"),
        ("read_file", '{"path": "a", "offset": 1e999}', "offset"),
        ("read_file", '{"path": "a"', "are no JSON"),
        ("read_file", '{"path": "a"}]', "are no JSON"),
        ("read_file", '{"path": ' + "[" * 100 + "]" * 100 + "}", "nested more than 60 levels deep"),
        ("read_file", '"' + "[" * 5000 + "]" * 5000 + '"', "nested more than 60 levels deep"),
        ("read_file", "[1, 2]", "one JSON object"),
        ("read_file", "7", "one JSON object"),
        ("read_file", '"a.py"', "are no JSON"),
        ("write_file", '{"path": "a"}', "missing content; allowed: path: string, content: string"),
        ("write_file", '{"path": "a", "content": {"k": 1}}', "content must be a string, not an object"),
        ("write_file", '{"path": "a", "content": 5}', "content must be a string, not a number"),
        (
            "write_file",
            '{"path": "a", "content": "x", "append": true}',
            "append is not possible: the whole file is written",
        ),
        (
            "edit_file",
            '{"path": "a", "edits": "x"}',
            "edits must be a list; allowed: path: string, edits: [{old: string, "
            "new: string, replace_all: boolean}, ...]",
        ),
        ("edit_file", '{"path": "a", "edits": ["x"]}', "edits[0] must be an object"),
        ("edit_file", '{"path": "a", "edits": [{"old": 1, "new": "x"}]}', "edits[0].old must be a string"),
        ("edit_file", '{"path": "a", "edits": [], "regex": true}', "regex is not possible: old is exact text"),
        ("run_cmd", '{"command": {"a": 1}}', "command must be a string or a list of strings"),
        ("run_cmd", '{"command": []}', "command must be a string or a list of strings"),
        ("run_cmd", '{"command": "sleep 9", "run_in_background": true}', "a command is waited for"),
        ("glob", '{"pattern": "*", "newest": "maybe"}', "newest must be true or false"),
    ],
)
def test_what_cannot_be_mended_says_what_is_allowed(tool: str, raw: str, words: str) -> None:
    with pytest.raises(ToolError) as caught:
        decode_arguments(TOOLS[tool], raw)
    assert words in str(caught.value)
    assert str(caught.value).startswith(tool)


def test_every_required_argument_is_named_when_it_is_missing() -> None:
    for tool in TOOLS.values():
        for name in tool.parameters.get("required", ()):
            if tool.name == "finish":
                continue
            with pytest.raises(ToolError, match=f"missing .*{name}"):
                decode_arguments(tool, "{}")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("read_file", "read_file"),
        ("functions.read_file", "read_file"),
        ("repo_browser.read_file", "read_file"),
        ("default_api:grep", "grep"),
        ("Read_File", "read_file"),
        ("run-cmd", "run_cmd"),
        ("finish<|channel|>commentary", "finish"),
    ],
)
def test_decorated_names_are_understood(name: str, expected: str) -> None:
    assert find(TOOLS, name).name == expected


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("bash", "; use run_cmd;"),
        ("readfile", "; use read_file;"),
        ("str_replace", "; use edit_file;"),
        ("zzz", "'zzz'; the"),
    ],
)
def test_an_unknown_tool_is_answered_with_those_that_there_are(name: str, hint: str) -> None:
    with pytest.raises(ToolError) as caught:
        find(TOOLS, name)
    assert hint in str(caught.value)
    assert "read_file, write_file, edit_file, list_dir, glob, grep, run_cmd, finish" in str(caught.value)


STYLES: tuple[SpecStyle, ...] = ("compact", "full")


@pytest.mark.parametrize(("style", "most"), [("compact", 2600), ("full", 6000)])
def test_specs_are_small_stable_and_plain(style: SpecStyle, most: int) -> None:
    data = specs(standard_tools(), style)
    assert data == specs(standard_tools(), style)
    assert len(data) < most
    parsed = json.loads(data)
    assert json.dumps(parsed, separators=(",", ":")).encode() == data
    names = [entry["function"]["name"] for entry in parsed]
    assert names == ["read_file", "write_file", "edit_file", "list_dir", "glob", "grep", "run_cmd", "finish"]
    everything = json.loads(specs(standard_tools(plan=True, ask=True), style))
    assert (everything[: len(parsed)], len(everything)) == (parsed, len(parsed) + 2), "others stand behind them"
    for entry in everything:
        assert entry["type"] == "function"
        function = entry["function"]
        assert set(function) == {"name", "description", "parameters"}
        assert function["parameters"]["type"] == "object"
        assert set(function["parameters"].get("required", ())) <= set(function["parameters"]["properties"])
        for schema in function["parameters"]["properties"].values():
            # Some chat templates print further keys in random order, which breaks the prefix cache.
            assert len(set(schema) - {"type"}) <= 1
            assert isinstance(schema["type"], str)


def test_full_specs_say_more_of_the_same_arguments() -> None:
    compact, full = ([entry["function"] for entry in json.loads(specs(standard_tools(), s))] for s in STYLES)
    for small, large in zip(compact, full, strict=True):
        assert len(large["description"]) > 2 * len(small["description"])
        assert large["parameters"].get("required") == small["parameters"].get("required")
        before, after = (each["parameters"]["properties"] for each in (small, large))
        assert {name: schema["type"] for name, schema in before.items()} == {n: s["type"] for n, s in after.items()}
        assert all("description" in schema or "items" in schema for schema in after.values())
