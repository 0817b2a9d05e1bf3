from __future__ import annotations

import json
import os
import signal
import subprocess
import sysconfig
import venv
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from jetbox.cli import health
from jetbox.cli.main import main
from jetbox.cli.options import Invocation
from jetbox.cli.probe import probe
from jetbox.engine.errors import ExitCode
from jetbox.engine.probes.command import identity
from jetbox.engine.probes.ruff_aside import Aside
from jetbox.record.places import probes_folder
from nursery import CONSOLE
from stories.kit import LEAN


@pytest.fixture(autouse=True)
def lean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in LEAN.items():
        monkeypatch.setenv(name, value)


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
    said = dict(line.split(maxsplit=1) for line in lines[1:] if line.startswith(" "))
    assert said["files"].startswith("1, digest ")
    assert said["arguments"].startswith("check ")
    assert said["miss"] == "first run"
    assert len(said["key"]) == 12
    assert lines[-2].split() == ["pytest", "skipped", "⏭", "no", "tests"]
    assert lines[-1].split() == ["skipped", "no", "tests"]


def test_a_later_process_serves_what_is_proved_and_says_what_differs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def ruff() -> list[str]:
        assert main(["probe", "-C", str(folder), "--why", "--set", "probes.pytest=false"]) == ExitCode.DONE
        return capsys.readouterr().out.splitlines()

    first, again = ruff(), ruff()
    assert first[0].split()[:3] == ["ruff", "passed", "⚡"]
    assert again[0].split()[:3] == ["ruff", "passed", "↻"]
    assert again[1] == first[1]  # the key
    assert again[-1].split()[:2] == ["hit", "nothing"]
    (folder / "ruff.toml").write_text("")
    (folder / "m.py").write_text("X = 1\n")
    changed = ruff()
    assert changed[0].split()[:3] == ["ruff", "passed", "⚡"]
    assert changed[-1].split(maxsplit=1) == ["miss", "ruff configuration changed, m.py changed"]


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["text", "json"])
def test_watching_runs_again_on_each_change_until_it_is_interrupted(folder: Path, form: list[str]) -> None:
    command = [str(CONSOLE), "probe", "--watch", "--why", "-C", str(folder), "--set", "probes.pytest=false", *form]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            told: list[str] = []
            for text in ("import os\n", "X = 1\n"):
                told += _until(process.stdout, '"verdicts"' if form else "Ctrl+C ends it")
                (folder / "m.py").write_text(text)
            told += _until(process.stdout, '"verdicts"' if form else "Ctrl+C ends it")
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == ExitCode.INTERRUPTED
        finally:
            process.kill()
    if form:
        states = [json.loads(line)["verdicts"][0]["state"] for line in told]
        whys = [json.loads(line)["verdicts"][0]["why"] for line in told]
    else:
        states = [line.split()[1] for line in told if line.startswith("ruff ")]
        whys = [line.split(maxsplit=1)[1].strip() for line in told if line.strip().startswith("miss ")]
    assert states == ["passed", "failed", "passed"]
    assert whys[0] == "first run"
    assert all(why.startswith("m.py changed") for why in whys[1:])


def test_what_a_killed_one_leaves_where_nothing_confines_it_the_next_one_deletes(folder: Path, tmp_path: Path) -> None:
    gate, temporary = tmp_path / "gate", tmp_path / "temporary"
    os.mkfifo(gate)
    temporary.mkdir()
    (folder / "test_m.py").write_text(
        f"import signal\ndef test_m():\n    open({str(gate)!r}, 'w')\n    signal.pause()\n"
    )
    command = [str(CONSOLE), "probe", "--watch", "--no-sandbox", "-C", str(folder), "--set", "probes.ruff=false"]
    left = []
    for number in (signal.SIGKILL, signal.SIGINT):
        with subprocess.Popen(
            command, env={**os.environ, "TMPDIR": str(temporary)}, stdout=subprocess.DEVNULL
        ) as process:
            try:
                gate.read_text()
                assert list(temporary.rglob("jetbox-pytest-*"))
                process.send_signal(number)
                process.wait(20)
            finally:
                process.kill()
        left.append(bool(list(temporary.iterdir())))
    assert left == [True, False]


def _until(stream: IO[str], words: str) -> list[str]:
    """Lines up to the one that holds the words."""
    lines = []
    for line in stream:
        lines.append(line)
        if words in line:
            break
    return lines


def test_red_folder_ends_with_three_and_shows_what_failed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "test_m.py").write_text("def test_m():\n    print('\\033[2J')\n    assert 1 == 2\n")
    assert main(["probe", "-C", str(folder)]) == ExitCode.PROBES_RED
    out = capsys.readouterr().out
    assert "1 of 1 failed: test_m" in out
    assert "FAILED test_m.py::test_m" in out
    assert "\033" not in out


def test_an_interpreter_that_is_named_runs_wherever_it_lies(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    venv.create(tmp_path / "elsewhere", with_pip=False, symlinks=True)
    packages = next((tmp_path / "elsewhere" / "lib").glob("python*/site-packages"))
    (packages / "base.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    (folder / "test_m.py").write_text("def test_m():\n    pass\n")
    named = f"probes.python={tmp_path}/elsewhere/bin/python"
    assert main(["probe", "-C", str(folder), "--set", named]) == ExitCode.DONE
    assert capsys.readouterr().out.splitlines()[-1].split()[:2] == ["pytest", "passed"]


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


def test_a_server_that_was_wrong_here_is_said_so(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert health.probes(str(folder)).state == "ok"
    store = probes_folder(folder)
    program = identity(str(CONSOLE.with_name("ruff")))
    Aside(store).put("its server disagreed with a run from scratch", program, lasting=True)
    assert main(["probe", "-C", str(folder), "--why", "--set", "probes.pytest=false"]) == ExitCode.DONE
    said = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if line.startswith(" "))
    assert said["slow"] == "it runs from scratch: its server disagreed with a run from scratch"
    check = health.probes(str(folder))
    assert (check.state, check.said) == (
        "warn",
        "ruff runs from scratch here: its server disagreed with a run from scratch",
    )
    Path(check.cure.rpartition(" remove ")[2]).unlink()
    assert health.probes(str(folder)).state == "ok"
