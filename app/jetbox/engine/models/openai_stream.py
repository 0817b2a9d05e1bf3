"""An answer as servers with OpenAI's protocol stream it: its events, into chunks.

A call's arguments come in pieces: a call is handed on when it is whole, and told of as soon as its
arguments are, one by one.
"""

from __future__ import annotations

import re
from contextlib import suppress

import msgspec

from jetbox.engine.errors import BadAnswer
from jetbox.engine.models.base import CACHED, Call, CallFunction, Chunk, Coming, Reading
from jetbox.engine.models.entries import entry
from jetbox.engine.models.members import Members
from jetbox.engine.models.mendlines import LONGEST, UNREADABLE, decoded
from jetbox.engine.models.openai_lines import CallPiece, Delta, Function, Line, decode_line
from jetbox.engine.safety.terminal import visible

ABORTED = "see the server's log; go on with --continue"
FAILURES = re.compile(
    "abort|cancel|disconnect|error|fail|insufficient|interrupt|overload|timed?.?out|unavailable|unload"
)
"""In the reason for an end that is none: `abort` of vLLM and SGLang, `error` of gateways,
`insufficient_system_resource` of DeepSeek. What is not known ends an answer like any other word."""
MEANT = {
    "tool_calls": "stop",
    "function_call": "stop",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "context_length": "length",
    "context_length_exceeded": "length",
    "model_context_window_exceeded": "length",
    "content_filtered": "content_filter",
    "safety": "content_filter",
    "sensitive": "content_filter",
}
"""What reasons mean that have another word elsewhere."""
WORD = 40
"""Characters of a reason that are told."""


