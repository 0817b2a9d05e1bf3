"""The real loop in this process, against the embedded server, with its events to wait on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from engine.moving import Clock
from jetbox.engine import commands as c
from jetbox.engine import events as e
from jetbox.engine.assemble import add_probes, assemble
from jetbox.engine.clock import monotonic
from jetbox.engine.loop import Loop
from jetbox.engine.models.base import ChatModel
from jetbox.engine.models.choose import choose_model
from jetbox.engine.models.connect import connected
from jetbox.engine.models.window import Window
from jetbox.engine.options import (
    ContextOptions,
    EngineOptions,
    LoopOptions,
    ModelOptions,
    PerformanceOptions,
    PermissionOptions,
    ProbeOptions,
    RoutingOptions,
)
from jetbox.engine.parts import Parts
from jetbox.engine.safety.unconfined import NoSandbox
from jetbox.engine.session import NoRecorder, Session
from jetbox.sim.launch import ServerProcess

E = TypeVar("E", bound=e.Event)
T = TypeVar("T")
WAIT_S = 120.0
BARE_PYTEST = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"
"""Variable that keeps plugins which are installed for this suite out of the sessions that it starts."""


class Rig:
    """A session over a scripted model; commands run unconfined, probes are off unless asked for."""

    def __init__(self, server: ServerProcess, root: Path) -> None:
        self.server = server
        self.root = root
        self.seen: list[e.Stamped] = []
        self.parts: Parts
        self.session: Session
        self._at = 0
        self._goals = 0

    async def open(
        self,
        *,
        client: ChatModel | None = None,
        attended: bool = False,
        asks: bool = False,
        recorder: NoRecorder | None = None,
        clock: Clock | None = None,
        environ: dict[str, str] | None = None,
        protocol: Literal["auto", "ollama", "openai"] = "ollama",
        name: str = "gpt-oss:20b",
        model: dict[str, Any] | None = None,
        loop: dict[str, Any] | None = None,
        permissions: dict[str, Any] | None = None,
        probes: dict[str, Any] | None = None,
        performance: dict[str, Any] | None = None,
        routing: dict[str, Any] | None = None,
        context: dict[str, Any] | None = None,
        window: Window | None = None,
    ) -> Rig:
        """Put it together, as the command line does; `clock` is what the fixture of that name gives."""
        options = EngineOptions(
            model=ModelOptions(**{"name": name, "host": self.server.url, **(model or {})}),
            context=ContextOptions(**(context or {})),
            loop=LoopOptions(**(loop or {})),
            permissions=PermissionOptions(
                **{"mode": "auto", "sandbox": False, "pass_env": (BARE_PYTEST,), **(permissions or {})}
            ),
            probes=ProbeOptions(**(probes or {"enabled": False})),
            performance=PerformanceOptions(**(performance or {})),
            routing=RoutingOptions(**(routing or {})),
        )
        self.session = Session(recorder or NoRecorder(), clock=clock.now if clock else monotonic)
        self._feed = self.session.feed()
        client = client or await connected(ModelOptions(host=self.server.url, protocol=protocol), {})
        info = await choose_model(client, name)
        self.parts = assemble(
            self.session,
            client,
            info,
            options,
            self.root,
            attended=attended,
            asks=asks,
            environ=environ or {},
            window=window,
        )
        self.parts.context.processes.sandbox = NoSandbox()
        add_probes(self.parts)
        self.parts.ready.set()
        self._unlisten = self.session.listen(self.parts.control.take)
        return self

    async def close(self) -> None:
        self._unlisten()
        if self.parts.probes is not None:
            await self.parts.probes.close()
        if self.parts.counter is not None:
            await self.parts.counter.close()
        await self.parts.model.close()
        await self.session.close()

    def start(self, goal: str = "Do it") -> asyncio.Task[e.GoalEnded]:
        """Begin a goal."""
        self._goals += 1
        return asyncio.create_task(Loop(self.parts, self._goals).run(goal))

    async def run(self, goal: str = "Do it") -> e.GoalEnded:
        """Work on a goal to its end."""
        return await within(self.start(goal))

    def submit(self, command: c.AnyCommand) -> None:
        self.session.submit(command)

    @property
    def kinds(self) -> list[type[e.Event]]:
        """The types of all events so far."""
        self._drain()
        return [type(s.event) for s in self.seen]

    async def until(self, kind: type[E], **fields: Any) -> E:
        """The next event of this type with these fields."""

        async def look() -> E:
            while True:
                self._drain()
                while self._at < len(self.seen):
                    event = self.seen[self._at].event
                    self._at += 1
                    if isinstance(event, kind) and all(getattr(event, k) == v for k, v in fields.items()):
                        return event
                await self._feed.ready()

        return await within(look())

    async def has(self, kind: type[E]) -> E:
        """An event of this type, whenever it came."""

        async def look() -> E:
            while True:
                found = self.events(kind)
                if found:
                    return found[0]
                await self._feed.ready()

        return await within(look())

    def _drain(self) -> None:
        self.seen += self._feed.drain().events

    def events(self, kind: type[E]) -> list[E]:
        """All events of a type so far."""
        return [event for event in self.of(kind) if isinstance(event, kind)]

    def of(self, *kinds: type[e.Event]) -> list[e.Event]:
        """All events of these types so far, in their order."""
        self._drain()
        return [s.event for s in self.seen if isinstance(s.event, kinds)]

    async def stats(self, **least: int) -> dict[str, Any]:
        """What the server has seen, once its counters have reached these values."""
        return await asyncio.to_thread(self.server.stats, seconds=WAIT_S, **least)

    async def release(self) -> None:
        """Let what stalls go on, once something does."""
        await self.stats(stalled=1)
        await asyncio.to_thread(self.server.release)

    async def requests(self) -> list[list[dict[str, Any]]]:
        """The messages of every request, as the server received them."""
        return [json.loads(entry["body"])["messages"] for entry in (await self.stats())["bodies"]]

    def results(self) -> list[str]:
        """What the model was told of each call, in the order in which they ended."""
        return [ended.text for ended in self.events(e.ToolEnded)]

    def everything(self) -> str:
        """All events as text."""
        self._drain()
        return msgspec.json.encode([s.event for s in self.seen]).decode()


async def within(work: Awaitable[T]) -> T:
    """Wait for it, but not for ever."""
    return await asyncio.wait_for(work, WAIT_S)
