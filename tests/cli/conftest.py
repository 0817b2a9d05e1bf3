from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CONSOLE = Path(sys.prefix) / "bin" / "jetbox-tui"
Jetbox = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def jetbox(tmp_path: Path) -> Jetbox:
    """Run the installed console script in a folder of its own, without a terminal."""
    folder = tmp_path / "work"
    folder.mkdir()

    def run(*arguments: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **kwargs.pop("env", {})}  # type: ignore[dict-item]
        return subprocess.run(  # type: ignore[call-overload, no-any-return]
            [CONSOLE, *arguments],
            **{
                "cwd": folder,
                "env": env,
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "text": True,
                "timeout": 120,
                **kwargs,
            },
        )

    return run
