"""The proof that the files are as they were: a sweep of everything in scope."""

from __future__ import annotations

from collections.abc import Iterable

from jetbox.engine.probes.fingerprint import Snapshot, Tree


class Proof:
    """Says what the files are, as of the moment of asking."""

    how = "sweep"

    def __init__(self, tree: Tree, *, watch: bool = True) -> None:
        """`watch`: use the kernel's own queue of changes where there is one."""
        self._tree = tree
        self.outside_generation = 0
        """Changes with everything that happened outside the tree and was registered."""

    async def now(self, *, sweep: bool = False) -> Snapshot:
        """The files as they are; `sweep`: look at every one, whatever else is known."""
        return await self._tree.sweep()

    def outside(self, paths: Iterable[str]) -> None:
        """Notice changes of these files and folders outside the tree too."""

    def close(self) -> None:
        """End the watch."""
