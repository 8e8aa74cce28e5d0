"""What the shop's plugin signs: short-lived JWTs, each for one purpose."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from bridge.domain.identity import is_email, normal_email
from bridge.domain.targets import Target, read_target
from bridge.errors import BadSignature

LAUNCH, READ, POKE = "launch+jwt", "read+jwt", "poke+jwt"
#: Seconds that a token may live, and that two clocks may differ.
MOST_LIFE, LEEWAY = 60, 5
MOST_BYTES = 8 * 1024
_JTI = re.compile(r"[0-9a-f]{32}", re.ASCII)
_ID = re.compile(r"0|[1-9][0-9]{0,17}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Launch:
    """A customer of the shop who wants to go and learn. ``jti`` may be used once, until ``expires``."""

    customer_id: int
    email: str
    email_verified: bool
    first_name: str
    last_name: str
    language: str
    target: Target
    jti: str
    expires: datetime


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

    def _verified(self, token: str, typ: str) -> Mapping[str, Any]:
        if len(token) > MOST_BYTES or not is_canonical(token):
            raise BadSignature("it is no token as one is written")
        header, claims = self._decoded(token)
        if header != {"alg": "HS256", "typ": typ}:
            raise BadSignature("it is a token of another kind")
        self._in_time(claims)
        if not isinstance(jti := claims["jti"], str) or not _JTI.fullmatch(jti):
            raise BadSignature("its id is none")
        return claims

    def _decoded(self, token: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        options: Any = {
            "require": ["iss", "aud", "iat", "exp", "jti"],
            "strict_aud": True,
            # By our own clock and in whole seconds, below.
            **{f"verify_{claim}": False for claim in ("iat", "exp", "nbf", "sub", "jti")},
        }
        for secret in self._secrets:
            try:
                whole = jwt.decode_complete(
                    token,
                    secret,
                    algorithms=["HS256"],
                    options=options,
                    issuer=self._issuer,
                    audience=self._audience,
                )
            except jwt.InvalidSignatureError:
                continue
            except jwt.PyJWTError as err:
                raise BadSignature(f"it was refused: {type(err).__name__}") from err
            except (ValueError, TypeError, RecursionError) as err:
                raise BadSignature("it is no token") from err
            return whole["header"], whole["payload"]
        raise BadSignature("no secret of ours signed it")

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


def is_canonical(token: str) -> bool:
    """Whether it is three parts in base64url, each written in the one way there is: no spare bit may be flipped."""
    parts = token.split(".")
    return len(parts) == 3 and all(map(_is_canonical, parts))


def _is_canonical(part: str) -> bool:
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return False
    return bool(part) and base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == part


def _word(claims: Mapping[str, Any], name: str, most: int) -> str:
    """A text among the claims, "" when there is none."""
    value = claims.get(name, "")
    if not isinstance(value, str):
        raise BadSignature(f"its {name} is no text")
    return value[:most]


def _number(claims: Mapping[str, Any], name: str) -> int:
    """An id, which is written as a text."""
    value = claims.get(name)
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise BadSignature(f"its {name} is no id")
    return int(value)
