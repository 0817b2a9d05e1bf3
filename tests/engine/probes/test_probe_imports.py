from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jetbox.engine.probes import scan as scanning
from jetbox.engine.probes.imports import Graph, Module, stem
from jetbox.engine.probes.reading import THREAD_FILES, read_modules
from jetbox.engine.probes.rescan import Rescan
from jetbox.engine.probes.scan import scan, scan_file


def module(text: str) -> Module:
    return Module(*scan(text.encode()))


def graph(files: Mapping[str, str]) -> Graph:
    made = Graph()
    made.update({path: module(text) for path, text in files.items()})
    return made


def targets(files: Mapping[str, str], path: str) -> set[str]:
    return set(graph(files).targets.get(path, ()))


def test_imports_wherever_they_stand() -> None:
    text = """
import a.b, c as d
from e.f import g, h as i
from . import j
from ..k import *
def f():
    try:
        import l
    except ImportError:
        import m
    finally:
        import n
match 1:
    case 1:
        import o
if TYPE_CHECKING:
    import types_alone
else:
    import p
importlib.import_module("q.r")
pytest.importorskip("s")
import_module(name)
import_module(".relative", package)
pytest_plugins = ["t.u", "v"]
"""
    expected = "..k:* .:j a.b c e.f:g e.f:h l m n o p q.r s t.u v"
    assert " ".join(module(text).imports) == expected
    assert module(text).parsed


@pytest.mark.parametrize(
    "change",
    [
        ("return 1", "return 2"),
        ("return 1", "import os\n    yield 3"),
        ("self.x = 1", 'self.y = "ä"\n        del self'),
        ("pass", "return 4"),
        ("'''Doc.'''", "'''Other.'''"),
    ],
)
def test_the_shape_is_blind_to_bodies_of_functions(change: tuple[str, str]) -> None:
    assert module(SHAPED).shape == module(SHAPED.replace(*change)).shape


@pytest.mark.parametrize(
    "change",
    [
        ("K = 1", "K = 2"),
        ("a=1", "a=2"),
        ("@property", "@cached_property"),
        ("Z = [n for n in K]", "Z = [n for n in L]"),
        ("def last", "def least"),
        ("class C", "class D"),
    ],
)
def test_the_shape_shows_what_is_executed_on_import(change: tuple[str, str]) -> None:
    assert module(SHAPED).shape != module(SHAPED.replace(*change)).shape


def test_functions_with_their_decorators_and_what_is_in_them() -> None:
    places = [(first, last) for first, last, _ in module(SHAPED).functions]
    assert places == [(3, 4), (7, 12), (13, 13)]
    other = module("\n" + SHAPED.replace("return 9", "return 8")).functions
    same = [new[2] == old[2] for new, old in zip(other, module(SHAPED).functions, strict=True)]
    assert same == [True, False, True]


SHAPED = """# -*- coding: utf-8 -*-
K = 1  # ü
async def f(a=1):
    return 1
class C:
    Z = [n for n in K]
    @property
    def g(self):
        '''Doc.'''
        def inner():
            return 9
        self.x = 1
def last(): pass
"""


@pytest.mark.parametrize(
    ("data", "imports"),
    [
        (b"import a\nfrom b.c import d, e\ndef (\n", ("a", "b.c:d", "b.c:e")),
        (b"from a import (\n  b,\n", ("a:*",)),
        (b"from . import x as y\n\x00", (".:x",)),
        (b"# coding: no-such\nimport a, b.c as d\n", ("a", "b.c")),
        (b"\xff\xfeimport a", ()),
        (b"import a\nx = " + b"-" * 20_000 + b"1\n", ("a",)),
    ],
    ids=["no parameters", "an open bracket", "a zero byte", "an unknown encoding", "no encoding", "too deep"],
)
def test_what_is_no_python_is_searched_for_imports(data: bytes, imports: tuple[str, ...]) -> None:
    assert scan(data)[2:] == (imports, False, ())


def test_a_huge_file_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "LARGE", 20)
    assert scan(b"import a\nx = 1\ny = 22222\n")[2:] == (("a",), False, ())


def test_other_encodings_and_line_ends() -> None:
    text = "# coding: latin-1\r\nK = 'ü'\r\ndef f():\r\n    return 'ä'\r\n"
    other = text.replace("'ä'", "'äöü'")
    assert scan(text.encode("latin-1"))[1] == scan(other.encode("latin-1"))[1]
    assert scan(b"\xef\xbb\xbfimport a\n")[2:] == (("a",), True, ())


