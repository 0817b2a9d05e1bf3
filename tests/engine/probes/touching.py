"""A small project with a fat package, and real runs of pytest that tell what each of its test files uses."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from jetbox.engine.probes import calls, inside, touched
from nursery import nursery

RUN = """\
import json, os, sys
space = {"__name__": "jetbox"}
exec(compile(sys.stdin.read(), "<jetbox>", "exec"), space)
import pytest
sys.path.insert(0, os.getcwd())
exec(sys.argv[1], space)
seen = space["Touched"]()
code = pytest.main(["-q", "-p", "no:cacheprovider", *sys.argv[2:]], plugins=[seen])
way = seen._calls.way
print("\\n" + json.dumps({"code": int(code), "way": way, "map": seen.map()}))
"""

FILES = {
    "pkg/__init__.py": "from pkg import a, b, c, reg\n",
    "pkg/a.py": "class A:\n    x = [n for n in range(3)]\n\n\ndef fa():\n    return 1\n",
    "pkg/b.py": (
        "import importlib, json, os\nHERE = os.path.dirname(__file__)\n\n\n"
        "def fb():\n    with open(os.path.join(HERE, '..', 'data', 'd.json')) as f:\n        return json.load(f)\n\n\n"
        "def plug(name):\n    return importlib.import_module('pkg.plugins.' + name).run()\n"
    ),
    "pkg/reg.py": "R = []\n\n\ndef register(f):\n    R.append(f)\n    return f\n",
    "pkg/c.py": "from pkg.reg import register\n\n\n@register\ndef fc():\n    return 2\n",
    "pkg/d.py": "with open('data/at_import.txt') as f:\n    TEXT = f.read()\n",
    "pkg/plugins/__init__.py": "",
    "pkg/plugins/one.py": "def run():\n    return 5\n",
    "pkg/__main__.py": "import pkg.a\n",
    "data/d.json": "{}\n",
    "data/at_import.txt": "x\n",
    "tests/conftest.py": (
        "import pytest\nfrom pkg.c import fc\n\n\n@pytest.fixture(scope='session')\ndef shared():\n    return fc()\n"
    ),
    "tests/test_a.py": "from pkg.a import fa\n\n\ndef test_1():\n    assert fa()\n\n\ndef test_2():\n    assert fa()\n",
    "tests/test_b.py": "import pkg\n\n\ndef test_b():\n    assert pkg.b.fb() == {}\n",
}


def make(root: Path, files: dict[str, str]) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


@cache
def _seen(files: tuple[tuple[str, str], ...]) -> str:
    with TemporaryDirectory() as folder:
        make(Path(folder), dict(files))
        return json.dumps(run(Path(folder), lines=True))


def seen(files: dict[str, str]) -> dict[str, list[str]]:
    """What `run` says, with lines, of a folder with these files; equal files are run once."""
    found: dict[str, list[str]] = json.loads(_seen(tuple(files.items())))
    return found


def run(root: Path, *arguments: str, before: str = "", lines: bool = False) -> dict[str, list[str]]:
    """What `Touched` says of a run of pytest on this folder; without `lines` of the files alone."""
    # One text, as the probe hands it over.
    source = "\n".join(Path(str(module.__file__)).read_text() for module in (inside, calls, touched))
    environ = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"}
    _, out, err = nursery().run(RUN, before, *arguments, folder=root, environ=environ, given=source)
    assert out, err
    said = json.loads(out.splitlines()[-1])
    found: dict[str, list[str]] = said["map"]
    if not lines:
        found = {name: sorted({word.partition("\0")[0] for word in used}) for name, used in found.items()}
    found.setdefault("way", [said["way"]])
    return found
