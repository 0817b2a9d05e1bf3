"""Faults on request: what goes wrong, on which request, after how many chunks.

A specification is `KIND[:VALUE][@REQUEST[:CHUNKS]]`. REQUEST counts the chat requests that have
messages, from 1; without it, or with `*`, every one is hit. CHUNKS is how many chunks leave
before it happens; an answer with fewer chunks is hit before its last line.

    stall[@R[:N]]        sends nothing more (N = 0: not even headers) until the client goes
                         or `POST /sim/release` lets it go on
    error[:TEXT][@R[:N]] a line {"error": TEXT}, then the end (N = 0: a real status 500)
    cut[@R[:N]]          the connection closes in mid-stream
    garbage[@R[:N]]      a line that is no JSON, then the answer goes on
    no_done[@R[:N]]      a clean end without a line that says done (no N: after all chunks)
    die[@R[:N]]          the server process exits
    busy[:TIMES][@R]     503 so many times (1), from request R (1) on
    status:CODE[@R]      that status, with an error text
    slow_headers[:S][@R] everything is S seconds late (1)

Examples: `cut@2:5` (request 2, after 5 chunks), `busy:3`, `status:500@1`, `stall@1`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

KINDS = ("stall", "error", "cut", "garbage", "no_done", "die", "busy", "status", "slow_headers")
DEFAULT_CHUNKS = {"stall": 0, "no_done": 1_000_000_000}
SPEC = re.compile(r"(?P<kind>\w+)(?::(?P<value>[^@]*))?(?:@(?P<request>\d+|\*)?(?::(?P<chunks>\d+))?)?")
NUMERIC = {"busy": "TIMES", "status": "CODE", "slow_headers": "SECONDS"}


class FaultError(ValueError):
    """A specification that says nothing usable."""


class Fault(NamedTuple):
    """One fault."""

    kind: str
    value: str = ""
    request: int | None = None
    """Number of the request that is hit; None for every one."""
    chunks: int = 1

    def hits(self, number: int) -> bool:
        """True where the request of that number is meant."""
        if self.kind == "busy":
            start = self.request or 1
            return start <= number < start + int(self.number(1))
        return self.request is None or self.request == number

    def number(self, default: float) -> float:
        """The value as a number."""
        return float(self.value) if self.value else default


def parse(spec: str) -> Fault:
    """Read a specification.

    Raises:
        FaultError: it cannot be read; the text says what is allowed.
    """
    found = SPEC.fullmatch(spec.strip())
    if not found or found["kind"] not in KINDS:
        raise FaultError(f"fault {spec!r} is not KIND[:VALUE][@REQUEST[:CHUNKS]] with KIND one of {', '.join(KINDS)}")
    kind, value = found["kind"], found["value"] or ""
    if kind in NUMERIC and value and not re.fullmatch(r"\d+(\.\d+)?", value):
        raise FaultError(f"fault {spec!r}: {NUMERIC[kind]} must be a number, not {value!r}")
    if kind == "status" and not (value.isdigit() and 400 <= int(value) <= 599):
        raise FaultError(f"fault {spec!r}: CODE must be a status from 400 to 599, as in status:500")
    if kind not in (*NUMERIC, "error") and value:
        raise FaultError(f"fault {spec!r}: {kind} takes no value; a request is named with @, as in {kind}@2")
    request = int(found["request"]) if (found["request"] or "*") != "*" else None
    chunks = int(found["chunks"]) if found["chunks"] else DEFAULT_CHUNKS.get(kind, 1)
    return Fault(kind, value, request, chunks)
