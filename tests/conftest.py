"""Isolation for every test: own HOME and XDG folders, no network beyond loopback."""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from jetbox.sim.launch import ServerProcess
from nursery import ForkedServer

pytest_plugins = ["no_skips", "scripted"]
# No deadline: a busy machine is no failure.
settings.register_profile("suite", max_examples=40, deadline=None)
settings.load_profile("suite")
# As `nohup` and shells leave them for what they start in the background; programs that tests signal would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def pytest_xdist_auto_num_workers() -> int:
    """Workers for `-n auto`: twice as many as there are cores, since tests often wait for processes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 2 * cores


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Long texts are named by their length: a name travels from worker to worker several times a test."""
    return f"{argname} of {len(val)}" if isinstance(val, str | bytes) and len(val) > 200 else None


@pytest.fixture
def dead_port() -> Iterator[int]:
    """One of this machine on which nobody listens, and nobody else can while the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
def tokenizer(tmp_path: Path) -> Path:
    """The file of a real one, whose tokens have four characters, as those of the embedded server."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]{1,4}"), "isolated")
    path = tmp_path / "tokenizer.json"
    made.save(str(path))
    return path


def pytest_collection_finish() -> None:
    """The collector has thousands of tests to look at whenever a screen is gone: they stay.

    It looks less often than it would by itself: each session and each screen of a test is small.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 5)


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """New folders, beside those of the tests: for each of these pytest looks through all that are there."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in count())


@pytest.fixture(autouse=True)
def isolated(homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    home = next(homes)
    home.mkdir()
    for name in [n for n in os.environ if n.startswith(("JETBOX_", "OLLAMA_", "XDG_", "OTEL_"))]:
        monkeypatch.delenv(name)
    for name in ("NO_COLOR", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / ".local" / "share"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ".local" / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    (home / ".gitconfig").write_text("[user]\n\tname = Test\n\temail = test@example.invalid\n")
    return home


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in LOOPBACK:
            raise OSError(f"a test tried to reach {address!r}")
        real(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect)


@pytest.fixture
def sim_server() -> Iterator[Callable[..., ServerProcess]]:
    """Starts embedded servers, without latency unless `speed` is given, and stops them at the end."""
    with ExitStack() as running:
        yield lambda **options: running.enter_context(ForkedServer(**{"speed": 0, **options}))
