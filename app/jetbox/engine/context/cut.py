"""Tells when a server has cut a prompt in silence: its own count is lower than it can be.

Ollama keeps a few tokens of the beginning and half of the window of the end (before 0.30 as much as fills
it), so a cut prompt has a length that gives it away; one whose oldest messages were dropped grew less than
what was added to it, or is shorter than the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from jetbox.engine.models.base import CACHED

KEEPS = (4, 5)
"""Tokens of the beginning that Ollama keeps, with and without one that begins every text."""
WINDOWS = (2_048, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072)
MORE = 1.25
"""What was sent has so many times the tokens that were read: else a length is a coincidence."""
MOST_BYTES = 8.0
"""No text that an agent sends has more bytes a token."""
MOST_BYTES_ADDED = 16.0
"""No answers of tools have more: a table may be spaces for the most part, and dashes."""
LEAST = 64
"""Tokens by which a prompt that only grew may fall short of what it has grown by."""
FEWEST_BYTES = 3.0
"""What a template leaves out has no fewer bytes a token: its tools and thinking are text."""


class Cut(msgspec.Struct, frozen=True):
    """What of a prompt was read."""

    read: int
    of: int
    """Tokens that were sent, as estimated."""
    window: int = 0
    """Tokens of the window that this length belongs to; 0 where it does not tell."""


def kept(window: int, keep: int) -> int:
    """Tokens that Ollama leaves of a prompt that is too long for a window."""
    return window - max((window - keep) // 2, 1)


class CutWatch:
    """Follows the counts of a session."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, int, int]] = {}
        """Bytes, tokens and messages of each model's latest prompt that was read whole."""

    def look(
        self,
        model: str,
        size: int,
        estimate: int,
        metrics: Mapping[str, int],
        *,
        window: int,
        whole: bool,
        messages: int = 0,
        optional: Callable[[int], int] = lambda since: 0,
    ) -> Cut | None:
        """What the server says of a prompt of `size` bytes and so many messages, if that is less than was sent.

        `whole`: this server counts the cached part of a prompt too. `optional` are the bytes that the model's
        template may have left out with good reason, in all (0) or since the prompt of so many messages; asked for
        only where there is a suspicion.
        """
        count = metrics.get("prompt_eval_count", 0)
        if count <= 0:
            return None
        counted = whole or CACHED in metrics
        cut = self._cut(model, size, estimate, count, window, (0, 0), counted=counted)
        if cut is not None and (left_out := optional(0)):
            since = self._last.get(model, (0, 0, 0))[2]
            cut = self._cut(model, size, estimate, count, window, (left_out, optional(since)), counted=counted)
        if cut is None:
            self._last[model] = (size, count, messages)
        return cut

    def _cut(
        self,
        model: str,
        size: int,
        estimate: int,
        count: int,
        window: int,
        optional: tuple[int, int],
        *,
        counted: bool,
    ) -> Cut | None:
        """`optional`: in all, and since the latest prompt; what that was without is not missed once more."""
        last_size, last, _ = self._last.get(model, (0, 0, 0))
        left_out, tokens = optional[0], int(optional[1] / FEWEST_BYTES)
        cut = self._by_length(count, estimate, window, int(left_out / FEWEST_BYTES))
        if cut is not None or not counted:
            return cut
        grown = size - last_size
        fell_short = last and grown >= 0 and count + LEAST + tokens < last + grown / MOST_BYTES_ADDED
        if count < (size - left_out) / MOST_BYTES or (fell_short and estimate - tokens > MORE * count):
            return Cut(count, max(estimate, last))
        return None

    def _by_length(self, count: int, estimate: int, window: int, optional: int) -> Cut | None:
        if estimate - optional < MORE * count:
            return None
        for each in (window, *WINDOWS):
            if each <= window and count in {each, *(kept(each, keep) for keep in KEEPS)}:
                return Cut(count, estimate, each)
        return None
