"""What goes into a verdict's key, and what differs from the last one, in words for people."""

from __future__ import annotations

import re
import stat
from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b

from jetbox.engine.events import ProbeEnded
from jetbox.engine.probes.base import Scope, Verdict
from jetbox.engine.probes.configuration import BY_PROBE
from jetbox.engine.probes.fingerprint import Snapshot
from jetbox.engine.times import ago

WHO = {"agent": "the agent", "command": "a command", "you": "you", "git": "git", "probe": "a probe"}
NAMES = {"python": "interpreter", "packages": "installed packages"}
"""Versions that have a better name than their key's."""
SHOWN = 3
STAMP = re.compile(r"(?:^| )\d+(?: \d+){2,}$")
"""Numbers by which a file is told from its successor, behind its name."""
WORDS = 200
"""Most characters of one value of `inputs`."""


class Heard:
    """Who changed a file last, and how long ago."""

    def __init__(self, heard: Mapping[str, tuple[str, int]], now: int, since: int = 0) -> None:
        """`heard` holds who and when, in ns of the same clock as `now`; nobody is named for what was before `since`."""
        self._heard = heard
        self._now = now
        self._since = since

    def by(self, paths: Collection[str]) -> str:
        """` by you 3 s ago` where all of them were changed by the same one; empty where that is not known."""
        found = [self._heard.get(path) for path in paths]
        known = [entry for entry in found if entry is not None and entry[1] >= self._since]
        if not known or len(known) < len(found) or len({who for who, _ in known}) > 1:
            return ""
        return f" by {WHO.get(known[0][0], known[0][0])} {ago((self._now - max(when for _, when in known)) / 1e9)}"


def sealed(scope: Scope) -> Scope:
    """The scope with digests in the place of its values: enough to tell that one changed, and nothing more."""
    arguments, bounds = ((_digest("\0".join(words)),) for words in (scope.arguments, scope.confines))
    versions, environment = (
        {name: _digest(value) for name, value in table.items()} for table in (scope.versions, scope.environment)
    )
    return Scope(arguments, versions, environment, confines=bounds)


def _digest(text: str) -> str:
    return blake2b(text.encode(errors="surrogateescape"), digest_size=8).hexdigest()


def scope_words(old: Scope, new: Scope) -> Iterable[str]:
    """What differs besides the files."""
    if old.arguments != new.arguments:
        yield "arguments changed"
    if old.confines != new.confines:
        yield "sandbox or limits changed"
    for name in _different(old.versions, new.versions):
        yield f"{NAMES.get(name, name)} changed"
    for name in _different(old.environment, new.environment):
        yield f"variable {name} changed"


def _different(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]


def file_words(name: str, old: Snapshot, new: Snapshot, heard: Heard) -> Iterable[str]:
    """Which files differ, and who changed them."""
    changed = new.changed(old)
    settings = {p for p in changed if p.rpartition("/")[2] in BY_PROBE.get(name, ())}
    if settings:
        yield f"{name} configuration changed{heard.by(settings)}"
    rest = changed - settings
    # Folders are told only where nothing else is: a new one mostly comes with its files.
    files = {p for p in rest if not _folder(old, p) and not _folder(new, p)} or rest
    added = {p for p in files if p not in old.files}
    gone = {p for p in files if p not in new.files}
    yield from _listed(added, "new file: {}", "new files: {}", heard)
    yield from _listed(gone, "deleted: {}", "deleted: {} files", heard)
    kept = files - added - gone
    if len(kept) == 1:
        (path,) = kept
        same = old.files[path][1] == new.files[path][1]
        yield (f"mode of {path} changed" if same else f"{path} changed") + heard.by(kept)
    elif kept:
        shown = ", ".join(sorted(kept)[:SHOWN]) + (", …" if len(kept) > SHOWN else "")
        yield f"{len(kept)} files changed{heard.by(kept)}: {shown}"


def _listed(paths: Collection[str], one: str, more: str, heard: Heard) -> Iterable[str]:
    if not paths:
        return
    words = one.format(next(iter(paths))) if len(paths) == 1 else more.format(len(paths))
    by = heard.by(paths)
    yield f"{words},{by}" if by else words


def _folder(files: Snapshot, path: str) -> bool:
    return path in files.files and stat.S_ISDIR(files.files[path][0])


class Inputs:
    """Makes `inputs` anew only where something differs: a hit must not count ten thousand files."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[Snapshot, Scope, dict[str, str]]] = {}

    def __call__(self, name: str, files: Snapshot, scope: Scope) -> dict[str, str]:
        """What goes into this probe's key."""
        made = self._made.get(name)
        if made is None or made[0] is not files or made[1] is not scope:
            made = self._made[name] = (files, scope, inputs(files, scope))
        return made[2]


def inputs(files: Snapshot, scope: Scope) -> dict[str, str]:
    """What goes into a key, as name and words; of variables only the names."""
    count = sum(not stat.S_ISDIR(mode) for mode, _ in files.files.values())
    found = {
        "files": f"{count}, digest {files.digest[:12]}" + ("" if files.proved else ", not proved"),
        "arguments": " ".join(scope.arguments),
        "versions": ", ".join(f"{name} {_stamped(value)}" for name, value in sorted(scope.versions.items())),
        "variables": ", ".join(sorted(scope.environment)),
        "confined": ", ".join(scope.confines),
    }
    return {name: _short(words) for name, words in found.items() if words}


def _stamped(value: str) -> str:
    """With a digest in the place of a file's numbers and times, which say nothing to anybody."""
    return STAMP.sub(lambda found: f" ({_digest(found[0])[:8]})", value)


def _short(words: str) -> str:
    clean = " ".join(words.encode(errors="replace").decode().split())
    return clean if len(clean) <= WORDS else clean[: WORDS - 1] + "…"


def explained(probe: Verdict | ProbeEnded) -> list[tuple[str, str]]:
    """Everything about a verdict's key and where the verdict came from, as label and words."""
    rows = [("key", probe.key)] if probe.key else []
    rows += probe.inputs.items()
    known = len(probe.known)
    if probe.state == "skipped" and not probe.key:
        rows.append(("skipped", probe.summary))
    elif probe.state == "error" and probe.cache == "none":
        rows.append(("error", probe.why or "no run came to an end"))
    elif probe.cache == "hit":
        proof = "by age alone, not proved" if _unproven(probe) else "nothing that it depends on has changed"
        rows.append(("hit", f"{proof}; the run took {probe.saved_ns / 1e6:.0f} ms"))
    elif probe.cache == "partial":
        rows.append(("partial", f"{probe.why or 'run in part'}; the whole run follows"))
    else:
        rows.append(("miss", probe.why or "it runs each time"))
    if probe.slow:
        rows.append(("slow", f"it runs from scratch: {probe.slow}"))
    if known:
        rows.append(("known", f"{known} of what is red was red before the session began"))
    return rows


def _unproven(probe: Verdict | ProbeEnded) -> bool:
    return not probe.proved if isinstance(probe, Verdict) else probe.unproven
