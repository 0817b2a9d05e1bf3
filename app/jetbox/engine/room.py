"""Room for a round's requests: made before one is sent, and where a server refuses it as too large.

| what is refused | what follows |
|---|---|
| the prompt is too long for the window | a shorter answer where that is enough, else a shorter history, once a round |
| the prompt was cut in silence until the goal was gone | a shorter history without a summary, once a round |
| not enough memory for the window | the next smaller one; a shorter history first, once, where it does not fit that |
| not enough memory for the prompt, where requests name no window | a shorter history, once a round |
"""

from __future__ import annotations

from jetbox.engine.context.budget import ANOTHER, LEAST_ANSWER, MARGIN, RAISE, SHARE
from jetbox.engine.errors import ContextOverflow, JetboxError, OutOfMemory, WordsDropped
from jetbox.engine.events import Notice
from jetbox.engine.models.window import NO_ROOM, SMALL_WINDOW, Window, rung_below, too_small
from jetbox.engine.parts import Parts

LEAST_REAL = 4096
"""A window that is smaller than this has no room for what every request begins with."""
SPARE = 0.75
"""Of a prompt that was too much for the server, which does not say what is not, so much is used from then on."""


def roof(parts: Parts) -> int:
    """Tokens that prompt and answer may have before the history is made shorter."""
    wanted = parts.options.context.compact_tokens
    return min(parts.budget.window, max(LEAST_REAL, wanted) if wanted else parts.budget.window)


def crowded(parts: Parts) -> bool:
    """Whether the next answer would have too little room."""
    window = roof(parts)
    left = window - parts.budget.estimate(parts.history.size) - MARGIN
    return left < max(window // SHARE, min(LEAST_ANSWER, window // 4))


class Room:
    """One for each round: it makes the history shorter once at most."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._shortened = False

    async def make(self) -> None:
        """Make the history shorter where the window is nearly full, or where the user asked for it."""
        parts, asked = self._parts, self._parts.control.compact
        parts.control.compact = False
        if asked:
            from jetbox.engine.compacting import on_wish

            await on_wish(parts)
        elif crowded(parts) and self._begin_to_shorten():
            from jetbox.engine.compacting import make_room

            least = roof(parts) < parts.budget.window
            await make_room(parts, "it is as long as you let it be" if least else "the window is nearly full")

    async def after(self, error: JetboxError) -> bool:
        """Whether a request that the server refused can be sent anew, smaller than it was."""
        if isinstance(error, WordsDropped):
            smaller = await self._cut()
        elif isinstance(error, ContextOverflow):
            smaller = await self._overflowed(error)
        elif isinstance(error, OutOfMemory):
            smaller = await self._starved()
        else:
            return False
        if isinstance(error, ContextOverflow) and (wider := self._parts.budget.wider) in (ANOTHER, NO_ROOM):
            error.hint = error.hint.replace(RAISE, wider)
        if not smaller and self._shortened:
            anew = "begin anew with a smaller goal, or " if isinstance(error, OutOfMemory) else ""
            error.hint = f"the history is as short as it gets: {anew}{error.hint}"
        return smaller

    def _begin_to_shorten(self) -> bool:
        """Whether the history is to be made shorter: once in a round, and where that is allowed."""
        if self._shortened or not self._parts.options.context.compact:
            return False
        self._shortened = True
        return True

    async def _shortened_to(self, most: int, why: str) -> bool:
        """Make the history fit so many tokens, without a summary; the limit stays where that came about."""
        from jetbox.engine.compacting import make_room

        budget = self._parts.budget
        before, budget.real = budget.real, most
        made = await make_room(self._parts, why, ask=False)
        if not made:
            budget.real = before
        return made

    async def _overflowed(self, error: ContextOverflow) -> bool:
        """The server counts more than was estimated, or takes less."""
        from jetbox.engine.compacting import make_room

        parts = self._parts
        if error.tokens:
            parts.budget.learn(parts.history.size, error.tokens, len(parts.history))
        less = 0 < error.window < parts.budget.window
        if less:
            parts.budget.real = error.window
        if not self._begin_to_shorten():
            return False
        if less and not crowded(parts):
            return True  # a shorter answer is all that it takes
        return await make_room(parts, "the server refused the prompt as too long")

    async def _cut(self) -> bool:
        """The window is smaller than was asked for, by nobody knows how much; a summary would be asked of the cut."""
        if not self._begin_to_shorten():
            return False
        most = max(LEAST_REAL, min(self._spare(), self._parts.budget.window))
        return await self._shortened_to(most, "the server dropped your words from so long a prompt")

    async def _starved(self) -> bool:
        """The server's memory does not do; a model that cannot be loaded is not asked for a summary."""
        parts = self._parts
        budget, manages = parts.budget, parts.model.manages
        if manages and lower_window(parts):
            return True
        most, before = rung_below(budget.num_ctx) if manages else self._spare(), budget.real
        if most < LEAST_REAL or not self._begin_to_shorten():
            return False
        made = await self._shortened_to(most, "the server has not enough memory for so long a prompt")
        if not (made and manages):
            return made
        budget.real = before  # the window itself becomes smaller
        return lower_window(parts)

    def _spare(self) -> int:
        """Tokens that are used from then on, where a prompt was too much for the server."""
        return int(SPARE * self._parts.budget.estimate(self._parts.history.size))


def lower_window(parts: Parts) -> bool:
    """Go on with the next smaller window; False where the prompt would not fit it."""
    was, lower = parts.budget.num_ctx, rung_below(parts.budget.num_ctx)
    if not lower or parts.budget.estimate(parts.history.size) + MARGIN + LEAST_ANSWER > lower:
        return False
    parts.budget.num_ctx, parts.budget.wider = lower, NO_ROOM
    parts.window_why = f"lowered: the server's memory did not do for {was:,}"
    parts.session.emit(
        Notice(
            level="warning",
            text=f"the server has not enough memory for a window of {was:,} tokens; going on with {lower:,}",
            hint=f"--num-ctx {lower} asks for that from the beginning; a smaller model leaves more room",
        )
    )
    parts.tell_model(lower)
    if parts.model_info is not None and was >= SMALL_WINDOW:
        window = Window(lower, parts.window_why, cure=NO_ROOM)
        small, cure = too_small(parts.model, parts.model_info, window)
        if small:
            parts.tell_once(small, cure)
    return True
