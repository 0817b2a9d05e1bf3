"""Which model works on the next round: by complexity, by phase, by evidence, or as a cascade.

Off unless it is asked for; both models are named in the configuration. Each decision says why, and is
made when it is known that the model can be used. A model that was named begins in the place of the
small one, in a session's first goal. What the user chooses in mid-goal holds until the goal ends; what
they choose between two goals, until the next one ends.
"""

from __future__ import annotations

from collections import ChainMap

import msgspec

from jetbox.engine.complexity import Complexity, complexity
from jetbox.engine.control import Wish
from jetbox.engine.errors import ContextOverflow, ModelError, ModelNotFound, ModelUnfit, SettingsError
from jetbox.engine.events import Notice, Routed
from jetbox.engine.limits import Ending
from jetbox.engine.options import RoutingOptions
from jetbox.engine.parts import Parts
from jetbox.engine.round import RoundResult
from jetbox.engine.switching import usable

REFINE = "[this was a draft: look at what was written, refine what needs it, then call finish]"
LOOK_OVER = "[another model looks this over: check it, mend what is wrong, then finish or answer]"
SYNTAX = ("SyntaxError", "invalid-syntax", "E999", "syntax error")
"""What probes say of a text that is no program."""
HELD = ("done", "unverified", "answered")
"""Endings with which the model was content."""
JUDGED = {"done": "the probes passed", "answered": "nothing was changed that a probe could judge"}
"""What such an ending means to a cascade; any other, that no probe passed."""


def check(options: RoutingOptions) -> None:
    """Refuse routing without two models, or with a confidence that no answer has.

    Raises:
        SettingsError
    """
    missing = [f"routing.{name}" for name in ("small", "large") if not getattr(options, name)]
    are = "is" if len(missing) == 1 else "are"
    if options.mode != "off" and missing:
        raise SettingsError(
            f"routing by {options.mode} needs the names of two models, and {' and '.join(missing)} {are} not set",
            "jetbox-tui models lists what the server has",
        )
    if options.mode != "off":
        check_two(options)
    if not 0 <= options.confidence <= 1:
        raise SettingsError(
            f"routing.confidence is {options.confidence:g}, and a confidence is between 0 and 1",
            "0.85 is what holds where it is not set",
        )


def check_two(options: RoutingOptions) -> None:
    """Refuse one model as both.

    Raises:
        SettingsError
    """
    if options.small == options.large:
        raise SettingsError(
            f"routing by {options.mode} needs two models, and small and large are both {options.small}",
            "name another as one of them, or leave routing off",
        )


def _bound(options: RoutingOptions, scored: Complexity) -> int:
    """Most tokens of an answer of a goal of that tier; 0 where that is no other than for any goal."""
    tokens: int = getattr(options, f"num_predict_{scored.tier}")
    return tokens


