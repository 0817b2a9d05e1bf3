"""What a start imports is found in one file by the next one, and is what Python itself would find."""

from __future__ import annotations

import importlib
import inspect
import marshal
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from jetbox.ui.bundle import Bundle

NAMES = ("bundled_one", "bundled_package", "bundled_package.part")
OLD_NS = 1_700_000_000_000_000_000
Start = Callable[..., tuple[Bundle, list[ModuleType]]]


def write(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of modules, on the path."""
    folder = tmp_path / "modules"
    write(folder / "bundled_one.py", "VALUE = 1\ndef said():\n    return 'one'\n")
    write(folder / "bundled_package" / "__init__.py", "from bundled_package.part import WHERE\n")
    write(folder / "bundled_package" / "part.py", "WHERE = __file__\n")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return folder


@pytest.fixture
def start(place: Path, tmp_path: Path) -> Iterator[Start]:
    """Imports all of them, as a process does that begins now, or later than anything that was changed."""

    def forget() -> None:
        for name in [name for name in sys.modules if name.startswith("bundled_")]:
            del sys.modules[name]
        importlib.invalidate_caches()

    def run(*, later: bool = True) -> tuple[Bundle, list[ModuleType]]:
        forget()
        bundle = Bundle(str(tmp_path / "bundle"))
        bundle.begin()
        try:
            if later:
                bundle._begun = time.time_ns() + 10**10
            found = [importlib.import_module(name) for name in NAMES]
        finally:
            bundle.end()
        bundle.save()
        return bundle, found

    yield run
    forget()


@contextmanager
def nothing_read() -> Iterator[None]:
    """Python itself gets no byte code."""

    def never(loader: SourceFileLoader, name: str) -> Any:
        pytest.fail(f"{name} is looked for")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(SourceFileLoader, "get_code", never)
        yield


def told(module: ModuleType) -> tuple[Any, ...]:
    """What a module says of itself."""
    spec = module.__spec__
    assert spec is not None
    within = list(getattr(module, "__path__", []))
    return (
        *(module.__name__, module.__file__, module.__cached__, module.__package__, within),
        *(spec.name, spec.origin, spec.cached, spec.parent, spec.has_location),
    )


def test_the_next_start_has_what_this_one_found(start: Start) -> None:
    bundle, found = start()
    before = [told(module) for module in found]
    assert bundle not in sys.meta_path
    saved = os.stat(bundle.path).st_mtime_ns
    with nothing_read():
        _, again = start()
    assert [told(module) for module in again] == before
    assert again[0].said() == "one"
    assert again[0].said.__code__.co_filename == again[0].__file__
    assert inspect.getsource(again[0].said).startswith("def said")
    assert again[2].__file__ == again[1].WHERE
    assert os.stat(bundle.path).st_mtime_ns == saved, "there was nothing new"


def test_a_source_that_was_changed_is_read_though_size_and_time_are_the_same(start: Start, place: Path) -> None:
    source = place / "bundled_one.py"
    os.utime(source, ns=(OLD_NS, OLD_NS))
    start()
    write(source, source.read_text().replace("1", "2"))
    os.utime(source, ns=(OLD_NS, OLD_NS))
    (place / "__pycache__" / f"bundled_one.{sys.implementation.cache_tag}.pyc").unlink()
    assert start()[1][0].VALUE == 2
    with nothing_read():
        assert start()[1][0].VALUE == 2


def test_what_comes_first_now_is_what_is_found(
    start: Start, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start()
    write(place / "bundled_one" / "__init__.py", "VALUE = 3\n")
    assert start()[1][0].VALUE == 3
    write(tmp_path / "before" / "another.py", "")
    write(tmp_path / "before" / "bundled_package", "a script\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "before"), *sys.path])
    with nothing_read():
        assert start()[1][0].VALUE == 3
    write(tmp_path / "before" / "bundled_one.py", "VALUE = 4\n")
    for _ in range(2):
        assert start()[1][0].VALUE == 4


def test_a_folder_beside_a_module_may_become_a_package_of_its_name(start: Start, place: Path) -> None:
    (place / "bundled_one").mkdir()
    start()
    write(place / "bundled_one" / "__init__.py", "VALUE = 3\n")
    assert start()[1][0].VALUE == 3


def test_of_a_copy_the_modules_are_its_own(start: Start, place: Path, tmp_path: Path) -> None:
    bundle, _ = start()
    copy = tmp_path / "copy"
    shutil.copytree(place, copy)
    sys.path[0] = str(copy)
    assert all(str(module.__file__).startswith(str(copy)) for module in start()[1])
    sys.path[0] = str(place)
    start()
    package = start()[1][1]
    del sys.modules["bundled_package.part"]
    package.__path__ = [str(copy / "bundled_package")]
    again = Bundle(bundle.path)
    again.begin()
    try:
        assert str(copy / "bundled_package" / "part.py") == importlib.import_module("bundled_package.part").WHERE
    finally:
        again.end()


def test_nothing_is_kept_of_what_changed_since_the_start_began(start: Start) -> None:
    bundle, found = start(later=False)
    assert found[0].VALUE == 1
    assert not os.path.exists(bundle.path), "byte code has just come beside it"


NONE = marshal.dumps(("", None, None, None))


@pytest.mark.parametrize("content", [b"", b"no bundle at all", b"\xff" * 99, b"\x08" + bytes(7) + NONE, bytes(99)])
def test_a_file_that_is_none_of_ours_is_made_anew(start: Start, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bundle").write_bytes(content)
    assert start()[1][0].VALUE == 1
    with nothing_read():
        assert start()[1][0].VALUE == 1


@pytest.mark.parametrize("damaged", [marshal.dumps(7), bytes(50), b"\xff"], ids=["no code", "zeros", "nothing"])
def test_code_that_is_damaged_is_read_as_ever_and_kept_anew(start: Start, damaged: bytes) -> None:
    whole = Path(start()[0].path)
    data = whole.read_bytes()
    at = int.from_bytes(data[:8], "little")
    whole.write_bytes(data[:8] + (damaged * at)[: at - 8] + data[at:])
    assert start()[1][0].VALUE == 1
    with nothing_read():
        assert start()[1][0].VALUE == 1


def test_without_a_place_for_it_all_is_found_as_ever(start: Start, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    for _ in range(2):
        assert start()[1][0].VALUE == 1
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bundle", "modules"], "nothing half-written stays"
