"""Whether customers still have the addresses that they have proven: the shop is asked before one of them counts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from bridge.domain.identity import Identity, normal_email
from bridge.domain.purchases import Buyer
from bridge.errors import Refused, Unavailable
from bridge.store import people
from bridge.store.db import Store
from bridge.who import shop_tells
from bridge.woo_client import WooClient


class Addresses:
    """Reads customers from the shop, and heeds which address each has there by now. Not for use in a transaction."""

    def __init__(self, store: Store, shop: WooClient, now: Callable[[], datetime]) -> None:
        self._store = store
        self._shop = shop
        self._now = now

    def customer(self, customer_id: int) -> Buyer | None:
        """A registered customer as the shop has them, None if the account has been deleted."""
        found = self._shop.find_customer(customer_id)
        if found is not None and found.email:
            self._heed(customer_id, found.email)
        return found

    def look(self, email: str) -> None:
        """Have it noticed if the customer who has proven an address has given it up. Of all others nobody is asked.

        Raises Unavailable when the shop can't tell.
        """
        with self._store.read() as connection:
            owner = people.owner_of(connection, email)
            person = people.get_person(connection, owner) if owner is not None else None
        if person is None or person.customer_id is None:
            return
        try:
            self.customer(person.customer_id)
        except Refused as err:
            said = f"whose an address is can't be told, of person {person.id}: {err}"
            raise Unavailable(said, system="shop") from err

    def _heed(self, customer_id: int, email: str) -> None:
        with self._store.read() as connection:
            person = people.find_person(connection, Identity(customer_id, None))
        if person is not None and person.has != normal_email(email):
            with self._store.begin() as connection:
                shop_tells(self._store, connection, customer_id, email, self._now())
