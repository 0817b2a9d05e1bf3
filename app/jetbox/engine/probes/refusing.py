"""Why runs of pytest are not forked in a workspace, as far as its configuration tells."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from jetbox.engine.probes.configuration import OF_PYTEST
from jetbox.engine.probes.snapshot import Entry, Snapshot

SPREADS = ("--numprocesses", "--maxprocesses", "--dist", "--tx", "--forked", "--boxed", "--looponfail", "--isolate")
"""Options of plugins that start or fork processes of their own."""
FLAGS = re.compile(r"^-[xsvqlh]+(?=[npf])")
"""Options of one letter, without a value, that stand before such a one in the same word."""
VARIABLE = "PYTEST_ADDOPTS"


class Asked(msgspec.Struct, frozen=True):
    """What the configuration asks of a run."""

    refusal: str = ""
    """Why it cannot be forked, in words; empty where it can."""
    blocked: tuple[str, ...] = ()
    """Plugins that are not to be loaded."""
    elsewhere: tuple[str, ...] = ()
    """Places outside of the workspace that tests or modules are found in."""


class Refusals:
    """Reads the configuration again when it is another one."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._of: tuple[object, ...] = ()
        self._at = ("", "")
        self._asked = Asked()

    def asked(self, files: Snapshot, passed: Sequence[str]) -> Asked:
        """As of these files; `passed` are the variables that a run sees."""
        added = os.environ.get(VARIABLE, "") if VARIABLE in passed else ""
        if self._at == (files.digest, added):
            return self._asked
        found = dict(_configuration(files))
        of = (tuple(found.items()), added)
        if of != self._of:
            from jetbox.engine.probes.collected import added_options, elsewhere

            linux = sys.platform.startswith("linux")
            asked = read(added_options(self._root, found, added)) if linux else Asked("that needs Linux")
            self._of, self._asked = of, msgspec.structs.replace(asked, elsewhere=elsewhere(self._root, found))
        self._at = (files.digest, added)
        return self._asked


def read(words: Sequence[str]) -> Asked:
    """What these options ask for."""
    blocked = []
    for at, given in enumerate(words):
        word = FLAGS.sub("-", given)
        option, equals, value = word.partition("=")
        following = value if equals else "".join(words[at + 1 : at + 2])
        if word == "-p" or (word.startswith("-p") and not word.startswith("--")):
            name = following if word == "-p" else word[2:]
            if name.startswith("no:"):
                blocked.append(name[3:])
        elif word.startswith("-n") and (number := word[2:].lstrip("=") or following) != "0":
            return Asked(f"its configuration asks for -n {number}")
        elif option in SPREADS and following not in ("0", "no"):
            return Asked(f"its configuration asks for {word}")
        elif word == "-f":
            return Asked("its configuration asks for -f")
    return Asked(blocked=tuple(sorted(blocked)))


def _configuration(files: Snapshot) -> Iterator[tuple[str, Entry]]:
    for name in sorted(OF_PYTEST):
        if name in files.files:
            yield name, files.files[name]
    for path, entry in files.files.items():
        if path.startswith("../") and path.rpartition("/")[2] in OF_PYTEST:
            yield path, entry