class Stream:
    """Server-sent events of one answer, into chunks."""

    def __init__(self) -> None:
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        """Id, name and pieces of arguments of the calls that are not whole yet, by their index."""
        self._next = 0
        """An index that no call of the answer has had."""
        self._latest = -1
        """The index of the piece that came last."""
        self._single = False
        """The call is one of the protocol's older form."""
        self._members: dict[int, Members] = {}
        """What of their arguments is whole."""
        self._begun: list[bytes] = []
        """The lines of an event of which the first is not the whole."""
        self._size = 0
        """Bytes of them."""
        self._reason = ""
        self._metrics: dict[str, int] = {}
        self.finished = False

    @property
    def said_why(self) -> bool:
        """Why the answer ends has been said: it is whole, whatever follows."""
        return bool(self._reason)

    def feed(self, line: bytes) -> list[Chunk]:
        """Take one line; an empty one ends an event, comments and other fields than `data` say nothing.

        Raises:
            BadAnswer: an event cannot be read, or is an error.
        """
        if self.finished:
            return []
        if not line:
            return self._joined()
        if line.startswith(b"<") and not self._reason:
            raise _garbage(line)  # which fields of events are passed over, a page is not
        data = line[5:].strip() if line.startswith(b"data:") else b""
        if line.startswith(b"error:") and (said := line[6:].strip()):  # so did llama.cpp's server
            data = b'{"error":' + said + b"}"
        if data == b"[DONE]":
            return self.end()
        if not data:
            return []
        read = _event(data) if not self._begun else None
        if read is not None:
            return self._told(read)
        self._begun.append(data)
        self._size += len(data)
        if self._size > LONGEST:
            raise _garbage(self._begun[0])
        return []

    def _joined(self, *, cut: bool = False) -> list[Chunk]:
        """What an event in several lines says, now that it has ended; one that was `cut` may say nothing."""
        begun, self._begun, self._size = b"".join(self._begun), [], 0
        read = _event(begun) if begun else None
        if read is not None:
            return self._told(read)
        if begun and not cut:
            raise _garbage(begun)
        return []

    def _told(self, read: Line) -> list[Chunk]:
        if read.error or (read.error is not None and not read.choices):
            from jetbox.engine.models.refusals import reported_by_openai

            raise reported_by_openai(read.error)
        self._count(read)
        chunks: list[Chunk] = []
        if told := read.prompt_progress:
            spent = int(told.time_ms * 1e6)
            chunks.append(Chunk(reading=Reading(told.total, told.processed, told.cache, spent)))
        for choice in read.choices or ():
            delta = choice.delta or choice.message
            if delta is not None:
                chunks += self._delta(delta)
            if choice.logprobs is not None and choice.logprobs.content:
                chunks.append(
                    Chunk(logprobs=tuple(each.logprob for each in choice.logprobs.content if each.logprob is not None))
                )
            if why := choice.finish_reason:
                if FAILURES.search(why.lower()):
                    raise BadAnswer(f"the server broke the answer off ({visible(why[:WORD])})", ABORTED)
                self._reason = MEANT.get(why.lower(), why)
                chunks += self._whole(None)
        return chunks

    def end(self) -> list[Chunk]:
        """The last chunk, once.

        Raises:
            BadAnswer: the answer stopped before its end.
        """
        if self.finished:
            return []
        last = self._joined(cut=True)
        if not self._reason:
            raise BadAnswer("the answer ended before it was complete", "try again; see the server's log")
        self.finished = True
        return [*last, Chunk(done=True, done_reason=self._reason, metrics=self._metrics)]

    def _delta(self, delta: Delta) -> list[Chunk]:
        chunks = []
        thinking = delta.reasoning or delta.reasoning_content or ""
        text = (delta.content or "") + (delta.refusal or "")
        if thinking or text:
            chunks.append(Chunk(text=text, thinking=thinking))
        for piece in delta.tool_calls or ():
            chunks += self._piece(piece)
        if delta.function_call is not None and (self._single or not self._next):  # some repeat a call in both forms
            single = entry(delta.function_call, Function)
            if single is not None and (self._single or single.name):
                self._single = True
                chunks += self._piece(CallPiece(0, "", single))
        return chunks

    def _piece(self, piece: CallPiece) -> list[Chunk]:
        function = piece.function or Function()
        index = piece.index
        if index is None:
            index = self._latest if self._goes_on(piece) else self._next
        self._latest, self._next = index, max(self._next, index + 1)
        another = self._another(index, piece)
        begun = self._whole(index + another) if another or index not in self._calls else []
        name, text, pieces = self._calls.get(index, ("", "", []))
        arguments = function.arguments
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        pieces.append(arguments or "")
        self._calls[index] = (name or piece.id or "", text or function.name or "", pieces)
        return [*begun, *self._coming(index)]

    def _goes_on(self, piece: CallPiece) -> bool:
        """Whether a piece that has no number belongs to the call before it: it has no name, or that is not whole."""
        if self._latest not in self._calls:
            return False
        name, function, pieces = self._calls[self._latest]
        if piece.function is None or not piece.function.name:
            return True
        if piece.function.name != function or (piece.id and piece.id != name):
            return False
        return (bool(piece.id) or any(pieces)) and not _is_whole(pieces)

    def _another(self, index: int, piece: CallPiece) -> bool:
        """Whether a piece begins another call than the one of its index, which is whole.

        Ollama (0.20) and gateways give all calls of an answer one index; an id alone tells nothing, since some servers
        give each piece one of its own.
        """
        name, _, pieces = self._calls.get(index, ("", "", []))
        if not (name and piece.id and piece.id != name and piece.function is not None and piece.function.name):
            return False
        return _is_whole(pieces)

    def _coming(self, index: int) -> list[Chunk]:
        """What the latest piece adds to what can be known of the call."""
        _, function, pieces = self._calls[index]
        members, size = self._members.setdefault(index, Members()), len(pieces[-1])
        if members.feed(pieces[-1]) and function:
            return [Chunk(coming=Coming(function, dict(members.found)), piece=size)]
        return [Chunk(piece=size)] if size else []

    def _whole(self, before: int | None) -> list[Chunk]:
        """The calls before this index; all where there is none."""
        ready = [index for index in sorted(self._calls) if before is None or index < before]
        calls = []
        for index in ready:
            name, function, pieces = self._calls.pop(index)
            self._members.pop(index, None)
            raw = "".join(pieces).strip() or "{}"
            try:
                msgspec.json.decode(raw)
            except UNREADABLE:
                # As text it stays readable in the journal, and the tool says what is wrong with it.
                raw = msgspec.json.encode(raw).decode()
            calls.append(Call(CallFunction(function, msgspec.Raw(raw.encode()), index), name))
        return [Chunk(calls=tuple(calls))] if calls else []

    def _count(self, line: Line) -> None:
        if line.usage is not None:
            counted = {"prompt_eval_count": line.usage.prompt_tokens, "eval_count": line.usage.completion_tokens}
            self._metrics |= {name: tokens for name, tokens in counted.items() if tokens is not None}
            details = line.usage.prompt_tokens_details
            if details is not None and details.cached_tokens is not None:
                self._metrics[CACHED] = details.cached_tokens
        if line.metrics is not None:
            measured, written = line.metrics, self._metrics.get("eval_count", 0)
            if measured.time_to_first_token_ms:
                self._metrics["prompt_eval_duration"] = int(measured.time_to_first_token_ms * 1e6)
            if measured.mean_itl_ms:
                self._metrics["eval_duration"] = int(measured.mean_itl_ms * written * 1e6)
        if line.timings is not None:
            timings = line.timings
            self._metrics |= {
                "prompt_eval_count": timings.prompt_n + timings.cache_n,
                CACHED: timings.cache_n,
                "prompt_eval_duration": int(timings.prompt_ms * 1e6),
                "eval_count": timings.predicted_n,
                "eval_duration": int(timings.predicted_ms * 1e6),
            }


def _is_whole(pieces: list[str]) -> bool:
    """Whether these are all of a call's arguments."""
    try:
        return isinstance(msgspec.json.decode("".join(pieces)), dict)
    except UNREADABLE:
        return False


def _event(data: bytes) -> Line | None:
    """What an event says; None where that is not the whole of it."""
    try:
        return decoded(decode_line, data)
    except UNREADABLE:
        from jetbox.engine.models.openai_odd import odd_line

        with suppress(*UNREADABLE):
            return odd_line(data)
        return None


def _garbage(data: bytes) -> BadAnswer:
    from jetbox.engine.models.refusals import garbage

    return garbage(data)
