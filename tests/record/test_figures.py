"""Figures of models outlive sessions, whoever else writes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jetbox.engine.errors import StorageError
from jetbox.engine.models.figures import Figures
from jetbox.record.figures import FiguresStore, figures_file

HOST = "http://127.0.0.1:11434"
DIGEST = "0123456789abcdef"


def test_figures_add_up_by_model_machine_and_digest() -> None:
    FiguresStore().add(HOST, "m", DIGEST, Figures(decode=[10.0], calls=1))
    FiguresStore().add(HOST, "m", f"sha256:{DIGEST}", Figures(decode=[20.0], calls=2))
    FiguresStore().add(HOST, "m", "another", Figures(decode=[99.0]))
    FiguresStore().add("http://gpu.lan:11434", "m", DIGEST, Figures(decode=[500.0]))
    store = FiguresStore()
    assert store.read(HOST, "m", DIGEST) == Figures(decode=[10.0, 20.0], calls=3)
    assert store.read("http://localhost:9", "m", DIGEST) == Figures(decode=[10.0, 20.0], calls=3)
    assert store.read("http://gpu.lan:11434", "m", DIGEST).decode == [500.0]
    assert store.read(HOST, "other", DIGEST).empty
    assert figures_file().stat().st_mode & 0o777 == 0o600


def test_a_server_that_tells_no_digests_has_figures_of_its_own() -> None:
    other = "http://127.0.0.1:8000"
    store = FiguresStore()
    store.add(HOST, "m", DIGEST, Figures(decode=[10.0], calls=13))
    assert store.read(other, "m", "").calls == 13, "a digest that is not known yet"
    assert store.read(other, "m", "", digests=False).empty
    store.add(other, "m", "", Figures(decode=[90.0], clocked=True))
    store.add(other, "m", "", Figures(calls=1))
    assert store.read(other, "m", "", digests=False) == Figures(decode=[90.0], calls=1, clocked=True)
    assert store.read(HOST, "m", DIGEST).decode == [10.0]


def test_nothing_is_lost_when_many_write_at_once() -> None:
    code = (
        "from jetbox.record.figures import FiguresStore\n"
        "from jetbox.engine.models.figures import Figures\n"
        f"for _ in range(20): FiguresStore().add({HOST!r}, 'm', {DIGEST!r}, Figures(calls=1))"
    )
    running = [subprocess.Popen([sys.executable, "-c", code], env=dict(os.environ)) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    assert FiguresStore().read(HOST, "m", DIGEST).calls == 60
    assert [path.name for path in sorted(figures_file().parent.iterdir())] == ["models.json", "models.lock"]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"machines": 3}', b"\xff\xfe"])
def test_a_damaged_file_is_read_as_nothing_and_replaced(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "models.json"
    path.write_bytes(damage)
    store = FiguresStore(path)
    assert store.read(HOST, "m", DIGEST).empty
    store.add(HOST, "m", DIGEST, Figures(calls=1))
    assert store.read(HOST, "m", DIGEST).calls == 1


def test_a_later_versions_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    path.write_bytes(b'{"format": 9, "machines": {}}')
    store = FiguresStore(path)
    store.add(HOST, "m", DIGEST, Figures(calls=1))
    assert path.read_bytes() == b'{"format": 9, "machines": {}}'
    assert store.read(HOST, "m", DIGEST).empty


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="file"):
        FiguresStore(tmp_path / "file" / "models.json").add(HOST, "m", DIGEST, Figures(calls=1))
