"""Readings as text."""

from weather.stats import coldest, mean


def report(readings: list[tuple[str, float]]) -> str:
    """Return one line a reading, then the mean and the coldest station."""
    lines = [f"{station}: {celsius:.1f}" for station, celsius in readings]
    station, celsius = coldest(readings)
    lines.append(f"mean {mean(readings):.1f}, coldest {station} at {celsius:.1f}")
    return "\n".join(lines)
