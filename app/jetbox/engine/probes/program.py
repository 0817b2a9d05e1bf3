"""Shows a run of pytest as the program that `python -m pytest` is, to whoever looks at what was started.

The source of this module is handed to the workspace's interpreter behind that of `inside`; like that it needs the
standard library and pytest alone, and runs on Python 3.8 and later. Programs name themselves after what was started,
and take one without a file for an interpreter that somebody types into.
"""

from __future__ import annotations

import os
import sys
from importlib import util
from typing import List  # noqa: UP035 - evaluated by old interpreters

TYPE_CHECKING = False
if TYPE_CHECKING:
    from jetbox.engine.probes.inside import ARGUMENTS


def as_program() -> None:
    """Have `__main__` be pytest's, which is imported already."""
    try:
        spec = util.find_spec("pytest.__main__")
    except ImportError:
        return  # It was one file once.
    if spec is None or spec.loader is None:
        return
    module = util.module_from_spec(spec)
    # By that name it runs nothing.
    spec.loader.exec_module(module)
    module.__name__ = "__main__"
    sys.modules["__main__"] = module


def as_given(private: str, files: List[str]) -> List[str]:  # noqa: UP006
    """The arguments of a run of these files, or of all, shown as what was given; what it keeps is `private`."""
    arguments = [*ARGUMENTS, "-o", "cache_dir=" + os.path.join(private, "cache"), *files]
    sys.argv = [getattr(sys.modules["__main__"], "__file__", None) or "pytest", *arguments]
    if hasattr(sys, "orig_argv"):
        sys.orig_argv[1:] = ["-m", "pytest", *arguments]
    return arguments
