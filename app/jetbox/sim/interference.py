"""Faults that happen before a model is asked: refusals, delays, other clients, losses of memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from jetbox.sim import ask, catalog, faults
from jetbox.sim.http import ApiError, Connection, Page
from jetbox.sim.scheduler import BUSY
from jetbox.sim.world import World

TERMINATED = "llama runner process has terminated: scripted fault"
WORDS = {
    401: "unauthorized",
    403: "ollama cloud is disabled: remote model details are unavailable",
    429: "you've reached your usage limit, please try again later",
    499: "request cancelled",
    502: "could not reach ollama.com",
    503: BUSY,
    504: "upstream request timeout",
}
CONTEXT_WORDS = "llama-server: failed to create context with model: context deadline exceeded"
PAGE = b"<html>\r\n<head><title>%d</title></head>\r\n<body><center><h1>%d</h1></center><hr>nginx</body>\r\n</html>\r\n"


def early(world: World, connection: Connection, asked: ask.Asked, fault: faults.Fault) -> None:
    """Let a fault happen before the model is asked.

    Raises:
        ApiError, Page: the fault is a refusal.
    """
    refuse(fault, streamed=asked.stream)
    match fault.kind:
        case "slow_headers":
            connection.wait_until(time.monotonic() + fault.number(1))
        case "hang":
            world.hang()
            world.hold(connection)
        case "deaf":
            connection.deaf = True
            connection.deaf_until = fault.value
        case "dribble":
            connection.dribble = max(1, int(fault.number(7)))
        case "ping":
            connection.ping = fault.number(0.05)
        case "expire":
            world.scheduler.drop(asked.model.weights)
        case "evict":
            world.scheduler.drop_all()
            other = next(model for model in catalog.MODELS if model.name != asked.model.name)
            other_client(world, connection, other, 4096)
        case "other_client":
            other_client(world, connection, asked.model, int(fault.number(2048)))


def refuse(fault: faults.Fault, *, streamed: bool = False) -> None:
    """Raise what a refusing fault stands for; what the model's runner says comes in a stream's place."""
    match fault.kind:
        case "busy":
            raise ApiError(503, BUSY)
        case "status":
            code = int(fault.value)
            more: dict[str, Any] = {"signin_url": "https://ollama.com/connect?name=scripted"} if code == 401 else {}
            raise ApiError(code, WORDS.get(code, f"scripted fault: status {code}"), **more)
        case "limited":
            wait = f"{fault.number(1):g}"
            raise ApiError(429, WORDS[429], headers=(f"Retry-After: {wait}",))
        case "html":
            code = int(fault.number(502))
            raise Page(code, PAGE % (code, code))
        case "error":
            raise ApiError(500, fault.value or TERMINATED, streamed=streamed)
        case "context_words":
            raise ApiError(500, CONTEXT_WORDS)


def other_client(world: World, connection: Connection, model: catalog.Model, num_ctx: int) -> None:
    """Another client has the model loaded with that window, and with options of its own."""
    launch = ask.launch_options(model, {"num_ctx": num_ctx}, None, num_ctx)
    with world.scheduler.runner(model, launch, None, load=lambda: None, still_there=connection.check) as served:
        served.runner.cache.forget()


def listen_again(connection: Connection, due: Sequence[faults.Fault]) -> None:
    """From here on a client that has gone is noticed, unless it is to be noticed at the end alone."""
    if connection.deaf and connection.deaf_until == "prompt":
        connection.deaf = False
        connection.check()


def check_strict(messages: list[dict[str, Any]]) -> None:
    """Refuse calls in the history that have keys beyond the standard ones.

    Raises:
        ApiError: 422, there is such a key.
    """
    for at, message in enumerate(messages):
        for number, call in enumerate(message.get("tool_calls") or ()):
            place = f"messages[{at}].tool_calls[{number}]"
            extra = set(call) - {"id", "type", "function"}
            inner = set(call.get("function") or {}) - {"name", "arguments"}
            if extra or inner:
                name = min(extra) if extra else f"function.{min(inner)}"
                raise ApiError(422, f"{place}.{name}: Extra inputs are not permitted")
