"""`/api/chat`: from a request to a paced stream of chunks."""

from __future__ import annotations

import json
import os
import time
from contextlib import AbstractContextManager
from typing import Any

from jetbox.sim import answer, ask, faults, player, profiles, prompt
from jetbox.sim.http import ApiError, Connection, Disconnected, encode
from jetbox.sim.scheduler import Runner
from jetbox.sim.world import World

NUM_KEEP = 4
CACHED = "prompt_eval_cached_count"
"""The one figure that is sent where it is zero: its absence means that the server does not know."""


class Dropped(Exception):
    """A fault ends the connection here."""


def chat(world: World, connection: Connection, body: bytes) -> None:
    """Answer a chat request."""
    asked = ask.parse(body, world.default_ctx)
    if not asked.messages:
        connection.respond(200, encode(_load_or_unload(world, connection, asked)))
        return
    number = world.stats.chat(body, connection.received_at)
    due = [fault for fault in world.faults if fault.hits(number)]
    Exchange(world, connection, asked, due).run()
    # By now the model is free, or unloaded, and here the figures stand too: what the client
    # asks once it has the last line finds them so.
    world.stats.answered(number, time.monotonic_ns())
    connection.flush()


def _load_or_unload(world: World, connection: Connection, asked: ask.Asked) -> dict[str, Any]:
    reason = "load"
    if asked.keep_alive == 0:
        world.scheduler.unload(asked.model.name)
        reason = "unload"
    else:
        with _runner(world, connection, asked):
            pass
    message = {"role": "assistant", "content": ""}
    line = {"model": asked.named, "created_at": timestamp(), "message": message, "done": True}
    return {**line, "done_reason": reason}


def _runner(world: World, connection: Connection, asked: ask.Asked) -> AbstractContextManager[tuple[Runner, bool]]:
    return world.scheduler.runner(
        asked.model,
        asked.launch,
        asked.keep_alive,
        load=lambda: world.load(asked.model, connection),
        still_there=connection.check,
    )


def timestamp(seconds_ahead: float = 0.0) -> str:
    """The time as Go prints it, so many seconds from now."""
    seconds, nanoseconds = divmod(time.time_ns() + int(seconds_ahead * 1e9), 1_000_000_000)
    head = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{head}{fraction}Z"


