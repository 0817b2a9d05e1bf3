"""Whether this terminal's locale has Unicode; asked before anything else is imported."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing alone takes as long as the rest of this
    from collections.abc import Mapping


def has_unicode(environ: Mapping[str, str] | None = None) -> bool:
    """Whether signs beyond ASCII can be shown.

    Python replaces the C locale by C.UTF-8 in its own environment, so LC_CTYPE=C.UTF-8
    beside LANG=C is taken for the C locale that it stands for.
    """
    environ = os.environ if environ is None else environ
    override = environ.get("LC_ALL", "")
    ctype, lang = environ.get("LC_CTYPE", ""), environ.get("LANG", "")
    if not override and ctype in ("", "C.UTF-8") and lang:
        ctype = lang
    locale = override or ctype or lang
    if locale in ("C", "POSIX"):
        return False
    return "." not in locale or "utf" in locale.lower()
