"""What is on the terminal before Textual is: the lines of the first frame, in a few raw bytes.

Imported before anything else, so it imports next to nothing. From when it is painted the
terminal shows no typed keys and keeps them; whoever takes the terminal over, or gives up,
must put it back as it was.
"""

from __future__ import annotations

import os
import sys

from jetbox.ui.locale import has_unicode

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing alone takes as long as the rest of this
    from collections.abc import Mapping, Sequence
    from types import FrameType
    from typing import Any

    from jetbox.ui.kept import Kept

HINT = "what shall be done here?  /help"
"""What an empty input says."""
SMALL_COLUMNS, SMALL_ROWS = 60, 15
"""Below these only transcript, status and input remain."""
BESIDE = 100
"""Columns from which the side panel stands beside the transcript."""
ROLES = ("ground", "brand", "rule", "mark", "cursor", "hint")
"""What has colours of its own here, in the order of the file that keeps them."""
PLAIN = ("", "1", "2", "1", "7", "2")
"""Attributes where no colours are known."""
JETBOX_DARK = (
    "38;2;200;204;212;48;2;20;22;27",
    "1;38;2;122;162;247;48;2;20;22;27",
    "38;2;42;47;56;48;2;20;22;27",
    "1;38;2;122;162;247;48;2;20;22;27",
    "38;2;20;22;27;48;2;200;204;212",
    "38;2;129;135;146;48;2;20;22;27",
)
"""Attributes of the default theme: for terminals that show any colour."""
_ELSEWHERE = (
    "-h", "--help", "--version", "-p", "--print", "-r", "--resume", "--plain", "--no-alternate-screen",
)  # fmt: skip
"""Options that end, or ask, before there is a screen, or want none of this kind."""
_ENDINGS = ((1, 129), (3, 131), (6, 134), (15, 143))
"""SIGHUP, SIGQUIT, SIGABRT and SIGTERM with the codes to end with."""

Piece = tuple[int, int, str, str]
"""Row and column from 1, role, text."""


def wanted(arguments: Sequence[str], commands: Sequence[str]) -> str:
    """What these arguments will show: "live", "replay", or nothing that begins with a screen.

    In doubt nothing: the screen then comes without having been announced.
    """
    first = ""
    for argument in arguments:
        if argument == "--":  # what follows is a goal, or what the command takes
            break
        cluster = argument[:1] == "-" and argument[1:2] != "-" and len(argument) > 2
        if argument in _ELSEWHERE or argument.startswith("--resume=") or cluster:
            return ""
        if not first and argument in commands:
            first = argument
    return "live" if not first else "replay" if first == "replay" else ""


def pieces(width: int, height: int, kind: str, *, unicode: bool = True) -> list[Piece]:
    """The texts of the first frame, and where they stand."""
    rule, mark = ("─", "❯") if unicode else ("-", ">")
    tiny = width < SMALL_COLUMNS or height < SMALL_ROWS
    found: list[Piece] = [(1, 2, "brand", "jetbox")]
    if not tiny:
        found.append((2 if width >= BESIDE else 3, 1, "rule", rule * width))
    if kind == "live":
        row = height if tiny else height - 1
        if not tiny:
            found.append((row - 1, 1, "rule", rule * width))
        hint = HINT[: max(0, width - 3)]
        found += [(row, 2, "mark", mark), (row, 4, "cursor", hint[:1]), (row, 5, "hint", hint[1:])]
    return found


def painted(width: int, height: int, kind: str, styles: Mapping[str, str], *, unicode: bool = True) -> bytes:
    """The bytes that paint it, on the other screen and without a cursor."""
    ground = f"\x1b[{styles['ground']}m"
    drawn = [
        f"\x1b[{row};{column}H\x1b[{styles[role]}m{text}\x1b[m"
        for row, column, role, text in pieces(width, height, kind, unicode=unicode)
    ]
    return "".join(("\x1b[?1049h\x1b[?25l", ground, "\x1b[2J", *drawn)).encode()


class Skeleton:
    """The skeleton on this terminal, from when it is painted until it is taken over or cleared."""

    def __init__(self, before: list[Any]) -> None:
        """`before` are the terminal's attributes as they were."""
        self.before = before
        self.shown = True
        """Whether the terminal's other screen shows it still."""
        self.lines = 0
        """Bytes that were typed before: in them the terminal has made Enter a line feed."""
        self.kept: Kept | None = None
        """What earlier starts compiled, in force for this one."""

    def hand_over(self) -> list[Any]:
        """Somebody else paints from now on; returns the attributes that the terminal had."""
        self.shown = False
        return self.before

    def clear(self) -> None:
        """Put the terminal back as it was, where nobody has taken it over."""
        if self.shown:
            self.shown = False
            _put_back(self.before)


