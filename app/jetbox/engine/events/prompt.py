"""What is sent to a model, and what streams back."""

from __future__ import annotations

from typing import Literal

from jetbox.engine.events.base import Event


class MessageAdded(Event, frozen=True, kw_only=True, tag="prompt.message"):
    """A message entered the history; `json` is its exact bytes on the wire, as text."""

    index: int
    role: str
    json: str
    version: str = ""
    """Of the system message, what its text is known by: `full-1/3f2a9c10`."""


class PromptHead(Event, frozen=True, kw_only=True, tag="prompt.head"):
    """Everything of a request before its messages (model, tools); emitted when it changes."""

    sha: str
    json: str


class PromptRewound(Event, frozen=True, kw_only=True, tag="prompt.rewound"):
    """Messages were taken out of the history by the user: from this index on there are none."""

    count: int


class Compacted(Event, frozen=True, kw_only=True, tag="prompt.compacted"):
    """The history was made shorter to make room; the messages that follow in the journal are what stands now."""

    why: str
    how: Literal["outputs", "summary", "list"]
    """Old outputs were left out; the model wrote a summary; calls were listed, since it did not."""
    before: int
    """Tokens of the prompt, as estimated."""
    after: int
    messages: int
    of: int
    """How many there were."""
    kept: int = 0
    """The newest ones, that stayed in their places, if with shorter outputs."""
    bytes_before: int = 0
    duration_ns: int = 0
    summary: str = ""
    metrics: dict[str, int] = {}
    """The server's figures of the summary."""


class RequestSent(Event, frozen=True, kw_only=True, tag="model.request"):
    """A request left. Its body is head + messages[0:count] joined by commas + tail."""

    attempt: int
    head: str
    """`sha` of the PromptHead."""
    count: int
    tail: str
    sha: str
    """SHA-256 of the whole body."""
    bytes: int
    estimate: int = 0
    """Tokens of the prompt, estimated; corrected by the server's own counts."""


class MessagesCounted(Event, frozen=True, kw_only=True, tag="prompt.counted"):
    """What the server counted for the messages that it had not read before: its figure, shared among them."""

    first: int
    """Index of the first of them."""
    tokens: tuple[int, ...]
    head: int = 0
    """Tokens of what stands before all messages, where that was new too."""
    by: Literal["bytes", "tokenizer"] = "bytes"
    """What the shares follow: how long the messages are, or what the model's own tokenizer counts of them."""


class PrefixReused(Event, frozen=True, kw_only=True, tag="model.prefix"):
    """How much of a prompt the server took from its cache."""

    tokens: int
    of: int
    """Tokens of the whole prompt."""
    expected: int
    """What could have been reused: the part that the request before began with too."""
    estimated: bool = False
    miss: str = ""
    """Why it was less than that; empty where it was not."""
    again: int = 0
    """About so many tokens were read that had been read before; 0 where there is no miss, and in older recordings."""


class PromptCut(Event, frozen=True, kw_only=True, tag="prompt.cut"):
    """The server left a part of the prompt out and did not say so: its own count gives it away."""

    tokens: int
    """That it read."""
    of: int
    """That were sent, as estimated."""
    window: int = 0
    """Tokens of the window that this length belongs to; 0 where it does not tell."""


class Waiting(Event, frozen=True, kw_only=True, tag="model.waiting"):
    """What is waited for, in words for the screen."""

    what: Literal[
        "connecting",
        "queued",
        "loading",
        "reading",
        "thinking",
        "writing",
        "silent",
        "retrying",
        "compacting",
        "choosing",
        "asking",
    ]
    detail: str = ""
    expected_ns: int = 0
    """0 where nothing is known."""


class ThinkingDelta(Event, frozen=True, kw_only=True, tag="model.thinking"):
    text: str


class TextDelta(Event, frozen=True, kw_only=True, tag="model.text"):
    text: str


class ModelAnswered(Event, frozen=True, kw_only=True, tag="model.answered"):
    """The stream of one attempt ended."""

    attempt: int
    done_reason: str = ""
    """The server's word; empty where the stream ended without one."""
    complete: bool = True
    """False where it was cut, cancelled or failed."""
    ttft_ns: int = -1
    """Request sent to first content, thinking or call; -1 where nothing came."""
    wall_ns: int = 0
    chunks: int = 0
    metrics: dict[str, int] = {}
    """The server's own figures, untouched."""
    error: str = ""
    garbled: bool = False
    """The model made a call that could not be read."""
    received: int = 0
    """Bytes of the answer on the wire, as far as they came."""
    connection: Literal["", "new", "kept"] = ""
    """Whether its connection had served requests before; empty where that is not known."""


PromptEvent = (
    MessageAdded
    | PromptHead
    | PromptRewound
    | Compacted
    | RequestSent
    | MessagesCounted
    | PrefixReused
    | PromptCut
    | Waiting
    | ThinkingDelta
    | TextDelta
    | ModelAnswered
)
