"""Jetbox: a terminal workbench around a local coding agent."""

__version__ = "0.1.0"
