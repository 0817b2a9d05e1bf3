"""A small package with its own environment, changes that turn verdicts, and what plain runs say of it."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

from benchmarks.content_probe import read_everything, shown

Truth = tuple[str, tuple[str, ...]]
"""State, and what is red."""

RUFF = ("check", "--no-cache", "--no-fix", "--force-exclude", "--output-format", "concise", ".")
NAMES = ("alpha", "beta", "gamma")


class Package:
    """Three modules, their tests, settings, data, links, and packages that are installed."""

    def __init__(self, home: Path, rng: random.Random) -> None:
        self.home, self.root, self._rng = home, home / "ws", rng
        self._count = 0
        self._truths: dict[tuple[str, str], Truth] = {}
        self.texts: dict[Path, list[str]] = {}
        self.root.mkdir(parents=True)
        self.environment = home / "env"
        venv.create(self.environment, with_pip=False, symlinks=True)
        self.packages = next((self.environment / "lib").glob("python*/site-packages"))
        (self.packages / "base.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
        self.editable = home / "editable"
        (self.editable / "shared").mkdir(parents=True)
        (self.editable / "shared" / "__init__.py").write_text("LIMIT = 10\n")
        (self.packages / "editable.pth").write_text(f"{self.editable}\n")
        self._write("pyproject.toml", '[tool.ruff.lint]\nselect = ["E", "F", "I", "EXE", "INP"]\n')
        self._write("app/__init__.py", "")
        self._write("data/number.txt", "5\n")
        for name in NAMES:
            self._write(
                f"app/{name}.py", f"import os\nimport zlibx\n\nPLACE = os.sep\n\n\ndef {name}():\n    return 1\n"
            )
            self._write(
                f"tests/test_{name}.py",
                f"from app import {name}\n\n\ndef test_{name}():\n    assert {name}.{name}() == 1\n",
            )
        self._write("tests/__init__.py", "")
        self._write("zlibx.py", "")
        self._write(
            "tests/test_data.py",
            "from pathlib import Path\n\n\ndef test_data():\n    assert int(Path('data/number.txt').read_text()) < 7\n",
        )
        self._write("tests/test_shared.py", "import shared\n\n\ndef test_shared():\n    assert shared.LIMIT == 10\n")
        (home / "away").mkdir()
        (home / "away" / "good.py").write_text("GOOD = True\n")
        (home / "away" / "poor.py").write_text("import sys\nGOOD = False\n")
        (self.root / "linked.py").symlink_to(home / "away" / "good.py")
        self._write("tests/test_linked.py", "import linked\n\n\ndef test_linked():\n    assert linked.GOOD\n")
        self.changes: dict[str, Callable[[], object]] = {
            "value": self._value,
            "same size, times set back": self._same_size,
            "unused import": self._unused,
            "text put back": self._put_back,
            "module gone or back": self._module,
            "package of that name": self._package,
            "settings": self._settings,
            "settings below": self._below,
            "settings above": self._above,
            "ignored": self._ignored,
            "mode": self._mode,
            "data": self._data,
            "link turned": self._turn,
            "file behind a link": self._behind,
            "conftest": self._conftest,
            "new test": self._test,
            "folder moved": self._moved,
            "editable package": self._editable,
            "installed package": self._installed,
        }

    def change(self) -> str:
        """Make one change and say of which kind."""
        self._count += 1
        name = self._rng.choice(list(self.changes))
        self.changes[name]()
        return name

    def _write(self, path: str, text: str) -> None:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def _toggle(self, path: Path, text: str) -> None:
        if path.exists():
            path.unlink()
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _any(self) -> Path:
        found = [self.root / "app" / f"{name}.py" for name in NAMES]
        found = [path for path in found if path.exists()]
        if not found:
            self._module()
            return self._any()
        return self._rng.choice(found)

    def _value(self) -> None:
        path = self._any()
        path.write_text(re.sub(r"return \d+", f"return {self._rng.choice((1, 1, 2, 12))}", path.read_text()))

    def _same_size(self) -> None:
        path = self._any()
        before = path.stat()
        path.write_text(re.sub(r"return \d", f"return {self._rng.choice((1, 2))}", path.read_text()))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    def _unused(self) -> None:
        path = self._any()
        text = path.read_text()
        extra = "import json\n"
        path.write_text(text.replace(extra, "", 1) if extra in text else extra + text)

    def _put_back(self) -> None:
        path = self._any()
        text = path.read_text()
        path.write_text("raise SystemExit\n")
        path.write_text(text)

    def _module(self) -> None:
        name = self._rng.choice(NAMES)
        path, kept = self.root / "app" / f"{name}.py", self.home / "away" / f"{name}.py"
        if kept.exists():
            kept.rename(path)
        elif path.exists():
            path.rename(kept)

    def _package(self) -> None:
        """Makes imports of files that nobody touched first-party, or third-party."""
        if (self.root / "zlibx").exists():
            shutil.rmtree(self.root / "zlibx")
            self._write("zlibx.py", "")
        elif (self.root / "zlibx.py").exists():
            (self.root / "zlibx.py").unlink()
            if self._rng.random() < 0.5:
                # The tests find it elsewhere.
                (self.packages / "zlibx.py").write_text("")
        else:
            self._write("zlibx/__init__.py", "")

    def _settings(self) -> None:
        rules = self._rng.choice(('"E", "F"', '"E", "F", "I", "EXE", "INP"', '"F"', '"E", "I"'))
        names = self._rng.choice(("", "\n[tool.pytest.ini_options]\npython_files = ['test_a*.py']\n"))
        self._write("pyproject.toml", f"[tool.ruff.lint]\nselect = [{rules}]\n{names}")

    def _below(self) -> None:
        self._toggle(self.root / "app" / "ruff.toml", '[lint]\nselect = ["F"]\n')

    def _above(self) -> None:
        self._toggle(self.home / "conftest.py", "")

    def _ignored(self) -> None:
        name = self._rng.choice(NAMES)
        self._toggle(self.root / self._rng.choice((".gitignore", ".ignore")), f"app/{name}.py\n")
        if not (self.root / ".git").exists():
            (self.root / ".git").mkdir()

    def _mode(self) -> None:
        path = self._any()
        if self._rng.random() < 0.3:
            path.write_text("#!/usr/bin/env python\n" + path.read_text().replace("#!/usr/bin/env python\n", ""))
        path.chmod(path.stat().st_mode ^ 0o111)

    def _data(self) -> None:
        self._write("data/number.txt", f"{self._rng.randrange(5, 9)}\n")

    def _turn(self) -> None:
        new = self.home / "new-link"
        new.symlink_to(self.home / "away" / self._rng.choice(("good.py", "poor.py")))
        os.replace(new, self.root / "linked.py")

    def _behind(self) -> None:
        (self.home / "away" / "good.py").write_text(f"GOOD = {self._rng.choice(('True', 'False'))}\n")

    def _conftest(self) -> None:
        text = "import pytest\n\n\n@pytest.fixture(autouse=True)\ndef broken():\n    raise ValueError\n"
        self._toggle(self.root / "tests" / "conftest.py", text)

    def _test(self) -> None:
        n = self._rng.randrange(3)
        self._toggle(self.root / "tests" / f"test_more{n}.py", f"def test_more():\n    assert {n} != 1\n")

    def _moved(self) -> None:
        there, away = self.root / "tests", self.root / "checks"
        if away.exists():
            # Meanwhile another of that name may have been made.
            shutil.rmtree(there, ignore_errors=True)
            away.rename(there)
        else:
            there.rename(away)

    def _editable(self) -> None:
        (self.editable / "shared" / "__init__.py").write_text(f"LIMIT = {self._rng.choice((10, 10, 211))}\n")

    def _installed(self) -> None:
        self._toggle(self.packages / "zlibx.py", "")

    def state(self) -> str:
        """The same for the same files, installed ones included."""
        parts = [read_everything(self.root), read_everything(self.editable)]
        parts.append({name: "" for name in os.listdir(self.packages) if name != "__pycache__"})
        return " ".join(map(shown, parts))

    def truth(self, probe: str, program: str) -> Truth:
        """What a plain run says of the files as they are."""
        key = probe, self.state()
        if key not in self._truths:
            self._truths[key] = self._ruff(program) if probe == "ruff" else self._pytest()
        return self._truths[key]

    def _ruff(self, program: str) -> Truth:
        done = subprocess.run([program, *RUFF], cwd=self.root, capture_output=True, text=True, check=False)
        if "No Python files found" in done.stderr + done.stdout:
            return "skipped", ()
        found = re.findall(r"^(.+?:\d+:\d+): ([\w-]+)", done.stdout, re.MULTILINE)
        return {0: "passed", 1: "failed"}.get(done.returncode, "error"), tuple(sorted(map(" ".join, found)))

    def _pytest(self) -> Truth:
        compiled = self.home / "compiled"
        # What was compiled before may be older than the text and yet look as new.
        shutil.rmtree(f"{compiled}{self.home}", ignore_errors=True)
        done = subprocess.run(
            [str(self.environment / "bin" / "python"), "-m", "pytest", "-q", "-rfE", "-p", "no:cacheprovider"],
            cwd=self.root,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPYCACHEPREFIX": str(compiled)},
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
        return {0: "passed", 1: "failed", 5: "skipped"}.get(done.returncode, "error"), tuple(sorted(set(found)))


def told(probe: str, state: str, failing: tuple[str, ...]) -> Truth:
    """A verdict of the engine in the same words."""
    if probe == "ruff":
        failing = tuple(" ".join(line.split(" ")[:2]) for line in failing)
    return state, tuple(sorted(set(failing)) if probe == "pytest" else sorted(failing))


def own_ruff() -> str:
    """The ruff that the engine runs too."""
    beside = Path(sys.prefix) / "bin" / "ruff"
    return str(beside) if beside.exists() else shutil.which("ruff") or ""
