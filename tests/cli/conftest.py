from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from nursery import CONSOLE, nursery

Jetbox = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def from_scratch(tmp_path: Path) -> Jetbox:
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


@pytest.fixture
def jetbox(from_scratch: Jetbox, tmp_path: Path) -> Jetbox:
    """The same, forked where nothing but arguments is given."""

    def run(*arguments: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
        if kwargs:
            return from_scratch(*arguments, **kwargs)
        child = nursery().start([*arguments], workbench=True, folder=tmp_path / "work")
        with child.stdout, child.stderr:
            out, err = child.communicate(120)
        return subprocess.CompletedProcess(arguments, child.wait(), out, err)

    return run
