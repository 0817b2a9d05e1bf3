"""The cases of the seeds' second document as tasks: triage, a review, an incident.

Each begins with what can be looked at side by side, in one answer.
"""

from __future__ import annotations

from benchmarks.tasks import SCRIPTS, Task

MAILS = tuple(
    (f"mail-{n:02}.txt", f"Subject: question {n}\n\nPlease answer {'when there is time' if n % 5 else 'today'}.\n")
    for n in range(1, 51)
)
SHARE = '''"""Shares of a whole."""


def share(part: float, whole: float) -> float:
    """The part as a share of the whole."""
    return part / whole if whole else 0.0
'''
UNGUARDED = SHARE.replace(" if whole else 0.0", "")
KEEPING = SHARE.replace("whole: float)", "whole: float, seen: list[float] = [])")
PARTS = tuple((f"part_{n}.py", {3: UNGUARDED, 7: KEEPING}.get(n, SHARE)) for n in range(10))
LOG = "".join(f"07:{n:02} order {n} failed: '<' not supported between 'int' and 'str'\n" for n in range(60))
SERVICE = '''"""Takes orders."""

import tomllib
from pathlib import Path

SETTINGS = tomllib.loads((Path(__file__).parent / "limits.toml").read_text())
LIMIT = SETTINGS["limit"]


def taken(pieces: int) -> bool:
    """Whether an order of so many pieces is taken."""
    return pieces < LIMIT
'''
TESTS = """from orders import taken


def test_small_orders_are_taken() -> None:
    assert taken(3)


def test_large_ones_are_not() -> None:
    assert not taken(40)
"""
ORDERS = (
    ("orders.log", LOG),
    ("limits.toml", 'limit = "40"\n'),
    ("orders.py", SERVICE),
    ("test_orders.py", TESTS),
)


def _script(name: str) -> tuple[str, ...]:
    return (str(SCRIPTS / f"{name}.toml"),)


CASES = {
    "triage": Task("Which of the fifty mails here need an answer today?", _script("triage"), "question", files=MAILS),
    "review": Task("Review the ten files in this folder.", _script("review"), "question", files=PARTS),
    "incident": Task(
        "Orders fail since this morning: find out why, and mend it.", _script("incident"), "mend", files=ORDERS
    ),
}
