"""A shopping cart."""

from shop.cart import Cart, Item

__all__ = ["Cart", "Item"]
