"""A goal against what a real server answered, byte for byte: Ollama 0.24.0 with a model of a few words."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from jetbox.engine import events as e
from recorded import SaysAgain, recording
from stories.kit import Place


async def test_a_goal_that_a_real_server_brought_to_its_end(tmp_path: Path) -> None:
    said = recording("ollama-0.24.0-goal")
    async with SaysAgain(said) as server:
        place = Place(tmp_path, server.url)
        ended = await asyncio.to_thread(place.goal, "write a file", "--model", "recorded")
    assert (ended.code, ended.out) == (0, "It is written: a.py stands as it shall — «ü».\n")
    assert place.files() == {"a.py": "x = 1\n"}
    sent = [json.loads(body) for method, path, body in server.asked if path == "/api/chat"]
    assert [[message["role"] for message in body["messages"]] for body in sent] == [
        ["system", "user"],
        ["system", "user", "assistant", "tool"],
    ]
    told = [each.lines[-1]["prompt_eval_count"] for each in said if each.path == "/api/chat"]
    assert [each.metrics["prompt_eval_count"] for each in place.events(e.ModelAnswered)] == told
    assert [each.state for each in place.events(e.ToolEnded)] == ["ok", "ok"]
