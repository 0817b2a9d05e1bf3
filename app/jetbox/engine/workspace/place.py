"""Whether the workspace can be the one that is meant: empty though a goal speaks of files, or no project's folder."""

from __future__ import annotations

import os

SAYS_EXISTING = (
    r"\b(?:fix|repair|mend|debug|refactor|renam|edit|chang|updat|modif|remov|delet|clean up|improv|optimi[sz]|simplif"
    r"|convert|migrat|extend|review)\w*\b"
    r"|\badd\b.{1,80}?\b(?:to|in) (?:the|this|my|our|[\w./-]+\.\w{1,4})\b"
    r"|\b(?:existing|failing|broken|red)\b|\b(?:this|the|my|our) (?:code\w*|project|repo\w*|package|tests?|bug)\b"
)
SAYS_NEW = r"\b(?:creat|writ|mak|build|generat|scaffold|implement|add|start|begin|initiali[sz]|set up|new)\w*\b"
"""Whichever of the two a goal says earlier counts."""


def empty(root: str) -> bool:
    """Nothing lies there that is not hidden; False where nobody can look."""
    try:
        with os.scandir(root) as entries:
            return all(entry.name.startswith(".") for entry in entries)
    except OSError:
        return False


def no_project(root: str) -> str:
    """What the folder is where it is no project's: `your home folder`; empty otherwise."""
    if os.path.realpath(root) == "/":
        return "the root of the file system"
    return "your home folder" if os.path.realpath(root) == os.path.realpath(os.path.expanduser("~")) else ""


def speaks_of_files(goal: str) -> bool:
    """Whether a goal sounds as if it were about what is there already."""
    import re

    there = re.search(SAYS_EXISTING, goal, re.IGNORECASE | re.DOTALL)
    new = re.search(SAYS_NEW, goal, re.IGNORECASE)
    return there is not None and (new is None or there.start() <= new.start())


def doubt(root: str, goal: str) -> str:
    """Why this may be the wrong folder for a goal, in words; empty where nothing speaks for that."""
    if what := no_project(root):
        return f"the folder to work in is {root}, {what}: everything below it is the workspace"
    if empty(root) and speaks_of_files(goal):
        return f"{root} is empty, and the goal speaks of what is there"
    return ""
