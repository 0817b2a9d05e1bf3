"""The routes: which path and method does what."""

from __future__ import annotations

import time
from typing import Any

from jetbox.sim import ask, catalog
from jetbox.sim.chat import Dropped, chat, timestamp
from jetbox.sim.http import ApiError, Connection, Disconnected, Request, encode
from jetbox.sim.scheduler import Runner
from jetbox.sim.stats import COUNTERS
from jetbox.sim.world import World

VERSION = "0.33.3"
ROUTES = {
    "/": "HEAD GET",
    "/api/chat": "POST",
    "/api/tags": "HEAD GET",
    "/api/show": "POST",
    "/api/ps": "GET",
    "/api/version": "HEAD GET",
    "/sim/stats": "GET",
    "/sim/release": "POST",
}
FOR_EVER = (2**63 - 1) / 1e9
"""Seconds that stand for ever in `expires_at`: Go's longest duration, 292 years."""


def serve_connection(world: World, connection: Connection) -> None:
    """Answer requests until either side closes."""
    try:
        while True:
            try:
                request = connection.read_request()
            except ApiError as error:
                world.stats.add(errors=1)
                connection.respond(error.status, encode({"error": error.message}))
                return
            if request is None:
                return
            world.stats.add(requests=1)
            if not _answer(world, connection, request) or not request.keep_open:
                return
    except Disconnected:
        return
    finally:
        connection.close()
        world.stats.add(bytes_in=connection.bytes_in, bytes_out=connection.bytes_out)


def _answer(world: World, connection: Connection, request: Request) -> bool:
    """Answer one request; false where the connection must end."""
    try:
        _dispatch(world, connection, request)
    except ApiError as error:
        world.stats.add(errors=1)
        connection.respond(error.status, encode({"error": error.message}))
    except Disconnected:
        world.stats.add(cancelled=int(request.path == "/api/chat"))
        return False
    except Dropped:
        return False
    except Exception as error:
        world.stats.last_error = f"{type(error).__name__}: {error}"
        world.stats.add(errors=1)
        if connection.streaming:
            return False
        connection.respond(500, encode({"error": f"embedded server: {world.stats.last_error}"}))
    return True


def _dispatch(world: World, connection: Connection, request: Request) -> None:
    path = request.path
    if path not in ROUTES:
        return connection.respond(404, b"404 page not found", "text/plain")
    methods = ROUTES[path].split()
    if request.method not in methods:
        return connection.respond(405, b"405 method not allowed", "text/plain", f"Allow: {', '.join(methods)}")
    if path == "/":
        return connection.respond(200, b"Ollama is running", "text/plain; charset=utf-8")
    if path == "/api/chat":
        return chat(world, connection, request.body)
    return connection.respond(200, encode(_reply(world, connection, request)))


def _reply(world: World, connection: Connection, request: Request) -> Any:
    match request.path:
        case "/api/tags":
            return {"models": [model.listing() for model in catalog.MODELS]}
        case "/api/show":
            return ask.shown(request.body).description()
        case "/api/ps":
            return {"models": [_running(runner) for runner in world.scheduler.loaded(connection.check)]}
        case "/sim/release":
            world.stats.release()
            return {}
        case "/sim/stats":
            return _stats(world, connection, request)
    return {"version": VERSION}


def _running(runner: Runner) -> dict[str, Any]:
    model = runner.model
    size = model.size + model.kv_bytes(runner.num_ctx)
    return {
        "name": model.name,
        "model": model.name,
        "size": size,
        "digest": model.digest,
        "details": model.details(),
        "expires_at": timestamp(min(runner.seconds_left(), FOR_EVER)),
        "size_vram": size,
        "context_length": runner.num_ctx,
    }


def _stats(world: World, connection: Connection, request: Request) -> dict[str, Any]:
    """The counters; `?cancelled=1&timeout=5` waits until a counter has reached a value."""
    query = request.query()
    try:
        limit = float(query.pop("timeout", "10"))
        least = {name: int(value) for name, value in query.items()}
    except ValueError as error:
        raise ApiError(400, f"not a number: {error}") from error
    if unknown := set(least) - set(COUNTERS):
        raise ApiError(400, f"no counter {', '.join(sorted(unknown))}; there are {', '.join(COUNTERS)}")
    deadline = time.monotonic() + limit
    while not world.stats.wait_for(least, min(0.1, max(0.0, deadline - time.monotonic()))):
        connection.check()
        if time.monotonic() >= deadline:
            break
    return world.stats.report(loads=world.scheduler.loads)
