"""Tells which sources of the workspace a run of pytest made use of, all its tests together.

The source of this module is handed to the workspace's interpreter behind those of `inside` and `touched`; it
imports nothing but the standard library, and runs on Python 3.8 and later. It hears of what is opened and
listed alone, which takes next to no time: a run that somebody waits for can be looked at so. Native code opens and
starts unheard what it likes, and is therefore believed of few packages; of what is asked of a path without opening
it nothing is heard either.
"""

from __future__ import annotations

import os
import sys
from typing import Any, Dict, List, Optional, Set  # noqa: UP035 - evaluated by old interpreters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.inside import sources
    from jetbox.engine.probes.touched import DATABASE, EVENTS, LISTINGS, MOST_NAMES, children

OTHER_NAMES = {"os.link", "os.symlink"}
LIBRARIES = {"ctypes.dlopen", "ctypes.dlsym", "ctypes.dlsym/handle"}
BESIDES = OTHER_NAMES | LIBRARIES | {"import", "cpython.PyInterpreterState_New"}
LOOKS = ("<frozen importlib", os.sep + "_pytest" + os.sep)
"""In the paths of what lists folders to find modules and test files in them."""
STANDARD = os.path.join(os.path.dirname(os.__file__), "")
CTYPES = os.path.join(STANDARD, "ctypes", "")
METADATA = os.path.join(STANDARD, "importlib", "metadata")
INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
PYTEST = ("_pytest" + os.sep, "pluggy" + os.sep)
SUFFIX = ".pyd" if os.name == "nt" else ".so"
_WORDS = (
    "_brotli _yaml aiohttp asyncpg bcrypt bson charset_normalizer coverage frozenlist greenlet httptools hypothesis"
    " jiter kiwisolver lazy_object_proxy markupsafe msgpack msgspec multidict numpy orjson pandas propcache psutil"
    " psycopg2 psycopg_binary pydantic_core pymongo rapidjson regex rpds setproctitle simplejson sqlalchemy tornado"
    " ujson websockets wrapt xxhash yaml yarl zope zstandard"
)
HARMLESS = frozenset(_WORDS.split())
"""Packages whose native code opens no file by a name and starts nothing, but by way of Python."""


class Opened:
    """Watches from when it is made until it is asked for `names`."""

    def __init__(self, root: str) -> None:
        self._root = os.path.join(os.path.realpath(root), "")
        self._folders: Dict[str, str] = {}  # noqa: UP006
        self._names: Set[str] = set()  # noqa: UP006
        self._more = any(map(strange, tuple(sys.modules.values())))
        self._deaf = False
        self._before = (children(), sys.pycache_prefix)
        sys.addaudithook(self._audit)

    def names(self) -> Optional[List[str]]:  # noqa: UP006, UP045
        """Sources, relative to the root with `/`, and folders that were listed, which end with `/`, the root as `/`.

        None for more than could be seen: something was run as a process, done by native code that may do anything,
        or opened by way of what may be unknown.
        """
        self._deaf = True
        after = (children(), sys.pycache_prefix)
        more = self._more or after != self._before or len(self._names) > MOST_NAMES
        return None if more else sorted(self._names)

    def _audit(self, event: str, arguments: Any) -> None:
        if self._deaf or (event not in EVENTS and event not in BESIDES):
            return
        try:
            if event == "open":
                self._open(arguments[0], arguments[1])
            elif event in LISTINGS:
                self._listed(arguments[0], sys._getframe(1))
            elif event in OTHER_NAMES:
                self._named(*map(os.fsdecode, arguments[:2]))
            elif event == "import":
                # A file is named where it is native code, which does anything unseen.
                self._more = self._more or not (arguments[1] is None or harmless(arguments[1]))
            elif event in LIBRARIES:
                self._more = self._more or not standard(caller(sys._getframe(1), CTYPES))
            elif event != DATABASE:
                self._more = True
        except Exception:
            # Raised here, it would make the call of a test fail.
            self._more = True

    def _open(self, path: Any, mode: Any) -> None:
        if isinstance(path, int):
            return
        path = os.fsdecode(path)
        if not path.endswith((".py", ".pyc")):
            # A link of any name can lead to a source.
            self._leads(path)
        elif mode is None and not os.path.isabs(path):
            self._more = True  # of a folder that may be another one than the present one
        else:
            folder, name = os.path.split(os.path.join(os.getcwd(), path))
            real = self._real(folder)
            self._add(os.path.join(real, name))
            self._leads(path)
            if name.endswith(".pyc"):
                self._more = self._more or not self._beside(folder)
                for source in filter(os.path.lexists, sources(os.path.dirname(real), name)):
                    self._add(source)
                    self._leads(source)

    def _leads(self, path: str) -> None:
        if os.path.islink(path):
            self._add(os.path.realpath(path))

    def _beside(self, folder: str) -> bool:
        """True where byte code in a folder is of sources around it, or was made in this run of what it opened."""
        prefix = self._before[1]
        ours = prefix is not None and folder.startswith(os.path.join(prefix, ""))
        return ours or (os.path.basename(folder) == "__pycache__" and not os.path.islink(folder))

    def _real(self, folder: str) -> str:
        found = self._folders.get(folder)
        if found is None:
            found = self._folders[folder] = os.path.realpath(folder)
        return found

    def _add(self, whole: str) -> None:
        if whole.startswith(self._root):
            self._names.add(whole[len(self._root) :].replace(os.sep, "/"))

    def _listed(self, path: Any, frame: Any) -> None:
        if any(place in frame.f_code.co_filename for place in LOOKS) or for_packages(frame):
            return
        path = os.readlink("/proc/self/fd/" + str(path)) if isinstance(path, int) else os.fsdecode(path or ".")
        whole = os.path.join(os.path.realpath(path), "")
        if whole == self._root:
            self._names.add("/")
        self._add(whole)

    def _named(self, source: str, name: str) -> None:
        whole = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(name)), source))
        for path in (whole, os.path.realpath(source)):
            inside = path.startswith(self._root) or self._root.startswith(os.path.join(path, ""))
            self._more = self._more or inside


def strange(module: Any) -> bool:
    """True for native code, loaded already, that may do anything."""
    # Of one that is loaded when it is first used nothing may be asked.
    path = getattr(module.__dict__.get("__spec__"), "origin", None) if type(module) is type(sys) else None
    return isinstance(path, str) and path.endswith(SUFFIX) and not harmless(path)


def harmless(path: str) -> bool:
    """True for native code that is the standard library's, or a package's that is known."""
    package = installed(path)
    return standard(path) if package == path else package.partition(os.sep)[0].partition(".")[0] in HARMLESS


def standard(path: str) -> bool:
    """True for a file of the standard library, and for what has none."""
    return path.startswith((STANDARD, "<frozen importlib")) and installed(path) == path


def installed(path: str) -> str:
    """The part below the folder of an environment's packages; the path itself where it lies in none."""
    for place in INSTALLED:
        path = path.rpartition(place)[2]
    return path


def caller(frame: Any, within: str) -> str:
    """The file of who uses a part of the standard library here."""
    while frame.f_back is not None and frame.f_code.co_filename.startswith(within):
        frame = frame.f_back
    return str(frame.f_code.co_filename)


def for_packages(frame: Any) -> bool:
    """True where pytest has it listed which packages are installed: of what is in a folder it learns of them alone."""
    by = caller(frame, METADATA)
    return frame.f_code.co_filename.startswith(METADATA) and installed(by) != by and installed(by).startswith(PYTEST)
