"""The messages of a session, append only, as the exact bytes that go over the wire.

A request's body is `head + messages joined by commas + tail`: nothing that was sent is
ever serialised again, so the prompt is byte-stable up to the newest message and the
server's prefix cache holds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from jetbox.engine.context.carry import Reader, carried, in_form_of
from jetbox.engine.context.wire import Wanted, Wire
from jetbox.engine.events import MessageAdded, MessagesCounted, PromptHead, PromptRewound
from jetbox.engine.models.base import Call, CallFunction
from jetbox.engine.options import ModelOptions
from jetbox.engine.session import Session


class Body(msgspec.Struct, frozen=True):
    """A request ready to be sent, and what it is made of."""

    data: bytes
    head_sha: str
    count: int
    tail: str
    sha: str


class CutCall(msgspec.Struct, frozen=True):
    """A call that had been made when the process died."""

    call: str
    name: str
    arguments: str
    result: str | None = None
    """What it ended with; None where it was still running."""


class CutOff(msgspec.Struct, frozen=True):
    """What of an answer was there, and what had been done about it, when the process died."""

    text: str = ""
    thinking: str = ""
    calls: tuple[CutCall, ...] = ()


TOOLS = b',"tools":'


class _Said(msgspec.Struct):
    role: str
    thinking: str = ""
    reasoning_content: str = ""


_said = msgspec.json.Decoder(_Said).decode
AROUND = 4.0
"""Tokens that a template puts around a message, before a server's figures have told."""
MOST_AROUND = 32.0
"""No figure is taken to tell of more."""
KILLED = "[the session was killed while this ran: what it does may have been done; look before you repeat it]"


def shell_words(command: str, text: str) -> str:
    """What the model is told of a command that the user ran."""
    return f"[the user ran `{command}`]\n{text}"