@given(st.binary(max_size=200))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    content, shape, imports, _, functions = scan(data)
    assert [first for first, _, _ in functions] == sorted(first for first, _, _ in functions)
    assert len(content) == 32
    assert shape
    assert list(imports) == sorted(set(imports))


def test_pipes_and_folders_are_not_waited_for(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe.py")
    assert scan_file(str(tmp_path / "pipe.py")) is None
    assert scan_file(str(tmp_path)) is None
    assert scan_file(str(tmp_path / "none.py")) is None


def test_the_program_takes_nothing_from_where_it_runs(tmp_path: Path) -> None:
    (tmp_path / "ast.py").write_text("raise SystemExit('taken from the workspace')\n")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('taken from the workspace')\n")
    (tmp_path / "m.py").write_text("import a\nraise SystemExit('executed')\n")
    done = subprocess.run(
        [sys.executable, "-I", "-S", scanning.__file__],
        input=json.dumps([str(tmp_path / "m.py"), str(tmp_path / "none.py")]),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    row, none = json.loads(done.stdout)
    assert (row[2], row[3], none) == (["a"], True, None)


async def test_few_in_a_thread_and_many_in_a_process_say_the_same(tmp_path: Path) -> None:
    paths = [f"m{n}.py" for n in range(THREAD_FILES + 10)] + ["odd\udcff.py", "none.py"]
    for n, path in enumerate(paths[:-1]):
        (tmp_path / path).write_text(f"import m{n + 1}\n" if n % 3 else "def (\nimport x\n")
    many = await read_modules(str(tmp_path), paths, Rescan())
    few: dict[str, Module] = {}
    for path in paths:
        few |= await read_modules(str(tmp_path), [path], Rescan())
    assert many == few
    assert many["none.py"] == Module("", parsed=False)
    assert many["m1.py"].imports == ("m2",)


async def test_without_a_process_a_thread_does_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"m{n}.py" for n in range(THREAD_FILES + 1)]
    for path in paths:
        (tmp_path / path).write_text("import a\n")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-such-python"))
    assert (await read_modules(str(tmp_path), paths, Rescan()))["m0.py"].imports == ("a",)
    monkeypatch.setattr(sys, "executable", "/bin/true")
    assert (await read_modules(str(tmp_path), paths, Rescan()))["m0.py"].imports == ("a",)


def test_packages_on_the_way_are_imported_too() -> None:
    files = {"a/__init__.py": "", "a/b/__init__.py": "", "a/b/c.py": "", "m.py": "import a.b.c"}
    assert targets(files, "m.py") == {"a/__init__.py", "a/b/__init__.py", "a/b/c.py"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("from a import b", {"a/__init__.py", "a/b.py"}),
        ("from a import name", {"a/__init__.py"}),
        ("from a.b import name", {"a/__init__.py", "a/b.py"}),
        ("from a.b import *", {"a/__init__.py", "a/b.py"}),
        ("import a.b.name", {"a/__init__.py", "a/b.py"}),
        ("import nowhere.b", set()),
        ("import b", set()),
    ],
)
def test_modules_and_names_in_them(words: str, expected: set[str]) -> None:
    assert targets({"a/__init__.py": "", "a/b.py": "", "m.py": words}, "m.py") == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("from . import x", {"p/q/__init__.py", "p/q/x.py"}),
        ("from .x import name", {"p/q/__init__.py", "p/q/x.py"}),
        ("from .. import y", {"p/__init__.py", "p/y.py"}),
        ("from ..y import *", {"p/__init__.py", "p/y.py"}),
        ("from .... import z", set()),
    ],
)
def test_relative_imports(words: str, expected: set[str]) -> None:
    files = {"p/__init__.py": "", "p/y.py": "", "p/q/__init__.py": "", "p/q/x.py": "", "p/q/m.py": words, "z.py": ""}
    assert targets(files, "p/q/m.py") == expected


def test_source_layout_and_a_folder_of_tests_with_the_name_of_the_package() -> None:
    files = {"src/a/__init__.py": "", "src/a/b.py": "", "tests/a/test_b.py": "import a.b", "tests/a/helper.py": ""}
    assert targets(files, "tests/a/test_b.py") == {"src/a/__init__.py", "src/a/b.py"}


def test_namespace_packages() -> None:
    files = {"space/one/m.py": "from space.two import n\nimport space.two.n", "space/two/n.py": ""}
    assert targets(files, "space/one/m.py") == {"space/two/n.py"}


