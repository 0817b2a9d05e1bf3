"""What a session's requests took: bytes both ways, connections, and what was asked for again."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from jetbox.engine import events as e
from jetbox.engine.sizes import size


class Traffic(msgspec.Struct):
    """Sums over the requests of a session; durations in ns."""

    requests: int = 0
    sent: int = 0
    """Bytes of their bodies."""
    received: int = 0
    """Bytes of the answers."""
    opened: int = 0
    """Connections that were made for them."""
    kept: int = 0
    """Requests that went over a connection which was there already."""
    again: int = 0
    """Requests that were sent once more."""
    again_ns: int = 0
    """What that took: the attempts that came to nothing, and the pauses behind them."""
    waited_ns: int = 0
    """From a request to the first of its answer."""

    def line(self) -> str:
        """In a line for people."""
        both = f"{size(self.sent)} sent" + f", {size(self.received)} received" * (self.received > 0)
        parts = [_many(self.requests, "request"), both]
        if self.opened or self.kept:
            times = {0: "not used again", 1: "used again once"}.get(self.kept, f"used again {self.kept} times")
            made = f"{_many(self.opened, 'connection')} made, {times}"
            parts.append(made if self.opened else "over connections that were there")
        parts.append(f"{self.waited_ns / 1e9:.1f} s until the first of each answer")
        if self.again:
            parts.append(f"{self.again} sent again, which took {self.again_ns / 1e9:.1f} s")
        return "; ".join(parts)


def traffic(events: Iterable[e.Stamped]) -> Traffic:
    """What the requests among these events took."""
    sums = Traffic()
    sent_at = 0
    for stamped in events:
        match stamped.event:
            case e.RequestSent() as request:
                sums.requests += 1
                sums.sent += request.bytes
                if request.attempt > 1:
                    sums.again += 1
                    sums.again_ns += stamped.t - sent_at
                sent_at = stamped.t
            case e.ModelAnswered() as answer:
                sums.received += answer.received
                sums.opened += answer.connection == "new"
                sums.kept += answer.connection == "kept"
                sums.waited_ns += max(0, answer.ttft_ns)
            case _:
                pass
    return sums


def _many(count: int, what: str) -> str:
    return f"{count} {what}" + "s" * (count != 1)
