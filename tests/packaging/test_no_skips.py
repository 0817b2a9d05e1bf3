from __future__ import annotations

import os
from pathlib import Path

import pytest

from nursery import PYTEST, nursery

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


def run(folder: Path, *, ci: str, workers: str) -> tuple[int, str]:
    words = ["-p", "xdist", "-p", "no_skips", "-p", "no:cacheprovider", "-n", workers]
    env = {**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "CI": ci}
    code = f"import sys; sys.path.insert(0, {str(TESTS)!r}); {PYTEST}"
    status, out, _ = nursery().run(code, *words, folder=folder, environ=env)
    return status, out


@pytest.mark.parametrize(("workers", "ci"), [("0", "1"), ("1", "true"), ("0", "")])
def test_ci_permits_no_skip_but_for_another_system(workers: str, ci: str, tmp_path: Path) -> None:
    for name, body in PERMITTED.items():
        (tmp_path / f"test_{name}.py").write_text(body)
    assert run(tmp_path, ci=ci, workers=workers)[0] == 0
    for name, (body, _) in REFUSED.items():
        (tmp_path / f"test_{name}.py").write_text(body)
    status, out = run(tmp_path, ci=ci, workers=workers)
    assert status == (1 if ci else 0), out
    listed = out.rpartition("CI does not permit")[2]
    for name, (_, why) in REFUSED.items():
        assert (why in listed and f"test_{name}.py" in listed) == bool(ci)
    assert not any(f"test_{name}.py" in listed for name in PERMITTED) or not ci
    assert " passed, " in out.splitlines()[-1]
