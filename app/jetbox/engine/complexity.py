"""How much a goal asks for, as a score from 0 to 100 that says how it came about.

No model is asked: the words of the goal and what has been said already are all that is looked at.
"""

from __future__ import annotations

import re

import msgspec

TIERS = ("trivial", "simple", "moderate", "complex", "expert")
"""One for each fifth of the score."""
MOST = 20
"""Points of each factor."""
WORDS = 80
"""A goal of so many words has all the points of length."""
_CODE = re.compile(
    r"```|`[^`\n]+`|\b[\w./-]+\.(?:py|js|ts|rs|go|c|h|cpp|java|toml|json|ya?ml|md|sql|sh)\b|\b\w+\(\)|\b\w+_\w+\b"
)
_TOOLS = re.compile(
    r"\b(?:creat|writ|add|fix|repair|refactor|renam|mov|delet|remov|edit|chang|updat|implement|test|run|build|install"
    r"|migrat|port|split|convert|replac)\w*",
    re.IGNORECASE,
)
_REASONING = re.compile(
    r"\b(?:why|how|design\w*|architect\w*|prov\w+|analy[sz]\w*|debug\w*|investigat\w*|optimi[sz]\w*|trade-?offs?|compar\w+"
    r"|concurren\w*|deadlock\w*|race|algorithm\w*|performance|secur\w+|because|ensure|all|every|without|unless|except)\b",
    re.IGNORECASE,
)


class Complexity(msgspec.Struct, frozen=True):
    """The score and its parts."""

    score: int
    parts: dict[str, int]

    @property
    def tier(self) -> str:
        """One of `TIERS`."""
        return TIERS[min(len(TIERS) - 1, self.score * len(TIERS) // 100)]

    @property
    def words(self) -> str:
        """`moderate, 45: length 12, code 10, ...`; parts without points are left out."""
        told = ", ".join(f"{name} {points}" for name, points in self.parts.items() if points)
        return f"{self.tier}, {self.score}" + (f": {told}" if told else "")


def complexity(goal: str, tokens: int = 0, window: int = 0) -> Complexity:
    """Score a goal; `tokens` of the `window` have been used by what was said before."""
    parts = {
        "length": min(MOST, len(goal.split()) * MOST // WORDS),
        "code": min(MOST, 5 * len(set(_CODE.findall(goal)))),
        "tools": min(MOST, 5 * len({word.lower()[:4] for word in _TOOLS.findall(goal)})),
        "reasoning": min(MOST, 5 * len({word.lower() for word in _REASONING.findall(goal)})),
        "context": min(MOST, tokens * MOST // window) if window else 0,
    }
    return Complexity(sum(parts.values()), parts)
