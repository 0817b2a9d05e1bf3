"""Takes a picture of every screen in every theme and size: `python tests/ui/take_pictures.py FOLDER`.

The pictures are SVG files `THEME/WIDTHxHEIGHT/SCREEN.svg`, and an `index.html` that shows them all.
"""

from __future__ import annotations

import argparse
import asyncio
import html
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parents[2] / "app")]

from jetbox.engine import events as e  # noqa: E402 - the paths come first
from jetbox.ui.app import JetboxApp  # noqa: E402
from jetbox.ui.glyphs import UNICODE  # noqa: E402
from jetbox.ui.themes import load_themes  # noqa: E402
from ui.played import EDIT, Stage, first_round, opened, second_round, whole  # noqa: E402

THEMES = HERE.parents[2] / "themes"
SIZES = ((80, 24), (120, 40), (200, 50))
ASKED = e.PermissionAsked(
    id="p1", call="c9", kind="write", title="edit_file mathx/__init__.py", diff=EDIT, why="the mode is ask",
    scope="edit_file, any file of the workspace",
)  # fmt: skip
MODELS = e.ModelsListed(
    models=(
        e.ListedModel(
            name="gpt-oss:20b", size=13_793_441_244, parameters="20.9B", quantisation="MXFP4", max_ctx=131_072,
            capabilities=("completion", "tools", "thinking"), loaded=True, memory=14_598_747_612,
            memory_gpu=14_598_747_612, window=16_384, expires=1_750_000_000_000, load_ns=8_200_000_000,
            prefill=4500.0, decode=147.0, ttft_ns=88_000_000, calls=41, calls_ok=40,
        ),
        e.ListedModel(
            name="llama3.2:3b", size=2_019_393_189, parameters="3.2B", quantisation="Q4_K_M", max_ctx=131_072,
            capabilities=("completion", "tools"), load_ns=2_000_000_000, prefill=8000.0, decode=212.0,
            ttft_ns=60_000_000, calls=20, calls_ok=17,
            cost=e.SwitchCost(load_ns=2_000_000_000, prefill_ns=325_000_000, tokens=2600),
        ),
        e.ListedModel(name="gemma2:2b", size=1_629_518_495, parameters="2.6B", quantisation="Q4_0",
                      capabilities=("completion",), lacks="cannot call tools"),
    ),
    tokens=2600, manages=True,
)  # fmt: skip
QUEUED = e.QueueChanged(items=("use floats as well", "and write a README"))
STATES: dict[str, tuple[list[e.AnyEvent], tuple[str, ...]]] = {
    "idle": (opened(), ()),
    "commands": (opened(), ("slash",)),
    "at-work": ([*opened("edits"), *first_round(), *second_round()[:7], QUEUED], ()),
    "red": ([*opened(), *first_round(), *second_round()], ()),
    "question": ([*opened(), *first_round()[:8], ASKED], ()),
    "done": (whole(), ()),
    "expanded": (whole(), ("ctrl+o",)),
    "help": (whole(), ("f1",)),
    "timing": (whole(), ("f2",)),
    "undo": (whole(), ("f3",)),
    "request": (whole(), ("f4",)),
    "models": ([*whole(), MODELS], ("ctrl+l", "down")),
    "sessions": (whole(), ("ctrl+r",)),
    "settings": (whole(), ("slash", *"settings", "enter")),
    "palette": (whole(), ("ctrl+p",)),
}
"""What happened, and the keys that open the screen."""


@asynccontextmanager
async def on_stage(state: str, theme: str, size: tuple[int, int]) -> AsyncIterator[JetboxApp]:
    """The application with this on its screen."""
    happened, keys = STATES[state]
    stage, over = Stage(), asyncio.Event()

    async def engine() -> int:
        await over.wait()
        return 0

    app = JetboxApp(
        stage.feed, theme=theme, driver=engine, glyphs=UNICODE, home="/home/ada",
        theme_folders=(THEMES,), sessions=Path("/nowhere"),
    )  # fmt: skip
    async with app.run_test(size=size) as pilot:
        await app.workbench.reached(stage.emit(*happened, after_ms=40))
        await pilot.pause()
        await pilot.press(*keys)
        await pilot.pause()
        yield app
        over.set()


async def take(folder: Path, themes: list[str], sizes: list[tuple[int, int]], states: list[str]) -> list[Path]:
    """Take the pictures; returns their files."""
    taken = []
    for theme in themes:
        for size in sizes:
            for state in states:
                file = folder / theme / f"{size[0]}x{size[1]}" / f"{state}.svg"
                file.parent.mkdir(parents=True, exist_ok=True)
                async with on_stage(state, theme, size) as app:
                    file.write_text(app.export_screenshot(title=f"{state}, {theme}"))
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
    parser.add_argument("folder", type=Path)
    parser.add_argument("--theme", action="append", choices=names)
    parser.add_argument("--size", action="append", metavar="WxH")
    parser.add_argument("--screen", action="append", choices=list(STATES))
    given = parser.parse_args()
    sizes = [(int(w), int(h)) for w, _, h in (size.partition("x") for size in given.size or ())]
    taken = asyncio.run(take(given.folder, given.theme or names, sizes or list(SIZES), given.screen or list(STATES)))
    sys.stdout.write(f"{len(taken)} pictures, {given.folder / 'index.html'}\n")


if __name__ == "__main__":
    main()
