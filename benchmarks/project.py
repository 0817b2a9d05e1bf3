"""A real project with its tests, from its source distribution, for benchmarks that need one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from jetbox.folders import cache_folder

NAME = "click"
"""More than 1,000 tests, and nothing but pytest needed to run them."""
TIME_LIMIT_S = 300


class Missing(Exception):
    """The project could not be had; the message says why."""


def fetched(name: str = NAME, cache: Path | None = None) -> Path:
    """The unpacked source distribution, downloaded by pip where the user's cache folder has none.

    Raises:
        Missing: pip could not download it, or it is not what a source distribution is.
    """
    place = cache or Path(cache_folder()) / "benchmarks"
    if there := sorted(path for path in place.glob(f"{name}-*") if path.is_dir()):
        return there[-1]
    place.mkdir(parents=True, exist_ok=True)
    # Unpacked beside and renamed: what is there is whole.
    with tempfile.TemporaryDirectory(dir=place, prefix=".new-") as new:
        folder = _unpacked(_downloaded(name, Path(new)), Path(new) / "unpacked")
        target = place / folder.name
        if not target.exists():
            folder.rename(target)
    return target


def _downloaded(name: str, folder: Path) -> Path:
    command = ["download", "--no-binary", ":all:", "--no-deps", "--quiet", "--dest", str(folder), name]
    try:
        run = subprocess.run(
            [sys.executable, "-m", "pip", *command],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIME_LIMIT_S,
            env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"},
        )
    except subprocess.TimeoutExpired:
        raise Missing(f"pip did not download {name} in {TIME_LIMIT_S} s") from None
    archives = sorted(folder.glob("*.tar.gz"))
    if run.returncode or not archives:
        said = [line for line in run.stderr.splitlines() if line.strip()]
        raise Missing(f"pip could not download {name}: {said[-1].strip() if said else f'exit {run.returncode}'}")
    return archives[0]


def _unpacked(archive: Path, folder: Path) -> Path:
    try:
        with tarfile.open(archive) as file:
            odd = [each.name for each in file if each.name.startswith("/") or ".." in each.name.split("/")]
            if odd or any(each.issym() or each.islnk() or each.isdev() for each in file):
                raise Missing(f"{archive.name} holds more than files below one folder")
            file.extraction_filter = getattr(tarfile, "data_filter", None)  # which came with 3.11.4
            file.extractall(folder)
        (made,) = folder.iterdir()
    except (tarfile.TarError, OSError, ValueError) as error:
        raise Missing(f"{archive.name} is no source distribution: {error}") from None
    return made


def copied(project: Path, root: Path) -> Path:
    """Copy a project to where it may be changed, and return the module to edit: its largest."""
    shutil.copytree(project, root)
    at_home(root)
    sources = sorted((root / "src").rglob("*.py") if (root / "src").is_dir() else root.glob("*/*.py"))
    return max((path for path in sources if "test" not in path.name), key=lambda path: path.stat().st_size)


def at_home(root: Path) -> None:
    """Let the tests of a project that is not installed import it from its `src`."""
    settings, mark = root / "pyproject.toml", "[tool.pytest.ini_options]\n"
    if (root / "src").is_dir() and settings.is_file() and "pythonpath" not in settings.read_text():
        settings.write_text(settings.read_text().replace(mark, f'{mark}pythonpath = ["src"]\n'))
