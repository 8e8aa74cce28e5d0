"""Where learners sign in: in the shop for whoever has an account there, and by a mailed link for all others."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from bridge.domain.offers import Item
from bridge.domain.targets import Place, Target, target_of
from bridge.settings import Settings


class WaysIn:
    """The addresses of both ways. ``open`` tells whether there is any: a secret is shared with the shop's plugin."""

    def __init__(self, settings: Settings) -> None:
        config = settings.sso
        self.open = bool(config.shop_secrets)
        self.bridge_url = settings.server.public_url
        self.shop_url = config.shop_address or settings.shop.url
        self._shop_sign_in = config.shop_sign_in or f"{self.shop_url}/?academy_bridge=launch"
        self.shop_sign_out = f"{self.shop_url}/?academy_bridge=sign-out"
        self.by_link = f"{self.bridge_url}/sso/link"

    def by_shop(self, target: str) -> str:
        """Where the shop's customers sign in, to come back to the bridge for a target."""
        return f"{self._shop_sign_in}{'&' if '?' in self._shop_sign_in else '?'}target={quote(target)}"

    def opened(self, secret: str) -> str:
        """The address of a mailed link. The secret stands where browsers send it to nobody, and servers log nothing of
        it: the page there takes it up.
        """
        return f"{self.by_link}/open#{secret}"

    def invited(self, secret: str) -> str:
        """The address of a mailed invitation, in the same manner."""
        return f"{self.bridge_url}/team/invitation#{secret}"

    def for_manager(self, customer: bool) -> str:
        """Where somebody goes who manages a team. Whoever is no customer of the shop's signs in by a mailed link."""
        return self.by_shop(str(Place.TEAM)) if customer else f"{self.bridge_url}/team/?by=link"

    def for_learner(self, customer: bool, items: Sequence[Item]) -> str:
        """Where somebody goes who was given these; "" where there is no way in by the bridge."""
        if not self.open:
            return ""
        if not customer:
            return self.by_link
        target = target_of(items[0]) if len(items) == 1 else Target(Place.COURSES)
        return self.by_shop(str(target))
