"""How the command line ends: whatever happens is one line and an exit code."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from jetbox.cli.plain import plain
from jetbox.engine.endings import heard_endings
from jetbox.engine.errors import ExitCode, JetboxError

if TYPE_CHECKING:
    from jetbox.ui.skeleton import Skeleton

PROGRAM = "jetbox-tui"
OUTPUT = "jetbox_output"
"""Option of the interpreter (-X) that keeps the encoding of the terminal."""
_DISK_ERRORS = ("ENOSPC", "EDQUOT", "EROFS", "EIO", "EFBIG")


def guarded(arguments: list[str], skeleton: Skeleton | None) -> int:
    """Run the command line; returns the exit code, never raises."""
    _accept_any_text()
    with _ended_by_signals():
        try:
            code = _dispatched(arguments, skeleton)
            _flush()
        except BaseException as failure:  # of the last flush, or a signal within the handling of a failure
            code = _code_of(failure)
    return int(code)


def _dispatched(arguments: list[str], skeleton: Skeleton | None) -> int:
    try:
        try:
            from jetbox.cli.dispatch import dispatch

            code = dispatch(arguments, skeleton)
        finally:
            if skeleton is not None:
                skeleton.clear()
        _flush()
        return code
    except BaseException as failure:  # not raised again: every end of the program is a line and a code
        return _code_of(failure)


def _code_of(failure: BaseException) -> int:
    """Tell of the failure, where that is of use, and find its exit code."""
    failure = _innermost(failure)
    if isinstance(failure, JetboxError):
        tell(failure.message, failure.hint)
        return failure.exit_code
    if isinstance(failure, SystemExit):
        return failure.code if isinstance(failure.code, int) else ExitCode.DONE
    if isinstance(failure, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    if isinstance(failure, BrokenPipeError):
        _drop_output()
        return ExitCode.HANGUP
    click_code = _click_code(failure)
    if click_code is not None:
        return click_code
    if isinstance(failure, OSError) and not failure.filename and _terminal_is_gone():
        _drop_output()
        return ExitCode.HANGUP
    if isinstance(failure, OSError) and _is_of_the_disk(failure):
        _drop_output()
        where = f"{failure.filename}: " if failure.filename else "cannot write: "
        tell(f"{where}{failure.strerror}", "make room, or choose another folder")
        return ExitCode.STORAGE
    from jetbox.cli.crash import report

    tell(*report(failure))
    return ExitCode.INTERNAL


def _terminal_is_gone() -> bool:
    """Whether standard input is a terminal that was closed."""
    import errno
    import termios

    try:
        termios.tcgetattr(0)
    except termios.error as error:
        return bool(error.args) and error.args[0] == errno.EIO
    except OSError:
        return False
    return False


def _innermost(failure: BaseException) -> BaseException:
    """The failure that a task group wrapped: one for people comes before any other."""
    while isinstance(failure, BaseExceptionGroup):
        spoken = failure.subgroup(JetboxError)
        failure = (spoken or failure).exceptions[0]
    return failure


def _click_code(failure: BaseException) -> int | None:
    """Exit code of what click raises; None where it is none of its own."""
    click = sys.modules.get("click.exceptions")
    if click is None:
        return None
    if isinstance(failure, click.Abort):
        return ExitCode.INTERRUPTED
    if isinstance(failure, click.Exit):
        return int(failure.exit_code)
    if isinstance(failure, click.ClickException):
        context = getattr(failure, "ctx", None)
        tell(failure.format_message().rstrip("."), f"see `{context.command_path if context else PROGRAM} --help`")
        return ExitCode.USAGE
    return None


def _is_of_the_disk(failure: OSError) -> bool:
    import errno

    return failure.errno in {getattr(errno, name) for name in _DISK_ERRORS}


def tell(message: str, hint: str = "") -> None:
    """Say what is wrong on standard error, and in a second line what to do; nothing there can be a control code."""
    lines = f"{PROGRAM}: {plain(message)}\n" + (f"  {plain(hint)}\n" if hint else "")
    try:
        sys.stderr.write(lines)
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        return  # nobody can be told


def _accept_any_text() -> None:
    """A terminal that is not UTF-8 gets question marks, not a failure."""
    encoding = sys._xoptions.get(OUTPUT)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            if isinstance(encoding, str):
                stream.reconfigure(encoding=encoding)
            if stream.encoding.lower() != "utf-8":
                stream.reconfigure(errors="replace")


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()


def _drop_output() -> None:
    """Let nothing that is still buffered fail again when the interpreter ends."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):
        return


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the process in good order; one that was ignored at start stays so."""
    previous = {}
    for number, code in heard_endings().items():
        if number == signal.SIGINT:  # Python's own KeyboardInterrupt says it
            continue
        try:
            previous[number] = signal.signal(number, _ender(code))
        except ValueError:  # not in the main thread
            break
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _ender(code: ExitCode) -> Callable[[int, FrameType | None], None]:
    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(int(code))  # asyncio lets it through, and every `finally` sees it

    return end
