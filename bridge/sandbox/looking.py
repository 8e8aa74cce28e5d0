"""What the tour sees: what the shop, Totara and the mail server of a running sandbox hold."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import requests

from bridge.sandbox.totara_visitors import COOKIE
from bridge.sandbox.town import Town
from bridge.sandbox.walker import Walker


class Wrong(Exception):
    """Something is not as the step promises."""


class Looking:
    """Looks into a sandbox. ``patience`` is how long it may wait for what it expects, in seconds."""

    def __init__(self, town: Town, patience: float = 30.0) -> None:
        self._town = town
        self._shop = town.shop
        self._totara = town.totara
        self._patience = patience

    def _until(self, what: str, look: Callable[[], Any]) -> Any:
        until = time.monotonic() + self._patience
        while time.monotonic() < until:
            if seen := look():
                return seen
            time.sleep(0.05)
        raise Wrong(f"waited {self._patience:.0f} s in vain: {what}")

    def _product(self, code: str) -> dict[str, Any] | None:
        sku = f"totara-course-{self._town.ids[code]}"
        return next((p for p in self._shop.products.values() if p["sku"] == sku), None)

    def _sold(self, code: str) -> int:
        product = self._product(code)
        if product is None:
            raise Wrong(f"{code} is not in the shop")
        return int(product["id"])

    def _access(self, email: str, code: str) -> str | None:
        user = self._totara.user_by_email(email)
        if user is None:
            return None
        enrolment = self._totara.enrolments.get((user.id, self._town.ids[code]))
        if enrolment is None:
            return None
        if enrolment.status == "active" and not self._totara.reachable(user.id, self._town.ids[code]):
            return "active, but out of reach"
        return enrolment.status

    def _buy(self, code: str, quantity: int = 1, **buyer: Any) -> int:
        return self._shop.place_order([(self._sold(code), quantity)], **buyer)

    def _begins(self, email: str, code: str) -> str:
        self._until(f"{code} open to the buyer", lambda: self._access(email, code) == "active")
        user = self._totara.user_by_email(email)
        tenant = self._totara.tenants[user.tenant].idnumber if user and user.tenant else "none"
        if tenant != "academy":
            raise Wrong(f"the account was made in tenant {tenant}")
        return f"Totara user {user.id if user else '?'}, a member of the academy, can enter {code}"

    def _letters(self, to: str) -> list[dict[str, Any]]:
        """The letters to an address, the newest first."""
        answer = requests.get(f"{self._town.mail_url}/letters", {"to": to}, timeout=10)
        return list(answer.json())

    def _mailed(self, to: str, subject: str, path: str) -> str:
        """The line of a letter that leads to this address of the bridge's, or further where the address ends in "#"."""
        more = ".+" if path.endswith("#") else ""
        wanted = re.compile(rf"^{re.escape(self._town.url + path)}{more}$", re.MULTILINE)

        def look() -> str | None:
            texts = (letter["text"] for letter in self._letters(to) if subject in letter["subject"])
            return next((found[0] for text in texts if (found := wanted.search(text))), None)

        return str(self._until(f"a letter {subject!r} that leads to {path}", look))

    def _in_course(self, walker: Walker, page: requests.Response, email: str, code: str) -> str:
        """Whether this page is the course in Totara, and whoever sees it is signed in there as this learner."""
        user = self._totara.user_by_email(email)
        if page.url != f"{self._town.totara_url}/course/view.php?id={self._town.ids[code]}" or not page.ok:
            raise Wrong(f"the way ended at {page.url} with status {page.status_code}")
        session = self._totara.sign_on.sessions[walker.cookie(COOKIE)]
        if user is None or session.user_id != user.id or user.fullname not in page.text:
            raise Wrong("somebody else is signed in at Totara")
        return f"Totara user {user.id} is signed in, and sees the course"

    def _note(self, order: int, words: str) -> str:
        return str(
            self._until(
                f"a note with the words {words!r}",
                lambda: next((n["note"] for n in self._shop.notes.get(order, []) if words in n["note"]), None),
            )
        )
