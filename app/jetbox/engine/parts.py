"""All that a loop works with, put together once per session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from jetbox.engine.cancelling import Cancels
from jetbox.engine.clock import Span, Timed
from jetbox.engine.context.budget import Budget
from jetbox.engine.context.carry import reader_of
from jetbox.engine.context.cut import CutWatch
from jetbox.engine.context.history import History
from jetbox.engine.control import Control
from jetbox.engine.events import ModelReady, Notice, SwitchCost
from jetbox.engine.models.base import ChatModel, ModelInfo
from jetbox.engine.models.choose import duration_ns, options_for
from jetbox.engine.models.prefix import PrefixWatch
from jetbox.engine.models.speed import SpeedWatch
from jetbox.engine.models.window import SMALLER, Window, fitting_one, too_small, wider
from jetbox.engine.options import EngineOptions
from jetbox.engine.probes.base import Probes
from jetbox.engine.safety.secrets import Redactor
from jetbox.engine.session import Session
from jetbox.engine.tools.base import ToolContext
from jetbox.engine.tools.dispatch import Dispatcher
from jetbox.engine.waiting import Expectation
from jetbox.engine.watchdog import Pace

if TYPE_CHECKING:
    from jetbox.engine.counting import Counter
    from jetbox.engine.models.catalog import Catalog
    from jetbox.engine.models.figures import Figures
    from jetbox.engine.warmup import WarmUp


ELSEWHERE = "another model, or OLLAMA_NO_CLOUD=1 for the server, keeps it here"


class Switched(msgspec.Struct, frozen=True):
    """A switch to a model that has not answered yet."""

    old: str
    expected: SwitchCost


class Parts(msgspec.Struct):
    """Made by whoever opens a session; the loop owns none of their making."""

    session: Session
    model: ChatModel
    model_name: str
    options: EngineOptions
    history: History
    budget: Budget
    context: ToolContext
    dispatcher: Dispatcher
    probes: Probes | None
    """None before the sandbox is chosen, and where they are switched off."""
    control: Control
    redactor: Redactor
    tool_specs: bytes
    ready: asyncio.Event
    """Set once the sandbox is chosen; until then nothing of the workspace is executed."""
    store: Path | None = None
    """A folder outside the workspace for what probes learn about it."""
    reading_rate: float = 0.0
    """Prompt tokens a second, measured in this session; 0 before the first."""
    pace: Pace = msgspec.field(default_factory=Pace)
    """Of the model in use."""
    named: bool = False
    """The session begins with a model that was named: the first goal's rule goes on from it."""
    came_from: str = ""
    """The model before the one in use, where a rule went over to that."""
    looking: set[asyncio.Task[None]] = msgspec.field(default_factory=set)
    """Looks, beside a round, whether a model can be used that is wanted at once."""
    fetching: set[str] = msgspec.field(default_factory=set)
    """Models that the server is fetching."""
    barred: dict[str, str] = {}
    """Why models that a rule went over to would not work; it does without them."""
    spared: dict[str, str] = {}
    """The same until the goal ends."""
    loaded: bool = False
    """True once the model has answered in this session, until it is seen to be unloaded."""
    lists_held: bool = False
    """The server has told of a model that it holds: some imitate Ollama's protocol, and never do."""
    no_logprobs: bool = False
    """The server refuses requests that ask for probabilities of tokens."""
    no_counts: bool = False
    """The server refuses requests that ask for counts of tokens."""
    given_up: bool = False
    """The latest request was closed before its answer was complete."""
    model_info: ModelInfo | None = None
    bare_probes: bool | None = None
    """Whether probes may run without a sandbox; None before the user was asked."""
    prefix: PrefixWatch = msgspec.field(default_factory=PrefixWatch)
    speed: SpeedWatch = msgspec.field(default_factory=SpeedWatch)
    load_ns: int = 0
    """How long the model took to load here before; 0 where unknown."""
    server: str = ""
    """Version of the server; empty until it is known."""
    cuts: CutWatch = msgspec.field(default_factory=CutWatch)
    cut_told: bool = False
    """The user was told that the server cuts prompts in silence."""
    goal: str = ""
    """What the user asked for last."""
    window_why: str = ""
    """Why the window is what it is, in words."""
    warmup: WarmUp | None = None
    """Loads the model and reads the beginning of its prompt ahead of a goal, where that is wanted."""
    warm_up: Callable[[], None] | None = None
    """Begins with that; None where it is not wanted."""
    cancels: Cancels = msgspec.field(default_factory=Cancels)
    """Whether a request can be taken back on this server."""
    windows: dict[str, Window] = msgspec.field(default_factory=dict)
    """What each model had in this session that was in use before."""
    environ: Mapping[str, str] = {}
    """Variables of the session's beginning."""
    switched: Switched | None = None
    """A switch whose cost is not known yet."""
    catalog: Catalog | None = None
    """What the server has; made when it is first asked for."""
    known: Callable[[str, str], Figures] | None = None
    """Looks up what was measured of a model, by name and digest; blocks. None where nothing is kept."""
    counter: Counter | None = None
    """Counts tokens exactly; None where no model has a tokenizer here."""
    doings: list[Span] = []
    """What the engine itself did since the last round ended, from when to when."""
    told: set[str] = msgspec.field(default_factory=set)
    """What the user was told of models already: a rule may go over to one again and again."""

    @property
    def window(self) -> Window:
        """What requests to the model in use ask for."""
        return Window(self.budget.num_ctx, self.window_why)

    def expected(self, tokens: int, most: int) -> Expectation:
        """What is known of a request before its first chunk: about so many `tokens`, `most` of the answer."""
        return Expectation(
            tokens,
            self.loaded,
            reading_ns=int(tokens / self.reading_rate * 1e9) if self.reading_rate else 0,
            loading_ns=self.load_ns,
            name=self.model_name,
            size=self.model_info.size if self.model_info is not None else 0,
            window=self.budget.num_ctx,
            real=self.budget.real,
            most=most,
        )

    @property
    def may_probe(self) -> bool:
        """Whether probes may run now without asking anybody."""
        if not self.ready.is_set():
            return False
        confined = self.context.processes.sandbox.confines or not self.options.permissions.sandbox
        return confined or bool(self.bare_probes)

    def timed(self, name: str, phase: str = "context") -> Timed:
        """Times what the engine itself does inside it, as a span of the round."""
        return Timed(self.doings, self.session.now, name, phase)

    def set_head(self) -> None:
        """Put model and tools at the head of every request from now on."""
        assert self.model_info is not None
        self.history.head(self.model_name, options_for(self.model_info, self.options.model), self.tool_specs)

    def recall(self, figures: Figures) -> None:
        """Expect of the model in use what was measured of it before."""
        from jetbox.engine.models.figures import median

        self.budget.begin(median(figures.bytes_per_token))
        self.reading_rate = median(figures.prefill)
        self.prefix.know(self.model_name, self.reading_rate)
        self.load_ns = int(median(figures.load))
        self.pace = Pace(median(figures.decode))
        self.speed.know(self.model_name, figures.decode)

    def use_model(self, info: ModelInfo, window: Window) -> None:
        """Work with this model and this window from the next request on."""
        if self.model_info is not None:
            self.windows[self.model_name] = self.window
        self.model_name = info.name
        self.model_info = info
        self.prefix.moves_tools = info.moves_tools
        self.loaded = self.given_up = False
        self.reading_rate = 0.0
        self.load_ns = 0
        self.pace = Pace()
        self.history.read_by(reader_of(info))
        self.budget.num_ctx, self.window_why = window.tokens, window.why
        self.budget.wider = wider(self.model, info, window.tokens)
        self.tell_model(window.tokens)
        if info.remote:
            self.tell_once(f"{info.name} runs at {info.remote}: what it is sent leaves this machine", ELSEWHERE)
        small, cure = too_small(self.model, info, window)
        if small:
            self.tell_once(small, cure)
        elif window.lowered:
            self.tell_once(window.lowered, fitting_one(window), level="info")
        if window.spills:
            self.tell_once(window.spills, SMALLER)
        think, now = self.options.model.think, options_for(info, self.options.model).think
        if now != think:
            why = f"does not know that level (it has {', '.join(info.levels)})" if info.levels else "cannot think"
            becomes = f"becomes {now}" if now else "is left out"
            self.tell_once(f"{info.name} {why}: model.think = {think} {becomes} for it")
        self.set_head()

    def tell_model(self, window: int) -> None:
        """Say what is known of the model, with these tokens of its window; nothing before the server told of it."""
        if self.model_info is None:
            return
        # A server that loads and unloads nothing on request is not told how long to keep it either.
        keep = self.options.model.keep_alive if self.model.manages else ""
        self.session.emit(model_ready(self.model_info, window, keep, self.window_why))

    def tell_once(self, text: str, hint: str = "", level: Literal["info", "warning"] = "warning") -> None:
        """What stays as it is in a session, however often it is seen."""
        if text not in self.told:
            self.told.add(text)
            self.session.emit(Notice(level=level, text=text, hint=hint))


def model_ready(info: ModelInfo, window: int, keep_alive: str, why: str = "") -> ModelReady:
    """What is known of the model, as an event."""
    return ModelReady(
        name=info.name,
        num_ctx=window,
        max_ctx=info.max_ctx,
        capabilities=info.capabilities,
        size=info.size,
        keep_alive_ns=duration_ns(keep_alive),
        digest=info.digest,
        why=why,
    )
