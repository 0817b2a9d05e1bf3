"""Keys as they are bound now, the user's own in force, and how they are written."""

from __future__ import annotations

from textual.app import App
from textual.binding import BindingsMap
from textual.dom import DOMNode
from textual.keys import key_to_character

Key = tuple[str, str, str]
"""Keys as they are shown, what they do, and the id under which they can be changed."""

_NAMES = {
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "slash": "/",
}
_PLAIN = {"left": "left", "right": "right", "up": "up", "down": "down"}


def key_name(key: str, *, ascii: bool = False) -> str:
    """A key as people write it: `^P`, `⇧tab`, `esc`, `F1`, `<`."""
    *modifiers, name = key.split("+")
    if ascii and name in _PLAIN:
        name = _PLAIN[name]
    elif name in _NAMES:
        name = _NAMES[name]
    elif name not in ("space", "enter", "tab", "home", "end"):
        character = key_to_character(name)
        name = character if character and character.isprintable() else name
    if name[0] == "f" and name[1:].isdigit():
        name = name.upper()
    if "ctrl" in modifiers:
        name = f"^{name.upper() if len(name) == 1 else name}"
    if "shift" in modifiers:
        name = f"shift+{name}" if ascii else f"⇧{name}"
    return f"alt+{name}" if "alt" in modifiers else name


def bound_keys(node: DOMNode, *, ascii: bool = False) -> list[Key]:
    """What a screen or widget binds under an id, where it can be used now."""
    app = node.app
    bindings = node._bindings.copy()
    bindings.apply_keymap(app._keymap)
    found: dict[str, tuple[list[str], str]] = {}
    for key, binding in bindings:
        if not binding.id or app._check_action_state(binding.action, node) is False:
            continue
        keys, _ = found.setdefault(binding.id, ([], binding.description))
        keys.append(key_name(key, ascii=ascii))
    return [(" ".join(keys), does, name) for name, (keys, does) in found.items()]


def class_keys(node: type[DOMNode], app: App[object], *, ascii: bool = False) -> list[Key]:
    """What a class of screens that are not there now binds of its own, the user's own keys in force."""
    bindings = BindingsMap(node.__dict__.get("BINDINGS", ()))
    bindings.apply_keymap(app._keymap)
    found: dict[str, tuple[list[str], str]] = {}
    for key, binding in bindings:
        if binding.id:
            keys, _ = found.setdefault(binding.id, ([], binding.description))
            keys.append(key_name(key, ascii=ascii))
    return [(" ".join(keys), does, name) for name, (keys, does) in found.items()]


def binding_ids(*nodes: type[DOMNode]) -> set[str]:
    """Every id under which these classes bind a key."""
    return {binding.id for node in nodes for _, binding in node._merge_bindings() if binding.id}
