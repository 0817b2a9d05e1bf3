"""Screens: the workbench, and what lies over it."""
