"""A forked process in which pytest has read its options already, waiting for the files that it is to run.

The source of this module is handed to the workspace's interpreter as that of `forking` is, and runs on
Python 3.8 and later. What takes longest in a short run of pytest comes before the files to run are known;
it is done here while nobody waits: all that comes before the session, or, where a workspace has conftests, before the
first of them is imported. One such process makes one run at most. Nothing of the workspace is
imported in it beforehand, and it gives up where a configuration that it may have read is another one by
the time it is wanted, or where a plugin is loaded of which it is not known that it looks at nothing else.
"""

from __future__ import annotations

import gc
import json
import os
import select
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any, Dict, Iterator, List, Tuple  # noqa: UP035 - evaluated by old interpreters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.compiled import Compiled
    from jetbox.engine.probes.forked import Plugins, alone, anew, bounded, detached, told, written
    from jetbox.engine.probes.inside import setting, sources_only
    from jetbox.engine.probes.loading import of_workspace
    from jetbox.engine.probes.program import as_given
    from jetbox.engine.probes.watched import end

KNOWN = frozenset(
    (
        "jetbox",
        "_pytest",
        "pytest",
        "_hypothesis_pytestplugin",
        "anyio",
        "platformdirs",
        "pytest_asyncio",
        "pytest_mock",
        "pytest_textual_snapshot",
        "pytest_timeout",
        "syrupy",
        "xdist",
    )
)
"""Plugins that look at options alone before the session starts."""
NAMED = ("log_file", "xmlpath", "session_timeout", "pastebin", "debug", "rootdir", "inifilename")
"""Options and settings that are acted upon before the session starts."""


class Standby:
    """The server's side: forked ahead, and handed one request."""

    def __init__(
        self,
        root: str,
        private: str,
        loaded: Any,
        names: List[str],  # noqa: UP006
        ahead: str,
        seconds: float,
        apart: Tuple[int, ...],  # noqa: UP006
    ) -> None:
        """`names` of configuration are looked for in the root and above; `apart` are not for the forked process.

        `ahead` is how far it goes: to where the "session" starts, or to where the first of the "conftests" is
        imported. One that has not come there yet is waited for so many `seconds`; no other follows one that took
        longer.
        """
        self.private = private
        self.ahead = ahead
        self._seconds = seconds
        out, out_end = os.pipe()
        said, said_end = os.pipe()
        asked_end, asked = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            for fd in (out, said, asked, *apart):
                os.close(fd)
            waiting = Waiting(root, private, names, asked_end, said_end)
            alone(lambda: told(said_end, lambda: waiting.key, lambda: waiting.run(out_end, loaded, ahead)))
        for fd in (out_end, said_end, asked_end):
            os.close(fd)
        self.out = out
        self.said = said
        self._asked = asked
        self.fit = True
        """False where others will be of no use either."""

    def begin(self, request: Dict[str, Any]) -> bool:  # noqa: UP006
        """Have it run this; False where it is of no use, and has to be dropped."""
        if self._line() != b"ready":
            return False
        with suppress(OSError):
            written(self._asked, json.dumps(request).encode() + b"\n")
            if self._line() == b"begun":
                os.close(self._asked)
                return True
        return False

    def compile(self, name: str) -> None:
        """Have it compile this source meanwhile; nothing where it does not take it at once."""
        line = json.dumps({"compile": name}).encode() + b"\n"
        # So much of a pipe is free where it can be written to at all.
        if len(line) <= select.PIPE_BUF and select.select([], [self._asked], [], 0)[1]:
            with suppress(OSError):
                written(self._asked, line)

    def _line(self) -> bytes:
        line = bytearray()
        while not line.endswith(b"\n"):
            if not select.select([self.said], [], [], self._seconds)[0]:
                self.fit = False
                return b""
            data = os.read(self.said, 1)
            if not data:
                return b""
            line += data
        self.fit = self.fit and line != b"unfit\n"
        return bytes(line[:-1])

    def drop(self) -> None:
        """End it."""
        end(self.pid)
        for fd in (self._asked, self.out, self.said):
            os.close(fd)