class Exchange:
    """One chat request that has messages, from the queue to the last chunk, which is left to be flushed."""

    def __init__(self, world: World, connection: Connection, asked: ask.Asked, due: list[faults.Fault]) -> None:
        self._world = world
        self._connection = connection
        self._asked = asked
        self._due = due
        self._begun = time.monotonic_ns()
        self._chunks = 0
        self._lines: list[dict[str, Any]] = []

    def run(self) -> None:
        """Play it; the last line is written but not flushed, and the model is free again."""
        self._early_faults()
        asked, world = self._asked, self._world
        turn = player.next_turn(asked.messages, world.scripts(), alone=world.alone)
        if fault := world.step_fault(turn):
            self._due.append(fault)
            self._early_faults()
        reply = answer.build(turn, len(asked.messages), thinking=asked.thinking, tools=bool(asked.tools))
        with _runner(world, self._connection, asked) as (runner, fresh):
            blocks, kept = self._fit(runner)
            last = encode(self._generate(runner, turn, reply, blocks, kept, fresh=fresh))
        world.stats.add(finished=1)
        if asked.stream:
            self._connection.send_line(last)
            self._connection.end_stream(flush=False)
        else:
            self._connection.respond(200, last, flush=False)

    def _early_faults(self) -> None:
        for fault in list(self._due):
            if fault.kind in ("busy", "status", "slow_headers") or (fault.kind == "error" and fault.chunks == 0):
                self._due.remove(fault)
                self._world.stats.add(faults=1)
            if fault.kind == "busy":
                raise ApiError(503, "server busy, please try again.  maximum pending requests exceeded")
            if fault.kind == "status":
                raise ApiError(int(fault.value or 500), f"scripted fault: status {fault.value or 500}")
            if fault.kind == "error" and fault.chunks == 0:
                raise ApiError(500, _error_text(fault))
            if fault.kind == "slow_headers":
                self._connection.wait_until(time.monotonic() + fault.number(1))

    def _fit(self, runner: Runner) -> tuple[prompt.Blocks, int]:
        """The rendered prompt and its number of tokens, cut as Ollama cuts where it is too long.

        A prompt that fills the window to the last token is too long: there is no room for an answer.
        """
        asked, limit = self._asked, runner.num_ctx
        thinking = "thinking" in asked.model.capabilities
        blocks = prompt.render(asked.messages, asked.tools, asked.think, thinking=thinking)
        size = prompt.count(blocks)
        if size < limit:
            return blocks, size
        if not asked.truncate:
            raise ApiError(400, overflow(size, limit))
        blocks = prompt.cut_messages(asked.messages, limit, asked.tools, asked.think, thinking=thinking)
        size = prompt.count(blocks)
        if size >= limit:
            size = limit - max((limit - NUM_KEEP) // 2, 1)
        return blocks, size

    def _generate(
        self,
        runner: Runner,
        turn: player.Turn,
        reply: answer.Answer,
        blocks: prompt.Blocks,
        size: int,
        *,
        fresh: bool,
    ) -> dict[str, Any]:
        asked, world = self._asked, self._world
        cached = min(prompt.shared_tokens(runner.slot, blocks), size - 1)
        work = profiles.Work(turn.round, fresh, size, cached, self._lost(blocks, cached), reply.tokens)
        timing = world.profile_of(asked.model).timing(work)
        self._connection.wait_until(time.monotonic() + world.pace(timing.overhead))
        evaluated_from = time.monotonic_ns()
        metrics = {"load_duration": evaluated_from - self._begun, "prompt_eval_count": size}
        self._connection.wait_until(time.monotonic() + world.pace(timing.prompt))
        runner.slot = blocks
        decode_from = time.monotonic_ns()
        self._strike()
        limit = self._limit(runner.num_ctx - size)
        produced, reason, late_calls = self._decode(reply, world.pace(timing.decode), limit, turn.script.calls)
        if reason == "stop":
            runner.slot = (*blocks, prompt.assistant_block(reply.content, reply.thinking, reply.calls))
        now = time.monotonic_ns()
        metrics |= {
            CACHED: cached,
            "prompt_eval_duration": decode_from - evaluated_from,
            "eval_count": produced,
            "eval_duration": now - decode_from,
        }
        return self._last_line(late_calls, reason, {"total_duration": now - self._begun, **metrics})

    def _lost(self, blocks: prompt.Blocks, cached: int) -> int:
        """Tokens up to the newest answer, which an append-only conversation finds in the cache."""
        newest = max((i for i, block in enumerate(blocks) if block.startswith("assistant\x1f")), default=-1)
        return max(0, prompt.count(blocks[: newest + 1]) - cached) if newest >= 0 else 0

    def _limit(self, room: int) -> int:
        wanted = int(self._asked.options.get("num_predict") or -1)
        return max(1, room) if wanted < 0 else max(1, min(wanted, room))

    def _decode(
        self, reply: answer.Answer, seconds: float, limit: int, script_calls: str
    ) -> tuple[int, str, list[dict[str, Any]]]:
        """Emit pieces at their time; how many tokens, why it ended, and the calls for the last chunk."""
        at_end = (script_calls or self._asked.model.calls) == "done"
        started = time.monotonic()
        a_token = seconds / max(1, reply.tokens)
        produced = 0
        late: list[dict[str, Any]] = []
        for piece in reply.pieces:
            if produced + piece.tokens > limit:
                self._connection.wait_until(started + limit * a_token)
                return limit, "length", late
            produced += piece.tokens
            self._connection.wait_until(started + produced * a_token)
            if piece.call is None:
                self._emit({"role": "assistant", **_said(piece)})
            elif at_end:
                late.append(piece.call)
            else:
                self._emit({"role": "assistant", "content": "", "tool_calls": [piece.call]})
        return produced, "stop", late

    def _emit(self, message: dict[str, Any]) -> None:
        line = {"model": self._asked.named, "created_at": timestamp(), "message": message, "done": False}
        if self._asked.stream:
            self._connection.send_line(encode(line))
        else:
            self._lines.append(message)
        self._chunks += 1
        self._strike()

    def _strike(self, *, last: bool = False) -> None:
        """Let the faults happen that are due after this many chunks, or before the last line."""
        for fault in [fault for fault in self._due if last or fault.chunks == self._chunks]:
            self._due.remove(fault)
            self._world.stats.add(faults=1)
            self._strike_one(fault)

    def _strike_one(self, fault: faults.Fault) -> None:
        connection = self._connection
        if fault.kind == "stall":
            return self._stall()
        if self._asked.stream and fault.chunks:
            connection.start_stream()
        if fault.kind == "garbage":
            if self._asked.stream:
                return connection.send_line(b'{"model": <garbage>, "messa')
            connection.respond(200, b'{"model": <garbage>, "messa')
            raise Dropped
        if fault.kind == "error":
            if not connection.streaming:
                raise ApiError(500, _error_text(fault))
            connection.send_line(encode({"error": _error_text(fault)}))
            connection.end_stream()
        elif fault.kind == "no_done":
            connection.end_stream()
        elif fault.kind == "die":
            connection.flush()
            os._exit(1)
        connection.flush()
        raise Dropped

    def _stall(self) -> None:
        stats = self._world.stats
        released = stats.releases
        self._connection.flush()
        stats.add(stalled=1)
        try:
            while stats.releases == released:
                if self._connection.gone(0.02):
                    raise Disconnected
        finally:
            stats.add(stalled=-1)

    def _last_line(self, calls: list[dict[str, Any]], reason: str, metrics: dict[str, int]) -> dict[str, Any]:
        self._strike(last=True)
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        if not self._asked.stream:
            message = _joined(self._lines)
            calls = message.get("tool_calls", []) + calls
        if calls:
            message["tool_calls"] = calls
        line = {"model": self._asked.named, "created_at": timestamp(), "message": message, "done": True}
        ends = {"done_reason": reason, **{n: value for n, value in metrics.items() if value or n == CACHED}}
        return {**line, **ends}


def overflow(size: int, limit: int) -> str:
    """llama-server's words about a prompt that does not fit, which Ollama passes on as a text."""
    inner = {
        "code": 400,
        "message": f"request ({size} tokens) exceeds the available context size ({limit} tokens), try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": size,
        "n_ctx": limit,
    }
    return json.dumps({"error": inner}, separators=(",", ":"))


def _said(piece: answer.Piece) -> dict[str, Any]:
    return {"content": piece.text} if piece.kind == "content" else {"content": "", "thinking": piece.text}


def _joined(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """All chunks of an answer as one message."""
    whole: dict[str, Any] = {"role": "assistant", "content": "".join(m["content"] for m in messages)}
    if thinking := "".join(m.get("thinking", "") for m in messages):
        whole["thinking"] = thinking
    if calls := [call for m in messages for call in m.get("tool_calls", ())]:
        whole["tool_calls"] = calls
    return whole


def _error_text(fault: faults.Fault) -> str:
    return fault.value or "llama runner process has terminated: scripted fault"
