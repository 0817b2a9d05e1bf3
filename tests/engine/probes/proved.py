"""A proof beside a plain look at everything, for the tests of both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from jetbox.engine.probes.fingerprint import Tree
from jetbox.engine.probes.inotify import Inotify, Unwatchable
from jetbox.engine.probes.inscope import out_of_scope
from jetbox.engine.probes.proof import Proof


def workspace(home: Path) -> Path:
    """A small workspace with a branch, below a folder of its own."""
    root = home / "above" / "ws"
    (root / "pkg" / "deep").mkdir(parents=True)
    (root / "pkg" / "a.py").write_text("a = 1\n")
    (root / "pkg" / "deep" / "c.py").write_text("c = 1\n")
    (root / "b.txt").write_text("b\n")
    (root / ".git" / "info").mkdir(parents=True)
    (root / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    return root


def few_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel has no more than thirty left."""
    real, left = Inotify.add, iter(range(30))

    def scarce(self: Inotify, path: str, mask: int) -> int:
        if next(left, None) is None:
            raise Unwatchable("no more watches (fs.inotify.max_user_watches)")
        return real(self, path, mask)

    monkeypatch.setattr(Inotify, "add", scarce)


class Proved:
    """A proof, and what a plain look finds beside it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tree = Tree(root, out_of_scope)
        self.proof = Proof(self.tree)
        self.sweeps = 0
        real = self.tree.sweep_now

        def counted() -> object:
            self.sweeps += 1
            return real()

        self.tree.sweep_now = counted  # type: ignore[method-assign, assignment]

    async def changed(self, what: Callable[[], object]) -> frozenset[str]:
        """Paths that are different after it; sure to be what a plain look finds, and just those."""
        before = await self.proof.now()
        what()
        now = await self.proof.now()
        truth = Tree(self.root, out_of_scope).sweep_now()
        assert now.files == truth.files
        assert now.digest == truth.digest
        assert self.tree.last is now
        assert (now.digest == before.digest) == (now.files == before.files)
        return now.changed(before)