def test_helpers_beside_a_test_and_one_of_the_same_name_elsewhere() -> None:
    files = {"tests/unit/helpers.py": "", "other/lib/helpers.py": "", "tests/unit/test_a.py": "import helpers"}
    assert targets(files, "tests/unit/test_a.py") == {"tests/unit/helpers.py"}
    del files["tests/unit/helpers.py"]
    # Some setting may put that folder on the path.
    assert targets(files, "tests/unit/test_a.py") == {"other/lib/helpers.py"}


def test_what_lies_in_a_package_is_not_found_without_its_package() -> None:
    files = {"a/__init__.py": "", "a/json.py": "", "m.py": "import json"}
    assert targets(files, "m.py") == set()


def test_reach_over_a_fat_package() -> None:
    files = {
        "a/__init__.py": "from a import b, c",
        "a/b.py": "",
        "a/c.py": "",
        "test_b.py": "import a.b",
        "test_c.py": "import a.c",
        "test_d.py": "import os",
    }
    made = graph(files)
    assert made.reach(["a/b.py"]) == {"a/b.py": 0, "a/__init__.py": 1, "test_b.py": 1, "test_c.py": 2}
    assert made.reach(["test_d.py"], {"test_d.py": {"a/b.py"}})["test_c.py"] == 3


def test_cycles_end() -> None:
    assert graph({"a.py": "import b", "b.py": "import a"}).reach(["a.py"]) == {"a.py": 0, "b.py": 1}


def test_a_new_module_is_found_by_who_asked_for_it_before() -> None:
    made = graph({"a/__init__.py": "", "test_a.py": "from a import late\nimport later"})
    made.update({"a/late.py": module(""), "later.py": module("")})
    assert made.targets["test_a.py"] == {"a/__init__.py", "a/late.py", "later.py"}
    made.update({}, ["a/late.py"])
    assert made.targets["test_a.py"] == {"a/__init__.py", "later.py"}
    assert made.reach(["a/late.py"]) == {"a/late.py": 0}


def test_a_folder_that_becomes_a_package_is_no_place_to_import_from() -> None:
    made = graph({"lib/m.py": "", "test_m.py": "import m"})
    assert made.targets["test_m.py"] == {"lib/m.py"}
    made.update({"lib/__init__.py": module("")})
    assert "test_m.py" not in made.targets
    made.update({}, ["lib/__init__.py"])
    assert made.targets["test_m.py"] == {"lib/m.py"}


def test_a_file_that_is_broken_depends_on_what_it_did_and_on_what_it_says() -> None:
    made = graph({"a.py": "", "b.py": "", "m.py": "import a"})
    made.update({"m.py": module("import b\ndef (")})
    assert made.targets["m.py"] == {"a.py", "b.py"}
    made.update({"m.py": module("import b\n")})
    assert made.targets["m.py"] == {"b.py"}


def test_names_of_files() -> None:
    assert [stem(p) for p in ("a/b.py", "a/__init__.py", "m.py", "__init__.py")] == ["b", "a", "m", ""]


PATHS = [
    *("__init__.py", "a.py", "b.py", "a/__init__.py", "a/b.py", "a/c.py", "a/b/__init__.py", "a/b/c.py"),
    *("src/a/__init__.py", "src/a/b.py", "src/c.py", "tests/conftest.py", "tests/test_a.py", "tests/a/b.py"),
    *("tests/__init__.py", "x/y/a/b.py", "x/__init__.py", "x/y/c.py"),
]
WORDS = [
    *("import a", "import b", "import a.b", "import a.b.c", "import c", "import tests.test_a", "import y.c"),
    *("from a import b", "from a.b import c", "from a import *", "from . import a", "from . import b"),
    *("from .b import c", "from .. import c", "from ..a import b", "from x.y import c", "import x.y.a.b"),
]
writes = st.tuples(st.sampled_from(PATHS), st.lists(st.sampled_from(WORDS), max_size=3))
steps = st.lists(st.tuples(st.lists(writes, max_size=3), st.lists(st.sampled_from(PATHS), max_size=2)), max_size=8)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_a_patched_graph_is_the_one_built_from_scratch(
    history: list[tuple[list[tuple[str, list[str]]], list[str]]],
) -> None:
    patched = Graph()
    files: dict[str, str] = {}
    for written, gone in history:
        texts = {path: "\n".join(words) for path, words in written}
        leaving = [path for path in gone if path not in texts]
        files = {path: text for path, text in files.items() if path not in leaving} | texts
        patched.update({path: module(text) for path, text in texts.items()}, leaving)
        fresh = graph(files)
        assert patched.targets == fresh.targets
        assert patched.importers == fresh.importers
        assert patched.modules == fresh.modules
        for path in files:
            assert patched.reach([path]) == fresh.reach([path])
