"""Checks of the workspace after changes."""
