"""Where files of settings are."""

from __future__ import annotations

import os

from jetbox.folders import config_folder


def user_file() -> str:
    """The user's configuration file."""
    return os.path.join(config_folder(), "config.toml")


def project_file(workspace: str) -> str:
    """The configuration file of a workspace."""
    return os.path.join(os.path.abspath(workspace), ".jetbox", "config.toml")
