"""What is signed: JWS in its compact form, read strictly (RFC 7515, and what RFC 8725 says of reading it)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

import jwt

from bridge.errors import BadSignature

#: The longest token.
MOST_BYTES = 8 * 1024
#: Made once: making it costs as much as reading a token.
_READER = jwt.PyJWS()


def opened(token: str, keys: Sequence[str | bytes | jwt.PyJWK], algorithm: str) -> tuple[Mapping[str, Any], bytes]:
    """The header and the payload of a token that one of the keys signed by this algorithm. Raises BadSignature.

    Stricter than the standard in one thing: every part, the payload too, has to be there, written in the one way there
    is. So it can't be written otherwise and be taken for another.
    """
    if len(token) > MOST_BYTES or not is_canonical(token):
        raise BadSignature("it is no token as one is written")
    for key in keys:
        try:
            whole = _READER.decode_complete(token, key, algorithms=[algorithm])
        except jwt.InvalidSignatureError:
            continue
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as err:
            raise BadSignature(f"it was refused: {type(err).__name__}") from err
        return whole["header"], whole["payload"]
    raise BadSignature("no key of ours signed it")


def claims_of(payload: bytes, issuer: str, audience: str) -> dict[str, Any]:
    """What is said by this issuer to this audience alone. Raises BadSignature, also if it lacks its times or its id."""
    try:
        claims = json.loads(payload.decode())
    except (ValueError, RecursionError) as err:
        raise BadSignature("it says nothing that can be read") from err
    if not isinstance(claims, dict) or not {"iss", "aud", "iat", "exp", "jti"} <= claims.keys():
        raise BadSignature("it lacks what every token says")
    if claims["iss"] != issuer:
        raise BadSignature("it is from somebody else")
    if claims["aud"] != audience:
        raise BadSignature("it is for somebody else")
    return claims


def is_canonical(token: str) -> bool:
    """Whether it is three parts in base64url, each written in the one way there is: no spare bit may be flipped."""
    parts = token.split(".")
    return len(parts) == 3 and all(map(decoded, parts))


def decoded(part: str) -> bytes | None:
    """The bytes of a part of a token; None if it isn't written in the one way there is."""
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == part else None
