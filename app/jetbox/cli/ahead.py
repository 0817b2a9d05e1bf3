"""What a session is made of, imported beside the screen's loop."""

from __future__ import annotations


def import_parts() -> None:
    """Import what a session is made of."""
    import jetbox.engine.assemble
    import jetbox.engine.held
    import jetbox.engine.loop
    import jetbox.engine.models.choose
    import jetbox.engine.models.connect
    import jetbox.engine.models.desk
    import jetbox.engine.models.missing
    import jetbox.engine.models.window
    import jetbox.engine.surroundings
    import jetbox.engine.tuning
    import jetbox.engine.undoing
    import jetbox.engine.warmup  # noqa: F401
