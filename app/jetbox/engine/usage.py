"""What this process, and the commands and probes that it ran, took of the machine."""

from __future__ import annotations

import sys
from time import process_time_ns

import msgspec


class Usage(msgspec.Struct, frozen=True):
    """Totals since the process began; CPU times in ns."""

    cpu_ns: int
    others_ns: int
    """Of processes that it started and that have ended."""
    memory: int
    """Most bytes that this process ever had."""

    @classmethod
    def now(cls) -> Usage:
        """Up to now."""
        from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

        ended = getrusage(RUSAGE_CHILDREN)
        # Kilobytes, but on macOS, where they are bytes.
        peak = getrusage(RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return cls(process_time_ns(), int((ended.ru_utime + ended.ru_stime) * 1e9), peak)
