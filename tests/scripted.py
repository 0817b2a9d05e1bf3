"""Scripted models written by a test: steps as Python values, a TOML file for the embedded server."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

WriteScript = Callable[..., Path]
Step = dict[str, Any]


def call(tool: str, /, **arguments: Any) -> tuple[str, dict[str, Any]]:
    """A tool call of a step."""
    return tool, arguments


def step(*calls: tuple[str, dict[str, Any]], text: str = "", think: str = "", **more: Any) -> Step:
    """An answer of the model; `more` are the other keys of a step."""
    return {"text": text, "think": think, "calls": calls, **more}


def finish(summary: str = "All done.", **more: Any) -> Step:
    """The model says that it is done."""
    return step(call("finish", summary=summary), **more)


def toml(value: Any) -> str:
    """A value as TOML; JSON's strings, numbers and lists are the same there."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def script_text(steps: tuple[Step, ...], *, name: str, match: str, calls: str) -> str:
    """The whole file."""
    lines = ["[script]", f"name = {toml(name)}", f"match = {toml(match)}", "", "[model]", f"calls = {toml(calls)}"]
    for each in steps:
        lines += ["", "[[step]]"]
        lines += [f"{key.strip('_')} = {toml(value)}" for key, value in each.items() if key != "calls" and value != ""]
        for tool, arguments in each["calls"]:
            lines += ["[[step.call]]", f"name = {toml(tool)}", f"arguments = {toml(arguments)}"]
    return "\n".join(lines) + "\n"


@pytest.fixture
def write_script(tmp_path_factory: pytest.TempPathFactory) -> WriteScript:
    """Writes a scripted model that answers any goal with these steps; its calls come each in a chunk."""
    folder = tmp_path_factory.mktemp("scripts")

    def write(*steps: Step, name: str = "scripted", match: str = ".", calls: str = "chunk") -> Path:
        path = folder / f"{name}-{len(list(folder.iterdir()))}.toml"
        path.write_text(script_text(steps, name=name, match=match, calls=calls), encoding="utf-8")
        return path

    return write
