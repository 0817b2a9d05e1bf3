"""What the product waits for in vain on a machine that is merely slow has ample time in tests.

Those that are about such a limit set it themselves.
"""

from __future__ import annotations

from importlib import import_module

import pytest

AMPLE_S = 100.0
LIMITS = {
    "engine.counting": ("WAIT_S",),
    "engine.held": ("ASK_S",),
    "engine.models.catalog": ("RUNNING_S",),
    "engine.models.http": ("ASK_S", "CONNECT_S"),
    "engine.models.memory": ("ASK_S",),
    "engine.models.ollama": ("CONNECT_S",),
    "engine.models.openai_compat": ("ASK_S",),
    "engine.models.window": ("ASK_S",),
    "engine.probes.ruff_server": ("ANSWER_S", "START_S"),
    "engine.probes.zygote": ("AHEAD_S", "CANCEL_S", "GRACE_S", "READY_S"),
    "engine.retries": ("ALIVE_S",),
    "engine.safety.choose": ("_TRIAL_S",),
    "engine.warmup": ("WAY_S",),
}


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, names in LIMITS.items():
        for name in names:
            monkeypatch.setattr(import_module(f"jetbox.{module}"), name, AMPLE_S)
