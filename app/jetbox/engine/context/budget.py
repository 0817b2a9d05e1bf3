"""How much of the window is used: estimated from bytes, corrected by the server's own counts."""

from __future__ import annotations

from jetbox.engine.errors import ContextOverflow

RAISE = "raise --num-ctx"
ANOTHER = "choose a model with a larger window"
"""It has no larger one."""
ALLOW = "have the server take a larger window"
"""It was asked for one."""
BYTES_PER_TOKEN = 3.4
"""Where a session begins; code and JSON lie between 3 and 4."""
FEWEST, MOST = 2.0, 6.0
"""Bounds of what a count may say."""
UNSURE = 0.1
"""By this share an estimate may be wrong."""
MARGIN = 64
"""Tokens kept free for the chat template."""
LEAST_ANSWER = 256
"""Below this there is no room for an answer that says anything."""
SHARE = 8
"""An answer has too little room in less than the window divided by this."""


class Budget:
    """The window of the model in use."""

    def __init__(self, num_ctx: int) -> None:
        self.num_ctx = num_ctx
        self.wider = RAISE
        """How a larger window is come by, in words."""
        self.real = 0
        """Tokens that the server has said it takes, where that is less; 0 where it has not."""
        self._known_bytes = 0
        self._known_tokens = 0
        self._known_messages = 0
        self._ratio = BYTES_PER_TOKEN

    def begin(self, ratio: float) -> None:
        """Another model counts from here on, with so many bytes a token as it had before.

        0 where that is unknown: the same text has about as many as with the model before.
        """
        self.rewritten()
        self.real = 0
        self._ratio = min(MOST, max(FEWEST, ratio)) if ratio else self._ratio

    @property
    def window(self) -> int:
        """Tokens that prompt and answer may have."""
        return min(self.num_ctx, self.real or self.num_ctx)

    @property
    def ratio(self) -> float:
        """Bytes a token."""
        return self._ratio

    def rewritten(self) -> None:
        """The prompt is another one from here on: of what was counted, only the bytes a token has still hold."""
        self._known_bytes = self._known_tokens = self._known_messages = 0

    def estimate(self, size: int) -> int:
        """Tokens of a prompt of `size` bytes: the last counted part as counted, the rest by ratio."""
        return self._known_tokens + int(max(0, size - self._known_bytes) / self._ratio)

    @property
    def known(self) -> tuple[int, int]:
        """So many messages from the first on were counted, and their tokens."""
        return self._known_messages, self._known_tokens

    def learn(self, size: int, tokens: int, messages: int = 0) -> None:
        """The server counted `tokens` for a prompt of `size` bytes, with so many messages."""
        if tokens > 0 and size > 0:
            self.weighed(size, tokens, messages)
            self._ratio = min(MOST, max(FEWEST, size / tokens))

    def weighed(self, size: int, tokens: int, messages: int) -> None:
        """So many messages, `size` bytes of the prompt, have `tokens`."""
        self._known_bytes, self._known_tokens, self._known_messages = size, tokens, messages

    def tight(self, size: int, most: int, answer: int) -> bool:
        """Whether a prompt of `size` bytes and an answer may have more than `most` tokens, at the worst."""
        new = max(0, size - self._known_bytes)
        return bool(new) and self._known_tokens + new / FEWEST + MARGIN + max(answer, most // SHARE) > most

    def unsure(self, size: int) -> int:
        """Tokens by which the estimate of a prompt of `size` bytes may be too low: a share of what nobody counted."""
        return int(max(0, size - self._known_bytes) / self._ratio * UNSURE)

    def num_predict(self, prompt: int, most: int, unsure: int = 0) -> int:
        """Most tokens of the answer: bounded, so that the server never shifts the window.

        `prompt` tokens are expected, and `unsure` more are kept free.

        Raises:
            ContextOverflow: nothing sensible is left.
        """
        left = self.window - prompt - MARGIN
        if left < min(LEAST_ANSWER, self.window // 4):
            wider = ALLOW if self.wider in (RAISE, ANOTHER) and self.window < self.num_ctx else self.wider
            raise ContextOverflow(
                f"the prompt needs about {prompt:,} of the window's {self.window:,} tokens: no room for an answer",
                f"{wider}, or begin a new session with a smaller goal",
            )
        return min(most, max(min(left, LEAST_ANSWER), left - unsure))
