"""Secrets that nobody named: found by their form, replaced before a text leaves the machine."""

from __future__ import annotations

import re
from functools import partial

_FORMS = tuple(
    (kind, marks.split(), re.compile(form, re.DOTALL))
    for kind, marks, form in (
        (
            "PRIVATE_KEY",
            "-----BEGIN",
            r"-----BEGIN (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----.*?"
            r"(?:-----END (?:[A-Z0-9]+ ){0,4}PRIVATE KEY(?: BLOCK)?-----|\Z)",
        ),
        ("GITHUB_TOKEN", "gh github_pat_", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})"),
        ("GITLAB_TOKEN", "glpat-", r"\bglpat-[A-Za-z0-9_-]{20,}"),
        ("AWS_KEY", "AKIA ASIA", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("SLACK_TOKEN", "xox", r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
        ("API_KEY", "sk-", r"\bsk-(?=[A-Za-z0-9_-]{0,99}[0-9])(?:[A-Za-z0-9]{1,20}-){0,4}[A-Za-z0-9_]{20,}"),
        ("STRIPE_KEY", "k_live_ k_test_", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
        ("HUGGING_FACE_TOKEN", "hf_", r"\bhf_[A-Za-z0-9]{30,}"),
        ("GOOGLE_KEY", "AIza", r"\bAIza[0-9A-Za-z_-]{35}"),
        ("NPM_TOKEN", "npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
        ("PYPI_TOKEN", "pypi-", r"\bpypi-[A-Za-z0-9_-]{50,}"),
        ("JWT", "eyJ", r"\beyJ[A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
        (
            "AUTHORIZATION",
            "earer asic BEARER BASIC",
            r"(?i:(?<=bearer )|(?<=basic ))(?=[A-Za-z+/._~-]{0,99}[0-9])[A-Za-z0-9+/._~-]{16,}={0,2}",
        ),
        ("PASSWORD", "://", r"(?<=://)(?P<user>[^\s:/@]{0,100}:)[^\s/@\[\]]{3,200}(?=@)"),
    )
)
"""By kind: what must stand in a text for it to be looked for, and how it looks."""
_TELLING = ("key", "secret", "token", "passw")
_ASSIGNED = re.compile(
    r"((?:api_?key|secret|token|passw(?:or)?d)[a-z0-9_-]{0,40}[\"']?[ \t]{0,9}[=:][ \t]{0,9})"
    r"(?:\"([^\"\s]{12,})\"|'([^'\s]{12,})'|([A-Za-z0-9+/_~-]{16,}={0,2})(?![A-Za-z0-9+/_~.(\[=-]))",
    re.IGNORECASE,
)


class LikelySecrets:
    """Replaces what has the form of a secret by `[secret:KIND]`, and counts."""

    def __init__(self) -> None:
        self.found = 0

    def redact(self, text: str) -> str:
        """The text without them."""
        for kind, marks, form in _FORMS:
            if any(mark in text for mark in marks):
                text = form.sub(partial(self._formed, kind), text)
        if any(word in text.lower() for word in _TELLING):
            text = "\n".join(map(self._line, text.split("\n")))
        return text

    def _line(self, line: str) -> str:
        """A value stands on the line of its name; few lines have one."""
        low = line.lower()
        return _ASSIGNED.sub(self._assigned, line) if any(word in low for word in _TELLING) else line

    def _formed(self, kind: str, match: re.Match[str]) -> str:
        return match.groupdict().get("user", "") + self._mark(kind)

    def _assigned(self, match: re.Match[str]) -> str:
        """A value beside a telling name counts where it looks made by chance."""
        quoted, value = match[2] or match[3], match[2] or match[3] or match[4]
        digits = sum(map(str.isdigit, value))
        # A name of the program's own has a digit or two; what is in quotes is a value at any rate.
        if "[secret:" in value or not any(map(str.isalpha, value)) or digits < (1 if quoted else 4):
            return match[0]
        return match[0].replace(value, self._mark("SECRET"))

    def _mark(self, kind: str) -> str:
        self.found += 1
        return f"[secret:{kind}]"
