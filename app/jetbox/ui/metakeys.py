"""Alt with a key, of terminals that write it as Esc and that key: all but those with the Kitty protocol."""

from __future__ import annotations

from collections.abc import Iterable

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS

from jetbox.ui.pasting import PasteParser

ALT_ENTER = ("\x1b\r", "\x1b\n")
SIGNS = frozenset(" !\"#$%&'()*+,-./:;<=>?@`{|}~")


class MetaParser(PasteParser):
    """Textual's takes Alt+Enter for Enter, Alt+! and Alt+Q for text, and lets a letter wait for what may follow."""

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        if sequence in ALT_ENTER:
            yield events.Key("alt+enter", None)
        elif _alone(sequence):
            yield from self._sequence_to_key_events(sequence[1], alt=True)
        else:
            for each in super()._sequence_to_key_events(sequence, alt):
                text = alt and each.is_printable
                yield events.Key(f"alt+{each.key.removeprefix('alt+')}", None) if text else each


def _alone(sequence: str) -> bool:
    """Whether it is Esc and a letter, a sign or a control key with which no sequence of a terminal begins."""
    if len(sequence) != 2 or sequence[0] != "\x1b" or sequence in ANSI_SEQUENCES_KEYS:
        return False
    return (sequence[1].isascii() and sequence[1].islower()) or sequence[1] in SIGNS or "\x00" <= sequence[1] < "\x1b"
