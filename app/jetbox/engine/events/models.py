"""Models themselves: which one works, what the server holds, what a switch costs."""

from __future__ import annotations

from typing import Literal

import msgspec

from jetbox.engine.events.base import Event


class ModelReady(Event, frozen=True, kw_only=True, tag="session.model"):
    """The model in use and what is known of it."""

    name: str
    num_ctx: int
    """Tokens of the window, one value for the session."""
    max_ctx: int = 0
    """The model's own maximum; 0 where unknown."""
    capabilities: tuple[str, ...] = ()
    size: int = 0
    """Bytes."""
    keep_alive_ns: int = 0
    """How long the server keeps it after an answer; negative for ever, 0 where it is not asked for any time."""
    digest: str = ""
    """Empty where the server did not say yet."""
    why: str = ""
    """Why the window is what it is."""


class ModelWarmed(Event, frozen=True, kw_only=True, tag="model.warmed"):
    """The model was loaded ahead of a goal, and has read what every request begins with."""

    name: str
    load_ns: int = 0
    """How long loading took, waiting for others included."""
    read_ns: int = 0
    """How long reading took; 0 where a goal came before it was done."""
    tokens: int = 0
    """How many were read, those included that were there already."""
    miss: str = ""
    """Why less of it was there than the session's last request left; empty where it was not, or nobody knows."""
    joined: bool = False
    """A goal came before it was loaded, and its request waits for the same load."""
    cold: bool = False
    """The server did not hold it before, and no other client's turn is a part of the load, as `/api/ps` showed."""


class ModelHeld(Event, frozen=True, kw_only=True, tag="model.held"):
    """What the server says that it holds of the model in use, asked for while nothing streams."""

    name: str
    loaded: bool = True
    size: int = 0
    """Bytes in all, and those of them on the GPU."""
    size_vram: int = 0
    window: int = 0
    """Tokens of the window that it really has."""
    expires: int = 0
    """Session time in ns at which it is unloaded; negative for never, 0 where that is not told."""


class ModelMissing(Event, frozen=True, kw_only=True, tag="model.missing"):
    """A model cannot be used, and another one, or its download, is waited for."""

    name: str
    why: str
    there: tuple[str, ...] = ()
    """Models of the server that can be used."""
    pull: str = ""
    """What the server may be asked to fetch; empty where it cannot, or where that would not help."""


class ModelPulled(Event, frozen=True, kw_only=True, tag="model.pulled"):
    """How far a download is; told a few times a second."""

    name: str
    state: Literal["running", "done", "failed", "cancelled"] = "running"
    status: str = ""
    """The server's word, or why it failed."""
    total: int = 0
    """Bytes, as far as known, and those that are there."""
    completed: int = 0


class SwitchCost(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a model needs before it can go on with a session; -1 where that is not known."""

    load_ns: int = -1
    prefill_ns: int = -1
    tokens: int = 0
    """Of the prompt that are to be evaluated."""
    cached: int = 0
    """Of the prompt that are in the server's cache, as far as can be told."""

    @property
    def total_ns(self) -> int:
        """Both together; -1 where one is not known."""
        return -1 if self.load_ns < 0 or self.prefill_ns < 0 else self.load_ns + self.prefill_ns


class ModelSwitched(Event, frozen=True, kw_only=True, tag="model.switched"):
    old: str
    new: str
    reason: Literal["user", "routing", "escalation"] = "user"
    why: str = ""
    """In words, where it was not the user."""
    expected: SwitchCost = SwitchCost()


class SwitchPaid(Event, frozen=True, kw_only=True, tag="model.switch_paid"):
    """The new model has answered: what the switch did cost, beside what was expected."""

    model: str
    cost: SwitchCost
    expected: SwitchCost


class Routed(Event, frozen=True, kw_only=True, tag="model.routed"):
    """A rule decided which model works on."""

    rule: str
    """complexity, phase, evidence or cascade."""
    model: str
    why: str
    phase: str = ""
    """`scaffold` or `refine`, where the rule knows phases."""
    score: int = -1
    """Of the goal's complexity, from 0 to 100; -1 where the rule does not look at it."""
    parts: dict[str, int] = {}
    """What the score is the sum of."""
    num_predict: int = 0
    """Most tokens of an answer from here on, where the rule bounds it; 0 where it does not."""
    changes: bool = False
    """Another model than the one before."""


class ListedModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model of the server: what it is, whether it is loaded, how fast it was here."""

    name: str
    size: int = 0
    """Bytes."""
    parameters: str = ""
    """Number of weights in words, such as `20.9B`."""
    quantisation: str = ""
    max_ctx: int = 0
    capabilities: tuple[str, ...] = ()
    lacks: str = ""
    """Why an agent cannot use it."""
    remote: str = ""
    """Where it really runs, unless on the server."""
    loaded: bool = False
    memory: int = 0
    """Bytes that it takes while it is loaded, and those of them on the GPU."""
    memory_gpu: int = 0
    window: int = 0
    expires: int = 0
    """Session time in ns at which the server unloads it; negative for never, 0 where it does not say."""
    loaded_as: str = ""
    """The model of the same weights under whose name the server holds it, where that is another."""
    load_ns: int = 0
    """Medians of what was measured here; 0 where nothing was."""
    prefill: float = 0.0
    decode: float = 0.0
    clocked: bool = False
    """These rates were clocked here, with all that lies between: the server tells no durations."""
    ttft_ns: int = 0
    calls: int = 0
    calls_ok: int = 0
    call_ns: int = 0
    """How long an answer took that called a tool, with the model there."""
    goals: int = 0
    green: int = 0
    """Of these, how many ended with green probes."""
    best: str = ""
    """What it is best for here, beside the others of the list; empty where too little was measured."""
    cost: SwitchCost = SwitchCost()


class ModelsListed(Event, frozen=True, kw_only=True, tag="models.listed"):
    """What the server has; told when somebody wants to see it."""

    models: tuple[ListedModel, ...] = ()
    loading: bool = False
    """The server loads or unloads one, and does not say which are in memory."""
    tokens: int = 0
    """Of the prompt that a model would have to read."""
    manages: bool = False
    """The server loads, unloads and fetches models when it is told to."""
    problem: str = ""
    """What could not be done, or why the list is as it was told before."""


ModelEvent = (
    ModelReady
    | ModelWarmed
    | ModelHeld
    | ModelMissing
    | ModelPulled
    | ModelSwitched
    | SwitchPaid
    | Routed
    | ModelsListed
)
