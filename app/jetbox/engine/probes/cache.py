"""Verdicts by the content of all that they depend on, and why one was not found."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from pathlib import Path

import msgspec

from jetbox.engine.clock import Clock, monotonic
from jetbox.engine.probes.base import Scope, Verdict
from jetbox.engine.probes.fingerprint import Snapshot
from jetbox.engine.probes.reasons import Heard, file_words, scope_words, sealed

KEPT = 50
"""Verdicts kept of each probe: a change that is taken back finds its verdict again."""
HEARD = 20_000
"""Paths of which it is kept who changed them last."""


class Kept(msgspec.Struct, frozen=True):
    """A verdict, and when it was given."""

    verdict: Verdict
    at: float
    """Wall time, s."""


class Last(msgspec.Struct, frozen=True):
    """What a probe's latest verdict was about."""

    state: str
    scope: Scope
    """With digests in the place of its values."""
    digest: str
    """Of the files."""
    files: Snapshot | None = None
    """None where an earlier process kept no list of them."""


class Memory(msgspec.Struct):
    """What is known of one probe."""

    kept: OrderedDict[str, Kept] = msgspec.field(default_factory=OrderedDict)
    last: Last | None = None
    filed: tuple[Snapshot, Scope, str] | None = None
    """The latest key that was asked for, and what for."""
    judged: tuple[Snapshot, Scope, str] | None = None
    """What `last` was made of."""
    at: int = 0
    """When that verdict was there."""

    def key(self, name: str, files: Snapshot, scope: Scope) -> str:
        """What a verdict is filed under; made anew only where something differs."""
        filed = self.filed
        if filed is None or filed[0] is not files or filed[1] is not scope:
            filed = self.filed = (files, scope, key(name, files, scope))
        return filed[2]


def key(name: str, files: Snapshot, scope: Scope) -> str:
    """What a verdict is filed under."""
    digest = blake2b(digest_size=16)
    for part in (name, files.digest, *scope.arguments, "", *scope.confines):
        digest.update(part.encode(errors="surrogateescape") + b"\0")
    for table in (scope.versions, scope.environment):
        digest.update(b"\1")
        for variable, value in sorted(table.items()):
            digest.update(f"{variable}\0{value}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


class VerdictCache:
    """The latest verdicts of each probe; with a `store` they outlive the process.

    A verdict that a later process finds is served like any other: it is filed under the content
    of all that it depends on.
    """

    def __init__(
        self,
        store: Path | None = None,
        *,
        redact: Callable[[str], str] | None = None,
        clock: Clock = monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`store` is a folder outside the workspace; `redact` is applied to text before it is kept there."""
        self._store = store
        self._redact = redact
        self._clock = clock
        self._wall = wall
        self._memories: dict[str, Memory] = {}
        self._heard: OrderedDict[str, tuple[str, int]] = OrderedDict()
        self._loaded = store is None
        self._loading = asyncio.Lock()
        self._saved: object = None
        """What was in the store after the last save."""

    def get(self, name: str, files: Snapshot, scope: Scope) -> Verdict | None:
        """The verdict of an equal state, marked as a hit; the caller has proved that this is the state."""
        memory = self._memories.get(name)
        if memory is None or not files.proved:
            return None
        filed = memory.key(name, files, scope)
        if filed not in memory.kept:
            return None
        memory.kept.move_to_end(filed)
        stored = memory.kept[filed].verdict
        return msgspec.structs.replace(stored, cache="hit", saved_ns=stored.duration_ns, why="")

    def put(self, name: str, files: Snapshot, scope: Scope, verdict: Verdict) -> None:
        """Keep a verdict of a run during which nothing changed."""
        kept = self._memories.setdefault(name, Memory()).kept
        filed = key(name, files, scope)
        kept[filed] = Kept(verdict, self._wall())
        kept.move_to_end(filed)
        while len(kept) > KEPT:
            kept.popitem(last=False)

    def forget(self) -> None:
        """Serve no verdict from before again, in no later process either; what the latest was about stays known."""
        for memory in self._memories.values():
            memory.kept.clear()
        self._loaded = True
        if self._store is not None:
            from jetbox.engine.probes.verdicts import remove

            remove(self._store)

    def judged(self, name: str, files: Snapshot, scope: Scope, state: str) -> None:
        """Remember what the latest verdict was about; the next miss is explained by it."""
        memory = self._memories.get(name)
        if memory is None:
            memory = self._memories[name] = Memory()
        memory.at = self._clock()
        of = memory.judged
        if memory.last is None or of is None or of[0] is not files or of[1] is not scope or of[2] != state:
            memory.last = Last(state, sealed(scope), files.digest, files)
            memory.judged = (files, scope, state)

    def heard(self, paths: Iterable[str], by: str) -> None:
        """Somebody changed these files just now: an observer says so, and a miss will name who."""
        now = self._clock()
        for path in paths:
            self._heard[path] = (by, now)
            self._heard.move_to_end(path)
        while len(self._heard) > HEARD:
            self._heard.popitem(last=False)

    def why(self, name: str, files: Snapshot, scope: Scope) -> str:
        """Why there is no verdict, in words: what changed since the latest one, and who did that."""
        memory = self._memories.get(name)
        last = memory.last if memory is not None else None
        if memory is None or last is None:
            return "first run"
        if not files.proved:
            return "the tree is too large to prove that nothing changed"
        reasons = [*scope_words(last.scope, sealed(scope))]
        if last.files is not None:
            reasons += file_words(name, last.files, files, Heard(self._heard, self._clock(), memory.at))
        elif last.digest != files.digest:
            reasons.append("files changed")
        return ", ".join(reasons) or f"the last verdict was not kept: {last.state}"

    async def load(self) -> None:
        """Take up what earlier processes kept; once. What this one knows already goes before it."""
        if self._loaded:
            return
        async with self._loading:
            if self._loaded or self._store is None:
                return
            from jetbox.engine.probes.verdicts import read

            found = await asyncio.to_thread(read, self._store, self._wall())
            if self._loaded:  # all was forgotten meanwhile
                return
            self._loaded = True
        for name, old in found.items():
            memory = self._memories.setdefault(name, Memory())
            memory.kept = OrderedDict({**old.kept, **memory.kept})
            while len(memory.kept) > KEPT:
                memory.kept.popitem(last=False)
            memory.last = memory.last or old.last

    async def save(self) -> bool:
        """Keep for later processes what is new since the last time; False where the disk did not let us."""
        if self._store is None:
            return True
        now = {name: (tuple(memory.kept), memory.last) for name, memory in self._memories.items()}
        if not now or now == self._saved:
            return True
        from jetbox.engine.probes.verdicts import write

        copy = {name: Memory(memory.kept.copy(), memory.last) for name, memory in self._memories.items()}
        done = await asyncio.to_thread(write, self._store, copy, self._wall(), self._redact)
        if done:
            self._saved = now
        return done
