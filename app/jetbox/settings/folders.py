"""Where things of the user live: the XDG folders, or what the system has in their place."""

from __future__ import annotations

import os
import sys

APP = "jetbox"


def config_folder() -> str:
    """Configuration and themes: `$XDG_CONFIG_HOME/jetbox`."""
    return _folder("XDG_CONFIG_HOME", ".config", "user_config_dir")


def data_folder() -> str:
    """Sessions: `$XDG_DATA_HOME/jetbox`."""
    return _folder("XDG_DATA_HOME", ".local/share", "user_data_dir")


def state_folder() -> str:
    """Trusted files and crash reports: `$XDG_STATE_HOME/jetbox`."""
    return _folder("XDG_STATE_HOME", ".local/state", "user_state_dir")


def user_file() -> str:
    """The user's configuration file."""
    return os.path.join(config_folder(), "config.toml")


def project_file(workspace: str) -> str:
    """The configuration file of a workspace."""
    return os.path.join(os.path.abspath(workspace), ".jetbox", "config.toml")


def _folder(variable: str, below_home: str, platform_name: str) -> str:
    base = os.environ.get(variable, "")
    if os.path.isabs(base):
        return os.path.join(base, APP)
    if sys.platform.startswith("linux"):  # platformdirs takes 9 ms to import and says the same here
        return os.path.join(os.path.expanduser("~"), below_home, APP)
    import platformdirs

    return str(getattr(platformdirs, platform_name)(APP, appauthor=False))
