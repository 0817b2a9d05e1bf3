"""Faults on request: what goes wrong, on which request, after how many chunks.

A specification is `KIND[:VALUE][@REQUEST[:CHUNKS]]`. REQUEST counts the requests that make a
model answer, from 1; without it, or with `*`, every one is hit. CHUNKS is how many chunks leave
before it happens; an answer with fewer chunks is hit before its last line.

Examples: `cut@2:5` (request 2, after 5 chunks), `busy:3`, `status:500@1`, `stall@1`, `send:hermes`.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from jetbox.sim.fault_kinds import KINDS

SPEC = re.compile(r"(?P<kind>\w+)(?::(?P<value>[^@]*))?(?:@(?P<request>\d+|\*)?(?::(?P<chunks>\d+))?)?")


class FaultError(ValueError):
    """A specification that says nothing usable."""


class Fault(NamedTuple):
    """One fault."""

    kind: str
    value: str = ""
    request: int | None = None
    """Number of the request that is hit; None for every one."""
    chunks: int = 1

    @property
    def stage(self) -> str:
        """When it happens; an error without chunks happens before anything else."""
        return "before" if self.kind == "error" and self.chunks == 0 else KINDS[self.kind].stage

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
    name, value = found["kind"], found["value"] or ""
    kind = KINDS[name]
    if kind.words and value not in kind.words:
        raise FaultError(f"fault {spec!r}: {name} needs one of {', '.join(kind.words)}, as in {name}:{kind.words[0]}")
    if kind.value.isupper() and value and not re.fullmatch(r"\d+(\.\d+)?", value):
        raise FaultError(f"fault {spec!r}: {kind.value} must be a number, not {value!r}")
    if kind.value == "CODE" and (value or name == "status") and not (value.isdigit() and 400 <= int(value) <= 599):
        raise FaultError(f"fault {spec!r}: CODE must be a status from 400 to 599, as in {name}:500")
    if not kind.value and value:
        raise FaultError(f"fault {spec!r}: {name} takes no value; a request is named with @, as in {name}@2")
    request = int(found["request"]) if (found["request"] or "*") != "*" else None
    chunks = int(found["chunks"]) if found["chunks"] else kind.chunks
    return Fault(name, value, request, chunks)


def named(faults: list[Fault] | tuple[Fault, ...], kind: str) -> Fault | None:
    """The newest fault of that kind, or None."""
    return next((fault for fault in reversed(faults) if fault.kind == kind), None)
