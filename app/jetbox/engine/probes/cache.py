"""Verdicts by the content of all that they depend on, and why one was not found."""

from __future__ import annotations

import stat
from collections import OrderedDict
from collections.abc import Collection, Iterable
from hashlib import blake2b

import msgspec

from jetbox.engine.probes.base import Scope, Verdict
from jetbox.engine.probes.configuration import BY_PROBE
from jetbox.engine.probes.fingerprint import Snapshot

KEPT = 50
"""Verdicts kept of each probe: a change that is taken back finds its verdict again."""


class _Memory(msgspec.Struct):
    kept: OrderedDict[str, Verdict] = msgspec.field(default_factory=OrderedDict)
    files: Snapshot | None = None
    scope: Scope | None = None
    state: str = ""


def key(name: str, files: Snapshot, scope: Scope) -> str:
    """What a verdict is filed under."""
    digest = blake2b(digest_size=16)
    for part in (name, files.digest, *scope.arguments):
        digest.update(part.encode(errors="surrogateescape") + b"\0")
    for table in (scope.versions, scope.environment):
        digest.update(b"\1")
        for variable, value in sorted(table.items()):
            digest.update(f"{variable}\0{value}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()


class VerdictCache:
    """The latest verdicts of each probe; lives as long as the process."""

    def __init__(self) -> None:
        self._memories: dict[str, _Memory] = {}

    def get(self, name: str, files: Snapshot, scope: Scope) -> Verdict | None:
        """The verdict of an equal state, marked as a hit; the caller has proved that this is the state."""
        memory = self._memories.get(name)
        filed = key(name, files, scope)
        if memory is None or filed not in memory.kept or not files.proved:
            return None
        memory.kept.move_to_end(filed)
        stored = memory.kept[filed]
        return msgspec.structs.replace(stored, cache="hit", saved_ns=stored.duration_ns, why="")

    def put(self, name: str, files: Snapshot, scope: Scope, verdict: Verdict) -> None:
        """Keep a verdict of a run during which nothing changed."""
        kept = self._memories.setdefault(name, _Memory()).kept
        kept[key(name, files, scope)] = verdict
        while len(kept) > KEPT:
            kept.popitem(last=False)

    def judged(self, name: str, files: Snapshot, scope: Scope, state: str) -> None:
        """Remember what the latest verdict was about; the next miss is explained by it."""
        memory = self._memories.setdefault(name, _Memory())
        memory.files, memory.scope, memory.state = files, scope, state

    def why(self, name: str, files: Snapshot, scope: Scope) -> str:
        """Why there is no verdict, in words: what changed since the latest one."""
        memory = self._memories.get(name)
        if memory is None or memory.files is None or memory.scope is None:
            return "first run"
        if not files.proved:
            return "the tree is too large to prove that nothing changed"
        reasons = [*_scope_words(memory.scope, scope), *_file_words(name, memory.files, files)]
        return ", ".join(reasons) or f"the last verdict was not kept: {memory.state}"


def _scope_words(old: Scope, new: Scope) -> Iterable[str]:
    if old.arguments != new.arguments:
        yield "arguments changed"
    for before, after, words in (
        (old.versions, new.versions, "{} changed"),
        (old.environment, new.environment, "variable {} changed"),
    ):
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) != after.get(name):
                yield words.format(name)


def _file_words(name: str, old: Snapshot, new: Snapshot) -> Iterable[str]:
    changed = new.changed(old)
    settings = {p for p in changed if p.rpartition("/")[2] in BY_PROBE.get(name, ())}
    if settings:
        yield f"{name} configuration changed"
    rest = changed - settings
    # Folders are told only where nothing else is: a new one mostly comes with its files.
    files = {p for p in rest if not _folder(old, p) and not _folder(new, p)} or rest
    added = {p for p in files if p not in old.files}
    gone = {p for p in files if p not in new.files}
    yield from _listed(added, "new file: {}", "new files: {}")
    yield from _listed(gone, "deleted: {}", "deleted: {} files")
    kept = files - added - gone
    if len(kept) == 1:
        (path,) = kept
        same = old.files[path][1] == new.files[path][1]
        yield f"mode of {path} changed" if same else f"{path} changed"
    elif kept:
        shown = ", ".join(sorted(kept)[:3]) + (", …" if len(kept) > 3 else "")
        yield f"{len(kept)} files changed: {shown}"


def _listed(paths: Collection[str], one: str, more: str) -> Iterable[str]:
    if len(paths) == 1:
        yield one.format(next(iter(paths)))
    elif paths:
        yield more.format(len(paths))


def _folder(files: Snapshot, path: str) -> bool:
    return path in files.files and stat.S_ISDIR(files.files[path][0])
