"""What is signed, against the examples of the standards: RFC 7515, appendix A, and RFC 7520, section 4."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from bridge.errors import BadSignature
from bridge.jws import claims_of, opened

CLAIMS_7515 = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
TEXT_7520 = (
    "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwg"
    "YW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9m"
    "ZiB0by4"
)
N_7515 = (
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ"
    "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2"
    "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD"
    "TW9gb54h4FRWyuXpoQ"
)
N_7520 = (
    "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2w"
    "qVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bT"
    "wJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5"
    "iaiQkqgc5gHdrNP5zw"
)
SIGNED_7515 = (
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU"
    "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d"
    "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
    "cN_IoypGlUPQGe77Rw"
)
SIGNED_7520 = (
    "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDk"
    "oBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9Uzp"
    "ERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogo"
    "ree7vjbU5y18kDquDg"
)


@dataclass(frozen=True)
class Example:
    """One of a standard's own: the token's three parts, and what they are to be verified with."""

    algorithm: str
    key: Any
    header: str
    payload: str
    signature: str

    @property
    def token(self) -> str:
        return f"{self.header}.{self.payload}.{self.signature}"


def raw(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def written(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def rsa(n: str) -> jwt.PyJWK:
    return jwt.PyJWK({"kty": "RSA", "alg": "RS256", "n": n, "e": "AQAB"})


EXAMPLES = {
    "RFC 7515, A.1": Example(
        "HS256",
        raw("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"),
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9",
        CLAIMS_7515,
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    ),
    "RFC 7515, A.2": Example("RS256", rsa(N_7515), "eyJhbGciOiJSUzI1NiJ9", CLAIMS_7515, SIGNED_7515),
    "RFC 7520, 4.1": Example(
        "RS256",
        rsa(N_7520),
        "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
        TEXT_7520,
        SIGNED_7520,
    ),
    "RFC 7520, 4.4": Example(
        "HS256",
        raw("hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg"),
        "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9",
        TEXT_7520,
        "s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0",
    ),
}
every_example = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


@every_example
def test_an_example_of_a_standard_is_opened(example: Example) -> None:
    header, payload = opened(example.token, [example.key], example.algorithm)
    assert header["alg"] == example.algorithm
    assert payload == raw(example.payload)


@every_example
def test_it_is_opened_by_any_of_several_keys(example: Example) -> None:
    other = b"another-secret-of-32-signs-or-more" if example.algorithm == "HS256" else rsa(written(b"\xc1" * 256))
    assert opened(example.token, [other, example.key], example.algorithm)[1] == raw(example.payload)
    with pytest.raises(BadSignature):
        opened(example.token, [other], example.algorithm)


@every_example
def test_no_bit_of_its_signature_may_be_another(example: Example) -> None:
    signature = raw(example.signature)
    for place in range(0, len(signature) * 8, 7):
        octets = bytearray(signature)
        octets[place // 8] ^= 1 << place % 8
        with pytest.raises(BadSignature):
            opened(f"{example.header}.{example.payload}.{written(bytes(octets))}", [example.key], example.algorithm)


def spoilt(example: Example) -> Iterator[str]:
    """The token in each way in which it is none."""
    h, p, s = example.header, example.payload, example.signature
    for parts in ((h, p), (h, s), (p, s), (h,), (h, p, s, ""), (h, p, s, s), ("", p, s), (h, "", s), (h, p, "")):
        yield ".".join(parts)
    for sign in ("=", " ", "\n", "?", "#", "+", "/", "\x00", "é"):
        for first, last in ((sign, ""), ("", sign)):
            yield from (f"{first}{h}{last}.{p}.{s}", f"{h}.{first}{p}{last}.{s}", f"{h}.{p}.{first}{s}{last}")
    signature = raw(s)
    for octets in (signature[:-1], signature[1:], signature + b"\0", b"\0" + signature, b"\0" * len(signature)):
        yield f"{h}.{p}.{written(octets)}"
    # The same octets, with spare bits of the last sign set.
    yield f"{h}.{p}.{s[:-1]}{chr(ord(s[-1]) + 1)}"
    for other in ("none", "None", "HS384", "HS512", "RS384", "RS512", "PS256", "ES256", ""):
        named = written(f'{{"alg":"{other}"}}'.encode())
        yield from (f"{named}.{p}.{s}", f"{named}.{p}.")


@every_example
def test_what_is_no_token_is_opened_by_nothing(example: Example) -> None:
    for token in spoilt(example):
        with pytest.raises(BadSignature):
            opened(token, [example.key], example.algorithm)


def test_an_empty_payload_is_refused_though_the_standard_has_it() -> None:
    token = jwt.PyJWS().encode(b"", "s" * 32, "HS256")
    assert jwt.PyJWS().decode(token, "s" * 32, algorithms=["HS256"]) == b""
    with pytest.raises(BadSignature, match="as one is written"):
        opened(token, ["s" * 32], "HS256")


def test_a_public_key_is_no_secret() -> None:
    """The classic confusion: HS256 with the public key, as it is published, for a secret."""
    for secret in (N_7515.encode(), raw(N_7515)):
        token = jwt.PyJWS().encode(b"{}", secret, "HS256")
        with pytest.raises(BadSignature):
            opened(token, [rsa(N_7515)], "RS256")


WHOLE = b'{"iss":"us","aud":"you","iat":1,"exp":2,"jti":"x"}'


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1],
        lambda text: b"[" + text + b"]",
        lambda text: text.replace(b'"us"', b'"others"'),
        lambda text: text.replace(b'"you"', b'["you"]'),
        lambda text: text.replace(b'"you"', b'"you/"'),
        lambda text: text.replace(b'"jti":"x"', b'"jit":"x"'),
        lambda text: text.replace(b"us", b"\xff"),
        lambda text: text.decode().encode("utf-16"),
        lambda text: b"[" * 100_000,
    ],
)
def test_only_whole_claims_by_us_for_you_are_read(spoil: Callable[[bytes], bytes]) -> None:
    assert claims_of(WHOLE, "us", "you")["exp"] == 2
    with pytest.raises(BadSignature):
        claims_of(spoil(WHOLE), "us", "you")
