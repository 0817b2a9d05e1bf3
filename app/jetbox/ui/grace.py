"""How soon after a question an answer cannot have been meant for it."""

from __future__ import annotations

GRACE_NS = 400_000_000
"""Keys, clicks and lines in this time after it appeared were meant for something else."""
GIVEN_NS = 2_000_000_000
"""How long an answer is waited for to be taken; a question that is still there then can be answered again."""
