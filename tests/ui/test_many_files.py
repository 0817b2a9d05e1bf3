"""Completion of files where there are very many."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jetbox.ui.finding import FileFinder
from ui.conftest import Showing
from ui.played import opened
from ui.test_prompt import until_offered

pytestmark = pytest.mark.xdist_group("many files")
FOLDERS, EACH = 50, 1000


@pytest.fixture(scope="module")
def many() -> Iterator[Path]:
    """A folder with 50,000 empty files, one to be found, and two like it that are ignored."""
    # On a disk that others sync, making and removing so many can take minutes.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with TemporaryDirectory(dir=memory) as folder:
        fill(Path(folder))
        yield Path(folder)


def fill(root: Path) -> None:
    (root / ".gitignore").write_text("build/\n*.log\n")
    for number in range(FOLDERS):
        below = root / "packages" / f"part{number:02}"
        below.mkdir(parents=True)
        folder = os.open(below, os.O_RDONLY)
        for each in range(EACH):
            os.mknod(f"module_{each:03}.py", dir_fd=folder)
        os.close(folder)
    for path in ("build/needle_in_hay.py", "packages/part07/needle_in_hay.log", "packages/part49/needle_in_hay.py"):
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text("")


async def test_one_of_fifty_thousand_files_is_found_by_a_few_letters_while_keys_are_answered(
    show: Showing, many: Path
) -> None:
    async with show() as s:
        await s.play(*opened())
        s.bench.completer.root(many)
        await s.type("see @nih")  # the beginnings of its words
        await until_offered(s, "@packages/part49/needle_in_hay.py")
        assert ".log" not in s.text
        assert "@build/" not in s.text

        finder = s.bench.completer._finder
        assert finder is not None
        assert finder._script._process is not None
        finder._script._process.send_signal(signal.SIGSTOP)  # a search without an end
        try:
            await s.press("ctrl+c", *"@part33mod777")
            assert s.bench.prompt.text == "@part33mod777"
            assert "@part33mod777" in s.text
        finally:
            finder._script._process.send_signal(signal.SIGCONT)
        await until_offered(s, "@packages/part33/module_777.py")
        await s.press("tab")
        assert s.bench.prompt.text == "@packages/part33/module_777.py "


async def test_the_likeliest_of_fifty_thousand_come_first(many: Path) -> None:
    finder = FileFinder(many)
    try:
        assert await finder.find("hay.py") == ["packages/part49/needle_in_hay.py"]
        found = await finder.find("module_009")
        assert found == [f"packages/part{number:02}/module_009.py" for number in range(8)]
        assert await finder.find("nothing-has-this") == []
    finally:
        await finder.close()
