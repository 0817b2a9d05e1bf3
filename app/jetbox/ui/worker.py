"""Does beside the screen what would hold its loop up: a process of its own, run as a script.

Threads share the interpreter: reading a long journal in one makes every key wait. It reads lines of JSON from
standard input: at first `path` (sys.path), then `id`, `do` and `of` for each piece of work. Each answer is a line with
the `id` and the `value`, or `error` and `hint`.
"""

from __future__ import annotations

import json
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Answer until standard input is closed."""
    sys.path[:] = json.loads(sys.stdin.buffer.readline() or b'{"path": []}')["path"]
    for line in sys.stdin.buffer:
        asked = json.loads(line)
        sys.stdout.buffer.write(_answer(asked["id"], asked["do"], asked["of"]) + b"\n")
        sys.stdout.buffer.flush()


def _answer(number: int, do: str, of: list[Any]) -> bytes:
    import msgspec

    from jetbox.engine.errors import JetboxError
    from jetbox.ui.reasons import reason

    value: dict[str, object] = {"id": number}
    try:
        value["value"] = _work(do, of)
    except JetboxError as error:
        value |= {"error": error.message, "hint": error.hint}
    except Exception as error:  # the border of the process: what asked is told, and the next work is done
        value |= {"error": reason(error), "hint": ""}
    return msgspec.json.encode(value, enc_hook=str)


def _work(do: str, of: list[Any]) -> object:
    from pathlib import Path

    from jetbox.record import library

    if do == "newest":
        return library.newest_first(Path(of[0]))
    if do == "summaries":
        return [library.summary(Path(each)) for each in of]
    if do == "glimpse":
        return library.glimpse(Path(of[0]))
    if do == "export":
        from jetbox.ui.export import export

        return export(of[0], Path(of[1]), of[2])
    if do == "options":
        from jetbox.settings.show import help_texts

        return help_texts()
    raise ValueError(do)


if __name__ == "__main__":
    main()
