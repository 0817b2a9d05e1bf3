from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent

PERMITTED = {
    "passes": "def test_a(): pass",
    "macos": "import pytest\n@pytest.mark.skip(reason='needs macOS')\ndef test_a(): pass",
    "windows": "import pytest\n@pytest.mark.skipif(True, reason='needs Windows')\ndef test_a(): pass",
    "expected": "import pytest\n@pytest.mark.xfail(reason='known')\ndef test_a(): assert False",
}
REFUSED = {
    "mark": ("import pytest\n@pytest.mark.skip(reason='no bwrap')\ndef test_a(): pass", "no bwrap"),
    "condition": ("import pytest\n@pytest.mark.skipif(True, reason='as root')\ndef test_a(): pass", "as root"),
    "call": ("import pytest\ndef test_a(): pytest.skip('too slow')", "too slow"),
    "module": ("import pytest\npytest.skip('whole file', allow_module_level=True)", "whole file"),
    "import": ("import pytest\npytest.importorskip('no_such_module')", "could not import 'no_such_module'"),
    "fixture": ("import pytest\n@pytest.fixture\ndef f(): pytest.skip('no tmux')\ndef test_a(f): pass", "no tmux"),
}


def run(folder: Path, *, ci: str, workers: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "xdist", "-p", "no_skips", "-p", "no:cacheprovider", "-n", workers]
    env = {**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CI": ci}
    return subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(("workers", "ci"), [("0", "1"), ("1", "true"), ("0", "")])
def test_ci_permits_no_skip_but_for_another_system(workers: str, ci: str, tmp_path: Path) -> None:
    for name, body in PERMITTED.items():
        (tmp_path / f"test_{name}.py").write_text(body)
    assert run(tmp_path, ci=ci, workers=workers).returncode == 0
    for name, (body, _) in REFUSED.items():
        (tmp_path / f"test_{name}.py").write_text(body)
    done = run(tmp_path, ci=ci, workers=workers)
    assert done.returncode == (1 if ci else 0), done.stdout + done.stderr
    listed = done.stdout.rpartition("CI does not permit")[2]
    for name, (_, why) in REFUSED.items():
        assert (why in listed and f"test_{name}.py" in listed) == bool(ci)
    assert not any(f"test_{name}.py" in listed for name in PERMITTED) or not ci
    assert " passed, " in done.stdout.splitlines()[-1]
