from __future__ import annotations

from pathlib import Path

import pytest

from jetbox.engine.probes.collected import Collected, collected
from nursery import PYTEST, nursery

FILES = [
    *("test_a.py", "a_test.py", "a.py", "tests/test_b.py", "tests/unit/test_c.py", "tests/check_d.py"),
    *("build/test_e.py", "lib/test_f.py", "lib/.hidden/test_g.py", "tests/old/test_h.py", "lib/deep/spec_i.py"),
]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", ""),
        ("pytest.ini", "[pytest]\npython_files = check_*.py test_b.py\n"),
        ("pytest.ini", "[pytest]\ntestpaths = tests/unit lib\n"),
        ("pytest.ini", "[pytest]\ntestpaths = te*\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\npython_files = ["check_*.py", "deep/spec_*.py"]\n'),
        ("pyproject.toml", '[tool.pytest.ini_options]\naddopts = "--ignore=tests/old --ignore lib"\n'),
        ("tox.ini", "[pytest]\nnorecursedirs = deep unit\n"),
        ("setup.cfg", "[tool:pytest]\naddopts = --ignore-glob=tests/u*\n"),
        ("setup.cfg", "[other]\npython_files = nothing\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\naddopts = ["--doctest-modules"]\ntestpaths = "lib"\n'),
    ],
)
def test_the_same_files_as_pytest_collects(tmp_path: Path, name: str, text: str) -> None:
    for number, path in enumerate(FILES):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f'def test_it_{number}():\n    """\n    >>> 1\n    1\n    """\n')
    (tmp_path / name).write_text(text)
    words = ["--collect-only", "-q", "-p", "no:cacheprovider"]
    environ = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    _, listed, _ = nursery().run(PYTEST, *words, folder=tmp_path, environ=environ)
    expected = {line.partition("::")[0] for line in listed.splitlines() if "::" in line}
    assert expected
    rules = collected(tmp_path, [name, *FILES])
    assert {path for path in FILES if rules.takes(path)} == expected
    assert rules.certain


def test_where_code_decides_nothing_is_certain(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text("collect_ignore = ['test_a.py']\n")
    assert not collected(tmp_path, ["tests/conftest.py"]).certain
    (tmp_path / "tests" / "conftest.py").write_text("import pytest\n")
    assert collected(tmp_path, ["tests/conftest.py"]).certain
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --doctest-glob=*.rst\n")
    assert not collected(tmp_path, ["pytest.ini"]).certain


def test_configuration_above_the_workspace(tmp_path: Path) -> None:
    root = tmp_path / "ws"
    root.mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\npython_files = check_*.py\ntestpaths = elsewhere\n")
    rules = collected(root, ["../pytest.ini"])
    assert rules.takes("check_a.py")
    assert not rules.takes("test_a.py")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("pyproject.toml", b"[tool\n"),
        ("pyproject.toml", b"tool = 3\n"),
        ("pyproject.toml", b"[tool]\npytest = 3\n"),
        ("pyproject.toml", b"[tool.pytest]\nini_options = 3\n"),
        ("pyproject.toml", b"\xff\xfe"),
        ("setup.cfg", b"python_files = a\n"),
        ("tox.ini", b"[pytest\n"),
        ("setup.cfg", b"[tool:pytest]\npython_files = \n"),
    ],
)
def test_what_cannot_be_read_leaves_the_defaults(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    assert collected(tmp_path, [name]) == Collected()


def test_odd_options() -> None:
    assert not Collected().takes("../test_a.py")
    assert not Collected().takes("test_a.txt")
