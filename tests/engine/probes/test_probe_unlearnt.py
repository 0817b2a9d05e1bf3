"""Choices from a map that is older than the latest whole verdict: what has changed since hides no test."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from engine.probes.test_probe_affected import Place
from jetbox.engine.probes.affected import Affected

OTHERS = {f"test_z{n}.py": f"def test_z{n}():\n    assert {n} + 1\n" for n in range(6)}
USED = {
    "lib.py": "def f():\n    return 1\n",
    "test_lib.py": "import lib\n\n\ndef test_lib():\n    assert lib.f()\n",
    "prog.py": "import lib\nprint(lib.f())\n",
}
RUN = "    import subprocess, sys\n    subprocess.run([sys.executable, 'prog.py'], check=True)\n"
STARTS = f"def test_p():\n{RUN}"
BY_NAME = (
    "import importlib\n\n\ndef test_b():\n    for name in ('fast', 'slow'):\n        try:\n"
    "            return importlib.import_module(name).f()\n        except ImportError:\n            pass\n"
)


class Story(msgspec.Struct, frozen=True):
    """Files when the map is made, what is changed before the next whole run, which nobody learns from, and after."""

    files: dict[str, str]
    first: dict[str, str | None]
    then: dict[str, str | None]
    touches: str


STORIES = {
    "a new test starts a program": Story(
        USED, {"test_new.py": STARTS}, {"lib.py": "def f():\n    return 2\n"}, "test_new.py"
    ),
    "a test calls what starts a program by now": Story(
        {**USED, "m.py": "def go():\n    pass\n", "test_m.py": "import m\n\n\ndef test_m():\n    m.go()\n"},
        {"m.py": f"def go():\n{RUN}"},
        {"lib.py": "def f():\n    return 2\n"},
        "test_m.py",
    ),
    "a module that was missing is there": Story(
        {**USED, "test_m.py": "try:\n    import extra\nexcept ImportError:\n    pass\ndef test_m():\n    pass\n"},
        {"extra.py": "import lib\nlib.f()\n"},
        {"lib.py": "def f():\n    return 2\n"},
        "test_m.py",
    ),
    "a module is in the way of another": Story(
        {**USED, "src/m.py": "", "test_m.py": "import sys\nsys.path.append('src')\nimport m\ndef test_m():\n    m\n"},
        {"m.py": "import lib\nlib.f()\n"},
        {"lib.py": "def f():\n    return 2\n"},
        "test_m.py",
    ),
    "a package has something to import by now": Story(
        {**USED, "pkg/m.py": "X = 1\n", "test_m.py": "import pkg.m\n\n\ndef test_m():\n    assert pkg.m.X\n"},
        {"pkg/__init__.py": "import lib\nlib.f()\n"},
        {"lib.py": "def f():\n    return 2\n"},
        "test_m.py",
    ),
    "a folder that is listed has one more": Story(
        {
            **USED,
            "plugins/__init__.py": "",
            "test_m.py": "import importlib, os\n\n\ndef test_m():\n    for name in sorted(os.listdir('plugins')):\n"
            "        if name.endswith('.py'):\n            importlib.import_module('plugins.' + name[:-3])\n",
        },
        {"plugins/one.py": "import lib\nlib.f()\n"},
        {"lib.py": "def f():\n    return 2\n"},
        "test_m.py",
    ),
    "a module is gone and another takes its place": Story(
        {
            "fast.py": "def f():\n    return 1\n", "slow.py": "def f():\n    return 1\n", "test_b.py": BY_NAME,
            "test_slow.py": "import slow\n\n\ndef test_s():\n    assert slow.f()\n",
        },
        {"fast.py": None},
        {"slow.py": "def f():\n    return 2\n"},
        "test_b.py",
    ),
    "a module of the same name is found first": Story(
        {**USED, "tests/test_m.py": "import lib\n\n\ndef test_m():\n    assert lib.f()\n"},
        {},
        {"tests/lib.py": "def f():\n    return 0\n"},
        "tests/test_m.py",
    ),
    "a module of the same name was found first": Story(
        {**USED, "other.py": "", "tests/test_m.py": "import lib\n\n\ndef test_m():\n    assert lib.f()\n"},
        {"tests/lib.py": "def f():\n    import importlib\n    return importlib.import_module('oth' + 'er')\n"},
        {"other.py": "X = 1\n"},
        "tests/test_m.py",
    ),
    "a program reads what nobody sees": Story(
        {
            "prog.py": "print(open('in.txt').read())\n", "in.txt": "a\n", "test_p.py": STARTS,
            "test_i.py": "def test_i():\n    assert open('in.txt').read()\n",
        },
        {},
        {"in.txt": "b\n"},
        "test_p.py",
    ),
}  # fmt: skip


@pytest.mark.parametrize("again", [False, True], ids=["the same session", "another session"])
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
async def test_what_changed_since_the_map_was_made_hides_no_test(tmp_path: Path, story: Story, again: bool) -> None:
    place = await Place(tmp_path, {**OTHERS, **story.files}).mapped()
    await place.after(story.first)
    if again:
        place.affected = Affected(place.root, place.store)
    await place.judged()
    chosen = await place.after(story.then)
    assert not chosen.whole
    assert story.touches in chosen.files
    assert len(chosen.files) <= 3
