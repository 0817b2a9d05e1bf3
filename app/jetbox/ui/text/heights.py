"""Heights of many blocks: which block stands at a row, and at which row a block begins, in O(log n)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable


class Heights:
    """A Fenwick tree of heights."""

    def __init__(self, values: Iterable[int] = ()) -> None:
        self._values = array("i")
        self._tree = array("q", (0,))
        self.changes = 0
        """How often a block came or got another height."""
        self.replace(values)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: int) -> int:
        return self._values[index]

    def replace(self, values: Iterable[int]) -> None:
        """Begin anew with these heights, in O(n)."""
        self.changes += 1
        self._values = array("i", values)
        self._tree = array("q", (0, *self._values))
        for n in range(1, len(self._tree)):
            parent = n + (n & -n)
            if parent < len(self._tree):
                self._tree[parent] += self._tree[n]

    def append(self, height: int) -> None:
        """One more block at the end."""
        self.changes += 1
        self._values.append(height)
        n = len(self._tree)
        below = n - (n & -n)
        total, child = height, n - 1
        while child > below:
            total += self._tree[child]
            child -= child & -child
        self._tree.append(total)

    def set(self, index: int, height: int) -> None:
        """Another height for a block."""
        change = height - self._values[index]
        if not change:
            return
        self.changes += 1
        self._values[index] = height
        n = index + 1
        while n < len(self._tree):
            self._tree[n] += change
            n += n & -n

    def top(self, index: int) -> int:
        """The row at which a block begins; for `len`, the height of everything."""
        total = 0
        while index:
            total += self._tree[index]
            index -= index & -index
        return total

    @property
    def total(self) -> int:
        return self.top(len(self._values))

    def find(self, row: int) -> tuple[int, int]:
        """The block at a row, and the row within it; past the end: `len` and what is beyond."""
        index = 0
        step = 1 << len(self._values).bit_length()
        while step:
            following = index + step
            if following <= len(self._values) and self._tree[following] <= row:
                index = following
                row -= self._tree[following]
            step >>= 1
        return index, row
