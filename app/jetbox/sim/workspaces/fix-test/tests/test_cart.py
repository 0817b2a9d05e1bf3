from shop import Cart, Item


def test_empty_cart_costs_nothing() -> None:
    assert Cart().total() == 0


def test_items_add_up() -> None:
    cart = Cart()
    cart.add(Item("pen", 120))
    cart.add(Item("book", 1480))
    assert cart.total() == 1600


def test_discount_counts_every_piece() -> None:
    cart = Cart()
    cart.add(Item("mug", 333, quantity=3))
    assert cart.total(discount=15) == 849
