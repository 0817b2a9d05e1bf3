"""What the model is told of each tool and its arguments where every word is spelled out.

The short texts beside the tools are the default; these are for models that do better with more, at the price
of the tokens that they cost in every prompt.
"""

from __future__ import annotations

from typing import Any

FULLER: dict[str, tuple[str, dict[str, str]]] = {
    "read_file": (
        "Read a text file of the project and return its content with line numbers, whole or a range of lines. Use it "
        "before you change a file that exists. A long file is cut; read on with offset and limit.",
        {
            "path": "path of the file, relative to the project folder",
            "offset": "number of the first line to read, counted from 1; leave it out to begin at the start",
            "limit": "how many lines to read; leave it out to read to the end",
        },
    ),
    "write_file": (
        "Create a file, with the folders above it, or replace all of the content of one that exists. Read an existing "
        "file first; prefer edit_file for a small change. The answer says what a linter finds in it.",
        {
            "path": "path of the file, relative to the project folder",
            "content": "the whole new content of the file, from its first line to its last",
        },
    ),
    "edit_file": (
        "Replace exact pieces of text in a file that exists. Each edit has old, the text as it stands in the file with "
        "its white space, and new, the text that takes its place. old must occur exactly once, unless replace_all is "
        "true. Several edits of one file belong into one call; either all of them are made or none.",
        {"path": "path of the file, relative to the project folder"},
    ),
    "list_dir": (
        "List the files and folders in a folder of the project, with the sizes of files. It does not look into the "
        "folders below; use glob for that.",
        {"path": "path of the folder, relative to the project folder; leave it out for the project folder itself"},
    ),
    "glob": (
        "Find files by a pattern of their path, such as *.py, tests/test_*.py or src/**/*.md. Files that version "
        "control ignores are left out.",
        {
            "pattern": "the pattern; ** stands for any number of folders",
            "path": "folder to search, relative to the project folder; leave it out to search all of it",
            "newest": "true to have the files that changed last stand at the top",
        },
    ),
    "grep": (
        "Search the content of files for a regular expression in Python's syntax, and return the matching lines with "
        "their paths and line numbers. Files that version control ignores are left out.",
        {
            "pattern": "the regular expression; write a backslash before characters that are meant as they are",
            "path": "file or folder to search, relative to the project folder; leave it out to search all of it",
            "glob": "search only files whose path matches this pattern, such as *.py",
            "ignore_case": "true to find upper and lower case alike",
        },
    ),
    "run_cmd": (
        "Run a shell command in the project folder and return what it prints and its exit code. It gets no input "
        "and has to end by itself: start no server and nothing in the background. What it may write and reach can "
        "be confined to the project.",
        {
            "command": "the command line, as a shell takes it",
            "timeout": "seconds after which the command is ended; leave it out for the usual limit",
        },
    ),
    "ask_user": (
        "Ask the person who set the goal, and wait for the answer. Use it only for what you can neither find out with "
        "the other tools nor sensibly decide yourself; the answer may be that there is none.",
        {"question": "the question, in a sentence or two that can be understood without having read your work"},
    ),
    "finish": (
        "Say that the goal is reached. Call it once everything is done and the last verdicts of linter and tests are "
        "green; if one is red you are told, and go on.",
        {"summary": "what was done, in a sentence or two, for the person who asked"},
    ),
}
"""By tool: its description, and those of its arguments."""


def fuller(name: str, description: str, parameters: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The description and the schema of a tool with every word spelled out; as they are where there is no more.

    A property keeps at most one key besides its type: some chat templates print several in random order.
    """
    words, arguments = FULLER.get(name, (description, {}))
    properties = {
        key: {"type": schema["type"], "description": arguments[key]} if key in arguments else schema
        for key, schema in parameters["properties"].items()
    }
    return words, {**parameters, "properties": properties}
