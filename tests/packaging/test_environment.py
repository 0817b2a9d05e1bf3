from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for PATH that holds what the script calls, and no Python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "env", "dirname", "touch", "flock"):
        if found := shutil.which(name):
            (folder / name).symlink_to(found)
    return folder


def fake_python(folder: Path, name: str, body: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def environment(tools: Path, tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / ".ci" / "environment", tmp_path / "venv"],
        env={"PATH": str(tools), "HOME": str(tmp_path), **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_without_a_python_that_is_new_enough_it_says_so(tools: Path, tmp_path: Path) -> None:
    fake_python(tools, "python3", "exit 1")
    done = environment(tools, tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("Python 3.11 or newer is needed and was not found; name one: make PYTHON=")


def test_a_named_python_that_does_not_suit_is_refused(tools: Path, tmp_path: Path) -> None:
    done = environment(tools, tmp_path, PYTHON="python2.7")
    assert (done.returncode, done.stderr) == (2, "PYTHON=python2.7 is no Python 3.11 or newer\n")


def test_a_python_that_cannot_make_environments_names_the_package(tools: Path, tmp_path: Path) -> None:
    refuses = f'case "$*" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"'
    fake_python(tools, "python3", "exit 1")
    fake_python(tools, "python3.11", refuses)
    done = environment(tools, tmp_path)
    version = ".".join(str(part) for part in sys.version_info[:2])
    assert done.returncode == 2
    assert done.stderr.strip().endswith(f"on Debian and Ubuntu: apt install python{version}-venv")


def test_an_environment_that_works_is_completed_and_not_made_anew(tools: Path, tmp_path: Path) -> None:
    fake_python(tools, "python3", f'exec {sys.executable} "$@"')
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    fake_python(python.parent, "python", f'echo "$@" >> {tmp_path}/calls')
    done = environment(tools, tmp_path)
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0] == "-m pip --version"
    assert calls[1].startswith("-m pip install ")
    assert calls[1].endswith("--editable .")


def test_make_hands_its_arguments_to_the_demo() -> None:
    command = ["make", "--no-print-directory", "-n", "demo", "ARGS=--model 'a b'"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ".venv/bin/jetbox-tui --demo --model 'a b'"


def test_the_ci_run_is_a_strict_shell_script_that_ends_with_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text().splitlines()
    assert "set -euo pipefail" in lines
    assert "export CI=1" in lines
    assert lines[-1] == "make test"
    subprocess.run(["bash", "-n", script], check=True)


def test_the_ci_run_says_what_it_cannot_install(tools: Path, tmp_path: Path) -> None:
    for name in ("bash", "make", "git", "tmux", "uname"):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    fake_python(tools, "python3", "exit 0")
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, ROOT / ".ci" / "run"], env={"PATH": str(tools)}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith("missing, and there is no apt-get to install them: ")
    assert "procps" in done.stderr
