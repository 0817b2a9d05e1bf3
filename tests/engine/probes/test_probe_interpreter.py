from __future__ import annotations

import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jetbox.engine.probes.interpreter import Interpreters

if TYPE_CHECKING:
    from engine.probes.conftest import Bench


def environment(folder: Path) -> Path:
    """A bare environment; returns its folder of packages."""
    venv.create(folder, with_pip=False, symlinks=True)
    return next((folder / "lib").glob("python*/site-packages"))


async def test_order_of_the_search(bench: Bench) -> None:
    def found(configured: str = "", active: str = "") -> tuple[str, str]:
        interpreters = Interpreters(bench.root, bench.processes, configured, {"VIRTUAL_ENV": active})
        it = interpreters.find()
        return it.origin, interpreters.shown(it)

    other = bench.root.parent / "other"
    (other / "bin").mkdir(parents=True)
    (other / "bin" / "python").symlink_to(sys.executable)
    assert found() == ("own", sys.executable)
    assert found(active=sys.prefix) == ("own", sys.executable)
    assert found(active=str(other)) == ("VIRTUAL_ENV", f"{other}/bin/python")
    for name in ("venv", ".venv"):
        (bench.root / name / "bin").mkdir(parents=True)
        (bench.root / name / "bin" / "python").symlink_to(sys.executable)
        assert found(active=str(other)) == (name, f"{name}/bin/python")
    assert found("tools/python") == ("configured", "tools/python")
    assert found("/opt/python") == ("configured", "/opt/python")


async def test_asked_once_until_something_is_installed(bench: Bench) -> None:
    packages = environment(bench.root / ".venv")
    interpreters = Interpreters(bench.root, bench.processes)
    it = interpreters.find()
    before = await interpreters.facts(it, {})
    assert (before.version, before.pytest, before.problem) == (
        ".".join(map(str, sys.version_info[:3])),
        "",
        "",
    )
    assert await interpreters.facts(it, {}) == before
    assert interpreters.lookups == 1
    (packages / "pytest").mkdir()
    (packages / "pytest" / "__init__.py").write_text("")
    (packages / "pytest-9.9.9.dist-info").mkdir()
    after = await interpreters.facts(it, {})
    assert (after.pytest, interpreters.lookups) == ("9.9.9", 2)
    assert after.packages != before.packages


async def test_facts_stand_while_nothing_happens_to_what_they_are_about(bench: Bench) -> None:
    packages = environment(bench.root / ".venv")
    interpreters = Interpreters(bench.root, bench.processes)
    count: int | None = 1
    noticed: set[str] = set()
    interpreters.moves = lambda places: count if noticed.issuperset(places) else None
    it = interpreters.find()
    before = await interpreters.facts(it, {})
    assert await interpreters.facts(it, {}) is not before  # what they are about is not noticed yet
    noticed.update(before.noticed or ())
    before = await interpreters.facts(it, {})
    assert await interpreters.facts(it, {}) is before
    (packages / "pytest-9.9.9.dist-info").mkdir()
    count = 2
    after = await interpreters.facts(it, {})
    assert after.packages != before.packages
    noticed.update(after.noticed or ())
    after = await interpreters.facts(it, {})
    assert await interpreters.facts(it, {}) is after
    count = None  # at the gate, or where something may go uncounted
    assert await interpreters.facts(it, {}) is not after


@pytest.mark.parametrize("how", ["path file", "mapping"])
async def test_packages_that_lie_elsewhere_count_with_their_content(bench: Bench, how: str) -> None:
    packages = environment(bench.root / ".venv")
    elsewhere = bench.root.parent / "elsewhere"
    elsewhere.mkdir()
    module = elsewhere / "shared.py"
    module.write_text("V = 1\n")
    if how == "path file":
        (packages / "shared.pth").write_text(f"{elsewhere}\n")
    else:
        (packages / "shared_finder.py").write_text(
            f"import sys\nMAPPING = {{'shared': {str(elsewhere)!r}}}\n\n\n"
            "class Finder:\n    @classmethod\n    def find_spec(cls, name, path=None, target=None):\n"
            "        return None\n\n\nsys.meta_path.append(Finder())\n"
        )
        (packages / "shared.pth").write_text("import shared_finder\n")
    interpreters = Interpreters(bench.root, bench.processes)
    it = interpreters.find()
    before = await interpreters.facts(it, {})
    assert list(before.outside) == [str(elsewhere)]
    module.write_text("V = 2\n")
    assert (await interpreters.facts(it, {})).outside != before.outside
    module.write_text("V = 1\n")
    assert (await interpreters.facts(it, {})).outside == before.outside
    assert interpreters.lookups == 1


async def test_workspace_has_no_say_in_the_answer(bench: Bench) -> None:
    bench.write("json.py", "raise RuntimeError\n")
    bench.write("pytest.py", "raise RuntimeError\n")
    environment(bench.root / ".venv")
    interpreters = Interpreters(bench.root, bench.processes)
    facts = await interpreters.facts(interpreters.find(), {})
    assert (facts.problem, facts.pytest) == ("", "")
