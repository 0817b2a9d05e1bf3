"""What was measured of a model on a machine, and the one reader that collects it from a session's events.

Cold and warm are kept apart: a load is what the server took longer than `COLD_NS` for, a rate of
reading comes from tokens that were not in the cache, a first token after a load, or after a long prompt
that had to be read, is not one of a model that was there and knew the prompt. Only the newest samples are
kept; what is told of them is their median.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from jetbox.engine import events as e
from jetbox.engine.context.budget import FEWEST, MOST
from jetbox.engine.models.address import on_this_machine, without_scheme
from jetbox.engine.models.base import CACHED, EVALUATED

KEPT = 32
"""Samples of a kind."""
COLD_NS = 500_000_000
"""A model that is there answers for its loading with far less than this."""
LEAST_TOKENS = 64
LEAST_NS = 50_000_000
"""Below this much reading a server's fixed costs hide the rate."""
LEAST_WRITTEN = 8
"""Tokens of an answer from which a rate can be told."""
LONG_TOKENS = 256
"""A prompt of fewer takes hardly longer where it has to be read."""
CLOCKED_TOKENS = 256
"""Below this much reading, what lies between hides the rate that is clocked here."""
MOST_A_CHUNK = 8
"""Tokens; where more come at once, what was seen of the writing says nothing of its rate."""


class Figures(msgspec.Struct):
    """Samples, the newest at the end, and counts; durations in ns, rates in tokens a second."""

    load: list[int] = []
    prefill: list[float] = []
    decode: list[float] = []
    clocked: bool = False
    """Rates were clocked here, with all that lies between: the server tells no durations."""
    bytes_per_token: list[float] = []
    """Of whole requests, as the server counted them."""
    ttft_cold: list[int] = []
    """With a load before it."""
    ttft_new: list[int] = []
    """Without one, but with a long prompt before it, most of which the server had not read before."""
    ttft_warm: list[int] = []
    call: list[int] = []
    """How long a model that was there took to answer with a call of a tool, from the request to the end."""
    answers: int = 0
    calls: int = 0
    """Tool calls that ran to an end of their own: neither refused, also by a rule of ours, nor cancelled."""
    calls_ok: int = 0
    recovered: int = 0
    """Calls that the server left in the text."""
    garbled: int = 0
    """Answers whose calls nobody could read."""
    goals: int = 0
    """Goals that one model worked on alone, that changed something, and that a probe judged."""
    rounds_to_green: list[int] = []

    def add(self, more: Figures) -> None:
        """Take in newer ones."""
        for name in (
            "load",
            "prefill",
            "decode",
            "bytes_per_token",
            "ttft_cold",
            "ttft_new",
            "ttft_warm",
            "call",
            "rounds_to_green",
        ):
            setattr(self, name, [*getattr(self, name), *getattr(more, name)][-KEPT:])
        for name in ("answers", "calls", "calls_ok", "recovered", "garbled", "goals"):
            setattr(self, name, getattr(self, name) + getattr(more, name))
        self.clocked = self.clocked or more.clocked

    @property
    def empty(self) -> bool:
        """Nothing has been measured."""
        return self == Figures()

    @property
    def call_success(self) -> float | None:
        """Share of the calls that did what they were asked, garbled ones counted; None where there were none."""
        tried = self.calls + self.garbled
        return self.calls_ok / tried if tried else None


def median(samples: Sequence[float]) -> float:
    """The middle one; 0 where there is none."""
    if not samples:
        return 0.0
    ordered = sorted(samples)
    middle = len(ordered) // 2
    return (ordered[middle] + ordered[-middle - 1]) / 2


def machine_of(host: str, node: str, digest: str) -> str:
    """Where a model ran: this machine by its name, another by its address.

    Servers on this machine that tell no digests are told apart by their address.
    """
    return node if on_this_machine(host) and digest else without_scheme(host)


