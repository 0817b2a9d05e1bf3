"""Keys as they are bound now, the user's own in force, and how they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from textual.app import App
from textual.binding import BindingsMap
from textual.dom import DOMNode
from textual.keys import key_to_character
from textual.screen import Screen

from jetbox.ui.terminals import TOLD_APART

if TYPE_CHECKING:
    from textual import events

Key = tuple[tuple[str, ...], str, str]
"""Keys as people write them, what they do, and the id under which they can be changed."""
Act = tuple[DOMNode, str, Callable[[], object]]
"""Who binds a key, its id, and what it does."""

_NAMES = {
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "left": "←",
    "right": "→",
    "up": "↑",
    "down": "↓",
    "slash": "/",
    "plus": "+",
    "minus": "-",
    "equals_sign": "=",
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
    if name[:1] == "f" and name[1:].isdigit():
        name = name.upper()
    if "ctrl" in modifiers:
        name = f"^{name.upper() if len(name) == 1 else name}"
    if "shift" in modifiers:
        name = f"shift+{name}" if ascii else f"⇧{name}"
    if "super" in modifiers:
        name = f"super+{name}"
    return f"alt+{name}" if "alt" in modifiers else name


def _of_use(keys: list[str], app: App[object]) -> list[str]:
    """Without those that this terminal does not tell from others, where there are others."""
    if getattr(app, "keys_apart", True):
        return keys
    return [key for key in keys if key not in TOLD_APART] or keys


def bound_keys(node: DOMNode, *, ascii: bool = False, typing: bool = False) -> list[Key]:
    """What a screen or widget binds under an id, where it can be used now; `typing`: but for letters."""
    app = node.app
    bindings = node._bindings.copy()
    bindings.apply_keymap(app._keymap)
    found: dict[str, tuple[list[str], str]] = {}
    for key, binding in bindings:
        if not binding.id or (typing and types_a_letter(key)):
            continue
        if app._check_action_state(binding.action, node) is False:
            continue
        keys, _ = found.setdefault(binding.id, ([], binding.description))
        keys.append(key)
    return _written(found, app, ascii=ascii)


def types_a_letter(key: str) -> bool:
    """Whether this key puts a character where text is typed."""
    *modifiers, name = key.split("+")
    typed = is_character(name) and name not in ("enter", "tab", "escape", "backspace")
    return typed and set(modifiers) <= {"shift"}


def is_character(name: str) -> bool:
    """Whether a key is called by the character that it stands for, or after it."""
    return len(name) == 1 or key_to_character(name) is not None


def first_keys(*nodes: DOMNode, ascii: bool = False, typing: bool = False) -> dict[str, str]:
    """By its id the key that a hint names for each thing that these nodes bind: the first that can be used now.

    While something is typed, that is none which is a letter of it.
    """
    return {name: keys[0] for node in nodes for keys, _, name in bound_keys(node, ascii=ascii, typing=typing)}


def hints(keys: Mapping[str, str], wanted: Iterable[tuple[str, str]]) -> list[str]:
    """Keys by their ids and what they do there, in words; those that are not bound are left out."""
    return [f"{keys[name]} {does}" for name, does in wanted if name in keys]


def raw_keys(node: DOMNode, name: str) -> set[str]:
    """The keys that a screen or widget binds under this id, as events name them."""
    bindings = node._bindings.copy()
    bindings.apply_keymap(node.app._keymap)
    return {key for key, binding in bindings if binding.id == name}


def act_now(event: events.Key, acts: Iterable[Act]) -> bool:
    """Do what a key does, where it is one of these: a binding acts later than the keys that came behind its own."""
    act = next((act for node, name, act in acts if event.key in raw_keys(node, name)), None)
    if act is not None:
        event.stop()
        event.prevent_default()
        act()
    return act is not None


def doing_of(node: DOMNode, key: str) -> str:
    """The action that a widget itself binds to this key; empty where it binds none."""
    bindings = node._bindings
    if node.app._keymap:
        bindings = bindings.copy()
        bindings.apply_keymap(node.app._keymap)
    return next((binding.action for binding in bindings.key_to_bindings.get(key, ())), "")


def class_keys(node: type[DOMNode], app: App[object], *, ascii: bool = False) -> list[Key]:
    """What a class of screens that are not there now binds of its own, the user's own keys in force."""
    bindings = BindingsMap(node.__dict__.get("BINDINGS", ()))
    bindings.apply_keymap(app._keymap)
    found: dict[str, tuple[list[str], str]] = {}
    for key, binding in bindings:
        if binding.id:
            keys, _ = found.setdefault(binding.id, ([], binding.description))
            keys.append(key)
    return _written(found, app, ascii=ascii)


def _written(found: dict[str, tuple[list[str], str]], app: App[object], *, ascii: bool) -> list[Key]:
    """Keys by their ids, as people write them."""
    return [
        (tuple(key_name(key, ascii=ascii) for key in _of_use(keys, app)), does, name)
        for name, (keys, does) in found.items()
    ]


def binding_ids(*nodes: type[DOMNode]) -> set[str]:
    """Every id under which these classes bind a key."""
    return {binding.id for node in nodes for _, binding in node._merge_bindings() if binding.id}


def near_name(name: str, known: set[str]) -> str:
    """What was meant by a name that does not exist, as a question; empty where nothing is like it."""
    from difflib import get_close_matches

    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]!r}?" if near else ""


def clashes(user: Mapping[str, str], together: Iterable[tuple[type[DOMNode], ...]]) -> list[tuple[str, str, str]]:
    """Keys of the user's that do something else already where both hold: its name, the key, the other's name.

    `together`: what holds at one time, for each such time.
    """
    found: list[tuple[str, str, str]] = []
    for nodes in together:
        shipped = _bound(nodes, {})
        bound: dict[str, str] = {}
        for name, keys in sorted(_bound(nodes, user).items(), key=lambda item: item[0] in user):
            for key in keys:
                if name in user and key not in shipped[name] and (taken := bound.get(key)) is not None:
                    found.append((name, key, taken))
                bound.setdefault(key, name)
    return list(dict.fromkeys(found))


def _bound(nodes: tuple[type[DOMNode], ...], user: Mapping[str, str]) -> dict[str, list[str]]:
    keys: dict[str, list[str]] = {}
    for node in nodes:
        for key, binding in node._merge_bindings():
            if binding.id and binding.id not in user:
                keys.setdefault(binding.id, []).append(key)
            elif binding.id:
                keys[binding.id] = [one.strip() for one in user[binding.id].split(",")]
    return keys


def is_bound(key: str, screen: Screen[object]) -> bool:
    """Whether anything from the focus upwards has a binding for this key, as they are without the user's own."""
    focused = screen.focused
    nodes = (screen, screen.app) if focused is None else focused.ancestors_with_self
    return any(key in node._bindings.key_to_bindings for node in nodes)
