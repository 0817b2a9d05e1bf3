"""A cart that counts in cents."""

from dataclasses import dataclass, field


@dataclass
class Item:
    """So many pieces of one thing."""

    name: str
    cents: int
    quantity: int = 1


@dataclass
class Cart:
    """What somebody wants to buy."""

    items: list[Item] = field(default_factory=list)

    def add(self, item: Item) -> None:
        """Put an item into the cart."""
        self.items.append(item)

    def total(self, discount: int = 0) -> int:
        """Return the price in cents, less a discount in per cent, rounded half up."""
        total = sum(item.cents for item in self.items)
        return total - total * discount // 100
