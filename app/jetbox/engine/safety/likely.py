"""Secrets that nobody named: found by their form, replaced before a text leaves the machine."""

from __future__ import annotations

import re

_FORMS = (
    (
        "PRIVATE_KEY",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----.*?"
        r"(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\Z)",
    ),
    ("GITHUB_TOKEN", r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{30,})"),
    ("GITLAB_TOKEN", r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("AWS_KEY", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    ("SLACK_TOKEN", r"\bxox[abeprs]-[A-Za-z0-9-]{10,}"),
    ("API_KEY", r"\bsk-(?=[A-Za-z0-9_-]*[0-9])(?:[A-Za-z0-9]+-)*[A-Za-z0-9_]{20,}"),
    ("STRIPE_KEY", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("HUGGING_FACE_TOKEN", r"\bhf_[A-Za-z0-9]{30,}"),
    ("GOOGLE_KEY", r"\bAIza[0-9A-Za-z_-]{35}"),
    ("NPM_TOKEN", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("PYPI_TOKEN", r"\bpypi-[A-Za-z0-9_-]{50,}"),
    ("JWT", r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}"),
    ("AUTHORIZATION", r"(?i:(?<=bearer )|(?<=basic ))(?=[A-Za-z+/._~-]*[0-9])[A-Za-z0-9+/._~-]{16,}={0,2}"),
)
_CREDENTIALS = re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://[^\s:/@]{0,100}:)([^\s/@\[\]]{3,200})(?=@)")
_FORM = re.compile("|".join(f"(?P<{name}>{form})" for name, form in _FORMS), re.DOTALL)
_ASSIGNED = re.compile(
    r"(?i)(\b[a-z0-9_-]{0,40}(?:api_?key|secret|token|passw(?:or)?d)[a-z0-9_-]{0,40}[\"']?\s*[=:]\s*)"
    r"(?:\"([^\"\s]{12,})\"|'([^'\s]{12,})'|([A-Za-z0-9+/_~-]{16,}={0,2})(?![A-Za-z0-9+/_~.(\[=-]))"
)


class LikelySecrets:
    """Replaces what has the form of a secret by `[secret:KIND]`, and counts."""

    def __init__(self) -> None:
        self.found = 0

    def redact(self, text: str) -> str:
        """The text without them."""
        text = _FORM.sub(self._known_form, text)
        text = _CREDENTIALS.sub(lambda match: f"{match[1]}{self._mark('PASSWORD')}", text)
        return _ASSIGNED.sub(self._assigned, text)

    def _known_form(self, match: re.Match[str]) -> str:
        return self._mark(match.lastgroup or "SECRET")

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
