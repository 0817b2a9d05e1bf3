from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent.parent

pytestmark = [pytest.mark.xdist_group("packaging"), pytest.mark.timeout(180)]


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    # Of a clone whose package is found by this variable, it would be found before what was installed.
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env={**ours, **env}, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*arguments: str | Path, cwd: Path) -> str:
    offline = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_CACHE_DIR": "1"}
    return run(sys.executable, "-m", "pip", *arguments, cwd=cwd, **offline)


def build(source: Path, folder: Path) -> Path:
    pip("wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"))


def shipped(folder: str) -> set[str]:
    """What git knows of below a folder of the repository."""
    return set(run("git", "ls-files", folder, cwd=ROOT).split())


def test_the_wheel_holds_code_themes_and_sessions(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.removeprefix("app/") for name in shipped("app")} <= names
    for folder in ("themes", "sessions"):
        assert {f"jetbox/_{name}" for name in shipped(folder)} <= names
    outside = {name for name in names if not name.startswith(("jetbox/", "jetbox_tui-"))}
    assert not outside
    assert not {name for name in names if "__pycache__" in name}


def test_a_wheel_made_from_the_sdist_is_the_same(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=ROOT)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extraction_filter = getattr(tarfile, "data_filter", None)  # which came with 3.11.4
        packed.extractall(tmp_path)
    (source,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert (source / "Makefile").exists()
    (tmp_path / "out").mkdir()
    again = build(source, tmp_path / "out")
    assert sorted(zipfile.ZipFile(again).namelist()) == sorted(zipfile.ZipFile(wheel).namelist())


def test_every_declared_dependency_is_there_and_can_be_imported(wheel: Path) -> None:
    metadata = zipfile.ZipFile(wheel).read(next(n for n in zipfile.ZipFile(wheel).namelist() if n.endswith("METADATA")))
    lines = [line.partition(": ")[2] for line in metadata.decode().splitlines() if line.startswith("Requires-Dist: ")]
    needed = [requirement for requirement in map(Requirement, lines) if not requirement.marker]
    assert len(needed) >= 11
    for requirement in needed:
        assert importlib.metadata.version(requirement.name) in requirement.specifier
        importlib.import_module(requirement.name)


def test_installed_into_an_empty_environment_it_runs_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    venv.create(empty, symlinks=True, with_pip=False)
    python = empty / "bin" / "python"
    pip("--python", python, "install", "--quiet", "--no-compile", "--no-deps", wheel, cwd=tmp_path)
    site = empty / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    console = empty / "bin" / "jetbox-tui"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    version = importlib.metadata.version("jetbox-tui")
    assert run(console, "--version", cwd=elsewhere) == f"jetbox-tui {version}\n"
    shown = json.loads(run(console, "config", "show", "--json", "-m", "x", cwd=elsewhere))
    assert shown["model.name"]["value"] == "x"
    code = (
        "import jetbox, importlib.resources as r; files = r.files('jetbox');"
        "print(jetbox.__file__, (files / '_themes').is_dir(), (files / '_sessions').is_dir())"
    )
    assert run(python, "-c", code, cwd=elsewhere).split() == [str(site / "jetbox" / "__init__.py"), "True", "True"]
    assert not list(elsewhere.iterdir())
