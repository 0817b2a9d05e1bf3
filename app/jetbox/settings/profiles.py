"""Profiles that are built in: named sets of options, each to be had with `--profile NAME`."""

from __future__ import annotations

from typing import Any

_PLAIN: dict[str, Any] = {
    "probe_cache": False,
    "probe_ttl_s": 0.0,
    "probe_early": False,
    "probe_baseline": False,
    "ruff_server": False,
    "lint_candidates": False,
    "pytest_server": False,
    "affected_first": False,
}
"""Every probe runs whole, when it is asked for, in a process of its own."""

BUILT_IN: dict[str, dict[str, dict[str, Any]]] = {
    "baseline": {
        "probes": {"wait": "verdict"},
        "performance": {
            **_PLAIN,
            "probe_parallel": False,
            "probe_skip_without_tests": False,
            "parallel_tools": False,
        },
    },
    "seed": {
        "probes": {"wait": "verdict"},
        "performance": {
            **_PLAIN,
            "probe_ttl_s": 3.0,
            "probe_parallel": True,
            "probe_skip_without_tests": True,
        },
    },
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
    "hybrid": {"routing": {"mode": "phase"}},
}
"""`baseline` runs the probes one after another and without any cache or server, and the tools too, to
compare with; `seed` runs the probes side by side and serves a verdict again for three seconds after it
was found, unless a tool wrote meanwhile: without a proof, so marked *unproven*, and never at the gate;
`fast` takes a small window and short answers; `quality` a large window, long answers and more rounds;
`hybrid` lets `routing.small` draft, and `routing.large` refine and repair."""
