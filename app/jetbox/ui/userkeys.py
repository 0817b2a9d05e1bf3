"""Keys that the user has bound anew: put in force, and what is wrong with them said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from jetbox.ui.keys import binding_ids, clashes, near_name
from jetbox.ui.screens.bound import everything_bound

if TYPE_CHECKING:
    from jetbox.ui.app import JetboxApp


def apply_keys(app: JetboxApp, user: Mapping[str, str]) -> None:
    """Bind them; a name that does not exist, and a key that does something else already, get a notice."""
    bench = app.workbench
    known = binding_ids(type(app), type(bench), *everything_bound())
    for name in user:
        if name not in known:
            hint = near_name(name, known) or "F1 shows the names"
            bench.notice("warning", f"{_place(app, name)}keys: there is nothing named {name!r}", hint)
    for name, key, other in clashes(user, (type(app), type(bench)), everything_bound()):
        text = f"{_place(app, name)}keys: {key!r} of {name!r} does {other!r} already"
        bench.notice("warning", text, "change one of the two")
    app.set_keymap({name: keys for name, keys in user.items() if name in known})
    bench.know_keys()


def _place(app: JetboxApp, name: str) -> str:
    """File and line where the user says this key."""
    source = app.loaded.source(f"keys.{name}") if app.loaded is not None else None
    return f"{source.where}:{source.line}: " if source is not None and source.line else ""
