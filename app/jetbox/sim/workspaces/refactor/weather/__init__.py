"""Readings of thermometers."""

from weather.parse import parse
from weather.report import report
from weather.stats import coldest, mean

__all__ = ["coldest", "mean", "parse", "report"]