class Router:
    """Decides for one goal. What it decides is an event, and a wish for the loop where the model changes."""

    def __init__(self, parts: Parts, options: RoutingOptions) -> None:
        check(options)
        self._parts = parts
        full = parts.model.full_name
        self._options = msgspec.structs.replace(options, small=full(options.small), large=full(options.large))
        self._red = 0
        self._garbled = 0
        self._syntax = 0
        self._green = 0
        self._drafted = False
        self._first = self._options.small
        """Begins with the goal."""
        self.most = 0
        """Most tokens of an answer by the goal's tier; 0 where that bounds nothing."""
        parts.spared.clear()
        self._unfit: ChainMap[str, str] = ChainMap(parts.spared, parts.barred)
        """Why models of the rule cannot be used for this goal, or in this session."""

    async def begin(self, goal: str) -> None:
        """The goal begins."""
        parts, options = self._parts, self._options
        named, parts.named = parts.named, False
        if self._users:
            wish = parts.control.wish
            self._tell(parts.model.full_name(wish.name) if wish else parts.model_name, "your choice, for this goal")
        elif named:
            self._begin_with_named()
        elif options.mode == "complexity":
            scored = complexity(goal, parts.budget.estimate(parts.history.size), parts.budget.num_ctx)
            large = scored.score >= options.threshold
            model = options.large if large else options.small
            sign = "at least" if large else "below"
            self.most = _bound(options, scored)
            answers = f"; answers of {self.most:,} tokens at most" if self.most else ""
            await self._decide(model, f"{scored.words}; {sign} {options.threshold}{answers}", scored=scored)
        elif options.mode == "phase":
            drafts = await self._decide(options.small, "scaffold: the small model drafts", phase="scaffold")
            self._drafted = not drafts
        else:
            await self._decide(options.small, "the small model begins")

    def _begin_with_named(self) -> None:
        """Go on from the model that was named for the session, whether or not it is one of the two."""
        mode, first = self._options.mode, self._parts.model_name
        if mode == "complexity":
            self._tell(first, "it was named, for this goal")
        elif mode == "phase" and first != self._options.large:
            self._tell(first, "scaffold: the model that was named drafts", phase="scaffold")
        else:
            self._drafted = True
            self._tell(first, "the model that was named begins")
        self._first = first

    async def weigh(
        self, result: RoundResult, ending: Ending | None, tail: list[str]
    ) -> tuple[Ending | None, list[str]]:
        """What follows from a round: perhaps another model, perhaps no end yet."""
        if result.answer.done_reason == "length" and self.most:
            self._unbound()
        if self._users or self._options.mode == "complexity" or result.interrupted:
            return ending, tail
        if ending is not None and ending.outcome not in HELD:
            return ending, tail
        if self._options.mode == "phase":
            return await self._phase(result, ending, tail)
        if self._options.mode == "cascade":
            return await self._cascade(result, ending, tail)
        if ending is None:
            await self._evidence(result)
        return ending, tail

    def _unbound(self) -> None:
        """An answer was cut: from here on what the model is allowed for any goal holds, where that is more."""
        parts, tokens = self._parts, self.most
        most = parts.options.model.num_predict
        if tokens < most:
            self.most = 0
            self._tell(parts.model_name, f"an answer was cut at {tokens:,} tokens: up to {most:,} from here on")

    async def _phase(
        self, result: RoundResult, ending: Ending | None, tail: list[str]
    ) -> tuple[Ending | None, list[str]]:
        if ending is None and self._parts.control.turn:
            await self._turn()
            return ending, tail
        if self._drafted:
            return ending, tail
        red = _red(result)
        if red:
            self._drafted = True
            await self._decide(self._options.large, f"refine: {red} after the draft", phase="refine")
        elif ending is not None and ending.outcome != "answered":
            self._drafted = True
            if await self._decide(self._options.large, "refine: the draft is complete", phase="refine"):
                return None, [*tail, REFINE]
        return ending, tail

    async def _turn(self) -> None:
        """The user wants the other phase."""
        self._parts.control.turn = False
        if not self._drafted:
            self._drafted = True
            await self._decide(self._options.large, "refine: you went on to it", phase="refine")
        elif await self._decide(self._options.small, "scaffold: you went back to it", phase="scaffold"):
            self._drafted = False

    async def _cascade(
        self, result: RoundResult, ending: Ending | None, tail: list[str]
    ) -> tuple[Ending | None, list[str]]:
        model, large = self._parts.model_name, self._options.large
        if model != self._first or model == large or (ending is None and large in self._unfit):
            return ending, tail
        red, sure = _red(result), result.answer.confidence
        least = self._options.confidence
        if why := red or ("" if ending is not None else _useless(result)):
            await self._decide(self._options.large, f"not accepted: {why}", reason="escalation")
        elif sure is not None and sure < least:
            why = f"not accepted: confidence {sure:.2f} below {least:g}"
            if await self._decide(self._options.large, why, reason="escalation"):
                return None, [*tail, LOOK_OVER] if ending is not None else tail
        elif ending is not None:
            told = "the server tells no confidence" if sure is None else f"confidence {sure:.2f}"
            judged = JUDGED.get(ending.outcome, "no probe passed")
            if ending.outcome == "done" or (ending.outcome == "answered" and sure is not None):
                await self._decide(model, f"accepted: {told}, {judged}")
            elif await self._decide(self._options.large, f"not accepted: {told}, {judged}", reason="escalation"):
                return None, [*tail, LOOK_OVER]
        return ending, tail

    async def _evidence(self, result: RoundResult) -> None:
        options, red = self._options, _red(result)
        states = ("passed", "failed", "error", "timeout")
        judged = [v for v in result.verdicts if v.state in states and not v.excused]
        if judged:
            self._red = self._red + 1 if red else 0
            self._green = 0 if red else self._green + 1
            broken = any(words in f"{v.summary} {v.output}" for v in judged if v.red for words in SYNTAX)
            self._syntax = self._syntax + 1 if broken else 0
        unread = result.garbled or result.answer.suspect
        self._garbled = self._garbled + 1 if unread else 0 if result.done else self._garbled
        if self._parts.model_name != options.large:
            await self._escalate(red)
        elif options.step_down and self._green >= options.step_down and options.small not in self._unfit:
            self._green = 0
            await self._decide(options.small, f"stepped down: {_row(options.step_down, 'green verdict')}")

    async def _escalate(self, red: str) -> None:
        options = self._options
        if options.large in self._unfit:
            return
        if self._red >= options.escalate_red:
            why = f"{_row(self._red, 'red verdict')}{', the last' if self._red > 1 else ''}: {red}"
        elif self._syntax >= options.escalate_syntax:
            why = f"{_row(self._syntax, 'verdict')} with syntax errors"
        elif self._garbled >= options.escalate_garbled:
            why = f"{self._garbled} answers with calls that nobody could read"
        else:
            return
        self._red = self._garbled = self._syntax = self._green = 0
        await self._decide(options.large, why, reason="escalation")

    @property
    def _users(self) -> bool:
        """The user chose a model since the goal began, or for its first round."""
        control = self._parts.control
        return control.chosen or (control.wish is not None and control.wish.reason == "user")

    async def _decide(
        self, model: str, why: str, *, reason: str = "routing", phase: str = "", scored: Complexity | None = None
    ) -> bool:
        """Let this model go on; False where it cannot be used, or the user chose another meanwhile."""
        parts = self._parts
        refused = await self._refused(model) if model != parts.model_name else ""
        if self._users:
            return False
        parts.control.wish = None  # an older decision
        if refused:
            self._tell(parts.model_name, f"{why}, but {refused}", scored=scored)
        else:
            self._tell(model, why, phase=phase, scored=scored)
            if model == parts.model_name:  # where it will not work, the other one may
                parts.came_from = self._options.large if model == self._options.small else self._options.small
            else:
                parts.control.wish = Wish(model, "escalation" if reason == "escalation" else "routing", why)
        return not refused

    async def _refused(self, model: str) -> str:
        """Why it cannot be used, in words; empty where it can."""
        if model in self._unfit:
            return self._unfit[model]
        parts, said = self._parts, f"{model} cannot be used"
        try:
            await usable(parts, model)
        except ModelError as error:
            text = f"{error.message}; going on with {parts.model_name}"
            parts.session.emit(Notice(level="warning", text=text, hint=error.hint))
            if isinstance(error, (ModelNotFound, ModelUnfit, ContextOverflow)):
                self._unfit[model] = said
            return said
        return ""

    def _tell(self, model: str, why: str, *, phase: str = "", scored: Complexity | None = None) -> None:
        parts = self._parts
        parts.session.emit(
            Routed(
                rule=self._options.mode,
                model=model,
                why=why,
                phase=phase,
                score=scored.score if scored else -1,
                parts=scored.parts if scored else {},
                num_predict=self.most,
                changes=model != parts.model_name,
            )
        )


def _useless(result: RoundResult) -> str:
    """Why nothing can be done with an answer, in words."""
    answer = result.answer
    if result.garbled:
        return "a call that nobody could read"
    if answer.runaway:
        return "an answer that has no end"
    return "an answer that says nothing" if answer.empty and not result.done else ""


def _red(result: RoundResult) -> str:
    """The red verdicts of a round, in words; empty where there are none but of failures from before the session."""
    red = (v for v in (*result.verdicts, *result.late) if v.red and not v.excused)
    return ", ".join(f"{v.name} {v.summary or v.state}" for v in red)


def _row(n: int, what: str) -> str:
    """So many verdicts in a row, in words."""
    return f"{n} {what}s in a row" if n > 1 else f"a {what}"
