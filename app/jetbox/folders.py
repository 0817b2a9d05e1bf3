"""The user's folders that are ours: below the XDG ones, or what the system has in their place."""

from __future__ import annotations

import os
import sys

APP = "jetbox"


def config_folder() -> str:
    """Configuration and themes: `$XDG_CONFIG_HOME/jetbox`."""
    return _own("XDG_CONFIG_HOME", ".config", "user_config_dir")


def data_folder() -> str:
    """Sessions: `$XDG_DATA_HOME/jetbox`."""
    return _own("XDG_DATA_HOME", ".local/share", "user_data_dir")


def state_folder() -> str:
    """Locks, figures of models, trusted files, crash reports: `$XDG_STATE_HOME/jetbox`."""
    return _own("XDG_STATE_HOME", ".local/state", "user_state_dir")


def cache_folder() -> str:
    """What can be found out anew: `$XDG_CACHE_HOME/jetbox`."""
    return _own("XDG_CACHE_HOME", ".cache", "user_cache_dir")


def _own(variable: str, below_home: str, fallback: str) -> str:
    """Ours below an XDG folder; `fallback` is the function of platformdirs for other systems."""
    base = os.environ.get(variable, "")
    if os.path.isabs(base):
        return os.path.join(base, APP)
    if sys.platform.startswith("linux"):  # platformdirs takes 9 ms to import and says the same here
        return os.path.join(os.path.expanduser("~"), below_home, APP)
    import platformdirs

    return str(getattr(platformdirs, fallback)(APP, appauthor=False))
