"""What the shop's plugin signs: short-lived JWTs, each for one purpose."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bridge.domain.identity import is_email, normal_email
from bridge.domain.targets import Target, read_target
from bridge.errors import BadSignature
from bridge.jws import claims_of, opened

LAUNCH, READ, POKE, SIGN_OUT = "launch+jwt", "read+jwt", "poke+jwt", "sign-out+jwt"
#: Seconds that a token may live, and that two clocks may differ.
MOST_LIFE, LEEWAY = 60, 5
_JTI = re.compile(r"[0-9a-f]{32}", re.ASCII)
_ID = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)
_SID = re.compile(r"[A-Za-z0-9_-]{16,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Launch:
    """A customer of the shop who wants to go and learn. ``jti`` may be used once, until ``expires``; ``sid`` is the
    shop's name for this login of theirs, None from a plugin that does not tell.
    """

    customer_id: int
    email: str
    email_verified: bool
    first_name: str
    last_name: str
    language: str
    target: Target
    jti: str
    expires: datetime
    sid: str | None


class ShopTokens:
    """Verifies what the shop signed with any of the shared secrets.

    ``issuer`` is the shop's address, ``audience`` the bridge's own. Every refusal is a BadSignature whose message says
    why, for the audit log: whoever sent the token is told nothing.
    """

    def __init__(self, secrets: Sequence[str], issuer: str, audience: str, now: Callable[[], datetime]) -> None:
        self._secrets = list(secrets)
        self._issuer = issuer
        self._audience = audience
        self._now = now

    def launch(self, token: str) -> Launch:
        """Somebody who comes from the shop. Raises BadSignature."""
        claims = self._verified(token, LAUNCH)
        try:
            target = read_target(claims.get("target"))
        except ValueError as err:
            raise BadSignature("the target is none of the list") from err
        customer, email = _number(claims, "sub"), normal_email(_word(claims, "email", 254))
        if not customer or not is_email(email):
            raise BadSignature("it names no customer")
        return Launch(
            customer,
            email,
            claims.get("email_verified") is True,
            _word(claims, "given_name", 100),
            _word(claims, "family_name", 100),
            _word(claims, "locale", 16),
            target,
            claims["jti"],
            datetime.fromtimestamp(claims["exp"] + LEEWAY, UTC),
            _sid(claims),
        )

    def reads(self, token: str) -> int:
        """The customer whose data may be read with this token, 0 for none. Raises BadSignature."""
        return _number(self._verified(token, READ), "sub")

    def poked(self, token: str) -> int:
        """The order that is to be looked at. Raises BadSignature."""
        order = self._verified(token, POKE).get("order")
        if not isinstance(order, int) or isinstance(order, bool) or not 0 < order < 2**63:
            raise BadSignature("it names no order")
        return order

    def signed_out(self, token: str) -> tuple[int, str | None]:
        """The customer who is signed out of the shop, 0 for none, and of which login; None for all of theirs.

        Raises BadSignature.
        """
        claims = self._verified(token, SIGN_OUT)
        return _number(claims, "sub"), _sid(claims)

    def _verified(self, token: str, typ: str) -> Mapping[str, Any]:
        header, payload = opened(token, self._secrets, "HS256")
        if header != {"alg": "HS256", "typ": typ}:
            raise BadSignature("it is a token of another kind")
        claims = claims_of(payload, self._issuer, self._audience)
        self._in_time(claims)
        if not isinstance(jti := claims["jti"], str) or not _JTI.fullmatch(jti):
            raise BadSignature("its id is none")
        return claims

    def _in_time(self, claims: Mapping[str, Any]) -> None:
        iat, exp, now = claims["iat"], claims["exp"], self._now().timestamp()
        if any(not isinstance(one, int) or isinstance(one, bool) for one in (iat, exp)):
            raise BadSignature("its times are no whole seconds")
        if not 0 < exp - iat <= MOST_LIFE:
            raise BadSignature("it lives for too long")
        if iat > now + LEEWAY:
            raise BadSignature("it is from the future")
        if exp <= now - LEEWAY:
            raise BadSignature("it has expired")
        if "nbf" in claims:
            raise BadSignature("it says more of its time than we know")


def _word(claims: Mapping[str, Any], name: str, most: int) -> str:
    """A text among the claims, "" when there is none."""
    value = claims.get(name, "")
    if not isinstance(value, str):
        raise BadSignature(f"its {name} is no text")
    return value[:most]


def _sid(claims: Mapping[str, Any]) -> str | None:
    """The shop's name for a login, None when there is none."""
    value = claims.get("sid")
    if value is not None and (not isinstance(value, str) or not _SID.fullmatch(value)):
        raise BadSignature("its sid is none")
    return value


def _number(claims: Mapping[str, Any], name: str) -> int:
    """An id, which is written as a text."""
    value = claims.get(name)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise BadSignature(f"its {name} is no id")
    return int(value)
