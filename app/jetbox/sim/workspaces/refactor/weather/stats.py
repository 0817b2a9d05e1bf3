"""Figures about readings."""


def mean(readings: list[tuple[str, float]]) -> float:
    """Return the mean temperature."""
    return sum(reading[1] for reading in readings) / len(readings)


def coldest(readings: list[tuple[str, float]]) -> tuple[str, float]:
    """Return the reading with the lowest temperature."""
    return min(readings, key=lambda reading: reading[1])
