"""Processes below a process: found, told to stop, and killed."""

from __future__ import annotations

import os
import signal


def descendants(pid: int) -> list[int]:
    """Every process below `pid`, nearest first; empty where the system has no `/proc`."""
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for parent in level for child in children(parent)]
        found += level
    return found


def children(pid: int) -> list[int]:
    """Children of every thread of a process; empty for one that is gone."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found += map(int, file.read().split())
    except FileNotFoundError:
        return found or _children_by_scan(pid)
    except OSError:
        return found
    return found


def _children_by_scan(pid: int) -> list[int]:
    """For kernels without `children` files: every process names its parent."""
    found: list[int] = []
    try:
        names = os.listdir("/proc")
    except OSError:
        return found
    for name in names:
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = file.read().rpartition(b")")[2].split()[1]
            except (OSError, IndexError):
                continue
            if int(parent) == pid:
                found.append(int(name))
    return found


def has_ended(child: int) -> bool | None:
    """Whether a child of this process has ended, waited for or not; it stays to be waited for.

    None where the system cannot tell without waiting (macOS before Python 3.13).
    """
    if not hasattr(os, "waitid"):
        return None
    try:
        return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def send(pids: list[int], number: signal.Signals) -> None:
    """Signal each; one that is gone or not ours is passed over."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def send_group(leader: int, number: signal.Signals) -> None:
    """Signal a process group, if it is still there."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return
