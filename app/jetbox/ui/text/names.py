"""What an answer names somewhere and speaks of elsewhere: addresses of links, footnotes."""

from __future__ import annotations

import re

_TARGET = re.compile(
    r"\s{0,3}\[(?!\^)([^\[\]]{1,99})\]:\s*<?([^\s<>]{1,2000})>?(?:\s+(?:\"[^\"]*\"|'[^']*'|\([^()]*\)))?\s*$"
)
_NOTE = re.compile(r"\s{0,3}\[\^([^\[\]\s^]{1,40})\]:\s*(.*)$")
_LABEL = re.compile(r"\[([^\[\]]{1,99})\]")
_LEADS = ("#", "mailto:")


def target_of(line: str) -> tuple[str, str] | None:
    """The label and the address that a line defines; what does not look like an address is none."""
    if "]:" not in line:
        return None
    found = _TARGET.match(line)
    if found is None or not ("/" in found[2] or found[2].lower().startswith(_LEADS)):
        return None
    return _key(found[1]), found[2]


def note_of(line: str) -> tuple[str, str] | None:
    """The name and the text of a footnote that a line defines."""
    found = _NOTE.match(line) if "]:" in line else None
    return (found[1], found[2]) if found is not None else None


def spoken_of(text: str) -> frozenset[str]:
    """What a text may refer to."""
    return frozenset(map(_key, _LABEL.findall(text))) if "[" in text else frozenset()


def _key(label: str) -> str:
    return " ".join(label.lower().split())


class Names:
    """What is defined so far; of two definitions the one above holds."""

    def __init__(self) -> None:
        self._targets: dict[str, str] = {}
        self._notes: set[str] = set()
        self._order: list[str] = []

    def __len__(self) -> int:
        return len(self._order)

    def learn(self, line: str) -> None:
        """Take a complete line, without the signs of its quotes, that stands in no fence."""
        target = target_of(line)
        if target is not None and target[0] not in self._targets:
            self._targets[target[0]] = target[1]
            self._order.append(target[0])
            return
        note = note_of(line)
        if note is not None and note[0] not in self._notes:
            self._notes.add(note[0])
            self._order.append(f"^{note[0].lower()}")

    def target(self, label: str) -> str:
        """Where a label leads; empty where nothing defines it."""
        return self._targets.get(_key(label), "") if self._targets else ""

    def is_note(self, name: str) -> bool:
        """Whether this stands for a footnote; a number does before its text is there."""
        return name.isdecimal() or name in self._notes

    def concern(self, said: frozenset[str], since: int) -> bool:
        """Whether what was learned after the first `since` of it is among what a text speaks of."""
        return not said.isdisjoint(self._order[since:])
