"""`/api/pull` and `/api/delete`: models that the server knows of come and go."""

from __future__ import annotations

import time
from typing import Any

from jetbox.sim import ask, catalog, fields
from jetbox.sim.http import ApiError, Connection, encode
from jetbox.sim.world import World

BYTES_PER_SECOND = 100_000_000
STEPS = 20
"""Words about the progress of one model."""
UNKNOWN = "pull model manifest: file does not exist"


def pull(world: World, connection: Connection, body: bytes) -> None:
    """Fetch a model, with words about the progress unless a whole reply is asked for.

    Raises:
        ApiError: 500, nobody has the model and nothing was streamed.
    """
    data = ask.read_json(body, "PullRequest")
    name = _named(data, "PullRequest")
    stream = data.get("stream") is not False
    model = catalog.find(name, (*catalog.MODELS, *catalog.MORE))
    if stream:
        connection.send_line(encode({"status": "pulling manifest"}))
    if model is None:
        if not stream:
            raise ApiError(500, UNKNOWN)
        connection.send_line(encode({"error": UNKNOWN}))
        return connection.end_stream()
    layer = {"status": f"pulling {model.digest[:12]}", "digest": f"sha256:{model.digest}", "total": model.size}
    for step in range(1, STEPS + 1):
        connection.wait_until(time.monotonic() + world.pace(model.size / BYTES_PER_SECOND / STEPS))
        if stream:
            connection.send_line(encode({**layer, "completed": model.size * step // STEPS}))
    world.install(model)
    if not stream:
        return connection.respond(200, encode({"status": "success"}))
    for status in ("verifying sha256 digest", "writing manifest", "success"):
        connection.send_line(encode({"status": status}))
    return connection.end_stream()


def delete(world: World, connection: Connection, body: bytes) -> None:
    """Remove a model.

    Raises:
        ApiError: 404, it is not there.
    """
    name = _named(ask.read_json(body, "DeleteRequest"), "DeleteRequest")
    world.remove(ask.require_model(name, world.setup.models))
    connection.respond(200, b"")


def _named(data: dict[str, Any], struct: str) -> str:
    for key in ("model", "name"):
        fields.check_text(data, key, struct)
    name = data.get("model") or data.get("name")
    if not name or not ask.NAME.fullmatch(name):
        raise ApiError(400, "invalid model name" if name else "model is required")
    return str(name)
