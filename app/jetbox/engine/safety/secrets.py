"""Secrets that are known: found in the environment, replaced before text goes anywhere."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

_NAME = re.compile(
    r"(^|_)(API_?KEYS?|ACCESS_?KEY|PRIVATE_?KEY|KEY|TOKENS?|SECRETS?|PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|PAT"
    r"|CREDENTIALS?|CREDS?|AUTH|AUTHORIZATION|COOKIE|DSN|BEARER)($|_|\d)"
    r"|API_?KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL",
    re.IGNORECASE,
)
_NOT_SECRET = frozenset(("PWD", "OLDPWD", "SSH_AUTH_SOCK", "XAUTHORITY", "GPG_AGENT_INFO", "ICEAUTHORITY"))
_PLAIN_WORD = re.compile(r"[A-Za-z]+(?:[ _.-][A-Za-z]+)*|[0-9]+(?:\.[0-9]+)*")
MARK = re.compile(r"\[secret:[A-Za-z_][A-Za-z0-9_]*\]")
"""The stand-in for a secret that the model sees in its place."""
_CREDENTIALS_IN_ADDRESS = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
_SHORTEST = 8
_LONGEST_WORD = 24


class Redactor:
    """Replaces the value of each known secret by `[secret:NAME]`."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """`secrets` maps values to names."""
        self._names = dict(secrets)
        longest_first = sorted(self._names, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self.longest = len(longest_first[0]) if longest_first else 0
        """Length of the longest value; 0 where no secret is known."""
        firsts = "".join(sorted({value[0] for value in self._names}))
        self._first = re.compile(f"[{re.escape(firsts)}]") if firsts else None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], extra: Iterable[tuple[str, str]] = ()) -> Redactor:
        """Values of variables with secret names; `extra` are (name, value) pairs, such as keys from settings."""
        found: dict[str, str] = {}
        for name, value in environ.items():
            if name not in _NOT_SECRET and _NAME.search(name) and _looks_secret(value):
                found.setdefault(value.strip(), name)
            for password in _CREDENTIALS_IN_ADDRESS.findall(value):
                if len(password) >= _SHORTEST:
                    found.setdefault(password, name)
        for name, value in extra:
            if len(value) >= _SHORTEST:
                found.setdefault(value, name)
        return cls(found)

    def redact(self, text: str) -> str:
        """The text with every known secret replaced."""
        if self._pattern is None:
            return text
        return self._pattern.sub(self._mark, text)

    def found(self, text: str) -> int:
        """How many known secrets the text holds."""
        return len(self._pattern.findall(text)) if self._pattern is not None else 0

    def stream(self) -> StreamRedactor:
        """For text that comes in pieces."""
        return StreamRedactor(self)

    def split(self, text: str) -> tuple[str, str]:
        """What of a text that goes on can be let out now, redacted, and what has to wait."""
        if self._pattern is None:
            return text, ""
        keep = self._begun(text)
        pieces: list[str] = []
        start = 0
        for match in self._pattern.finditer(text):
            if match.end() > keep:
                # It could still grow into a longer secret, or it begins one that is not complete.
                keep = min(keep, match.start())
                break
            pieces += (text[start : match.start()], self._mark(match))
            start = match.end()
        pieces.append(text[start:keep])
        return "".join(pieces), text[keep:]

    def _begun(self, text: str) -> int:
        """Where the earliest suffix starts that may begin a secret; the length where none does."""
        if self._first is None:
            return len(text)
        for found in self._first.finditer(text, max(len(text) - self.longest + 1, 0)):
            start = found.start()
            rest = text[start:]
            if any(len(value) > len(rest) and value.startswith(rest) for value in self._names):
                return start
        return len(text)

    def _mark(self, match: re.Match[str]) -> str:
        return f"[secret:{self._names[match.group()]}]"


class StreamRedactor:
    """Redacts text that comes in pieces: what may begin a secret waits for the next one."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = ""

    def feed(self, text: str) -> str:
        """What can be let out now."""
        if not self._redactor.longest:
            return text
        out, self._held = self._redactor.split(self._held + text)
        return out

    def flush(self) -> str:
        """The rest, at the end of the stream."""
        held, self._held = self._held, ""
        return self._redactor.redact(held)


def _looks_secret(value: str) -> bool:
    """Long enough, and neither a path, an address without credentials, nor plain words."""
    value = value.strip()
    if len(value) < _SHORTEST or value.startswith(("~", "./", "../")) or _is_path(value):
        return False
    if "://" in value and "@" not in value:
        return False
    return len(value) > _LONGEST_WORD or _PLAIN_WORD.fullmatch(value) is None


def _is_path(value: str) -> bool:
    """True for a place on this disk; a random value can begin with a slash as well."""
    if not value.startswith("/") or "\0" in value:
        return False
    folder = os.path.dirname(value)
    return os.path.exists(value) or (folder != "/" and os.path.exists(folder))
