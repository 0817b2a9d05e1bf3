"""Errors and exit codes.

    JetboxError                     1  internal
    ├── SettingsError               2  a file, flag or variable is wrong
    ├── ModelError                  6  server or model not reachable, or its answer unusable
    │   ├── ServerUnreachable
    │   │   └── KeyWanted           it is there, and wants a key or a sign-in
    │   ├── ServerBusy
    │   │   └── StillLoading        it has just been started
    │   ├── OutOfMemory             the model does not fit with this window
    │   ├── ModelNotFound
    │   ├── ModelUnfit              the model lacks a capability that is needed
    │   ├── ContextOverflow         4  the prompt does not fit the window
    │   │   └── WordsDropped        the server cut it in silence, until nothing that the user said was left
    │   ├── BadAnswer               garbage, an error in mid-stream, an end without `done`
    │   │   ├── ForeignServer       what answers is not what was asked
    │   │   │   └── OtherProtocol   it is there, and speaks another protocol
    │   │   ├── RequestRefused      a 4xx that nobody knows
    │   │   │   ├── LogprobsRefused  without probabilities of tokens it would be taken
    │   │   │   └── CountsRefused   without counts of tokens it would be
    │   │   ├── CallGarbled         a call that the server could not read
    │   │   └── Runaway             the same again and again
    │   │       └── Overlong        more than was asked for
    │   └── Stalled                 a watchdog's limit passed
    │       └── TakenBack           the user wants the request sent again
    ├── PermissionRefused           5  a needed permission was denied
    ├── SandboxMissing              5  no sandbox works here
    ├── RecordingError              7  a recording cannot be read
    └── StorageError                9  the disk or the folder failed us
        └── WorkspaceBusy           another session writes here

Each carries a `hint`: what to do next, in one line. A tool's failure is no exception
for the loop: `ToolError` is raised inside a tool and becomes a result for the model.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says when it ends."""

    DONE = 0
    INTERNAL = 1
    USAGE = 2
    PROBES_RED = 3
    LIMIT = 4
    PERMISSION = 5
    MODEL = 6
    RECORDING = 7
    BENCH_GATE = 8
    STORAGE = 9
    HANGUP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class JetboxError(Exception):
    """A failure that a person can be told about in a line, with what to do next."""

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class SettingsError(JetboxError):
    """A setting is unknown, of the wrong type, or cannot be read."""

    exit_code = ExitCode.USAGE


class ModelError(JetboxError):
    """The server or the model failed us."""

    exit_code = ExitCode.MODEL


class ServerUnreachable(ModelError):
    """Nothing answers at the host."""

    def __init__(self, message: str, hint: str = "", *, away: bool = False) -> None:
        """`away`: nobody is there, which may be otherwise later; else something is to be mended first."""
        super().__init__(message, hint)
        self.away = away


class KeyWanted(ServerUnreachable):
    """The server wants a key or a sign-in: the same request would be refused again."""


class ServerBusy(ModelError):
    """The server refused the request for now (503, 429, or a gateway before it)."""

    def __init__(self, message: str, hint: str = "", retry_after: float = 0.0) -> None:
        """`retry_after` are the seconds that it asks for; 0 where it names none."""
        super().__init__(message, hint)
        self.retry_after = retry_after


class StillLoading(ServerBusy):
    """The server loads its only model, and refuses every request until it has (503 of llama.cpp's)."""


class OutOfMemory(ModelError):
    """The server has not enough memory to load the model with this window."""


class ModelNotFound(ModelError):
    """The server does not have this model."""


class ModelUnfit(ModelError):
    """The model cannot do what is needed, such as calling tools."""


class ContextOverflow(ModelError):
    """The prompt does not fit into the window: a limit, not a fault of the server."""

    exit_code = ExitCode.LIMIT

    def __init__(self, message: str, hint: str = "", tokens: int = 0, window: int = 0) -> None:
        """`tokens` of the prompt, and `window`, as the server counts them; 0 where it does not say."""
        super().__init__(message, hint)
        self.tokens = tokens
        self.window = window


class WordsDropped(ContextOverflow):
    """The server cut the prompt to a window that it did not tell, until nothing that the user said was left in it."""


class BadAnswer(ModelError):
    """The answer cannot be used: garbage, an error in mid-stream, or no `done`."""


class ForeignServer(BadAnswer):
    """What answers is not the server that was asked: it leads elsewhere, or speaks another protocol."""


class OtherProtocol(ForeignServer):
    """What answers speaks another protocol, or has no such path."""


class RequestRefused(BadAnswer):
    """The server refused the request with a 4xx for a reason of its own: the same request would be refused again."""


class LogprobsRefused(RequestRefused):
    """The server does not tell probabilities of tokens, and refuses the request for asking."""


class CountsRefused(RequestRefused):
    """The server does not take a request that asks for counts of tokens."""


class Runaway(BadAnswer):
    """The answer said the same again and again; what it said before counts."""


class Overlong(Runaway):
    """The answer went on beyond what was asked for; its beginning and its end count."""


class CallGarbled(BadAnswer):
    """The server could not read the call that the model made; the same request would end in the same way."""

    def __init__(self, message: str, hint: str = "", raw: str = "") -> None:
        """`raw` is the call as the model wrote it, where the server tells."""
        super().__init__(message, hint)
        self.raw = raw


class Stalled(ModelError):
    """No sign of life within the watchdog's limit."""


class TakenBack(Stalled):
    """The user did not want to wait any longer: the request is sent again."""


class PermissionRefused(JetboxError):
    """Something that the goal needs was not allowed."""

    exit_code = ExitCode.PERMISSION


class SandboxMissing(JetboxError):
    """Commands cannot be confined on this machine."""

    exit_code = ExitCode.PERMISSION


class RecordingError(JetboxError):
    """A recording cannot be read."""

    exit_code = ExitCode.RECORDING


class StorageError(JetboxError):
    """The disk is full, a folder cannot be written, or a file vanished."""

    exit_code = ExitCode.STORAGE


class WorkspaceBusy(StorageError):
    """Another session holds this workspace."""


class ToolError(Exception):
    """A tool could not do what it was asked; the text goes to the model."""


class DiskFailed(ToolError):
    """The disk or the folder failed a write: the model is told, and the goal ends with it."""


class NotAsRead(ToolError):
    """A file is not to be changed as it is: the model has not read it so. The call itself is sound."""


class FileMoved(ToolError):
    """A file changed between the plan and the deed; the plan must be made again."""


def in_full(error: BaseException) -> str:
    """What an error that is none of ours is, and what it says."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