def _put_back(before: list[Any]) -> None:
    import termios

    try:
        os.write(2, b"\x1b[m\x1b[?25h\x1b[?1049l")
        termios.tcsetattr(0, termios.TCSANOW, before)
    except (OSError, termios.error):
        return  # the terminal is gone


def show(arguments: Sequence[str], commands: Sequence[str]) -> Skeleton | None:
    """Paint the skeleton where a screen will follow on this terminal."""
    environ = os.environ
    kind = wanted(arguments, commands)
    if not kind or environ.get("TERM", "") in ("", "dumb") or environ.get("TEXTUAL_DRIVER"):
        return None
    try:
        import termios

        if not (os.isatty(0) and os.isatty(1) and os.isatty(2)) or os.getpgrp() != os.tcgetpgrp(0):
            return None
        before = termios.tcgetattr(0)
        width, height = os.get_terminal_size(2)
    except (ImportError, OSError, termios.error):
        return None
    if width < 8 or height < 3:
        return None
    attributes, ascii = kept_styles(environ)
    styles = dict(zip(ROLES, attributes, strict=True))
    skeleton = Skeleton(before)
    _end_cleanly(before)
    quiet = list(before)
    quiet[0] &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
    quiet[3] &= ~(termios.ECHO | termios.ICANON)
    quiet[6] = [*quiet[6]]
    quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
    # A key as any other: nothing could take the terminal back from the shell yet.
    quiet[6][termios.VSUSP] = quiet[6][termios.VQUIT] = os.fpathconf(0, "PC_VDISABLE").to_bytes(1, "little")
    try:
        termios.tcsetattr(0, termios.TCSANOW, quiet)
        skeleton.lines = waiting(0)
        os.write(2, painted(width, height, kind, styles, unicode=not ascii and has_unicode(environ)))
    except (OSError, termios.error):
        skeleton.clear()
        return None
    return skeleton


def waiting(terminal: int) -> int:
    """How many bytes were typed that nobody has read.

    Raises:
        OSError: the terminal is gone.
    """
    import fcntl
    import termios

    return int.from_bytes(fcntl.ioctl(terminal, termios.FIONREAD, bytes(4)), sys.byteorder)


def _end_cleanly(before: list[Any]) -> None:
    """Until the program has its own way to end, a signal that would kill it puts the terminal back first."""
    import _signal  # type: ignore[import-not-found]  # `signal` itself takes 3 ms to import

    def end(number: int, frame: FrameType | None) -> None:
        _put_back(before)
        os._exit(dict(_ENDINGS)[number])

    for number, _ in _ENDINGS:
        if _signal.getsignal(number) == _signal.SIG_DFL:
            _signal.signal(number, end)


def kept_styles(environ: Mapping[str, str]) -> tuple[tuple[str, ...], bool]:
    """The attributes that the screen had here last, else those of the default theme; and whether it was in ASCII."""
    try:
        with open(_file(), encoding="ascii") as file:
            key, *styles = file.read(2000).splitlines()
    except (OSError, ValueError):
        key, styles = "", []
    # Digits alone: nothing in a file can steer the terminal.
    ascii, key = key.endswith(_ASCII), key.removesuffix(_ASCII)
    if key == _key(environ) and len(styles) == len(ROLES) and not "".join(styles).strip("0123456789;"):
        return tuple(styles), ascii
    any_colour = environ.get("COLORTERM", "").strip().lower() in ("truecolor", "24bit")
    return (JETBOX_DARK if any_colour and "NO_COLOR" not in environ else PLAIN), False


def keep_styles(styles: Sequence[str], environ: Mapping[str, str], *, ascii: bool = False) -> None:
    """Remember the attributes of the screen for the next start, in the order of `ROLES`; best effort."""
    text = "\n".join((_key(environ) + _ASCII * ascii, *styles, ""))
    path = _file()
    try:
        with open(path, encoding="ascii") as file:
            if file.read(2000) == text:
                return
    except (OSError, ValueError):
        pass  # written anew
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        spare = f"{path}.{os.getpid()}"
        with open(spare, "w", encoding="ascii", errors="replace") as file:
            file.write(text)
        os.replace(spare, path)
    except OSError:
        return  # the next start has the colours of the default theme


_ASCII = " ascii"
"""Ends the first line of what is kept where only signs of ASCII are drawn."""


def _key(environ: Mapping[str, str]) -> str:
    """What the colours depend on beside the theme, in one line."""
    plain = "plain" if "NO_COLOR" in environ else "colour"
    words = f"{environ.get('TERM', '')} {environ.get('COLORTERM', '')} {plain}"
    return "".join(sign for sign in words if " " <= sign <= "~")


def _file() -> str:
    from jetbox.folders import state_folder

    return os.path.join(state_folder(), "skeleton")
