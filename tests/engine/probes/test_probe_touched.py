from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.probes.touching import FILES, RUN, make, run
from jetbox.engine.probes import calls, touched


def test_each_test_file_has_what_it_called_and_opened_despite_a_fat_package(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    make(
        tmp_path,
        {
            "tests/test_s1.py": "def test_s(shared):\n    assert shared == 2\n",
            "tests/test_s2.py": "def test_s(shared):\n    assert shared == 2\n",
            "tests/test_s3.py": "def test_s(request):\n    assert request.getfixturevalue('shared') == 2\n",
            "tests/test_empty.py": "import pkg\n",
        },
    )
    seen = run(tmp_path)
    assert seen["tests/test_a.py"] == ["@", "pkg/a.py", "tests/test_a.py"]
    assert seen["tests/test_b.py"] == ["@", "data/d.json", "pkg/b.py", "tests/test_b.py"]
    for name in ("tests/test_s1.py", "tests/test_s2.py", "tests/test_s3.py"):
        assert seen[name] == ["@", "pkg/c.py", "tests/conftest.py", name]
    assert "@" not in seen.get("tests/test_empty.py", [])
    # What happens on import happens for all who import.
    assert seen["pkg/c.py"] == ["+pkg/reg.py", "pkg/reg.py"]
    assert seen["pkg/__init__.py"] == ["+pkg/a.py", "+pkg/b.py", "+pkg/c.py"]
    assert "" not in seen


def test_the_lines_where_functions_begin(tmp_path: Path) -> None:
    text = (
        "import functools\n\n\n@functools.lru_cache(\n    maxsize=None\n)\ndef f():\n    def inner():\n"
        "        return [1 for _ in 'ab']\n    return inner()\n\n\ng = lambda: 1\n\n\nclass A:\n    def m(self):\n"
        "        yield 1\n        yield 2\n\n    async def n(self):\n        pass\n"
    )
    test = "import m\n\n\ndef test_f():\n    assert m.f()\n    assert m.g()\n    assert list(m.A().m())\n"
    make(tmp_path, {"m.py": text, "test_f.py": test})
    seen = run(tmp_path, lines=True)
    assert seen["test_f.py"] == ["+m.py", "@", "m.py\0" + "4,8,13,17", "test_f.py\0" + "4"]


def test_dynamic_imports_and_files_that_are_read_on_import(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    one = "import pkg.b\n\n\ndef test_p():\n    assert pkg.b.plug('one') == 5\n"
    two = "def test_d():\n    from pkg.d import TEXT\n    assert TEXT\n"
    make(tmp_path, {"tests/test_p1.py": one, "tests/test_p2.py": one, "tests/test_d.py": two})
    seen = run(tmp_path)
    assert seen["pkg/b.py"] == ["+pkg/plugins/__init__.py", "+pkg/plugins/one.py"]
    for name in ("tests/test_p1.py", "tests/test_p2.py"):
        assert seen[name] == ["@", "pkg/b.py", "pkg/plugins/one.py", name]
    assert seen["pkg/d.py"] == ["data/at_import.txt"]
    assert seen["tests/test_d.py"] == ["+pkg/d.py", "@", "tests/test_d.py"]


def test_folders_that_are_listed_and_files_that_are_not_there(tmp_path: Path) -> None:
    text = (
        "import os, pathlib, pytest\n\n\n"
        "@pytest.mark.parametrize('path', sorted(pathlib.Path('data').glob('*.json')))\ndef test_l(path):\n"
        "    assert path.name\n    os.listdir()\n    with pytest.raises(OSError):\n        open(b'data/none.txt')\n"
    )
    make(tmp_path, {"test_l.py": text, "data/d.json": "{}", "other/x.json": "{}"})
    seen = run(tmp_path)["test_l.py"]
    assert [path for path in seen if path != "test_l.py"] == ["./", "@", "data/", "data/none.txt"]


def test_sources_that_a_test_reads_count_and_those_of_tracebacks_do_not(tmp_path: Path) -> None:
    text = (
        "import inspect, traceback, pathlib, m\n\n\ndef test_lint():\n    assert pathlib.Path('read.py').read_text()\n"
        "    inspect.getsource(m)\n    traceback.format_stack()\n"
    )
    make(tmp_path, {"test_l.py": text, "m.py": "x = 1\n", "read.py": "x = 1\n"})
    assert run(tmp_path)["test_l.py"] == ["+m.py", "@", "read.py", "test_l.py"]


def test_a_test_that_changes_directory(tmp_path: Path) -> None:
    text = "def test_c(monkeypatch):\n    monkeypatch.chdir('data')\n    assert open('d.json').read()\n"
    make(tmp_path, {"test_c.py": text, "data/d.json": "{}"})
    assert "data/d.json" in run(tmp_path)["test_c.py"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("subprocess.run([sys.executable, '-m', 'pkg'])", ">pkg/__main__.py"),
        ("subprocess.run([sys.executable, '-m', 'pkg.a'])", ">pkg/a.py"),
        ("subprocess.run([sys.executable, '-c', 'from pkg import a; a.fa()'])", ">pkg/a.py"),
        ("subprocess.run([sys.executable, 'tool.py'])", ">tool.py"),
        ("subprocess.run('python3 tool.py', shell=True)", ">tool.py"),
        ("os.system('python3 tool.py')", ">tool.py"),
        ("subprocess.run(['cat', 'data/d.json'])", "data/d.json"),
        ("subprocess.run(['true'])", ""),
        ("subprocess.run([sys.executable, '-c', 'def'])", "*"),
        ("subprocess.run([sys.executable, '-V'])", "*"),
        ("os.waitpid(os.fork() or os._exit(0), 0)", "*"),
        ("[p.start() or p.join() for p in [multiprocessing.Process(target=print)]]", "*"),
        ("[p.start() or p.join() for p in [multiprocessing.get_context('spawn').Process(target=print)]]", "*"),
    ],
)
def test_other_processes(tmp_path: Path, body: str, expected: str) -> None:
    make(tmp_path, {**FILES, "tool.py": "import pkg\n"})
    (tmp_path / "tests" / "conftest.py").unlink()
    text = f"import multiprocessing, os, subprocess, sys\n\n\ndef test_x():\n    {body}\n"
    make(tmp_path, {"tests/test_x.py": text})
    seen = run(tmp_path, "tests/test_x.py")["tests/test_x.py"]
    assert [name for name in seen if name not in ("@", "tests/test_x.py")] == ([expected] if expected else [])


def test_a_failed_test_and_a_file_that_cannot_be_imported_are_not_all_there_is(tmp_path: Path) -> None:
    make(tmp_path, {"test_f.py": "def test_f():\n    assert 0\n", "test_g.py": "import nowhere_at_all\n"})
    assert run(tmp_path, "--continue-on-collection-errors") | {"way": []} == {
        "test_f.py": ["!", "@", "test_f.py"],
        "test_g.py": ["!", "@"],
        "way": [],
    }


def test_threads_and_generators(tmp_path: Path) -> None:
    text = (
        "import asyncio, threading, m\n\n\ndef test_t():\n    t = threading.Thread(target=m.f)\n    t.start()\n"
        "    t.join()\n    asyncio.run(m.n.g())\n"
    )
    files = {"test_t.py": text, "m.py": "import n\n\n\ndef f(): pass\n", "n.py": "async def g(): pass\n"}
    make(tmp_path, files)
    assert run(tmp_path)["test_t.py"] == ["+m.py", "@", "m.py", "n.py", "test_t.py"]


def test_who_takes_the_hook_away_is_noticed(tmp_path: Path) -> None:
    taken = "import sys, m\n\n\ndef test_t():\n    sys.settrace(None)\n    sys.setprofile(None)\n    m.f()\n"
    make(
        tmp_path,
        {"test_1.py": taken, "test_2.py": "import m\n\n\ndef test_m():\n    m.f()\n", "m.py": "def f(): pass\n"},
    )
    seen = run(tmp_path)
    if seen["way"] == ["trace"]:
        assert "*" in seen["test_1.py"]
    assert "m.py" in seen["test_2.py"]
    assert "*" not in seen["test_2.py"]


def test_the_profile_hook_where_the_trace_hook_is_taken(tmp_path: Path) -> None:
    make(tmp_path, FILES)
    before = "import sys; sys.settrace(lambda *a: None); vars(sys).pop('monitoring', None)"
    seen = run(tmp_path, before=before)
    assert seen["way"] == ["profile"]
    assert seen["tests/test_a.py"] == ["@", "pkg/a.py", "tests/test_a.py"]
    assert run(tmp_path, before=before + "; sys.setprofile(lambda *a: None)") == {"way": [""]}


def test_what_happens_outside_of_all_tests(tmp_path: Path) -> None:
    hook = "def pytest_collection_modifyitems():\n    import m\n    m.f()\n    open('data.txt').close()\n"
    make(
        tmp_path, {"conftest.py": hook, "m.py": "def f(): pass\n", "data.txt": "", "test_a.py": "def test_a(): pass\n"}
    )
    seen = run(tmp_path)
    assert {"m.py", "data.txt", "conftest.py"} <= set(seen[""])
    assert seen["test_a.py"] == ["@", "test_a.py"]


def test_doctests_and_unittest_classes(tmp_path: Path) -> None:
    doc = 'import n\n\n\ndef f():\n    """\n    >>> n.g()\n    """\n'
    case = (
        "import unittest, n\n\n\nclass T(unittest.TestCase):\n    def setUp(self): n.g()\n    def test_x(self): pass\n"
    )
    make(tmp_path, {"m.py": doc, "n.py": "def g(): pass\n", "test_u.py": case, "README.rst": ">>> import n; n.g()\n"})
    seen = run(tmp_path, "--doctest-modules", "--doctest-glob=*.rst")
    assert {"@", "n.py"} <= set(seen["m.py"])
    assert {"@", "n.py"} <= set(seen["test_u.py"])
    assert {"@", "n.py"} <= set(seen["README.rst"])


def test_nothing_is_said_of_files_outside_or_of_environments(tmp_path: Path) -> None:
    make(tmp_path, {"out/x.txt": "", "ws/test_a.py": "def test_a():\n    open('../out/x.txt').close()\n"})
    make(tmp_path, {"ws/.venv/lib/site-packages/v.py": "def f(): pass\n"})
    (tmp_path / "ws" / "test_v.py").write_text(
        "import sys; sys.path.append('.venv/lib/site-packages')\nimport v\n\n\ndef test_v(): v.f()\n"
    )
    (tmp_path / "linked").symlink_to(tmp_path / "ws")
    seen = run(tmp_path / "linked")
    assert seen["test_a.py"] == ["@", "test_a.py"]
    assert seen["test_v.py"] == ["@", "test_v.py"]


def test_hooks_change_no_outcome(tmp_path: Path) -> None:
    text = (
        "import os, pytest, sys\n\n\ndef deep(n):\n    return deep(n + 1)\n\n\ndef test_r():\n"
        "    with pytest.raises(RecursionError):\n        deep(0)\n\n\ndef test_o():\n"
        "    with pytest.raises(TypeError):\n        open(1.5)\n"
        "    with pytest.raises(ValueError):\n        open('a\\0b')\n"
        "    with pytest.raises(OSError):\n        os.listdir('\\udcff')\n"
        "    os.scandir(os.open('.', os.O_RDONLY)).close()\n"
        "    with pytest.raises((OSError, ValueError)):\n        import subprocess; subprocess.Popen([''])\n"
    )
    make(tmp_path, {"test_r.py": text})
    source = "\n".join(Path(str(module.__file__)).read_text() for module in (calls, touched))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, "", "-W", "error"],
        input=source,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert json.loads(done.stdout.splitlines()[-1])["code"] == 0, done.stdout