def sample(figures: Figures, metrics: dict[str, int], ttft_ns: int, *, fresh: bool = False) -> None:
    """Take the server's own figures of an answer.

    `fresh`: nothing of the prompt can have been in the cache of a server that does not count that.
    """
    figures.answers += 1
    load = metrics.get("load_duration", 0)
    cold = load >= COLD_NS
    if cold:
        figures.load.append(load)
    spent = metrics.get("prompt_eval_duration", 0)
    count = metrics.get("prompt_eval_count", 0)
    known = EVALUATED in metrics or CACHED in metrics or fresh
    read = metrics.get(EVALUATED, count - metrics.get(CACHED, 0)) if known else 0
    if read >= LEAST_TOKENS and spent >= LEAST_NS:
        figures.prefill.append(read / (spent / 1e9))
    if ttft_ns > 0:
        new = read >= LONG_TOKENS and 2 * read > count
        (figures.ttft_cold if cold else figures.ttft_new if new else figures.ttft_warm).append(ttft_ns)
    written, took = metrics.get("eval_count", 0), metrics.get("eval_duration", 0)
    if written >= LEAST_WRITTEN and took > 0:
        figures.decode.append(written / (took / 1e9))


def writing_ns(first: int, last: int, written: int) -> int:
    """How long an answer of so many tokens took to write, from when its pieces were seen; 0 where nobody can tell."""
    return (last - first) * written // (written - 1) if 0 <= first < last and written > 1 else 0


def clocked(event: e.ModelAnswered, *, there: bool) -> dict[str, int]:
    """The server's figures of an answer; where it tells no durations, those that were seen here.

    `there`: the model was loaded before, so that nothing but reading came before the first token.
    """
    metrics = event.metrics
    if any(name.endswith("_duration") for name in metrics):
        return metrics
    seen = dict(metrics)
    written = metrics.get("eval_count", 0)
    if event.chunks >= LEAST_WRITTEN and written <= event.chunks * MOST_A_CHUNK:
        seen["eval_duration"] = writing_ns(event.ttft_ns, event.wall_ns, written)
    cached = metrics.get(CACHED)
    fresh = metrics.get("prompt_eval_count", 0) - (cached or 0)
    if there and cached is not None and fresh >= CLOCKED_TOKENS:
        seen["prompt_eval_duration"] = max(event.ttft_ns, 0)
    return seen


