"""Typed settings from files, environment and flags, each value with its source; trust in project files."""
