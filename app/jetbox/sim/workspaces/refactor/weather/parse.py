"""Reads lines such as `Oslo;-3.5`."""


def parse_line(line: str) -> tuple[str, float]:
    """Return the station and its temperature in degrees Celsius."""
    station, celsius = line.split(";")
    return station.strip(), float(celsius)


def parse(text: str) -> list[tuple[str, float]]:
    """Return the readings of a text; empty lines are ignored."""
    return [parse_line(line) for line in text.splitlines() if line.strip()]
