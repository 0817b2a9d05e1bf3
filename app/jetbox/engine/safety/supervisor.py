"""Stands above one command: confines it by Landlock, and ends whatever it leaves behind.

Started as a script by `python -I -S`, so it imports the standard library alone, and little of
it: its start is paid for by every command. The system calls of Landlock are made here by
`ctypes`: they are three, stable, and numbered alike on all architectures, and a package of
bindings would have to be importable by an interpreter that sees no packages.

    supervisor.py --parent=PID [--landlock] [--no-network] [--read=PATH] [--write=PATH] -- PROGRAM ...

It is the reaper of all that the command starts, also of processes that left its session. When
the command ends, or the process that started us dies, everything below is killed. A signal
that ended the command is told as 128 + its number.
"""

from __future__ import annotations

import ctypes
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Iterable
    from typing import NoReturn
else:
    import _signal as signal  # the public module imports enum, which takes as long as all the rest

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
RULE_PATH_BENEATH = 1
VERSION_FLAG = 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
MAKE_CHAR, MAKE_BLOCK, REFER, TRUNCATE, IOCTL_DEV = 1 << 6, 1 << 11, 1 << 13, 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIR
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
DEVICES = MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV
BIND_TCP, CONNECT_TCP = 1 << 0, 1 << 1
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1 << 0, 1 << 1

PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 24, 36, 38
KEPT_CAPABILITIES = frozenset((0, 1, 3, 4, 6, 7))
"""Of root: owners, modes and users of files and processes; no mounts, modules, devices, reboot."""

AWAITED = (signal.SIGCHLD, signal.SIGTERM)

_libc = ctypes.CDLL(None, use_errno=True)


class RulesetAttr(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def landlock_version() -> int:
    """The kernel's version of Landlock; 0 where it has none or it is turned off."""
    found: int = _libc.syscall(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(VERSION_FLAG))
    return max(found, 0)


def known_rights(version: int) -> int:
    """Every right on files that this version can take away."""
    rights = (1 << 13) - 1
    rights |= REFER if version >= 2 else 0
    rights |= TRUNCATE if version >= 3 else 0
    return rights | (IOCTL_DEV if version >= 5 else 0)


def restrict(read: Iterable[str], write: Iterable[str], network: bool) -> None:
    """Confine this process for good.

    Raises:
        OSError: the kernel refuses.
    """
    version = landlock_version()
    rights = known_rights(version)
    attr = RulesetAttr(rights, 0, 0)
    if version >= 4 and not network:
        attr.net = BIND_TCP | CONNECT_TCP
    if version >= 6:
        attr.scoped = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _call(CREATE_RULESET, ctypes.byref(attr), ctypes.c_size_t(size), ctypes.c_uint32(0))
    for paths, allowed in ((read, rights & READ), (write, rights & ~DEVICES)):
        for path in paths:
            _allow(ruleset, path, allowed)
    _prctl(PR_SET_NO_NEW_PRIVS, 1)
    _call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)


def _allow(ruleset: int, path: str, allowed: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if not os.path.isdir(path):
        allowed &= ON_FILES
    attr = PathBeneathAttr(allowed, fd)
    try:
        _call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(RULE_PATH_BENEATH), ctypes.byref(attr), ctypes.c_uint32(0))
    finally:
        os.close(fd)


def _call(number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result


def _prctl(option: int, value: int) -> None:
    _libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0))


def _become_command(argv: list[str], options: list[str]) -> NoReturn:
    """In the child: confine it and turn into the command."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)
    os.setsid()
    try:
        if "--landlock" in options:
            for capability in range(64):
                if capability not in KEPT_CAPABILITIES:
                    _prctl(PR_CAPBSET_DROP, capability)
            read = [o[7:] for o in options if o.startswith("--read=")]
            write = [o[8:] for o in options if o.startswith("--write=")]
            restrict(read, write, "--no-network" not in options)
        os.execv(argv[0], argv)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error.strerror}\n".encode())
    os._exit(126)


def _wait_for(command: int) -> int:
    """Wait for the command, or for the word to end it; bury whatever else ends meanwhile."""
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == command:
            return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
        if not pid and signal.sigwait(AWAITED) == signal.SIGTERM:
            return 128 + signal.SIGTERM


def _kill_below() -> None:
    """Kill until nothing is left; as the reaper of all, no child means no descendant."""
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in _below():
            _kill(pid)
        signal.sigtimedwait([signal.SIGCHLD], 0.01)


def _below() -> list[int]:
    """Every process below this one, by the parent that each one names."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb", buffering=0) as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    found: list[int] = []
    level = [os.getpid()]
    while level:
        level = [child for parent in level for child in children.get(parent, ())]
        found += level
    return found


def _kill(pid: int) -> None:
    """A group dies as one, so that nothing in it forks away; never our own."""
    try:
        if (group := os.getpgid(pid)) != os.getpgid(0):
            os.killpg(group, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def main(arguments: list[str]) -> int:
    split = arguments.index("--")
    options, argv = arguments[:split], arguments[split + 1 :]
    signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if f"--parent={os.getppid()}" not in options:
        return 128 + signal.SIGTERM
    command = os.fork()
    if not command:
        _become_command(argv, options)
    code = _wait_for(command)
    _kill_below()
    return code


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
