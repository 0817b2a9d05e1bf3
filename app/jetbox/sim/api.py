"""The routes: which path and method does what, and how errors are worded."""

from __future__ import annotations

import json
import time
from typing import Any

from jetbox.sim import ask, interference, openai
from jetbox.sim.chat import chat
from jetbox.sim.embed import embed
from jetbox.sim.generate import generate
from jetbox.sim.generation import Dropped
from jetbox.sim.http import ApiError, Connection, Disconnected, Page, Request, encode
from jetbox.sim.native import timestamp
from jetbox.sim.pull import delete, pull
from jetbox.sim.scheduler import Runner
from jetbox.sim.setup import Setup
from jetbox.sim.stats import COUNTERS
from jetbox.sim.world import World

OLLAMA = {
    "/": "HEAD GET",
    "/api/chat": "POST",
    "/api/generate": "POST",
    "/api/embed": "POST",
    "/api/pull": "POST",
    "/api/delete": "DELETE",
    "/api/tags": "HEAD GET",
    "/api/show": "POST",
    "/api/ps": "GET",
    "/api/version": "HEAD GET",
}
CONTROL = {"/sim/stats": "GET", "/sim/release": "POST", "/sim/other": "POST"}
ANSWERS = {"/api/chat": chat, "/api/generate": generate, "/v1/chat/completions": openai.complete}
"""What makes a model answer."""
WRITERS = {**ANSWERS, "/api/pull": pull, "/api/delete": delete}
"""What writes its reply itself."""
PLAIN = "text/plain"
FOR_EVER = (2**63 - 1) / 1e9
"""Seconds that stand for ever in `expires_at`: Go's longest duration, 292 years."""


def serve_connection(world: World, connection: Connection) -> None:
    """Answer requests until either side closes."""
    world.met(connection)
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
        world.left(connection)
        world.stats.add(bytes_in=connection.bytes_in, bytes_out=connection.bytes_out)


def routes(setup: Setup) -> dict[str, str]:
    """The paths that this server has, and their methods."""
    own = OLLAMA if setup.flavour.name == "ollama" else openai.OWN[setup.flavour.name]
    return {**own, **openai.COMMON, **CONTROL}


def _answer(world: World, connection: Connection, request: Request) -> bool:
    """Answer one request; false where the connection must end."""
    try:
        _dispatch(world, connection, request)
    except ApiError as error:
        world.stats.add(errors=1)
        connection.deaf = False
        flavour = world.setup.flavour
        streamed = error.streamed and flavour.streams_errors
        body, kind = flavour.reply(request.path, _error(world.setup, request.path, error), streamed=streamed)
        connection.respond(error.status, body, kind, more=error.headers, chunked=streamed)
    except Page as page:
        world.stats.add(errors=1)
        connection.respond(page.status, page.body, "text/html")
    except Disconnected:
        world.stats.add(cancelled=int(request.path in ANSWERS))
        return False
    except Dropped:
        return False
    except Exception as error:
        # A fault of a script or of ours is an answer too: the next request finds the server at work.
        world.stats.last_error = f"{type(error).__name__}: {error}"
        world.stats.add(errors=1)
        if connection.streaming:
            return False
        connection.respond(500, encode({"error": f"embedded server: {world.stats.last_error}"}))
    return True


def _error(setup: Setup, path: str, error: ApiError) -> Any:
    """An error in the words of the protocol that was spoken."""
    if path.startswith("/v1/") or setup.flavour.name != "ollama":
        return setup.flavour.error(error.status, error.message, error.fields)
    return {"error": error.message, **error.fields}


def _dispatch(world: World, connection: Connection, request: Request) -> None:
    path, setup = request.path, world.setup
    if path not in CONTROL:
        world.hold(connection)
        _check_key(setup, request)
    known = routes(setup)
    methods = known.get(path, "GET" if path.startswith("/v1/models/") else "").split()
    if not methods:
        return _missing(setup, connection, request)
    if request.method not in methods:
        allow = f"Allow: {', '.join(methods)}"
        return connection.respond(405, b"405 method not allowed", PLAIN, more=(allow,))
    if path == "/":
        return connection.respond(200, b"Ollama is running", f"{PLAIN}; charset=utf-8")
    if path in WRITERS:
        return WRITERS[path](world, connection, request.body)
    return connection.respond(200, *setup.flavour.reply(path, _reply(world, connection, request)))


def _check_key(setup: Setup, request: Request) -> None:
    """Refuse a request that has no key where one is needed.

    Raises:
        ApiError: 401.
    """
    if setup.api_key and request.path not in setup.flavour.public:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or key.strip() != setup.api_key:
            raise ApiError(401, "unauthorized" if setup.flavour.name == "ollama" else "Invalid API Key")


def _missing(setup: Setup, connection: Connection, request: Request) -> None:
    """Say that there is no such path; LM Studio says it with status 200."""
    if setup.flavour.missing is None:
        return connection.respond(404, b"404 page not found", PLAIN)
    reply = setup.flavour.reply(request.path, setup.flavour.missing(request.method, request.path))
    return connection.respond(200 if setup.flavour.name == "lmstudio" else 404, *reply)


def _reply(world: World, connection: Connection, request: Request) -> Any:
    setup = world.setup
    match request.path:
        case "/api/tags":
            return {"models": [model.listing(setup.release) for model in setup.models]}
        case "/api/show":
            return ask.shown(request.body, setup).description(setup.release)
        case "/api/ps":
            waits = setup.release >= (0, 30)
            return {"models": [_running(runner) for runner in world.scheduler.loaded(connection.check, waits=waits)]}
        case "/api/embed":
            return embed(world, connection, request.body)
        case "/api/version":
            return {"version": setup.version}
        case "/sim/release":
            world.stats.release()
            return {}
        case "/sim/other":
            return _other(world, connection, request.body)
        case "/sim/stats":
            return _stats(world, connection, request)
    return openai.reply(world, connection, request)


def _running(runner: Runner) -> dict[str, Any]:
    model = runner.model
    return {
        "name": model.name,
        "model": model.name,
        "size": runner.size,
        "digest": model.digest,
        "details": model.details(),
        "expires_at": timestamp(min(runner.seconds_left(), FOR_EVER)),
        "size_vram": runner.size_vram,
        "context_length": runner.num_ctx,
    }


def _other(world: World, connection: Connection, body: bytes) -> dict[str, Any]:
    """What another client does: `{"model": …, "num_ctx": …}` loads, `{"model": …, "unload": true}` unloads."""
    data = json.loads(body or b"{}")
    model = ask.require_model(data.get("model"), world.setup.models)
    if data.get("unload"):
        world.scheduler.unload(model.weights)
    else:
        interference.other_client(world, connection, model, int(data.get("num_ctx") or world.setup.default_ctx))
    return {}


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
