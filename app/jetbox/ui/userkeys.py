"""Keys that the user has bound anew: put in force, and what is wrong with them said."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from textual.keys import Keys

from jetbox.ui.keys import binding_ids, clashes, is_character, near_name, types_a_letter
from jetbox.ui.screens.bound import bound_together, everything_bound
from jetbox.ui.widgets.field import Field
from jetbox.ui.widgets.search import Search

if TYPE_CHECKING:
    from jetbox.ui.app import JetboxApp

TYPED = ("input.", "answer.", "list.search_")
"""How ids begin of what has its key where one types."""
MODIFIERS = ("ctrl", "shift", "alt", "super", "hyper", "meta")


def apply_keys(app: JetboxApp, user: Mapping[str, str]) -> None:
    """Bind them; what is wrong with them gets a notice: what does not exist or cannot be, and what is taken."""
    wrong: list[tuple[str, str]] = []
    bench = app.workbench
    known = binding_ids(type(app), type(bench), *everything_bound())
    typing = binding_ids(type(app), type(bench), Field, Search)
    good: dict[str, str] = {}
    for name, keys in user.items():
        where = f"{_place(app, name)}keys: "
        if name not in known:
            wrong.append((f"{where}there is nothing named {name!r}", near_name(name, known)))
            continue
        wanted: list[str] = []
        for key in filter(None, (each.strip() for each in keys.split(","))):
            problem, hint = _problem(key, typed=name in typing or name.startswith(TYPED))
            if problem:
                wrong.append((f"{where}{key!r} of {name!r} {problem}", hint))
            else:
                wanted.append(key)
        if wanted:
            good[name] = ",".join(wanted)
        elif not keys.strip(" ,"):
            wrong.append((f"{where}{name!r} has no key: it stays as it was", ""))
    for name, key, other in clashes(good, bound_together(type(app), type(bench))):
        text = f"{_place(app, name)}keys: {key!r} of {name!r} does {other!r} already"
        wrong.append((text, "change one of the two"))
    app.set_keymap(good)
    bench.know_keys()
    for text, hint in wrong:
        bench.notice("warning", text, hint or f"{bench.key_names['app.help']} shows the names")


def _problem(key: str, *, typed: bool) -> tuple[str, str]:
    """What is wrong with a key, and the cure, where one is known; `typed`: it would hold where text is typed."""
    *modifiers, name = key.split("+")
    if not name:
        return "is no key", "the key + is called plus"
    if unknown := next((each for each in modifiers if each not in MODIFIERS), ""):
        return f"is no key: there is no {unknown!r} to hold", near_name(unknown, set(MODIFIERS)) or ", ".join(MODIFIERS)
    names = {each.value for each in Keys}
    if not is_character(name) and name not in names:
        return f"is no key: none is called {name!r}", near_name(name, names)
    if typed and types_a_letter(key):
        return "is what one types in the input: it stays as it was", "with ctrl or alt, or a key like f5"
    return "", ""


def _place(app: JetboxApp, name: str) -> str:
    """File and line where the user says this key."""
    source = app.loaded.source(f"keys.{name}") if app.loaded is not None else None
    return f"{source.where}:{source.line}: " if source is not None and source.line else ""
