"""From a command line to what a session is opened with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from jetbox.cli.live import Start
from jetbox.engine.errors import SettingsError
from jetbox.settings.grants import granted

if TYPE_CHECKING:
    from jetbox.cli.options import Invocation


@contextmanager
def opening(
    asked: Invocation, *, attended: bool, asks: bool = False, tee: Callable[[bytes], None] | None = None
) -> Iterator[Start]:
    """What the invocation comes to; for a demo, server and folder live as long as the context.

    `attended`: somebody can say yes or no; `asks`: and answer what the model wants to know.

    Raises:
        JetboxError: settings are wrong, or the demo's server did not start.
    """
    loaded = asked.loaded
    root = asked.cwd.resolve()
    permissions = loaded.settings.permissions
    allow = (*permissions.allow, *granted(root))
    options = msgspec.structs.replace(
        loaded.settings, permissions=msgspec.structs.replace(permissions, mode=asked.mode, allow=allow)
    )
    if options.routing.mode != "off":
        from jetbox.engine.routing import check

        check(options.routing)
    if options.model.api_key:
        from jetbox.engine.models.keys import keyring_entry

        keyring_entry(options.model)
    start = Start(
        root=root,
        options=options,
        goal=asked.goal,
        resume="" if asked.continue_last else asked.resume,
        attended=attended,
        asks=asks,
        changed=loaded.changed(),
        notices=loaded.notices,
        tee=tee,
    )
    if not asked.demo:
        yield start
        return
    if start.resume is not None:
        raise SettingsError("--demo begins anew and cannot be continued", "leave out --continue and --resume")
    yield from _in_demo(asked, start)


def _in_demo(asked: Invocation, start: Start) -> Iterator[Start]:

    from jetbox.cli.demo import GOAL, MODEL, demo

    model = start.options.model
    name = model.name or (MODEL if start.options.routing.mode == "off" else "")
    with demo(profile=name if name in ("gpt-oss:20b", "llama3.2:3b") else MODEL) as place:
        options = msgspec.structs.replace(
            start.options, model=msgspec.structs.replace(model, name=name, host=place.host)
        )
        yield msgspec.structs.replace(
            start, root=start.root if asked.cwd_given else place.folder, options=options, goal=start.goal or GOAL
        )
