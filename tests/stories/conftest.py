from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jetbox.sim.launch import ServerProcess
from scripted import Step, WriteScript
from stories.kit import Place

MakePlace = Callable[..., Place]


@pytest.fixture
def place(tmp_path: Path, sim_server: Callable[..., ServerProcess]) -> Place:
    """A workspace without a server; what a test names as host is asked."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Place(folder, "http://127.0.0.1:9")


@pytest.fixture
def play(
    place: Place, write_script: WriteScript, sim_server: Callable[..., ServerProcess]
) -> Callable[..., tuple[Place, ServerProcess]]:
    """A workspace, and a server that plays these steps; `faults` and other options go to the server."""

    def play(*steps: Step, script: dict[str, Any] | None = None, **options: Any) -> tuple[Place, ServerProcess]:
        path = write_script(*steps, **(script or {}))
        server = sim_server(scripts=[str(path)], **options)
        place.host = server.url
        return place, server

    return play
