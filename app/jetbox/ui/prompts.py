"""The requests of a session as the model saw them, rebuilt from events; and where one begins anew."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from jetbox.engine import events as e
from jetbox.engine.packed import Packed
from jetbox.ui.text.rows import one_line

LOOSE = 1024
"""Messages at the end that lie as they are, about those of a prompt; requests too."""
TOGETHER = 16
"""Older ones are packed by so many, since they can be long."""


class Sent(msgspec.Struct):
    """One request."""

    round: int
    request: e.RequestSent
    at: int
    """How many changes of the messages came before it."""
    why: str = ""
    """What happened since the request before that changes what was sent already."""
    reuse: e.PrefixReused | None = None


class Counted(NamedTuple):
    """What the server counted of a request."""

    sent: int
    """Its place among the requests."""
    first: int
    """Index of the first message that was counted."""
    head: int
    """Tokens of the head; 0 where it was not counted."""
    tokenizer: bool
    """The shares go by the model's tokenizer."""
    tokens: list[int]


class Compared(msgspec.Struct, frozen=True):
    """A request beside the one before it to the same model."""

    same: int
    """Messages that are byte for byte as they were, from the first on."""
    broke: int
    """Number of the first one that is not, from 1; 0 where the old prompt stands whole; -1 for the head."""
    why: str = ""


class Prompts:
    """Takes the events one after another; keeps no byte twice, and what is old packed."""

    def __init__(self) -> None:
        self.sent: Packed[Sent] = Packed()
        self._messages: Packed[tuple[str, str]] = Packed(together=TOGETHER)
        """Role and JSON of each that was ever added."""
        self._changes = array("q")
        """At which index each was put, what stood there and behind it being gone; ~n: only those before n are left."""
        self._counts = array("q")
        """The fields of each `Counted`, and how many tokens it has before these."""
        self._heads: dict[str, str] = {}
        self._why = ""

    def take(self, stamped: e.Stamped) -> None:
        """One more event."""
        match stamped.event:
            case e.MessageAdded() as event:
                self._changes.append(event.index)
                self._messages.append((event.role, event.json))
                if len(self._messages.loose) > LOOSE:
                    self._messages.pack()
            case e.PromptRewound() as event:
                self._changes.append(~event.count)
                self._why = "messages were taken out of the prompt"
            case e.PromptHead() as event:
                self._heads[event.sha] = event.json
            case e.RequestSent() as event:
                if len(self.sent.loose) > LOOSE:
                    self.sent.pack()
                self.sent.append(Sent(stamped.round, event, len(self._changes), self._why))
                self._why = ""
            case e.PrefixReused() as event if self.sent:
                self.sent[-1].reuse = event
            case e.MessagesCounted() as event if self.sent:
                by = event.by == "tokenizer"
                fields = (len(self.sent) - 1, event.first, event.head, by, len(event.tokens), *event.tokens)
                self._counts.extend(fields)
            case e.ModelSwitched() as event:
                self._why = f"the switch to {event.new}"
            case e.Compacted():
                self._why = "the history was made shorter"
            case _:
                pass

    def head(self, at: int) -> str:
        """What stands before the messages of that request; empty where it was not told."""
        return self._heads.get(self.sent[at].request.head, "")

    def messages(self, at: int) -> list[str]:
        """The messages of that request as JSON, byte for byte."""
        return [text for _, text in self.roles(at)]

    def roles(self, at: int) -> list[tuple[str, str]]:
        """The messages of that request with their roles."""
        sent = self.sent[at]
        found: list[int] = []
        added = 0
        for index in islice(self._changes, sent.at):
            if index < 0:
                del found[~index:]
            else:
                found[index:] = [added]
                added += 1
        return [self._messages[n] for n in found[: sent.request.count]]

    def _counted(self, at: int) -> Iterator[Counted]:
        """What was counted up to that request."""
        counts, n = self._counts, 0
        while n < len(counts) and counts[n] <= at:
            begins, ends = n + 5, n + 5 + counts[n + 4]
            yield Counted(counts[n], counts[n + 1], counts[n + 2], bool(counts[n + 3]), counts[begins:ends].tolist())
            n = ends

    def tokens(self, at: int) -> list[int]:
        """Tokens of the head and of the messages of that request, as the server counted them; none where it did not."""
        found, newest = [0], -1
        for sent, first, head, _, tokens in self._counted(at):
            found[first + 1 :] = tokens
            found[0], newest = head or found[0], sent
        return found if newest == at else []

    def weighed(self, at: int, part: int) -> bool:
        """Whether that share goes by the model's tokenizer; part 0 is the head."""
        found = False
        for _, first, head, tokenizer, _ in self._counted(at):
            found = tokenizer if (head if not part else part > first) else found
        return found

    def compared(self, at: int) -> Compared | None:
        """That request beside the one before it to the same model; None for a model's first one."""
        head = self.head(at)
        model = model_of(head)
        before = next((n for n in range(at - 1, -1, -1) if model_of(self.head(n)) == model), None)
        if before is None:
            return None
        if self.head(before) != head:
            old_head, tools = self.head(before), _other_tools(self.head(before), head)
            why = f"{', '.join(_differing(old_head, head)) or 'the head'} changed"
            return Compared(0, -1, f"{why}: {tools}" if tools else why)
        old, new = self.messages(before), self.messages(at)
        same = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        if same == len(old):
            return Compared(same, 0)
        why = next((each.why for each in reversed(self.sent[before + 1 : at + 1]) if each.why), "")
        if not why and same < len(new):
            why = "words were added to its end" if new[same].startswith(old[same][:-2]) else "it was written anew"
        return Compared(same, same + 1, why or f"{len(old) - same} messages were taken out")


def model_of(head: str) -> str:
    """The model that a head names."""
    return str(_decoded(head).get("model", ""))


def _differing(old: str, new: str) -> list[str]:
    before, after = _decoded(old), _decoded(new)
    return [name for name in {**before, **after} if before.get(name) != after.get(name)]


def _other_tools(old: str, new: str) -> str:
    """Which tools came, went, or are described in another way."""
    before, after = _tools_of(_decoded(old)), _tools_of(_decoded(new))
    came, went = [name for name in after if name not in before], [name for name in before if name not in after]
    others = [name for name in after if name in before and before[name] != after[name]]
    said = ((came, "came"), (went, "went"), (others, "changed"))
    return "; ".join(f"{one_line(', '.join(names))} {what}" for names, what in said if names)


def _tools_of(head: dict[str, Any]) -> dict[str, Any]:
    tools = head.get("tools")
    functions = [each.get("function") for each in tools if isinstance(each, dict)] if isinstance(tools, list) else []
    return {str(each.get("name", "")): each for each in functions if isinstance(each, dict)}


def _decoded(head: str) -> dict[str, Any]:
    """A head as a table; it ends where the messages begin."""
    try:
        found = json.loads(f"{head}]}}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
