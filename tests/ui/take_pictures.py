"""Takes a picture of every screen in every theme and size: `python tests/ui/take_pictures.py [FOLDER]`.

The pictures are SVG files `THEME/WIDTHxHEIGHT/SCREEN.svg`, and an `index.html` that shows them all; where no folder
is named they are put into `build/pictures` of the checkout, which git ignores.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2] / "app")]

from jetbox.engine.commands import Close  # noqa: E402 - the paths come first
from jetbox.ui.themes import load_themes  # noqa: E402
from ui.states import STATES, THEMES, on_stage  # noqa: E402

SIZES = ((80, 24), (120, 40), (200, 50))


async def take(folder: Path, themes: list[str], sizes: list[tuple[int, int]], states: list[str]) -> list[Path]:
    """Take the pictures; returns their files."""
    taken = []
    for theme in themes:
        for size in sizes:
            for state in states:
                file = folder / theme / f"{size[0]}x{size[1]}" / f"{state}.svg"
                file.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryDirectory(prefix="jetbox-") as place:
                    app, lead = on_stage(STATES[state], Path(place), theme=theme)
                    async with app.run_test(size=size) as pilot:
                        await lead(pilot)
                        # Viewers that know no style sheet would join words that are parted by colour.
                        drawn = app.export_screenshot(title=f"{state}, {theme}")
                        app.workbench.source.submit(Close())
                        file.write_text(drawn.replace("<svg ", '<svg xml:space="preserve" ', 1))
                taken.append(file)
    shown = "".join(
        f'<figure><img src="{html.escape(str(file.relative_to(folder)))}" loading="lazy"></figure>' for file in taken
    )
    (folder / "index.html").write_text(f"<!doctype html><title>Pictures</title>{shown}\n")
    return taken


def main() -> None:
    """Read the arguments, and take what was asked for."""
    names = sorted(load_themes(THEMES).loaded)
    parser = argparse.ArgumentParser(description="Takes pictures of every screen.")
    parser.add_argument("folder", type=Path, nargs="?", default=HERE.parents[2] / "build" / "pictures")
    parser.add_argument("--theme", action="append", choices=names)
    parser.add_argument("--size", action="append", metavar="WxH")
    parser.add_argument("--screen", action="append", choices=list(STATES))
    given = parser.parse_args()
    sizes = [(int(w), int(h)) for w, _, h in (size.partition("x") for size in given.size or ())]
    taken = asyncio.run(take(given.folder, given.theme or names, sizes or list(SIZES), given.screen or list(STATES)))
    sys.stdout.write(f"{len(taken)} pictures, {given.folder / 'index.html'}\n")


if __name__ == "__main__":
    main()
