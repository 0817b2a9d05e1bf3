"""One answer, from the queue over load, prompt and tokens to its end, whatever the protocol."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from jetbox.sim import answer, ask, faults, interference, logprobs, player, profiles, prompt
from jetbox.sim.http import ApiError, Connection
from jetbox.sim.scheduler import Runner, Served
from jetbox.sim.world import World

NUM_KEEP = 4
PROGRESS_TOKENS = 512
"""Tokens between two words about the progress of a prompt."""
SHIFT_LIMIT = 10
"""Windows that an answer may fill where the window slides on."""


class Dropped(Exception):
    """A fault ends the connection here."""


class End(NamedTuple):
    """How an answer ended."""

    reason: str
    """`stop` or `length`."""
    calls: tuple[dict[str, Any], ...]
    """Calls that go onto the last chunk."""
    metrics: dict[str, int]
    """Ollama's names; durations in nanoseconds."""
    cached: int
    """Tokens of the prompt that were in the cache."""
    called: bool
    """Calls were made."""


class Sink(Protocol):
    """A protocol's way of writing an answer. What writes may raise Disconnected."""

    def open(self) -> None:
        """Send the head of the stream, where there is one."""

    def emit(self, piece: answer.Piece, chances: list[dict[str, Any]]) -> None:
        """Write a piece, with what the model thought of its tokens."""

    def read(self, size: int, cached: int) -> None:
        """The prompt has been read: so many tokens, so many of them from the cache."""

    def progress(self, total: int, cached: int, processed: int, seconds: float) -> None:
        """So much of the prompt has been read."""

    def ping(self) -> None:
        """Write something that says nothing."""

    def garbage(self) -> None:
        """Write what cannot be read; may raise Dropped."""

    def fail(self, status: int, text: str) -> None:
        """Write an error into the running stream and end it; ApiError where nothing is out yet."""

    def end(self) -> None:
        """End the stream without a last line."""

    def finish(self, end: End) -> None:
        """Write the last line, or the whole answer, which is left to be flushed."""


