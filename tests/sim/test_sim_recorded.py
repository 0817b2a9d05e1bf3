"""The embedded server beside what a real one answered to the same: status, framing, fields in their order, words."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from recorded import Said, by_name
from scripted import WriteScript, call, finish, step
from sim.conftest import Client

SAID = by_name("ollama-0.24.0")
MODELS = {"recorded": "gpt-oss:20b", "plain": "gemma2:2b"}
"""Those that were recorded, and those of the embedded server that can do the same."""
ALONE = {
    "busy": "it stands in a queue",
    "show": "it tells of parameters and tensors too, in chunks",
    "a tool that was not offered": "another kind of parser, which leaves such a call out",
}


@pytest.fixture
def older(sim_server: Callable[..., Any], write_script: WriteScript) -> Client:
    """A server of that version whose model says the same."""
    write = call("write_file", path="a.py", content="x = 1\n")
    script = write_script(
        step(write, think="They want a small file.", text="I write it first."), finish(text="It is written.")
    )
    return Client(sim_server(version="0.24.0", scripts=[str(script)]))


def ours(said: Said) -> Any:
    """The request as it is for the embedded server."""
    if not isinstance(said.body, dict):
        return b""
    body = {**said.body, "model": MODELS.get(said.body.get("model", ""), said.body.get("model"))}
    if said.name == "too long":
        body["options"] = {"num_ctx": 256}  # its tokens are words, the others were bytes
    return {name: value for name, value in body.items() if value is not None}


def fields(value: Any) -> Any:
    """What there is, in its order, without what it says."""
    if isinstance(value, dict):
        return [(name, "" if name == "arguments" else fields(inner)) for name, inner in value.items()]
    if isinstance(value, list):
        return [fields(value[0])] if value else []
    return type(value).__name__


def shape(text: str) -> list[Any]:
    """The fields of each line; how many of one kind follow one another differs with the words."""
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.strip()]
    read = [json.loads(line) if line.startswith("{") else line for line in lines]
    return [kind for kind, _ in groupby(fields(each) if isinstance(each, dict) else each for each in read)]


@pytest.mark.parametrize("name", [name for name in SAID if name not in ALONE])
def test_it_answers_as_the_real_one_did(older: Client, name: str) -> None:
    said = SAID[name]
    if name in ("loaded", "unload"):
        older.send("POST", "/api/chat", ours(SAID["load"]))
    status, headers, data = older.send(said.method, said.path, ours(said))
    assert status == said.status
    for header in ("content-type", "transfer-encoding"):
        assert headers.get(header) == said.headers.get(header), header
    words = said.text
    for real, embedded in MODELS.items():
        words = words.replace(f"library/{real}:latest", f"library/{embedded}").replace(f'"{real}\\"', f'"{embedded}\\"')
    assert data.endswith(b"\n") == words.endswith("\n")
    if status >= 400:
        assert data.decode() == words
    else:
        assert shape(data.decode()) == shape(words)
