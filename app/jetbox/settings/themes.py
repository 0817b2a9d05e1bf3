"""Where themes lie and how they are called: their content is the screen's business."""

from __future__ import annotations

import os
from pathlib import Path

import jetbox
from jetbox.folders import config_folder


def shipped_folder() -> Path:
    """Where the shipped themes lie: in the package, or beside it in a checkout."""
    package = Path(os.path.abspath(jetbox.__file__)).parent
    packaged = package / "_themes"
    return packaged if packaged.is_dir() else package.parents[1] / "themes"


def user_folder() -> Path:
    """The user's theme folder."""
    return Path(config_folder()) / "themes"


def theme_files(folder: Path) -> list[Path]:
    """The theme files of a folder, none where it does not exist. Raises OSError."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == ".toml")
    except FileNotFoundError:
        return []


def theme_names() -> list[str]:
    """Every theme there is, sorted; one whose file is broken goes by the file's name."""
    names: set[str] = set()
    for folder in (shipped_folder(), user_folder()):
        try:
            names.update(_name_of(path) for path in theme_files(folder))
        except OSError:
            continue  # the screen tells of a folder that cannot be read
    return sorted(names)


def name_within(stem: str) -> str:
    """What the user's theme file of this name, without its suffix, calls itself; nothing where there is none."""
    try:
        return next((_name_of(path) for path in theme_files(user_folder()) if path.stem == stem), "")
    except OSError:
        return ""


def _name_of(path: Path) -> str:
    import tomllib

    if not path.is_file():
        return path.stem
    try:
        name = tomllib.loads(path.read_text(encoding="utf-8")).get("name", path.stem)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return path.stem
    return name if isinstance(name, str) and name else path.stem
