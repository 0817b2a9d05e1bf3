"""What `benchmarks/turns.py` measures is done as a user does it: at a short session here, and nothing is bounded."""

from __future__ import annotations

from pathlib import Path

from ui import loud


async def test_everything_loud_and_long_comes_about(tmp_path: Path) -> None:
    rows = await loud.live(tmp_path, rounds=30, tries=1)
    assert len(rows) == 1 + len(loud.SCENARIOS)
    assert all(row.least == row.first for row in rows)
    assert all(row.first.cpu_ns > 0 and row.first.name for row in rows)


async def test_seeking_comes_about(tmp_path: Path) -> None:
    assert [row.what for row in await loud.sought(rounds=30, tries=2)] == [
        f"seek by {key}" for key in ("end", "shift+left", "5")
    ]
