"""Profiles that are built in: named sets of options, each to be had with `--profile NAME`."""

from __future__ import annotations

from typing import Any

BUILT_IN: dict[str, dict[str, dict[str, Any]]] = {
    "baseline": {"performance": {"probe_parallel": False, "probe_cache": False}},
    "fast": {
        "model": {"num_predict": 4096},
        "context": {"num_ctx": 8192},
        "loop": {"gate_attempts": 2},
    },
    "quality": {
        "model": {"num_predict": 16384},
        "context": {"num_ctx": 32768},
        "loop": {"gate_attempts": 5, "max_rounds": 48},
    },
}
"""`baseline` runs the probes one after another and without their cache, to compare with; `fast` takes
a small window and short answers; `quality` a large window, long answers and more rounds."""
