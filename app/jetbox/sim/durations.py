"""Durations as Go writes them: `300ms`, `1h30m`, `-1m`."""

from __future__ import annotations

import re
from typing import Any

from jetbox.sim.http import ApiError

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")


def keep_alive_seconds(value: Any) -> float | None:
    """Seconds that a `keep_alive` asks for; infinity for a negative one, None where it is absent.

    Raises:
        ApiError: neither a number nor a duration (the string `-1` is not one).
    """
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float("inf") if value < 0 else float(value)
    if not isinstance(value, str):
        raise ApiError(400, f"Unsupported type: '{type(value).__name__}'")
    sign, digits = (value[0], value[1:]) if value[:1] in ("-", "+") else ("", value)
    parts = list(PART.finditer(digits))
    if digits != "0" and (not parts or "".join(part.group() for part in parts) != digits):
        missing = "missing unit in duration" if digits.replace(".", "", 1).isdigit() else "invalid duration"
        raise ApiError(400, f'time: {missing} "{value}"')
    seconds = sum(float(part[1]) * UNITS[part[2]] for part in parts)
    return float("inf") if sign == "-" else seconds