class History:
    """Appends messages, tells the journal of each, and builds bodies."""

    def __init__(self, session: Session, wire: Wire, messages: Sequence[bytes] = ()) -> None:
        """`messages` go on from an earlier process."""
        self._session = session
        self._wire = wire
        wire.go_on(messages)
        self._said: list[bytes] = list(messages)
        """As they came about."""
        self._authors = [""] * len(self._said)
        """The models that said or caused them; empty where that makes no difference."""
        self._messages: list[bytes] = list(messages)
        """As the present model gets them."""
        self._reader = Reader("")
        self._tokens: list[int] = []
        """Of the messages from the first on that the server has counted."""
        self._weights: list[int] = []
        """The same by the model's tokenizer: of their texts, without what its template puts around them."""
        self._around = AROUND
        self._head_tokens = 0
        self._hash = hashlib.sha256()
        self._hashed = 0
        """So many messages, and the head before them, are in it: what follows is added, nothing read twice."""
        self._head = b""
        self._head_sha = ""
        self._beside: list[str] = []
        """What goes before the user's next words."""
        self.bytes = sum(map(len, self._messages))

    def __len__(self) -> int:
        return len(self._messages)

    def take_up(self, cut: CutOff) -> None:
        """Put in what a killed process had not: calls that have run must not be made again."""
        calls = []
        for each in cut.calls:
            try:
                msgspec.json.decode(each.arguments, type=dict)
                arguments = each.arguments
            except (msgspec.DecodeError, UnicodeDecodeError):
                arguments = "{}"
            calls.append(Call(CallFunction(each.name, msgspec.Raw(arguments.encode())), each.call))
        self.assistant(cut.text, cut.thinking, calls)
        for each in cut.calls:
            self.tool(each.name, each.call, KILLED if each.result is None else each.result)

    def mend(self) -> None:
        """Give a result to calls that a killed process left without one: servers want them in pairs."""
        answered = 0
        for data in reversed(self._messages):
            message = msgspec.json.decode(data)
            if message["role"] == "tool":
                answered += 1
                continue
            for call in (message.get("tool_calls") or [])[answered:]:
                self.tool(call["function"]["name"], call.get("id", ""), "[interrupted: the session was killed]")
            return

    def _add(self, role: str, message: dict[str, object], version: str = "") -> None:
        data = msgspec.json.encode(message)
        self._session.emit(MessageAdded(index=len(self._messages), role=role, json=data.decode(), version=version))
        self._said.append(data)
        self._authors.append(self._reader.name if role in ("assistant", "tool") else "")
        self._messages.append(data)
        self.bytes += len(data)

    def read_by(self, reader: Reader) -> None:
        """Another model goes on: what others said is carried over to it, and the journal told."""
        if reader.name != self._reader.name:
            self._forget_counts(0)  # it has other tokens
        self._reader = reader
        self._render()

    def rewrite(self) -> None:
        """Write what an earlier process recorded over another protocol as this one does, and tell the journal."""
        self._said = in_form_of(self._wire, self._said)
        self._render()

    def _render(self) -> None:
        messages = self.as_read_by(self._reader)
        pairs = zip(self._messages, messages, strict=True)
        first = next((n for n, (old, new) in enumerate(pairs) if old != new), len(messages))
        self._messages = messages
        self.bytes = sum(map(len, messages))
        self._tell(first)

    def _tell(self, first: int) -> None:
        """What stands from there on is new to the journal."""
        self._forget_counts(first)
        self._hashed = 0
        for index in range(first, len(self._messages)):
            role = msgspec.json.decode(self._messages[index])["role"]
            self._session.emit(MessageAdded(index=index, role=role, json=self._messages[index].decode()))

    @property
    def said(self) -> list[bytes]:
        """The messages as they came about, whoever reads them."""
        return list(self._said)

    def carried(self, messages: Sequence[bytes]) -> list[bytes]:
        """Messages that these may be replaced by, as the present model would get them."""
        return carried(messages, self._authors_of(messages), self._reader)

    def _authors_of(self, messages: Sequence[bytes]) -> list[str]:
        """Of messages whose newest are those of the history."""
        added = len(messages) - len(self._said)
        authors = []
        for n, data in enumerate(messages):
            told = msgspec.json.decode(data)["role"] in ("assistant", "tool")
            authors.append(self._authors[n - added] if told else "")
        return authors

    def replace(self, messages: Sequence[bytes]) -> None:
        """Go on from a shorter history, whose newest messages are those of the old one; the journal is told."""
        self._authors = self._authors_of(messages)
        self._said = list(messages)
        before, self._messages = self._messages, self.as_read_by(self._reader)
        self.bytes = sum(map(len, self._messages))
        pairs = zip(before, self._messages, strict=False)
        first = next((n for n, (old, new) in enumerate(pairs) if old != new), len(self._messages) - 1)
        self._tell(first)

    def was_said_by(self, model: str) -> None:
        """All that is there came about with this model."""
        for index, data in enumerate(self._said):
            told = msgspec.json.decode(data)["role"] in ("assistant", "tool")
            self._authors[index] = model if told else ""

    def as_read_by(self, reader: Reader) -> list[bytes]:
        """The messages as that model would get them."""
        return carried(self._said, self._authors, reader)

    def rewind(self, count: int) -> int:
        """Take out the messages from this index on, and tell the journal; how many that were."""
        gone = len(self._messages) - count
        if count <= 1:
            self._beside.clear()
        if gone > 0:
            self._session.emit(PromptRewound(count=count))
            for kept in (self._said, self._authors, self._messages):
                del kept[count:]
            self._forget_counts(count)
            self._hashed = 0
            self.bytes = sum(map(len, self._messages))
        return max(0, gone)

    def amend(self, text: str) -> None:
        """Add to the end of the newest message, which no answer stands on yet."""
        message = msgspec.json.decode(self._messages[-1])
        message["content"] += f"\n{text}"
        self.bytes -= len(self._messages.pop())
        self._said.pop()
        self._forget_counts(len(self._messages))
        self._hashed = 0
        author = self._authors.pop()
        self._add(message["role"], message)
        self._authors[-1] = author

    def system(self, text: str, version: str = "") -> None:
        """What the model is told before the goal; `version` is what that text is known by."""
        self._add("system", {"role": "system", "content": text}, version)

    def beside(self, text: str) -> None:
        """Let the model know of this with the user's next words."""
        self._beside.append(text)

    def user(self, text: str) -> None:
        told, self._beside = self._beside, []
        self._add("user", {"role": "user", "content": "\n\n".join([*told, text])})

    def assistant(self, text: str, thinking: str, calls: Sequence[Call]) -> None:
        """What the model said, as it said it."""
        self._add("assistant", self._wire.assistant(text, thinking, calls))

    def tool(self, name: str, call: str, text: str) -> None:
        """The result of one call."""
        self._add("tool", self._wire.tool(name, call, text))

    def head(self, model: str, options: ModelOptions, tools: bytes) -> None:
        """Set what comes before the messages; the journal is told when it changes."""
        head = self.head_for(model, options, tools)
        if head != self._head:
            self._forget_counts(0)
            self._hashed = 0
            self._head = head
            self._head_sha = hashlib.sha256(head).hexdigest()
            self._session.emit(PromptHead(sha=self._head_sha, json=head.decode()))

    def head_for(self, model: str, options: ModelOptions, tools: bytes) -> bytes:
        """What would stand before the messages for that model."""
        opening = msgspec.json.encode(self._wire.head(model, options))[:-1]
        if tools:
            opening += TOOLS + tools
        return opening + b',"messages":['

    def _forget_counts(self, first: int) -> None:
        """Of the messages from there on."""
        del self._tokens[first:]
        del self._weights[first:]
        if not first:
            self._head_tokens = 0

    def unweighed(self) -> list[bytes]:
        """The messages that the model's tokenizer has not counted."""
        return self._messages[len(self._weights) :]

    def weigh(self, messages: Sequence[bytes], weights: Sequence[int]) -> None:
        """It has counted these, of which some may stand no more."""
        for message, weight in zip(messages, weights, strict=False):
            at = len(self._weights)
            if at == len(self._messages) or self._messages[at] is not message:
                return
            self._weights.append(weight)

    def weight(self, first: int) -> int | None:
        """Tokens of the messages from there on, by the model's tokenizer; None where it has not counted them all."""
        if first >= len(self._messages) or len(self._weights) < len(self._messages):
            return None
        return sum(self._weights[first:]) + round(self._around * (len(self._messages) - first))

    def counted(self, tokens: int) -> None:
        """The server read head and messages as so many tokens in all: what it had not read before gets its share.

        One batch a round: no message is counted twice as long as it stands where it is. A share goes by what the
        model's tokenizer counted where it has read them all, else by bytes.
        """
        first = len(self._tokens)
        new = tokens - self._head_tokens - sum(self._tokens)
        sizes = [len(data) for data in self._messages[first:]]
        if not first:
            new, sizes = new + self._head_tokens, [len(self._head), *sizes]
        if not sizes or not 0 < new <= sum(sizes):
            return  # templates leave thoughts out, servers count otherwise: the next figure has both in it
        weights = self._weighed(first, new)
        shares = shared(new, weights or sizes)
        if not first:
            self._head_tokens = shares.pop(0)
        self._tokens += shares
        head = 0 if first else self._head_tokens
        by: Literal["bytes", "tokenizer"] = "tokenizer" if weights else "bytes"
        self._session.emit(MessagesCounted(first=first, tokens=tuple(shares), head=head, by=by))

    def _weighed(self, first: int, tokens: int) -> list[int]:
        """The parts that have these tokens, by the model's tokenizer; none where it does not tell.

        What a template makes of the head nobody knows but by what is left over.
        """
        weights = self._weights[first:]
        count, texts = len(weights), sum(weights)
        if not texts or count < len(self._messages) - first:
            return []
        if first:
            self._around = min(MOST_AROUND, max(0.0, (tokens - texts) / count))
            return weights
        weights = [each + round(self._around) for each in weights]
        left = tokens - sum(weights)
        return [left, *weights] if left > 0 else []

    def tokens_of(self, messages: Sequence[bytes], ratio: float) -> float:
        """Tokens of head and messages: as they were counted, and by so many bytes a token what nobody counted."""
        known = dict(zip(self._messages, self._weights, strict=False))
        known |= dict(zip(self._messages, self._tokens, strict=False))
        head = self._head_tokens or len(self._head) / ratio
        return head + sum(known.get(data) or (len(data) + 1) / ratio for data in messages)

    @property
    def parts(self) -> tuple[bytes, Sequence[bytes]]:
        """The head, and the messages in their order."""
        return self._head, self._messages

    def optional(self, since: int = 0) -> int:
        """Bytes that a template may leave out: the thinking of earlier answers, and the tools unless the user
        spoke last (llama3.2); with `since` those of them that the prompt of so many messages may have had, or that
        are new."""
        said = [_said(data) for data in self._messages]
        spoke = bool(said) and said[-1].role == "user"
        known = said[:since] if since <= len(said) and not spoke else []
        while known and known[-1].role != "assistant":
            known.pop()
        new = said[max(0, len(known) - 1) :]
        thinking = sum(len((each.thinking or each.reasoning_content).encode()) for each in new)
        without = 0 < since <= len(said) and said[since - 1].role != "user"
        if TOOLS not in self._head or spoke or without:
            return thinking
        return thinking + len(self._head) - self._head.index(TOOLS)

    @property
    def size(self) -> int:
        """Bytes of head and messages."""
        return len(self._head) + self.bytes + len(self._messages)

    def prelude(self, wanted: Wanted) -> bytes:
        """What is there so far, with a stub in the user's place: the next request begins in the same way."""
        stub = msgspec.json.encode({"role": "user", "content": "."})
        return self._head + b",".join([*self._messages, stub]) + self._wire.tail(wanted)

    def body(self, wanted: Wanted) -> Body:
        """The next request."""
        tail = self._wire.tail(wanted)
        data = self._head + b",".join(self._messages) + tail
        return Body(data, self._head_sha, len(self._messages), tail.decode(), self._sha(tail))

    def _sha(self, tail: bytes) -> str:
        """That of the whole request."""
        if not self._hashed:
            self._hash = hashlib.sha256(self._head)
        for data in self._messages[self._hashed :]:
            if self._hashed:
                self._hash.update(b",")
            self._hash.update(data)
            self._hashed += 1
        whole = self._hash.copy()
        whole.update(tail)
        return whole.hexdigest()


def shared(tokens: int, sizes: Sequence[int]) -> list[int]:
    """Tokens divided among parts by their bytes; they sum to exactly as many."""
    whole, seen, given = sum(sizes), 0, 0
    out = []
    for size in sizes:
        seen += size
        upto = tokens * seen // whole
        out.append(upto - given)
        given = upto
    return out
