"""Keys as they are bound now, the user's own in force."""

from __future__ import annotations

from dataclasses import replace

from textual.dom import DOMNode

Key = tuple[str, str, str]
"""Keys as they are shown, what they do, and the id under which they can be changed."""


def bound_keys(node: DOMNode) -> list[Key]:
    """What a screen or widget binds under an id, where it can be used now."""
    app = node.app
    bindings = node._bindings.copy()
    bindings.apply_keymap(app._keymap)
    found: dict[str, tuple[list[str], str]] = {}
    for key, binding in bindings:
        if not binding.id or app._check_action_state(binding.action, node) is False:
            continue
        keys, _ = found.setdefault(binding.id, ([], binding.description))
        shown = app.get_key_display(replace(binding, key=key))
        if shown not in keys:
            keys.append(shown)
    return [(" ".join(keys), does, name) for name, (keys, does) in found.items()]


def binding_ids(*nodes: type[DOMNode]) -> set[str]:
    """Every id under which these classes bind a key."""
    return {binding.id for node in nodes for _, binding in node._merge_bindings() if binding.id}