class Generation:
    """One answer of a model."""

    def __init__(self, world: World, connection: Connection, asked: ask.Asked, number: int, sink: Sink) -> None:
        self._world = world
        self._connection = connection
        self._asked = asked
        self._number = number
        self._sink = sink
        self._due = [fault for fault in world.faults if fault.hits(number)]
        # Without latency the work alone is told: what else a busy machine does would look like a load.
        self._clock = time.monotonic_ns if world.speed else time.thread_time_ns
        self._begun = self._clock()
        self._chunks = 0

    def run(self) -> None:
        """Play it; the end is written but not flushed, and the model is free again."""
        self._early_faults()
        turn = player.next_turn(self._asked.messages, self._scripts(), alone=self._world.alone)
        if fault := self._world.step_fault(turn):
            self._due.append(fault)
            self._early_faults()
        self._change_request()
        twists = self._taken("answer")
        reply = answer.build(turn, self._asked, twists, version=self._world.setup.release)
        if text := self._world.failing(self._asked):
            reply = reply._replace(error=text)
        with self._runner() as served:
            end = self._generate(served, turn, reply, *self._fit(served.runner))
        self._world.stats.add(finished=1)
        self._sink.finish(end)

    def rendered(self) -> prompt.Blocks:
        """The prompt as it would be read; the model is loaded for it."""
        self._change_request()
        with self._runner() as served:
            return self._fit(served.runner)[0]

    def _scripts(self) -> Sequence[Any]:
        scripts = self._world.scripts()
        name = self._asked.model.name
        fitting = [script for script in scripts if not script.models or name in script.models] or scripts
        if any(_name_of(tool) == "plan" for tool in self._asked.tools):
            return fitting
        return [one._replace(steps=tuple(step for step in one.steps if not step.plans)) for one in fitting]

    def _runner(self) -> AbstractContextManager[Served]:
        asked = self._asked
        return self._world.scheduler.runner(
            asked.model, asked.launch, asked.keep_alive, load=self._load, still_there=self._connection.check
        )

    def _load(self) -> None:
        fault = self._has("oom")
        if fault and self._asked.launch["num_ctx"] > fault.number(0):
            self._world.stats.add(faults=1)
            raise ApiError(500, "llama runner process has terminated: cudaMalloc failed: out of memory")
        stuck = self._has("stuck") is not None
        self._world.load(self._asked.model, self._connection, self._factor(), stuck=stuck)

    def _early_faults(self) -> None:
        for fault in self._taken("before"):
            interference.early(self._world, self._connection, self._asked, fault)

    def _taken(self, stage: str) -> list[faults.Fault]:
        """The faults of a stage, which count as having happened."""
        taken = [fault for fault in self._due if fault.stage == stage]
        self._due = [fault for fault in self._due if fault.stage != stage]
        self._world.stats.add(faults=len(taken))
        return taken

    def _has(self, kind: str) -> faults.Fault | None:
        return faults.named(self._due, kind)

    def _factor(self) -> float:
        fault = self._has("slow")
        return fault.number(4) if fault else 1.0

    def _change_request(self) -> None:
        """What faults make of the request before it is rendered."""
        asked = self._asked
        if self._has("strict"):
            interference.check_strict(asked.messages)
        if self._has("shuffle"):
            asked = asked._replace(tools=prompt.shuffled(asked.tools, self._number))
        if fault := self._has("clip"):
            window = int(fault.number(4096))
            asked = asked._replace(truncate=True, fixed_window=False, launch={**asked.launch, "num_ctx": window})
        self._asked = asked

    def _fit(self, runner: Runner) -> tuple[prompt.Blocks, int]:
        """The rendered prompt and its number of tokens, cut as Ollama cuts where it is too long.

        A prompt that fills the window to the last token is too long: there is no room for an answer.
        """
        asked, limit = self._asked, runner.num_ctx
        how = {
            "thinking": "thinking" in asked.model.capabilities,
            "tools_last": self._has("go_template") is not None,
        }
        blocks = prompt.render(asked.messages, asked.tools, asked.think, **how)
        size = prompt.count(blocks)
        flavour = self._world.setup.flavour
        if (heavy := self._has("heavy")) and size > heavy.number(0):
            words = "CUDA error: out of memory while the prompt was read"
            raise ApiError(500, words, streamed=asked.stream)
        output = max(0, int(asked.options.get("num_predict") or 0))
        refusing = asked.fixed_window and flavour.overflow is not None
        if size < limit and not (refusing and flavour.bounds_output and output > limit):
            return blocks, size
        if refusing and flavour.overflow is not None:
            message, fields = flavour.overflow(size, limit, output)
            raise ApiError(400, message, **fields)
        older = self._world.setup.release < (0, 30)
        if not asked.truncate:
            words = "the input length exceeds the context length" if older else overflow(size, limit)
            raise ApiError(400, words, streamed=asked.stream)
        blocks, kept = prompt.cut_messages(asked.messages, limit, asked.tools, asked.think, **how)
        if self._has("no_user") and not any(message.get("role") == "user" for message in kept):
            raise ApiError(500, "no user query found in messages")
        size = prompt.count(blocks)
        if size >= limit:
            size = limit if older else limit - max((limit - NUM_KEEP) // 2, 1)
        return blocks, size

    def _generate(
        self, served: Served, turn: player.Turn, reply: answer.Answer, blocks: prompt.Blocks, size: int
    ) -> End:
        asked, world, runner = self._asked, self._world, served.runner
        if self._has("foreign_slot"):
            runner.cache.forget()
        cached = min(runner.cache.shared(blocks, checkpoints=self._has("checkpoints") is not None), size - 1)
        work = profiles.Work(turn.round, served.fresh, size, cached, _lost(blocks, cached), reply.tokens)
        timing = world.profile_of(asked.model).timing(work)
        factor = self._factor() * runner.slowdown
        self._connection.wait_until(time.monotonic() + world.pace(timing.overhead))
        evaluated_from = self._clock()
        waited = served.waited_ns if world.speed else 0  # no work
        metrics = {"load_duration": evaluated_from - self._begun - waited, "prompt_eval_count": size}
        self._read_prompt(size, cached, world.pace(timing.prompt * factor))
        runner.cache.read(blocks)
        self._sink.read(size, cached)
        decode_from = self._clock()
        interference.listen_again(self._connection, self._due)
        self._strike()
        limit = self._limit(runner.num_ctx, size, reply.limit)
        produced, reason, late = self._decode(reply, world.pace(timing.decode * factor), limit)
        if reason == "stop":
            runner.cache.wrote((*blocks, prompt.assistant_block(reply.content, reply.thinking, reply.calls)))
        now = self._clock()
        metrics |= {
            "prompt_eval_cached_count": cached,
            "prompt_eval_duration": decode_from - evaluated_from,
            "eval_count": produced,
            "eval_duration": now - decode_from,
        }
        self._strike(last=True)
        if reply.error:
            world.remember_failure(asked, reply.error)
            self._sink.fail(500, reply.error)
            raise Dropped
        if reply.unended:
            self._sink.end()
            raise Dropped
        ended = reply.reason if reason == "stop" else reason
        self._connection.deaf = False
        return End(ended, late, {"total_duration": now - self._begun, **metrics}, cached, bool(reply.calls))

    def _read_prompt(self, size: int, cached: int, seconds: float) -> None:
        """Take the time of the prompt; say how far it is where that is wanted."""
        started = time.monotonic()
        fresh = max(1, size - cached)
        ping = self._connection.ping
        if self._asked.progress:
            self._sink.progress(size, cached, cached, 0.0)
            for done in (*range(PROGRESS_TOKENS, fresh, PROGRESS_TOKENS), fresh):
                self._connection.wait_until(started + seconds * done / fresh)
                self._sink.progress(size, cached, cached + done, time.monotonic() - started)
        elif ping:
            for number in range(1, int(seconds / ping) + 1):
                self._sink.ping()
                self._connection.wait_until(started + number * ping)
            self._sink.ping()
        self._connection.wait_until(started + seconds)

    def _limit(self, window: int, size: int, own: int) -> int:
        slides = self._has("shift") or own or size >= window
        room = SHIFT_LIMIT * window if slides else window - size
        wanted = int(self._asked.options.get("num_predict") or -1)
        limit = max(1, room) if wanted < 0 else max(1, min(wanted, room))
        return min(limit, own) if own else limit

    def _decode(self, reply: answer.Answer, seconds: float, limit: int) -> tuple[int, str, tuple[dict[str, Any], ...]]:
        """Emit pieces at their time; how many tokens, why it ended, and the calls for the last chunk."""
        started = time.monotonic()
        a_token = seconds / max(1, reply.tokens)
        produced = 0
        late: list[dict[str, Any]] = []
        for piece in reply.pieces:
            if produced + piece.tokens > limit:
                self._connection.wait_until(started + limit * a_token)
                return limit, "length", tuple(late)
            produced += piece.tokens
            self._connection.wait_until(started + produced * a_token)
            if piece.late:
                late.extend(piece.calls)
            else:
                self._emit(piece, reply.confidence)
        return produced, "length" if 0 < reply.limit == produced else "stop", tuple(late)

    def _emit(self, piece: answer.Piece, confidence: float) -> None:
        asked = self._asked
        if piece.kind == "silent" and not (asked.logprobs and asked.model.rendered):
            return
        chances = logprobs.of(piece.text, confidence, asked.top_logprobs, self._chunks) if asked.logprobs else []
        self._sink.emit(piece, chances)
        self._chunks += 1
        self._strike()

    def _strike(self, *, last: bool = False) -> None:
        """Let the faults happen that are due after this many chunks, or before the last line."""
        for fault in [
            fault for fault in self._due if fault.stage == "stream" and (last or fault.chunks == self._chunks)
        ]:
            self._due.remove(fault)
            self._world.stats.add(faults=1)
            self._strike_one(fault)

    def _strike_one(self, fault: faults.Fault) -> None:
        if fault.kind == "stall":
            return self._stall()
        if fault.chunks:
            self._sink.open()
        if fault.kind == "garbage":
            return self._sink.garbage()
        if fault.kind == "error":
            self._sink.fail(500, fault.value or interference.TERMINATED)
        elif fault.kind == "no_done":
            self._sink.end()
        elif fault.kind == "die":
            self._connection.flush()
            os._exit(1)
        self._connection.flush()
        if fault.kind == "restart":
            self._world.restart(fault.number(0.2))
        raise Dropped

    def _stall(self) -> None:
        released = self._world.stats.releases  # whoever reads what is flushed may release this at once
        self._connection.flush()
        self._world.stall(self._connection, released)


def _lost(blocks: prompt.Blocks, cached: int) -> int:
    """Tokens up to the newest answer, which an append-only conversation finds in the cache."""
    newest = max((i for i, block in enumerate(blocks) if block.startswith("assistant\x1f")), default=-1)
    return max(0, prompt.count(blocks[: newest + 1]) - cached) if newest >= 0 else 0


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


def _name_of(tool: Any) -> str:
    function = tool.get("function") if isinstance(tool, dict) else None
    return str(function.get("name", "")) if isinstance(function, dict) else ""
