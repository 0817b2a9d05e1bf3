"""`/api/embed` and `/v1/embeddings`: vectors of texts, which lie close where the texts share words."""

from __future__ import annotations

import math
import re
import struct
import time
import zlib
from typing import Any, NamedTuple

from jetbox.sim import ask, catalog, fields, profiles, prompt
from jetbox.sim.chat import load
from jetbox.sim.durations import keep_alive_seconds
from jetbox.sim.http import ApiError, Connection
from jetbox.sim.world import World

WORD = re.compile(r"\w+")
PER_WORD = 8
"""Places of a vector that a word touches."""
OLDER_LACKING = 'model "{}" not found, try pulling it first'


class Embedded(NamedTuple):
    """Vectors, and what they cost."""

    vectors: list[list[float]]
    tokens: int
    load_ns: int
    total_ns: int


def embed(world: World, connection: Connection, body: bytes) -> dict[str, Any]:
    """The reply to an embed request."""
    data = ask.read_json(body, "EmbedRequest")
    fields.check_embed(data)
    texts = texts_of(data.get("input"))
    made = embedded(world, connection, data, texts, truncate=data.get("truncate") is not False)
    if not texts:
        return {"model": data["model"], "embeddings": []}
    return {
        "model": data["model"],
        "embeddings": made.vectors,
        "total_duration": made.total_ns,
        "load_duration": made.load_ns,
        "prompt_eval_count": made.tokens,
    }


def texts_of(value: Any) -> list[str]:
    """The texts of an input.

    Raises:
        ApiError: it is neither a text nor a list of texts.
    """
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ApiError(400, "invalid input type")
    return value


def embedded(
    world: World, connection: Connection, data: dict[str, Any], texts: list[str], *, truncate: bool
) -> Embedded:
    """Load the model, and make the vectors of the texts.

    Raises:
        ApiError: no such model, or a text that is too long and may not be cut.
    """
    begun = time.monotonic_ns()
    older = world.setup.release < (0, 30)
    model = ask.require_model(data.get("model"), world.setup.models, lacking=OLDER_LACKING if older else ask.LACKING)
    options = data.get("options") or {}
    fields.check_options(options)
    launch = ask.launch_options(
        model, options, None, model.context_length if model.embedding else world.setup.default_ctx
    )
    asked = ask.Asked(
        model, data["model"], [], [], None, False, truncate, options, launch, keep_alive_seconds(data.get("keep_alive"))
    )
    waited = load(world, connection, asked, works=True)
    loaded = time.monotonic_ns() - waited
    limit = launch["num_ctx"]
    sizes = [max(1, prompt.tokens(text)) for text in texts]
    if not truncate and any(size > limit for size in sizes):
        raise ApiError(400, "the input length exceeds the context length")
    cut = [text[: limit * prompt.CHARS_PER_TOKEN] for text in texts]
    tokens = sum(min(size, limit) for size in sizes)
    work = profiles.Work(2, False, tokens, 0, 0, 0)
    connection.wait_until(time.monotonic() + world.pace(world.profile_of(model).timing(work).prompt))
    width = int(data.get("dimensions") or 0)
    vectors = [vector(text, model, width) for text in cut]
    world.stats.add(embeds=1)
    return Embedded(vectors, tokens, loaded - begun, time.monotonic_ns() - begun)


def vector(text: str, model: catalog.Model, width: int = 0) -> list[float]:
    """A vector of length one: each word adds to places that depend on it alone."""
    size = model.embedding or 4096
    values = [0.0] * size
    for word in WORD.findall(text.lower()) or [text]:
        seed = zlib.crc32(word.encode())
        for n in range(PER_WORD):
            seed = zlib.crc32(struct.pack("<I", seed), n)
            values[seed % size] += 1.0 if seed & 0x8000_0000 else -1.0
    values = values[:width] if 0 < width < size else values
    norm = math.sqrt(sum(value * value for value in values)) or 1.0
    return [round(value / norm, 8) for value in values]