class FiguresReader:
    """Reads events, live or recorded, and tells the models in them apart."""

    KINDS: ClassVar[tuple[type[e.Event], ...]] = (
        e.ModelReady,
        e.ModelWarmed,
        e.RoundStarted,
        e.RequestSent,
        e.Waiting,
        e.PromptCut,
        e.ModelAnswered,
        e.ToolCalled,
        e.ToolEnded,
        e.GoalStarted,
        e.ProbeEnded,
        e.GoalEnded,
    )
    """All that it takes; others say nothing to it."""

    def __init__(self) -> None:
        self._figures: dict[str, Figures] = {}
        self.digests: dict[str, str] = {}
        """Of the models that were seen, where they are known."""
        self._model = ""
        self._goal_models: set[str] = set()
        self._changed = self._probed = False
        self._bytes = 0
        """Of the request that is to be answered next."""
        self._called = False
        """The answer that comes calls a tool."""
        self._queued = False
        """What is to be answered next waited for another client's turn, as `/api/ps` showed."""
        self._met: set[str] = set()
        self._warmed: dict[str, int] = {}
        """How long the load of a model took that was begun ahead of a goal, until the answer to the request that
        joined it; 0 where none did."""

    def take(self, stamped: e.Stamped) -> None:
        """Take an event."""
        event = stamped.event
        if not isinstance(event, self.KINDS):
            return
        match event:
            case e.ModelReady():
                self._model = event.name
                if event.digest:
                    self.digests[event.name] = event.digest
            case e.ModelWarmed():
                self._loaded_ahead(event)
            case e.RoundStarted():
                self._model = event.model
                self._goal_models.add(event.model)
            case e.RequestSent():
                self._bytes, self._called, self._queued = event.bytes, False, False
            case e.Waiting(what="queued"):
                self._queued = True
            case e.PromptCut() if self._of().bytes_per_token:
                self._of().bytes_per_token.pop()  # of a prompt that was not read whole
            case e.ModelAnswered():
                self._answered(event)
            case e.ToolCalled():
                self._called = True
                self._of().recovered += bool(event.recovered)
            case e.ToolEnded():
                self._ended(event)
            case e.GoalStarted():
                self._goal_models, self._changed, self._probed = set(), False, False
            case e.ProbeEnded() if not event.baseline:
                self._probed = self._probed or event.state not in ("skipped", "cancelled")
            case e.GoalEnded():
                self._goal(event)
            case _:
                pass

    def collect(self) -> dict[str, Figures]:
        """What came since the last time, by the names of the models."""
        collected, self._figures = self._figures, {}
        return {name: figures for name, figures in collected.items() if not figures.empty}

    def _of(self) -> Figures:
        return self._figures.setdefault(self._model, Figures())

    def _loaded_ahead(self, event: e.ModelWarmed) -> None:
        """Keep a load that was over before a goal; one that a request joined is kept with the answer to that."""
        self._warmed[event.name] = event.load_ns if event.joined else 0
        if event.joined:
            self._queued = self._queued or not event.cold
        elif event.load_ns >= COLD_NS and event.cold:
            self._figures.setdefault(event.name, Figures()).load.append(event.load_ns)

    def _answered(self, event: e.ModelAnswered) -> None:
        if event.garbled:
            self._of().garbled += 1
        count = event.metrics.get("prompt_eval_count", 0)
        if event.complete and count >= LEAST_TOKENS and FEWEST <= self._bytes / count <= MOST:
            self._of().bytes_per_token.append(self._bytes / count)
        if event.complete:
            self._sample(self._of(), event)
            self._met.add(self._model)

    def _sample(self, figures: Figures, event: e.ModelAnswered) -> None:
        met = self._model in self._met
        there = met or self._model in self._warmed
        seen = clocked(event, there=there)
        clocks = seen is not event.metrics
        rates = len(figures.prefill) + len(figures.decode)
        # Where no server tells of loads, one may be in the time to the first token.
        known = there or "load_duration" in seen
        begun = self._warmed.get(self._model, 0)
        self._warmed[self._model] = 0
        if not begun and seen.get(CACHED, 0) >= LEAST_TOKENS:  # what was just loaded has nothing cached: a slow machine
            seen = seen | {"load_duration": 0}
        if seen.get("load_duration", 0) < begun >= COLD_NS:  # joined: of such a load only the rest is told
            seen, known = seen | {"load_duration": begun}, False
        if self._queued:  # Ollama counts that wait with the load
            seen, known = seen | {"load_duration": 0}, False
        fresh = not met and seen.get("load_duration", 0) >= COLD_NS
        sample(figures, seen, event.ttft_ns if known else -1, fresh=fresh)
        if self._called and known and seen.get("load_duration", 0) < COLD_NS:
            figures.call.append(event.wall_ns)
        if clocks and len(figures.prefill) + len(figures.decode) > rates:
            figures.clocked = True

    def _ended(self, event: e.ToolEnded) -> None:
        if event.state in ("ok", "failed") and not event.ruled:
            self._of().calls += 1
            self._of().calls_ok += event.state == "ok"
        self._changed = self._changed or bool(event.changes)

    def _goal(self, event: e.GoalEnded) -> None:
        alone, judged = len(self._goal_models) == 1, self._changed and self._probed
        if not (alone and judged) or event.outcome in ("interrupted", "failed", "denied"):
            return
        (name,) = self._goal_models
        figures = self._figures.setdefault(name, Figures())
        figures.goals += 1
        if event.outcome == "done":
            figures.rounds_to_green.append(event.rounds)