class Waiting:
    """The forked process, and the plugin that holds it."""

    def __init__(self, root: str, private: str, names: List[str], asked: int, said: int) -> None:  # noqa: UP006
        self._root = root
        self._private = private
        self._asked = asked
        self._said = said
        self._paths = [os.path.join(folder, name) for folder in above(root) for name in names]
        self._known = {"", *self._paths}
        self._seen: List[Tuple[int, ...]] = []  # noqa: UP006
        self._plugins: Any = None
        self._rest = bytearray()
        self.key = ""
        """That of the request, once there is one."""

    def run(self, out: int, loaded: Any, ahead: str) -> None:
        """Run pytest, wait as far `ahead` as it may go, then make the run; it never returns."""
        detached(out)
        os.chdir(self._root)
        sys.path.insert(0, self._root)
        anew()
        self._seen = [stamp(path) for path in self._paths]
        loaded.enter()
        nothing = {"key": "", "files": [], "touched": False, "packages": []}
        plugins = self._plugins = Plugins(nothing, self._root, self._private, self._said)
        plugins.report.at = loaded.at
        import pytest

        def conftests(early_config: Any, args: List[str]) -> Iterator[None]:  # noqa: UP006
            self._wait(early_config, early_config.known_args_namespace, args)
            yield

        def session(session: Any) -> None:
            self._wait(session.config, session.config.option, [])

        hook: Any
        if ahead == "conftests":
            # Before whatever begins with them: output is captured from there on.
            hook = pytest.hookimpl(tryfirst=True, hookwrapper=True)(conftests)
            name = "pytest_load_initial_conftests"
        else:
            hook, name = pytest.hookimpl(tryfirst=True)(session), "pytest_sessionstart"
        plugins.all.append(type("Wait", (), {"__module__": "jetbox", name: staticmethod(hook)})())
        plugins.tell(int(pytest.main(as_given(self._private, []), plugins=plugins.all)))

    def _wait(self, config: Any, options: Any, arguments: List[str]) -> None:  # noqa: UP006
        """`options` as they are by now, and the `arguments` of which the rest are still to be read."""
        fit = self._is_fit(config, options)
        # At its end pytest has the collector look through all that there is, five times.
        gc.collect()
        gc.freeze()
        self._say(b"ready" if fit else b"unfit")
        request, compiled = self._request(), Compiled(self._root)
        while "compile" in request:
            compiled.add(request["compile"])
            request = self._request()
        os.close(self._asked)
        # Which of the folders that are named for a whole run exist has been looked at already.
        early = not request["files"] and config.getini("testpaths")
        # The options can have had more imported than the server knows of; the workspace has a module of that name now.
        named = any(name in sys.modules for name in request["names"])
        if early or named or self._seen != [stamp(path) for path in self._paths]:
            self._say(b"stale")
            os._exit(0)
        bounded(request)
        anew()
        sources_only(self._root, self._private, request["outside"])
        self._plugins.report.packages = request["packages"]
        self._plugins.key = self.key = request["key"]
        self._plugins.whole = not request["files"]
        self._plugins.look(request, self._root)
        self._take(config, options, request["files"])
        compiled.enter()
        arguments += request["files"]
        self._say(b"begun")

    def _request(self) -> Dict[str, Any]:  # noqa: UP006
        """The next line that comes; where none will, this process ends."""
        while b"\n" not in self._rest:
            data = os.read(self._asked, 65536)
            if not data:
                os._exit(0)
            self._rest += data
        line, _, rest = bytes(self._rest).partition(b"\n")
        self._rest[:] = rest
        request: Dict[str, Any] = json.loads(line)  # noqa: UP006
        return request

    def _is_fit(self, config: Any, options: Any) -> bool:
        """True where nothing that was done would be done otherwise later."""
        for _, plugin in config.pluginmanager.list_name_plugin():
            home = plugin.__name__ if isinstance(plugin, ModuleType) else getattr(plugin, "__module__", "")
            if plugin is not None and home.partition(".")[0] not in KNOWN:
                return False
        # What names files has been read by now, or opened; what counts time has begun.
        if os.environ.get("PYTEST_ADDOPTS") or options.file_or_dir or str(config.inipath or "") not in self._known:
            return False
        # pytest itself puts one there before it imports a conftest.
        cut = options.confcutdir not in (None, str(config.inipath.parent if config.inipath else config.rootpath))
        named = cut or any(getattr(options, name, None) or setting(config, name) for name in NAMED)
        read = any(word.startswith("@") for word in config.getini("addopts"))  # more options, from a file
        return not named and not read and not of_workspace(self._root) and len(os.listdir("/proc/self/task")) == 1

    def _take(self, config: Any, options: Any, files: List[str]) -> None:  # noqa: UP006
        """As if these files had been among the arguments."""
        if not files:
            return
        as_given(self._private, files)
        before = config.invocation_params
        config.invocation_params = type(before)(args=(*before.args, *files), plugins=before.plugins, dir=before.dir)
        options.file_or_dir = [*options.file_or_dir, *files]
        config.args = list(options.file_or_dir)
        source = getattr(type(config), "ArgsSource", None)
        if source is not None:
            config.args_source = source.ARGS

    def _say(self, word: bytes) -> None:
        written(self._said, word + b"\n")


def above(root: str) -> List[str]:  # noqa: UP006
    """A folder and all that it lies in."""
    found = [root]
    while os.path.dirname(found[-1]) != found[-1]:
        found.append(os.path.dirname(found[-1]))
    return found


def stamp(path: str) -> Tuple[int, ...]:  # noqa: UP006
    """What tells whether a file was changed; empty where there is none."""
    try:
        seen, through = os.lstat(path), os.stat(path)
    except OSError:
        return ()
    return (seen.st_ino, seen.st_ctime_ns, through.st_ino, through.st_ctime_ns, through.st_mtime_ns, through.st_size)
