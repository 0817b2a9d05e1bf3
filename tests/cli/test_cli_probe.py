from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from jetbox.cli.main import main
from jetbox.cli.options import Invocation
from jetbox.cli.probe import probe
from jetbox.engine.errors import ExitCode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    folder.mkdir()
    (folder / "m.py").write_text("def add(a: int, b: int) -> int:\n    return a + b\n")
    return folder


def test_green_folder_ends_with_zero(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "-C", str(folder), "--why"]) == ExitCode.DONE
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["ruff", "passed"]
    assert lines[0].endswith("0 problems")
    assert lines[1].strip() == "first run"
    assert lines[2].split() == ["pytest", "skipped", "no", "tests"]


def test_red_folder_ends_with_three_and_shows_what_failed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "test_m.py").write_text("def test_m():\n    print('\\033[2J')\n    assert 1 == 2\n")
    assert main(["probe", "-C", str(folder)]) == ExitCode.PROBES_RED
    out = capsys.readouterr().out
    assert "1 of 1 failed: test_m" in out
    assert "FAILED test_m.py::test_m" in out
    assert "\033" not in out


def test_verdicts_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "m.py").write_text("import os\n")
    assert probe(Invocation(cwd=folder), why=False, as_json=True) == ExitCode.PROBES_RED
    said = json.loads(capsys.readouterr().out)
    assert said["exit_code"] == 3
    assert [(v["name"], v["state"]) for v in said["verdicts"]] == [("ruff", "failed"), ("pytest", "skipped")]


def test_nothing_runs_unconfined_unless_that_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("jetbox.engine.safety.choose.sys", SimpleNamespace(platform="unheard-of"))
    assert main(["probe", "-C", str(folder)]) == ExitCode.PERMISSION
    assert "no sandbox works here" in capsys.readouterr().err
    assert main(["probe", "-C", str(folder), "--no-sandbox"]) == ExitCode.DONE


def test_switched_off_probes_are_said_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "-C", str(folder), "--set", "probes.enabled=false"]) == ExitCode.DONE
    assert capsys.readouterr().out == "no probe is switched on\n"
