"""A changed file that is looked at again says what it says where nobody has seen it before."""

from __future__ import annotations

import warnings
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jetbox.engine.probes import rescan
from jetbox.engine.probes import scan as scanning
from jetbox.engine.probes.rescan import Rescan
from jetbox.engine.probes.scan import scan

PIECES = [
    "import a\n",
    "from .b import (\n    c,\n    d as e,\n)\n",
    "x = 1; import f; y = 2\n",
    "def g(h=1, *, i):\n    import j\n    return '''k\ndef no():\n    pass\n'''\n\n\n",
    "@l\n@m(\n    1\n)\nasync def n():\n    @o\n    def p(): pass\n    import q\n",
    "class R(S):\n    t = 1\n\n    @u\n    def v(self): return 'ä\\U0001f600'\n\n    def w(self):\n        pass\n",
    "if TYPE_CHECKING:\n    import z\nelse:\n    import aa\n",
    "try:\n    import bb\nexcept ImportError: pass\n",
    "match cc:\n    case 1:\n        import dd\n",
    "importlib.import_module('ee.ff')\n",
    "gg = '''\nimport no\n'''\n",
    "hh = [\n1,\nimport_module('ii')]\n",
    "# jj\n",
    "\n",
    "\\\n",
    "    kk = 1\n",
    "else:\n    import ll\n",
    "case = 1\n",
    "'''",
    "(",
    ")",
    "\x0c\n",
    "\x0cmm = 1\n",
    "\r\n",
    "\ud7ff",
    "import nn",
    " ",
    "\t",
    ";",
    "@oo\n",
    "return 1\n",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
CHANGES = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 60), TEXTS), min_size=1, max_size=4)


@given(TEXTS, CHANGES, st.integers(1, 40))
@example("@l\ndef a(): pass\ndef b(): pass\n", [(3, 0, "@m\n")], 8)
@example("if a:\n    pass\nb = 1\n", [(14, 5, "else:\n")], 8)
@example("a = '''x'''\nb = 1\nc = '''y'''\n", [(12, 0, "'''")], 8)
def test_it_says_the_same(text: str, changes: list[tuple[int, int, str]], block: int) -> None:
    again = Rescan()
    with patch.object(rescan, "SMALL", -1), patch.object(rescan, "BLOCK", block):
        assert again.scan("m.py", text.encode()) == scan(text.encode())
        for at, cut, put in changes:
            text = text[:at] + put + text[at + cut :]
            assert again.scan("m.py", text.encode()) == scan(text.encode())


def test_real_modules_with_a_changed_line_in_many_places() -> None:
    again = Rescan()
    for path in (Path(rescan.__file__).with_name("settle.py"), Path(str(pytest.__file__)).with_name("__init__.py")):
        lines = path.read_text().splitlines(keepends=True) * 3
        for at in range(0, len(lines), 40):
            for put in ("", "import changed\n", "    pass\n", "def changed():\n    import within\n"):
                data = "".join([*lines[:at], put, *lines[at + 1 :]]).encode()
                assert again.scan("m.py", data) == scan(data)


def test_only_what_stands_around_the_change_is_parsed() -> None:
    functions = [f"def f{n}():\n    return {n}\n\n\n" for n in range(1000)]
    again = Rescan()
    again.scan("m.py", "".join(functions).encode())
    for at in (500, 200, 800):
        functions[at] = f"import a\n\n\ndef f{at}():\n    return 'other'\n\n\n"
        data = "".join(functions).encode()
        with patch.object(rescan, "statements", side_effect=scanning.statements) as parsed:
            found = again.scan("m.py", data)
        assert found == scan(data)
        assert [len(call.args[0]) < 200 for call in parsed.call_args_list] == [True]


def test_few_files_are_kept() -> None:
    again = Rescan()
    for n in range(rescan.MOST_KEPT + 5):
        again.scan(f"m{n}.py", b"x = 1\n" * 2000)
    assert len(again._kept) == rescan.MOST_KEPT


def test_odd_literals_say_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scan(b"import a\nb = 1if 2 else '\\d'\n")[2:4] == (("a",), True)
