"""A map that is kept up to date by looking at a few test files again: the choice is as after a whole run."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.probes.test_probe_affected import Place, numbered
from engine.probes.touching import run
from jetbox.engine.probes.learning import Learner, Lesson
from jetbox.engine.probes.sessions import Ended
from jetbox.engine.probes.zygote import Said

OTHERS = {f"test_z{n}.py": f"def test_z{n}():\n    assert {n} + 1\n" for n in range(6)}
"""Tests that nothing of a story touches."""


class Story(msgspec.Struct, frozen=True):
    """Files of a workspace; edits, after each of which it is looked at; and what an edit then touches."""

    files: dict[str, str]
    edits: tuple[dict[str, str], ...]
    path: str
    touches: set[str]
    links: dict[str, str] = {}
    empty: set[str] = set()
    """Test files in which nothing is found at first."""


STORIES = {
    "a constant names the file": Story(
        {
            "m.py": "NAME = 'one.txt'\n", "one.txt": "ok", "two.txt": "ok",
            "test_a.py": "import m\ndef test_a():\n    assert m.NAME\n",
            "test_b.py": "import m\ndef test_b():\n    assert open(m.NAME).read()\n",
        },
        ({"m.py": "NAME = 'two.txt'\n"},), "two.txt", {"test_b.py"},
    ),
    "a constant names the module": Story(
        {
            "sel.py": "NAME = 'one'\n", "one.py": "def go():\n    return 1\n", "two.py": "def go():\n    return 1\n",
            "test_a.py": "import sel\ndef test_a():\n    assert sel.NAME\n",
            "test_b.py": "import importlib, sel\ndef test_b():\n    assert importlib.import_module(sel.NAME).go()\n",
        },
        ({"sel.py": "NAME = 'two'\n"},), "two.py", {"test_b.py"},
    ),
    "what is read while importing names a file": Story(
        {
            "cfg": "one.txt", "one.txt": "ok", "two.txt": "ok",
            "m.py": "with open('cfg') as f:\n    NAME = f.read()\nwith open(NAME) as f:\n    T = f.read()\n",
            "test_b.py": "import m\ndef test_b():\n    assert m.T\n",
        },
        ({"cfg": "two.txt"},), "two.txt", {"test_b.py"},
    ),
    "what is called while importing reads another file": Story(
        {
            "reg.py": "def register(n):\n    return open(n + '.txt').read()\n",
            "c.txt": "ok", "r.txt": "ok", "c2.txt": "ok", "r2.txt": "ok",
            "c.py": "from reg import register\nV = register('c')\n",
            "test_c.py": "from c import V\ndef test_c():\n    assert V\n",
            "test_r.py": "from reg import register\ndef test_r():\n    assert register('r')\n",
        },
        ({"reg.py": "def register(n):\n    return open(n + '2.txt').read()\n"},), "c2.txt", {"test_c.py"},
    ),
    "a comment": Story(
        {
            "data.txt": "ok", "m.py": "with open('data.txt') as f:\n    T = f.read()\n",
            "test_a.py": "import pytest\n@pytest.mark.skip\ndef test_a():\n    import m\n",
            "test_b.py": "from m import T\ndef test_b():\n    assert T\n",
        },
        ({"m.py": "with open('data.txt') as f:\n    T = f.read()\n# more\n"},), "data.txt", {"test_a.py", "test_b.py"},
    ),
    "a test is switched on": Story(
        {
            "m.py": "ON = False\n", "db.txt": "ok",
            "test_a.py": "import m\ndef test_a():\n    assert m.ON in (True, False)\n",
            "test_b.py": "import m, pytest\n@pytest.mark.skipif(not m.ON, reason='off')\n"
            "def test_b():\n    assert open('db.txt').read()\n",
        },
        ({"m.py": "ON = True\n"},), "db.txt", {"test_b.py"},
    ),
    "what is listed while importing": Story(
        {
            "p/__init__.py": "import os\nN = os.listdir(os.path.join(os.path.dirname(__file__), 'plugins'))\n",
            "p/plugins/one.txt": "", "test_b.py": "import p\ndef test_b():\n    assert p.N\n",
        },
        (), "p/plugins/two.txt", {"test_b.py"},
    ),
    "a module behind a link": Story(
        {"real/impl.py": "def f():\n    return 1\n", "test_b.py": "import m\ndef test_b():\n    assert m.f()\n"},
        (), "real/impl.py", {"test_b.py"}, {"m.py": "real/impl.py"},
    ),
    "data behind a link": Story(
        {"d/real.json": "ok", "test_b.py": "def test_b():\n    assert open('d/link.json').read()\n"},
        (), "d/real.json", {"test_b.py"}, {"d/link.json": "real.json"},
    ),
    "a database": Story(
        {"d.sqlite": "", "test_b.py": "import sqlite3\ndef test_b():\n    sqlite3.connect('d.sqlite').close()\n"},
        (), "d.sqlite", {"test_b.py"},
    ),
    "a file that is skipped as a whole": Story(
        {
            "m.py": "ON = False\n", "test_a.py": "import m\ndef test_a():\n    assert m\n",
            "test_b.py": "import m, pytest\nif not m.ON:\n    pytest.skip('off', allow_module_level=True)\n"
            "def test_b():\n    assert 0\n",
        },
        (), "m.py", {"test_a.py", "test_b.py"}, empty={"test_b.py"},
    ),
    "a file that is skipped for want of a module": Story(
        {"test_b.py": "import pytest\nextra = pytest.importorskip('extra')\ndef test_b():\n    assert extra.V\n"},
        (), "extra.py", {"test_b.py"}, empty={"test_b.py"},
    ),
    "a file that makes its tests of a list": Story(
        {
            "cases.py": "CASES = []\n",
            "test_b.py": "import cases\nfor c in cases.CASES:\n    globals()[f'test_{c}'] = lambda: None\n",
        },
        (), "cases.py", {"test_b.py"}, empty={"test_b.py"},
    ),
}  # fmt: skip


async def looked_at(place: Place, empty: set[str]) -> None:
    """As after a whole run: what too little is known of is run again."""
    files = await place.tree.sweep()
    found = {path for path in files.files if path.rpartition("/")[2].startswith("test_")} - empty
    tests = await place.affected.tests(files, found, empty)
    unknown = await place.affected.unknown(files, tests, empty)
    if unknown is None or unknown:
        touched = run(place.root, *sorted(unknown or ()), lines=True)
        touched.pop("way")
        await place.affected.learn(touched, files, tests, unknown)
    place.before = files


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
async def test_a_change_runs_what_it_touches_however_the_map_came_to_be(tmp_path: Path, story: Story) -> None:
    place = Place(tmp_path, {**OTHERS, **story.files})
    for path, target in story.links.items():
        (place.root / path).symlink_to(target)
    await looked_at(place, story.empty)
    for edit in story.edits:
        for path, text in edit.items():
            (place.root / path).write_text(text)
        await looked_at(place, story.empty)
    (place.root / story.path).parent.mkdir(exist_ok=True)
    (place.root / story.path).write_text("ELSE = 1\n")
    chosen = await place.now()
    assert not chosen.whole
    assert set(chosen.files) == story.touches


@pytest.mark.parametrize("touched", [{}, {"": ["*"]}], ids=["nothing", "what is outside of all tests"])
async def test_a_watched_run_that_tells_of_no_test_leaves_what_is_known(
    tmp_path: Path, touched: dict[str, list[str]]
) -> None:
    place = await Place(tmp_path, {**numbered(4), "pytest.ini": "[pytest]\n"}).mapped()
    watched: list[tuple[str, ...]] = []

    async def watch(tests: tuple[str, ...]) -> Ended:
        watched.append(tests)
        return Ended("exited", 0, "", 0, Said(code=0, finished=True, touched=touched), forked=True)

    async def unchanged(_: object) -> bool:
        return True

    before = place.affected._known.usage
    (place.root / "pytest.ini").write_text("[pytest]\naddopts = -q\n")
    tests = frozenset(before.tests)
    learner = Learner(place.affected, watch, unchanged)
    await learner.learn(Lesson(await place.tree.sweep(), tests, frozenset(), frozenset()))
    assert watched == [()]
    assert place.affected._known.usage is before


async def test_another_test_file_of_the_same_name_is_asked_of_the_whole_suite(tmp_path: Path) -> None:
    place = Place(tmp_path, {**OTHERS, "d1/test_u.py": "def test_u():\n    pass\n"})
    await looked_at(place, set())
    chosen = await place.after({"d2/test_u.py": "def test_u():\n    pass\n"})
    assert (chosen.whole, chosen.why) == (True, "several test files are named test_u.py")


async def test_a_module_that_can_be_read_no_more_concerns_who_uses_it(tmp_path: Path) -> None:
    files = {"m.py": "def f():\n    return 1\n", "test_b.py": "import m\ndef test_b():\n    assert m.f()\n"}
    place = Place(tmp_path, {**OTHERS, **files})
    await looked_at(place, set())
    (place.root / "m.py").chmod(0o200)
    assert "test_b.py" in (await place.now()).files
