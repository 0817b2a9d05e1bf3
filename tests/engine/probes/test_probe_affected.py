from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from engine.probes.touching import FILES, make, run, seen
from jetbox.engine.probes import affected as module
from jetbox.engine.probes import reading
from jetbox.engine.probes.affected import Affected
from jetbox.engine.probes.fingerprint import Snapshot, Tree
from jetbox.engine.probes.imports import Graph
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.selection import Selection


class Place:
    """A workspace, what is known of it, and the files as they were at the latest whole verdict."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.root = folder / "ws"
        self.store = folder / "store"
        self.files = dict(files)
        make(self.root, files)
        self.tree = Tree(self.root, out_of_scope)
        self.affected = Affected(self.root, self.store)
        self.before = Snapshot("", {})

    async def judged(self) -> Place:
        self.before = await self.tree.sweep()
        await self.affected.update(self.before)
        return self

    async def mapped(self) -> Place:
        """After a real whole run with the plugin."""
        await self.judged()
        await self.learn(seen(self.files))
        return self

    async def told(self, touched: dict[str, Sequence[str]]) -> Place:
        await self.judged()
        await self.learn(touched)
        return self

    async def learn(self, touched: Mapping[str, Sequence[str]]) -> None:
        """What a whole run was seen to touch."""
        collected = {name for name, used in touched.items() if "@" in used}
        await self.affected.learn(touched, self.before, collected or touched.keys() & self.affected._known.tests, None)

    async def after(self, changes: Mapping[str, str | None]) -> Selection:
        for path, text in changes.items():
            if text is None:
                (self.root / path).unlink()
                self.files.pop(path, None)
            else:
                make(self.root, {path: text})
                self.files[path] = text
        return await self.now()

    async def now(self) -> Selection:
        now = await self.tree.sweep()
        return await self.affected.select(self.before, now, now.changed(self.before))


def numbered(count: int) -> dict[str, str]:
    """Modules `pkg/m0.py`, ..., each with a test file, and a package that imports none."""
    files = {"pkg/__init__.py": ""}
    for n in range(count):
        files[f"pkg/m{n}.py"] = "def f():\n    return 1\n"
        files[f"tests/test_t{n}.py"] = f"from pkg import m{n}\n\n\ndef test_f():\n    assert m{n}.f()\n"
    return files


async def test_a_map_sees_through_a_fat_package(tmp_path: Path) -> None:
    place = await Place(tmp_path, FILES).mapped()
    chosen = await place.after({"pkg/a.py": FILES["pkg/a.py"].replace("return 1", "return 11")})
    assert chosen == Selection(("tests/test_a.py",), False, "1 of 2 test files can be touched by pkg/a.py")
    chosen = await place.after({"pkg/a.py": FILES["pkg/a.py"], "data/d.json": "[]"})
    assert (chosen.files, chosen.whole) == (("tests/test_b.py",), False)
    chosen = await place.after(
        {"data/d.json": FILES["data/d.json"], "pkg/plugins/one.py": "def run():\n    return 6\n"}
    )
    assert (chosen.files, chosen.whole, chosen.why) == ((), False, "no test touches pkg/plugins/one.py")


async def test_of_a_large_module_those_count_that_run_the_function(tmp_path: Path) -> None:
    lines = [f"\n@keep\ndef f{n}():\n    return [k for k in range({n})]\n" for n in range(4)]
    twins = "\n\nclass {}:\n    def same(self):\n        return 1\n"
    text = "def keep(f):\n    return f\n\n" + "".join(lines) + twins.format("A") + twins.format("B")
    files = {"m.py": text, "test_text.py": "def test_t():\n    assert open('m.py').read()\n"}
    for n in range(4):
        files[f"test_{n}.py"] = f"import m\n\n\ndef test_f():\n    assert m.f{n}() is not None\n"
    for name in "AB":
        files[f"test_{name}.py"] = f"import m\n\n\ndef test_f():\n    assert m.{name}().same()\n"
    place = await Place(tmp_path, files).mapped()
    # Line numbers are those of the text that was run, whatever stands above now.
    longer = text.replace("range(0)", "(1,\n    2)").replace("range(2)", "[2]")
    assert (await place.after({"m.py": longer})).files == ("test_0.py", "test_2.py", "test_text.py")
    last = "def same(self):\n        return 2\n".join(text.rsplit("def same(self):\n        return 1\n", 1))
    assert (await place.after({"m.py": last})).files == ("test_B.py", "test_text.py")
    # With another function the file is another: all who use it come behind those whose function is another.
    chosen = await place.after({"m.py": longer + "\n\ndef new():\n    pass\n"})
    assert chosen.files == ("test_0.py", "test_2.py", "test_text.py")
    assert chosen.why == "7 of 7 test files reach m.py; 3 run its code"
    # Called on import alone, it is called for all who import.
    chosen = await place.after({"m.py": text.replace("    return f\n", "    return (f)\n", 1)})
    assert (len(chosen.files), chosen.whole) == (7, True)
    place.affected = Affected(place.root, place.store)
    assert (await place.after({"m.py": last})).files == ("test_B.py", "test_text.py")


async def test_a_map_without_lines_is_about_whole_files(tmp_path: Path) -> None:
    place = await Place(tmp_path, numbered(4)).judged()
    await place.learn(run(place.root))
    assert (await place.after({"pkg/m0.py": "def f():\n    return 2\n"})).files == ("tests/test_t0.py",)


async def test_what_is_executed_on_import_counts_for_all_who_import(tmp_path: Path) -> None:
    place = await Place(tmp_path, {**FILES, "tests/test_n.py": "def test_n():\n    pass\n"}).mapped()
    # `register` is called once in the whole run, while `pkg.c` is imported.
    chosen = await place.after({"pkg/reg.py": FILES["pkg/reg.py"].replace("R.append(f)", "R.insert(0, f)")})
    assert chosen.whole
    assert chosen.why == "3 of 3 test files can be touched by pkg/reg.py"


@pytest.mark.parametrize(
    ("was", "known", "files"),
    [
        ("def f():\n    return 7\n\n\ndef g():\n    return 1\n", True, ("test_f.py",)),
        ("def f():\n    return 7\n\n\ndef g():\n    return 1\n", False, ("test_f.py", "test_g.py")),
        ("X = 1\n", True, ("test_f.py", "test_g.py")),
        (None, True, ("test_f.py", "test_g.py")),
    ],
)
async def test_what_is_again_as_the_map_has_it_has_changed(
    tmp_path: Path, was: str | None, known: bool, files: tuple[str, ...]
) -> None:
    text = "def f():\n    return 1\n\n\ndef g():\n    return 1\n"
    tests = {f"test_{name}.py": f"from m import {name}\n\n\ndef test_f():\n    assert {name}()\n" for name in "fg"}
    others = {f"test_{n}.py": "def test_n():\n    pass\n" for n in range(4)}
    place = Place(tmp_path, {"m.py": text, **tests, **others})
    uses = {"test_f.py": ["@", "m.py\x001"], "test_g.py": ["@", "m.py\x005"]}
    await place.told({**uses, **{name: ["@"] for name in others}})
    if was is None:
        (place.root / "m.py").unlink()
    else:
        make(place.root, {"m.py": was})
    # The latest whole verdict is red, and no map is made of such a run.
    place.before = await place.tree.sweep()
    if known:
        await place.affected.update(place.before)
    assert (await place.after({"m.py": text})).files == files


async def test_a_change_outside_of_functions_goes_by_imports_too(tmp_path: Path) -> None:
    files = numbered(9)
    files["tests/test_t8.py"] = files["tests/test_t8.py"].replace("from pkg import m8", "from pkg import m8, m0")
    place = await Place(tmp_path, files).mapped()
    body = await place.after({"pkg/m0.py": "def f():\n    return 2\n"})
    assert body.files == ("tests/test_t0.py",)
    shape = await place.after({"pkg/m0.py": "LIMIT = 3\n\n\ndef f():\n    return 1\n"})
    assert shape.files == ("tests/test_t0.py", "tests/test_t8.py")
    broken = await place.after({"pkg/m0.py": "def f(:\n"})
    assert broken.files == ("tests/test_t0.py", "tests/test_t8.py")
    back = await place.after({"pkg/m0.py": files["pkg/m0.py"]})
    assert (back.files, back.why) == ((), "no test touches the change")


async def test_where_most_are_reached_those_that_run_the_code_come_and_it_is_said(tmp_path: Path) -> None:
    files = numbered(6)
    files["pkg/__init__.py"] = "from pkg import m0\n"
    place = await Place(tmp_path, files).mapped()
    chosen = await place.after({"pkg/m0.py": "LIMIT = 3\n\n\ndef f():\n    return 1\n"})
    assert chosen == Selection(
        ("tests/test_t0.py",), False, "6 of 6 test files reach pkg/m0.py; 1 use it or import it themselves", 6
    )


async def test_dynamic_imports_are_imports(tmp_path: Path) -> None:
    text = "import pkg.b\n\n\ndef test_p():\n    assert pkg.b.plug('one')\n"
    more = {f"tests/test_p{n}.py": text for n in range(2)} | {
        f"tests/test_n{n}.py": "def test_n(): pass\n" for n in range(9)
    }
    files = {**FILES, "tests/conftest.py": "", **more}
    place = await Place(tmp_path, files).mapped()
    chosen = await place.after({"pkg/plugins/one.py": "def run():\n    return 6\n"})
    assert chosen.files == ("tests/test_p0.py", "tests/test_p1.py")
    # Outside of functions all who import `pkg.b` are concerned, which is who imports the package.
    chosen = await place.after({"pkg/plugins/one.py": "X = 1\n\n\ndef run():\n    return 5\n"})
    assert set(chosen.files) == {"tests/test_p0.py", "tests/test_p1.py", "tests/test_a.py", "tests/test_b.py"}
    assert chosen.files[:2] == ("tests/test_p0.py", "tests/test_p1.py")


async def test_processes_that_were_started_count_with_all_that_they_import(tmp_path: Path) -> None:
    files = {
        **numbered(5),
        "pkg/__main__.py": "from pkg.m3 import f\nf()\n",
        "tests/test_cli.py": (
            "import subprocess, sys\n\n\ndef test_c():\n    subprocess.run([sys.executable, '-m', 'pkg'], check=True)\n"
        ),
    }
    place = await Place(tmp_path, files).mapped()
    chosen = await place.after({"pkg/m3.py": "def f():\n    return 2\n"})
    assert chosen.files == ("tests/test_t3.py", "tests/test_cli.py")
    chosen = await place.after({"pkg/m3.py": files["pkg/m3.py"], "pkg/__main__.py": "from pkg.m4 import f\nf()\n"})
    assert chosen.files == ("tests/test_cli.py",)
    chosen = await place.after({"pkg/__main__.py": files["pkg/__main__.py"], "pkg/__init__.py": "X = 1\n"})
    assert chosen.files == ("tests/test_cli.py",)
    assert chosen.why == "6 of 6 test files reach pkg/__init__.py; 1 run its code"


async def test_new_and_deleted_data_files_concern_who_listed_the_folder_or_looked_for_them(tmp_path: Path) -> None:
    lists = "import os\n\n\ndef test_l():\n    assert os.listdir('data')\n"
    looks = "def test_o():\n    try:\n        open('data/extra.txt').close()\n    except OSError:\n        pass\n"
    files = {**numbered(4), "data/d.json": "{}", "tests/test_list.py": lists, "tests/test_open.py": looks}
    place = await Place(tmp_path, files).mapped()
    assert (await place.after({"data/other.txt": ""})).files == ("tests/test_list.py",)
    assert (await place.after({"data/deep/er/new.txt": ""})).files == ("tests/test_list.py",)
    shutil.rmtree(place.root / "data" / "deep")
    chosen = await place.after({"data/other.txt": None, "data/extra.txt": ""})
    assert chosen.files == ("tests/test_list.py", "tests/test_open.py")
    chosen = await place.after({"data/extra.txt": None, "data/d.json": None})
    assert chosen.files == ("tests/test_list.py",)
    (place.root / "data").rmdir()
    assert (await place.now()).files == ("tests/test_list.py",)


async def test_a_file_that_nobody_reads(tmp_path: Path) -> None:
    place = await Place(tmp_path, {**numbered(3), "README.md": "a\n", "tools/gen.py": "x = 1\n"}).judged()
    chosen = await place.after({"README.md": "b\n"})
    assert (chosen.whole, chosen.why) == (True, "which tests README.md touches is not known")
    chosen = await place.after({"README.md": "a\n", "tools/gen.py": "x = 2\n"})
    assert (chosen.whole, chosen.why) == (True, "which tests tools/gen.py touches is not known")
    await place.mapped()
    for path in ("README.md", "tools/gen.py", "tools/new.py", "NEWS", ".gitignore"):
        chosen = await place.after({path: "c = 1\n"})
        assert (chosen.files, chosen.whole) == ((), False)
        (place.root / path).unlink()
        place.before = await place.tree.sweep()
        await place.affected.update(place.before)


async def test_tests_of_which_not_all_was_seen_are_taken_where_nobody_else_is_known(tmp_path: Path) -> None:
    files = {**numbered(4), "README.md": "a\n", "tests/test_bad.py": "def test_b():\n    assert 0\n"}
    place = await Place(tmp_path, files).mapped()
    assert (await place.after({"README.md": "b\n"})).files == ("tests/test_bad.py",)
    # Of the others all is known, so that imports need not be asked.
    chosen = await place.after({"README.md": "a\n", "pkg/m0.py": "def f():\n    return 2\n"})
    assert chosen.files == ("tests/test_t0.py", "tests/test_bad.py")


async def test_a_map_that_is_older_than_a_file_is_helped_by_imports(tmp_path: Path) -> None:
    files = numbered(6)
    files["pkg/m0.py"] = "from pkg import m1\n\n\ndef f():\n    return 1\n"
    place = await Place(tmp_path, files).mapped()
    # From here on a test of m0 runs m1, and no whole run with the plugin has seen it.
    make(place.root, {"pkg/m0.py": "from pkg import m1\n\n\ndef f():\n    return m1.f()\n"})
    await place.judged()
    chosen = await place.after({"pkg/m1.py": "def f():\n    return 3\n"})
    assert chosen.files == ("tests/test_t1.py", "tests/test_t0.py")
    await place.after({"pkg/m1.py": files["pkg/m1.py"], "pkg/m0.py": files["pkg/m0.py"]})
    await place.judged()
    assert (await place.after({"pkg/m1.py": "def f():\n    return 3\n"})).files == ("tests/test_t1.py",)


async def test_imports_and_names_where_nothing_was_seen_yet(tmp_path: Path) -> None:
    files = {
        **numbered(5),
        "pkg/m4.py": "from pkg import m2\n\n\ndef f():\n    return m2.f()\n",
        "tests/test_m2.py": "def test_by_name_alone(): pass\n",
    }
    place = await Place(tmp_path, files).judged()
    assert not place.affected._known.usage.tests
    chosen = await place.after({"pkg/m2.py": "def f():\n    return 2\n"})
    assert chosen.files == ("tests/test_m2.py", "tests/test_t2.py", "tests/test_t4.py")
    assert not chosen.whole


async def test_a_fat_package_without_a_map_leaves_those_that_import_the_module_themselves(tmp_path: Path) -> None:
    files = {**numbered(6), "pkg/__init__.py": "from pkg import m0, m1\n"}
    place = await Place(tmp_path, files).judged()
    chosen = await place.after({"pkg/m1.py": "def f():\n    return 2\n"})
    assert chosen == Selection(
        ("tests/test_t1.py",), False, "6 of 6 test files reach pkg/m1.py; 1 import it themselves", 6
    )


async def test_changed_new_and_deleted_test_files(tmp_path: Path) -> None:
    files = numbered(5)
    place = await Place(tmp_path, files).mapped()
    chosen = await place.after({"tests/test_t3.py": files["tests/test_t3.py"] + "\n"})
    assert chosen.files == ("tests/test_t3.py",)
    new = {"tests/test_new.py": "from pkg import m9\n", "pkg/m9.py": "def f(): pass\n"}
    chosen = await place.after(new)
    assert chosen.files == ("tests/test_new.py", "tests/test_t3.py")
    await place.judged()
    chosen = await place.after({"pkg/m9.py": "def f():\n    return 1\n"})
    assert chosen.files == ("tests/test_new.py", "tests/test_t3.py")
    await place.judged()
    chosen = await place.after({"tests/test_new.py": None})
    assert (chosen.files, chosen.whole) == (("tests/test_t3.py",), False)


async def test_who_needed_a_module_that_is_gone(tmp_path: Path) -> None:
    place = await Place(tmp_path, numbered(5)).judged()
    for _ in range(2):
        chosen = await place.after({"pkg/m2.py": None} if (place.root / "pkg" / "m2.py").exists() else {})
        assert chosen.files == ("tests/test_t2.py",)
    # Another change on top of it: it is still gone.
    chosen = await place.after({"pkg/m3.py": "def f():\n    return 3\n"})
    assert chosen.files == ("tests/test_t2.py", "tests/test_t3.py")


async def test_a_missing_module_that_comes(tmp_path: Path) -> None:
    files = numbered(5)
    del files["pkg/m2.py"]
    place = await Place(tmp_path, files).judged()
    assert (await place.after({"pkg/m2.py": "def f(): pass\n"})).files == ("tests/test_t2.py",)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("conftest.py", "conftest.py changed"),
        ("tests/conftest.py", "tests/conftest.py changed"),
        ("pyproject.toml", "pyproject.toml changed"),
        ("setup.cfg", "setup.cfg changed"),
        ("../tox.ini", "../tox.ini changed"),
        ("pkg/fast.so", "pkg/fast.so changed, which is not text"),
        (".git/HEAD", ".git/HEAD changed"),
    ],
)
async def test_where_the_whole_suite_alone_can_tell(tmp_path: Path, path: str, why: str) -> None:
    place = await Place(tmp_path, numbered(4)).mapped()
    assert await place.after({path: ""}) == Selection((), True, why)


async def test_what_hooks_use_is_used_for_every_test(tmp_path: Path) -> None:
    hook = "def pytest_collection_modifyitems():\n    open('order.txt').close()\n"
    place = await Place(tmp_path, {**numbered(4), "conftest.py": hook, "order.txt": ""}).judged()
    chosen = await place.after({"pkg/m0.py": "def f():\n    return 2\n"})
    assert (chosen.whole, chosen.why) == (True, "code decides which tests are collected")
    await place.mapped()
    assert (await place.after({"order.txt": "x"})).why == "order.txt is used outside of the tests"
    chosen = await place.after({"order.txt": "", "pkg/m0.py": "def f():\n    return 3\n"})
    assert chosen.files == ("tests/test_t0.py",)


async def test_what_a_conftest_imports_reaches_the_tests_below_it(tmp_path: Path) -> None:
    files = numbered(7)
    files |= {"tests/sub/conftest.py": "from pkg import m0\n", "tests/sub/test_s.py": "def test_s(): pass\n"}
    place = await Place(tmp_path, files).judged()
    assert (await place.after({"pkg/m0.py": "X = 1\n"})).files == ("tests/test_t0.py", "tests/sub/test_s.py")


async def test_no_tests_and_one_test(tmp_path: Path) -> None:
    place = await Place(tmp_path, {"m.py": "x = 1\n"}).judged()
    assert await place.after({"m.py": "x = 2\n"}) == Selection((), True, "no test files are known")
    await place.after({"test_m.py": "import m\n"})
    await place.judged()
    chosen = await place.after({"m.py": "x = 3\n"})
    assert (chosen.files, chosen.whole) == (("test_m.py",), True)


async def test_what_a_whole_run_passed_over_is_no_test_file_until_it_changes(tmp_path: Path) -> None:
    files = {**numbered(4), "tests/test_empty.py": "from pkg import m0\n"}
    place = await Place(tmp_path, files).mapped()
    assert (await place.after({"pkg/m0.py": "X = 1\n"})).files == ("tests/test_t0.py",)
    text = "from pkg import m0\n\n\ndef test_x(): pass\n"
    chosen = await place.after({"tests/test_empty.py": text})
    assert chosen.files == ("tests/test_empty.py", "tests/test_t0.py")


async def test_configured_names_of_test_files(tmp_path: Path) -> None:
    files = {"pytest.ini": "[pytest]\npython_files = check_*.py\n", "m.py": "", "n.py": "", "check_n.py": "import n\n"}
    place = await Place(tmp_path, {**files, "check_m.py": "import m\n", "test_m.py": "import m\n"}).judged()
    assert (await place.after({"m.py": "x = 1\n"})).files == ("check_m.py",)


async def test_a_map_of_other_names_of_test_files(tmp_path: Path) -> None:
    one, other = (f"[pytest]\npython_files = {names}\n" for names in ("test_*.py", "test_*b.py check_*.py"))
    test = "import m\n\n\ndef test_x(): assert m\n"
    files = {"pytest.ini": one, "m.py": "", "n.py": "", "test_a.py": test, "test_ab.py": test, "check_m.py": test}
    place = await Place(tmp_path, {**files, "test_nb.py": test.replace("m", "n")}).mapped()
    assert set((await place.after({"m.py": "x = 1\n"})).files) == {"test_a.py", "test_ab.py"}
    make(place.root, {"pytest.ini": other})
    await place.judged()
    assert set((await place.after({"m.py": "x = 2\n"})).files) == {"check_m.py", "test_ab.py"}
    make(place.root, {"pytest.ini": one})
    await place.judged()
    assert set((await place.after({"m.py": "x = 3\n"})).files) == {"test_a.py", "test_ab.py"}


async def test_what_was_learnt_outlives_the_session(tmp_path: Path) -> None:
    place = await Place(tmp_path, FILES).mapped()
    assert [path.name for path in place.store.iterdir()] == ["affected.json"]
    place.affected = Affected(place.root, place.store)
    chosen = await place.after({"pkg/a.py": FILES["pkg/a.py"].replace("return 1", "return 11")})
    assert chosen.files == ("tests/test_a.py",)
    assert place.affected._known.usage.tests


SPOILT: dict[str, Callable[[str], str]] = {
    "empty": lambda text: "",
    "half": lambda text: text[: len(text) // 2],
    "an earlier format": lambda text: text.replace(f'"format":{module.FORMAT}', f'"format":{module.FORMAT - 1}'),
    "a number of nothing": lambda text: text.replace('"tests":{', '"tests":{"x.py":[99999],'),
    "a word for a list": lambda text: text.replace('"tests":{', '"tests":{"x.py":"y",'),
    "too deep": lambda text: "[" * 100_000,
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
async def test_a_damaged_store_is_as_none(tmp_path: Path, spoil: Callable[[str], str]) -> None:
    place = await Place(tmp_path, numbered(4)).mapped()
    file = place.store / "affected.json"
    whole = file.read_text()
    assert spoil(whole) != whole
    file.write_text(spoil(whole))
    place.affected = Affected(place.root, place.store)
    assert (await place.after({"pkg/m0.py": "X = 1\n"})).files == ("tests/test_t0.py",)
    assert not place.affected._known.usage.tests
    await place.after({"pkg/m0.py": numbered(4)["pkg/m0.py"]})
    await place.mapped()
    assert json.loads(file.read_text())["usage"]["tests"]


async def test_without_a_place_to_keep_it(tmp_path: Path) -> None:
    place = Place(tmp_path, numbered(4))
    place.affected = Affected(place.root, None)
    await place.mapped()
    assert (await place.after({"pkg/m0.py": "def f():\n    return 2\n"})).files == ("tests/test_t0.py",)
    assert not place.store.exists()


async def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await Place(tmp_path, numbered(4)).judged()
    make(place.root, {"tests/test_t1.py": "from pkg import m2\n"})
    now = await place.tree.sweep()
    make(place.root, {"tests/test_t1.py": "from pkg import m3\n"})
    await place.affected.update(now)
    make(place.root, {"tests/test_t1.py": "from pkg import m2\n"})
    os.utime(place.root / "tests/test_t1.py", ns=(1, 1))
    place.before = await place.tree.sweep()
    assert place.before.digest == now.digest
    chosen = await place.after({"pkg/m2.py": "X = 1\n"})
    assert chosen.files == ("tests/test_t1.py", "tests/test_t2.py")


async def test_cancelled_in_the_middle_it_goes_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(tmp_path, numbered(reading.THREAD_FILES))
    before = await place.tree.sweep()
    begun = asyncio.Event()
    real = asyncio.create_subprocess_exec
    started = []

    async def start(*words: str, **options: object) -> asyncio.subprocess.Process:
        started.append(await real(*words, **options))  # type: ignore[arg-type]
        begun.set()
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", start)
    task = asyncio.create_task(place.affected.update(before))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert started[0].returncode is not None
    await place.judged()
    assert (await place.after({"pkg/m0.py": "X = 1\n"})).files == ("tests/test_t0.py",)


async def test_a_link_to_a_module_and_a_name_that_is_no_text(tmp_path: Path) -> None:
    place = Place(tmp_path, {**numbered(4), "data/odd\udcff.txt": "", "odd\udcff.py": ""})
    (place.root / "link.py").symlink_to("pkg/m0.py")
    await place.mapped()
    (place.root / "link.py").unlink()
    (place.root / "link.py").symlink_to("pkg/m1.py")
    assert (await place.now()).files == ()
    assert (await place.after({"odd\udcff.py": "x = 1\n"})).files == ()


async def test_a_thousand_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"pkg/__init__.py": "from pkg import m0\n"}
    for n in range(1000):
        files[f"pkg/m{n}.py"] = f"from pkg.m{n // 3} import f as g\n\n\ndef f():\n    return {n}\n" if n else "f = 1\n"
    touched: dict[str, Sequence[str]] = {}
    for n in range(300):
        near = [f"pkg/m{k}.py" for k in range(3 * n, 3 * n + 20) if k < 1000]
        files[f"tests/test_{n}.py"] = f"from pkg import m{3 * n}\n"
        touched[f"tests/test_{n}.py"] = ["@", f"tests/test_{n}.py", *near]
    place = Place(tmp_path, files)
    began = []
    real = module.Affected._modules

    async def modules(self: Affected, paths: list[str]) -> object:
        began.append(len(paths))
        return await real(self, paths)

    monkeypatch.setattr(module.Affected, "_modules", modules)
    await place.told(touched)
    assert began == [1301]
    for n in range(20):
        make(place.root, {"pkg/m500.py": f"from pkg.m166 import f as g\n\n\ndef f():\n    return {-n}\n"})
        now = await place.tree.sweep()
        changed = now.changed(place.before)
        await place.affected.update(now)
        chosen = await place.affected.select(place.before, now, changed)
        assert 0 < len(chosen.files) < 10
    assert began[1:] == [1] * 20
    assert isinstance(place.affected._known.graph, Graph)
