"""What a scripted model says it thought of its tokens."""

from __future__ import annotations

import math
import zlib
from typing import Any

OTHERS = (" the", " a", "\n", " to", ".", " and", "(", " is", ",", '"', " of", " in", ")", "1", " =", "\n\n", ":")


def of(text: str, confidence: float, top: int, salt: int) -> list[dict[str, Any]]:
    """One token's entry, `top` alternatives with it; probabilities lie around the confidence."""
    seed = zlib.crc32(f"{text}/{salt}".encode())
    chance = min(0.9999, max(0.0001, confidence + (1 - confidence) * 0.5 * ((seed % 2001) / 1000 - 1)))
    entry = _entry(text, chance)
    if top:
        others = [token for token in OTHERS if token != text]
        start = seed % len(others)
        tokens = [others[(start + n) % len(others)] for n in range(min(top - 1, len(others)))]
        rest = (1 - chance) / 2
        entry["top_logprobs"] = [_entry(text, chance)]
        for token in tokens:
            entry["top_logprobs"].append(_entry(token, rest))
            rest /= 2
    return [entry]


def _entry(token: str, chance: float) -> dict[str, Any]:
    return {"token": token, "logprob": round(math.log(max(chance, 1e-9)), 6), "bytes": list(token.encode())}
