"""`/api/generate`: a prompt in, a text out; an empty prompt loads or unloads the model."""

from __future__ import annotations

import zlib
from typing import Any

from jetbox.sim import answer, ask, fields
from jetbox.sim.chat import load_or_unload, play
from jetbox.sim.http import ApiError, Connection, encode
from jetbox.sim.native import NativeSink
from jetbox.sim.world import World

VOCABULARY = 200_000
"""Numbers that stand for tokens in `context`."""


def generate(world: World, connection: Connection, body: bytes) -> None:
    """Answer a generate request."""
    data = ask.read_json(body, "GenerateRequest")
    fields.check_generate(data)
    prompt, raw = data.get("prompt") or "", data.get("raw") is True
    earlier = data.get("context") or []
    if raw and (data.get("template") or data.get("system") or earlier):
        raise ApiError(400, "raw mode does not support template, system, or context")
    messages = [{"role": "user", "content": prompt}]
    if earlier:
        messages.insert(0, {"role": "context", "content": " ".join(str(number) for number in earlier)})
    if data.get("system"):
        messages.insert(0, {"role": "system", "content": data["system"]})
    asked = ask.asked(data, world.setup, messages, "generate")._replace(tools=[])
    if data.get("suffix") and "insert" not in asked.model.capabilities:
        raise ApiError(400, f"registry.ollama.ai/library/{asked.model.name} does not support insert")
    if not prompt and not data.get("suffix"):
        connection.respond(200, encode(load_or_unload(world, connection, asked, {"response": ""})))
        return
    tokens = [*earlier, *numbers(prompt)]
    extra = None if raw else lambda text: {"context": [*tokens, *numbers(text)]}
    play(world, connection, asked, NativeSink(connection, asked, world.setup, response_body, extra), body)


def numbers(text: str) -> list[int]:
    """Numbers that stand for the tokens of a text."""
    return [zlib.crc32(piece.encode()) % VOCABULARY for piece in answer.split(text)]


def response_body(message: dict[str, Any]) -> dict[str, Any]:
    """A message as `/api/generate` words it."""
    thinking = {"thinking": message["thinking"]} if message.get("thinking") else {}
    return {"response": message["content"], **thinking}
