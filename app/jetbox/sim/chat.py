"""`/api/chat`: a conversation in, an answer out; without messages the model is loaded or unloaded."""

from __future__ import annotations

import time
from typing import Any

from jetbox.sim import ask, prompt
from jetbox.sim.generation import Generation, Sink
from jetbox.sim.http import Connection, encode
from jetbox.sim.native import NativeSink, timestamp
from jetbox.sim.world import World


def chat(world: World, connection: Connection, body: bytes) -> None:
    """Answer a chat request."""
    asked = ask.parse(body, world.setup)
    if not asked.messages:
        message = {"role": "assistant", "content": ""}
        connection.respond(200, encode(load_or_unload(world, connection, asked, {"message": message})))
        return None
    sink = NativeSink(connection, asked, world.setup)
    if asked.debug:
        blocks = Generation(world, connection, asked, world.stats.next_number(), sink).rendered()
        head = {"model": asked.named, "created_at": timestamp(), "message": {"role": "", "content": ""}}
        reply = {**head, "done": False, "_debug_info": {"rendered_template": prompt.as_text(blocks)}}
        return connection.respond(200, encode(reply))
    return play(world, connection, asked, sink, body)


def play(world: World, connection: Connection, asked: ask.Asked, sink: Sink, body: bytes) -> None:
    """Let the model answer, and count it."""
    number = world.stats.chat(body, connection.received_at)
    Generation(world, connection, asked, number, sink).run()
    # By now the model is free, or unloaded, and here the figures stand too: what the client
    # asks once it has the last line finds them so.
    world.stats.answered(number, time.monotonic_ns())
    connection.flush()


def load_or_unload(world: World, connection: Connection, asked: ask.Asked, body: dict[str, Any]) -> dict[str, Any]:
    """Load the model, or unload it where it is to be kept for no time; the reply, with this in its middle."""
    reason = "load"
    if asked.keep_alive == 0:
        world.scheduler.unload(asked.model.weights)
        reason = "unload"
    else:
        load(world, connection, asked)
    return {"model": asked.named, "created_at": timestamp(), **body, "done": True, "done_reason": reason}


def load(world: World, connection: Connection, asked: ask.Asked, *, works: bool = False) -> int:
    """Have the model loaded, and where it `works`, wait for its turn: how long that took, in ns."""
    with world.scheduler.runner(
        asked.model,
        asked.launch,
        asked.keep_alive,
        load=lambda: world.load(asked.model, connection),
        still_there=connection.check,
        works=works,
    ) as served:
        return served.waited_ns
