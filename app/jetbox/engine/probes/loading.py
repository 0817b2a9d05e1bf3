"""What a process loads before runs of pytest are forked from it, and whether they may be.

The source of this module is handed to the workspace's interpreter behind that of `inside`; like
that it needs the standard library and pytest alone, and runs on Python 3.8 and later. Nothing of
the workspace is imported here.
"""

from __future__ import annotations

import importlib
import inspect
import json
import mmap
import os
import sys
from typing import Any, Dict, List, Optional  # noqa: UP035 - evaluated by old interpreters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.inside import ARGUMENTS
    from jetbox.engine.probes.program import as_program

HOSTILE = ("grpc", "torch", "tensorflow", "jax", "gevent", "eventlet", "uvloop")
"""Packages that do not survive a fork: threads, devices, loops of their own."""
BOUND = ("pytest_randomly",)
"""Plugins that settle when they are imported what each run is to settle anew."""
PROGRAM = "pytest.main()"
"""What pytest 9 calls itself where it is run as here."""
AT_BYTES = 300
REHEARSAL = 5
"""How much more it gives way than a run that somebody waits for: other runs may have begun by now."""
EMPTY_RUN = ("test_it.py", "def test_it():\n    pass\n")


class Loaded:
    """pytest with the plugins that are installed."""

    def __init__(self, blocked: List[str]) -> None:  # noqa: UP006
        """`blocked` plugins are those that the configuration keeps from being loaded."""
        from _pytest.assertion import install_importhook
        from _pytest.config import default_plugins, get_config

        as_program()
        self.at = mmap.mmap(-1, AT_BYTES)
        """Shared with what is forked: what a run is at."""
        for name in default_plugins:
            importlib.import_module("_pytest." + name)
        config: Any = get_config([])
        if not hasattr(config, "inicfg"):
            config.inicfg = {}  # which the hook asks for; nothing of the workspace has been read
        # Plugins have to come through it, or pytest warns that it is too late for them.
        self.hook = install_importhook(config)
        self._plugins(config, blocked)
        self._words: Dict[str, Any] = {}  # noqa: UP006
        if "prog" in inspect.signature(get_config).parameters:
            self._words["prog"] = PROGRAM
        self._config: Any = None
        if not os.environ.get("PYTEST_DEBUG"):
            self._config = get_config([], **self._words)

    def _plugins(self, config: Any, blocked: List[str]) -> None:  # noqa: UP006
        import importlib.metadata

        autoload = not os.environ.get("PYTEST_DISABLE_PLUGIN_AUTOLOAD")
        try:
            config._mark_plugins_for_rewrite(self.hook, not autoload)
        except TypeError:
            config._mark_plugins_for_rewrite(self.hook)
        if not autoload:
            return
        found: Any = importlib.metadata.entry_points()
        points = found.select(group="pytest11") if hasattr(found, "select") else found.get("pytest11", ())
        for point in points:
            # One that cannot be imported is for the run itself to tell of.
            try:
                if point.name not in blocked:
                    point.load()
            except Exception:
                continue

    def enter(self) -> None:
        """In a forked process: let pytest find its own things made already, once."""
        if self.hook in sys.meta_path:
            sys.meta_path.remove(self.hook)
        import _pytest.config

        module: Any = _pytest.config
        real, made, words = module.get_config, self._config, self._words
        if made is None:
            return

        def get_config(args: Any = None, plugins: Any = None, **more: Any) -> Any:
            import pathlib

            module.get_config = real
            if more != words:
                return real(args, plugins, **more)
            made.invocation_params = type(made).InvocationParams(
                args=args or (), plugins=plugins, dir=pathlib.Path.cwd()
            )
            if args is not None:
                made.pluginmanager.consider_preparse(args, exclude_only=True)
            return made

        module.get_config = get_config

    def rehearse(self, out: int, folder: str) -> None:
        """In a forked process: run one empty test in that folder, and tell what had to be imported for it; never
        returns.
        """
        before = set(sys.modules)
        os.nice(REHEARSAL)
        os.chdir(folder)
        for name, text in (EMPTY_RUN, ("pytest.ini", "[pytest]\n")):
            with open(name, "w") as file:
                file.write(text)
        self.enter()
        null = os.open(os.devnull, os.O_RDWR)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        import pytest

        cache = "cache_dir=" + os.path.join(folder, "cache")
        pytest.main([*ARGUMENTS, "-o", cache, "--rootdir", folder, "-c", "pytest.ini", EMPTY_RUN[0]])
        names: List[str] = []  # noqa: UP006
        if not refusal(folder, but="test_it"):
            for name, module in list(sys.modules.items()):
                path = getattr(module, "__file__", None) or ""
                known = getattr(getattr(module, "__spec__", None), "name", "") == name
                if name not in before and path and known and not path.startswith(folder):
                    names.append(name)
        data = json.dumps(names).encode()
        while data:
            data = data[os.write(out, data) :]
        os._exit(0)


def refusal(root: str, but: str = "") -> str:
    """Why runs must not be forked from this process; empty where they may."""
    if len(os.listdir("/proc/self/task")) > 1:
        return "a pytest plugin starts threads when it is imported"
    for name in HOSTILE:
        if name in sys.modules:
            return "a pytest plugin loads " + name + ", which does not survive a fork"
    for name in BOUND:
        if name in sys.modules:
            return "the pytest plugin " + name + " settles when it is imported what each run is to settle"
    found = of_workspace(root, but)
    return "the pytest plugin " + found + " is part of the workspace" if found else ""


def of_workspace(root: str, but: str = "") -> Optional[str]:  # noqa: UP045
    """A module of the workspace that is loaded; those of an environment within it are none."""
    inside = os.path.realpath(root) + os.sep
    environment = os.path.realpath(sys.prefix) + os.sep
    paths: Dict[str, str] = {}  # noqa: UP006
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        if not path or name == but:
            continue
        folder = os.path.dirname(os.path.realpath(path) if os.path.islink(path) else path)
        real = paths.get(folder)
        if real is None:
            real = paths[folder] = os.path.realpath(folder) + os.sep
        if real.startswith(inside) and not (environment != inside and real.startswith(environment)):
            return name
    return None


def elsewhere() -> List[str]:  # noqa: UP006
    """Files of loaded modules that belong to no installation, and may be edited like any text."""
    known = tuple(os.path.realpath(path) + os.sep for path in (sys.prefix, sys.base_prefix, sys.exec_prefix))
    paths = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
    return sorted(path for path in paths if path and not os.path.realpath(path).startswith(known))
