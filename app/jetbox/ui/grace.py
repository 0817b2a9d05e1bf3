"""How soon after a question an answer cannot have been meant for it."""

from __future__ import annotations

GRACE_NS = 400_000_000
"""Keys, clicks and lines in this time after it appeared were meant for something else."""
