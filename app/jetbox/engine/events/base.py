"""What events are made of, whatever they are about."""

from __future__ import annotations

from typing import Literal

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", gc=False):
    """Something that happened."""


Mode = Literal["ask", "edits", "auto"]


ChangeKind = Literal["created", "modified", "deleted"]


class FileChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file that a tool changed."""

    path: str
    """Relative to the workspace, with `/`."""
    kind: ChangeKind
    added: int = 0
    """Lines."""
    removed: int = 0
    before: str = ""
    """SHA-256 of the blob with the old content; empty where there was none."""
    after: str = ""
