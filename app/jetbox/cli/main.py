"""The console script: something on the terminal at once, then everything else.

Nothing is imported here but what paints the skeleton: each module more is time before it.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing alone takes as long as the rest of this
    from collections.abc import Sequence

    from jetbox.ui.skeleton import Skeleton

COMMANDS = ("run", "replay", "probe", "models", "sessions", "simulate", "doctor", "config")
"""The words that are a command, as `dispatch` has them."""


def main(argv: Sequence[str] | None = None, skeleton: Skeleton | None = None) -> int:
    """Run the command line; returns the exit code, never raises."""
    from jetbox.cli.ending import guarded

    return guarded(list(sys.argv[1:] if argv is None else argv), skeleton)


def console() -> None:
    """The console script: `main`, and the end of the process.

    All is closed and written by then; taking the interpreter apart would only cost 60 ms.
    """
    import gc

    from jetbox.ui.skeleton import show

    _name_files_in_utf8()
    # What is made on the way to the first request stays: collecting would find nothing.
    gc.disable()
    skeleton = show(sys.argv[1:], COMMANDS)
    if skeleton is not None:
        from jetbox.ui.kept import kept
        from jetbox.ui.lean import import_asyncio

        skeleton.kept = kept()
        import_asyncio()
    try:
        code = main(None, skeleton)
    except KeyboardInterrupt:  # before there was anything that could say so
        code = 130
    finally:
        if skeleton is not None:
            skeleton.clear()
    os._exit(code)


def _name_files_in_utf8() -> None:
    """Start over in Python's UTF-8 mode where the locale names files otherwise.

    Names, arguments and variables are bytes, and nearly always UTF-8; what a model writes is
    text. In a locale such as C with PYTHONUTF8=0 a name with an accent could neither be opened
    nor passed to a command. Python settles this once, at its start. What is printed stays in
    the terminal's encoding.
    """
    if sys.getfilesystemencoding() == "utf-8" or "utf8" in sys._xoptions or not sys.executable:
        return
    output = getattr(sys.stdout, "encoding", None) or "ascii"
    from contextlib import suppress

    from jetbox.cli.ending import OUTPUT

    with suppress(OSError):
        os.execv(sys.executable, [sys.executable, "-X", "utf8", "-X", f"{OUTPUT}={output}", *sys.orig_argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
