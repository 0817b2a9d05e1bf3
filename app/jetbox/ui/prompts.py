"""The requests of a session as the model saw them, rebuilt from events; and where one begins anew."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from jetbox.engine import events as e


class Sent(msgspec.Struct):
    """One request."""

    round: int
    request: e.RequestSent
    at: int
    """How much of the log came before it."""
    why: str = ""
    """What happened since the request before that changes what was sent already."""
    reuse: e.PrefixReused | None = None
    counted: e.MessagesCounted | None = None


class Compared(msgspec.Struct, frozen=True):
    """A request beside the one before it to the same model."""

    same: int
    """Messages that are byte for byte as they were, from the first on."""
    broke: int
    """Number of the first one that is not, from 1; 0 where the old prompt stands whole; -1 for the head."""
    why: str = ""


class Prompts:
    """Takes the events one after another; keeps no byte twice."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self._log: list[e.MessageAdded | e.PromptRewound] = []
        self._heads: dict[str, str] = {}
        self._why = ""

    def take(self, stamped: e.Stamped) -> None:
        """One more event."""
        match stamped.event:
            case e.MessageAdded() | e.PromptRewound() as event:
                self._log.append(event)
                if isinstance(event, e.PromptRewound):
                    self._why = "messages were taken out of the prompt"
            case e.PromptHead() as event:
                self._heads[event.sha] = event.json
            case e.RequestSent() as event:
                self.sent.append(Sent(stamped.round, event, len(self._log), self._why))
                self._why = ""
            case e.PrefixReused() as event if self.sent:
                self.sent[-1].reuse = event
            case e.MessagesCounted() as event if self.sent:
                self.sent[-1].counted = event
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
        found: list[tuple[str, str]] = []
        for event in self._log[: sent.at]:
            if isinstance(event, e.MessageAdded):
                found[event.index :] = [(event.role, event.json)]
            else:
                del found[event.count :]
        return found[: sent.request.count]

    def tokens(self, at: int) -> list[int]:
        """Tokens of the head and of the messages of that request, as the server counted them; none where it did not."""
        if self.sent[at].counted is None:
            return []
        found = [0]
        for sent in self.sent[: at + 1]:
            if sent.counted is not None:
                found[sent.counted.first + 1 :] = sent.counted.tokens
                found[0] = sent.counted.head or found[0]
        return found

    def weighed(self, at: int, part: int) -> bool:
        """Whether that share goes by the model's tokenizer; part 0 is the head."""
        counts = [each.counted for each in self.sent[: at + 1] if each.counted is not None]
        return next((c.by == "tokenizer" for c in reversed(counts) if (c.head if not part else part > c.first)), False)

    def compared(self, at: int) -> Compared | None:
        """That request beside the one before it to the same model; None for a model's first one."""
        head = self.head(at)
        model = model_of(head)
        before = next((n for n in range(at - 1, -1, -1) if model_of(self.head(n)) == model), None)
        if before is None:
            return None
        if self.head(before) != head:
            return Compared(0, -1, f"{', '.join(_differing(self.head(before), head)) or 'the head'} changed")
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


def _decoded(head: str) -> dict[str, Any]:
    """A head as a table; it ends where the messages begin."""
    try:
        found = json.loads(f"{head}]}}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
