"""Why something failed, as the user is told."""

from __future__ import annotations

from jetbox.engine.errors import JetboxError, in_full
from jetbox.ui.text.rows import one_line


def reason(error: BaseException) -> str:
    """Why something failed, in a line."""
    if isinstance(error, JetboxError):
        said = f"{error.message}: {error.hint}" if error.hint else error.message
    elif isinstance(error, OSError) and error.strerror:
        said = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    elif isinstance(error, OSError) and str(error):
        said = str(error)
    else:
        said = in_full(error)
    return one_line(said)
