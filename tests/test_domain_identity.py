"""Who is who, by what the shop tells."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.identity import (
    Identity,
    identity_of,
    is_email,
    names_of,
    new_key,
    normal_email,
    throwaway_password,
)


def test_a_registered_customer_is_the_customer_whatever_address_an_order_shows() -> None:
    assert identity_of(12, "mia@guest.test") == identity_of(12, "other@guest.test") == Identity(12, None)


def test_a_guest_is_the_address_that_was_typed_in_any_case() -> None:
    assert identity_of(0, " Mia@Guest.TEST ") == identity_of(0, "mia@guest.test") == Identity(None, "mia@guest.test")


@given(st.integers(0, 2**63), st.text())
def test_nobody_is_both_a_customer_and_a_guest(customer_id: int, email: str) -> None:
    found = identity_of(customer_id, email)
    assert (found.customer_id is None) is not (found.guest_email is None)


def test_addresses_are_compared_in_lower_case() -> None:
    assert normal_email("\tANNA@Members.Example\n") == "anna@members.example"


@given(st.text())
def test_a_normal_address_is_normal(address: str) -> None:
    assert normal_email(address) == normal_email(normal_email(address)).strip()


@pytest.mark.parametrize(
    "address",
    [
        "anna@members.example",
        "a@b.co",
        "anna.andrews+shop@mail.members.example",
        "o'brien@members.example",
        "ann_@members.example",
        "100%@members.example",
        "Ünal@members.example",
        "x@sub-domain.members.example",
    ],
)
def test_an_address_that_mail_can_be_sent_to(address: str) -> None:
    assert is_email(address)


@pytest.mark.parametrize(
    "address",
    [
        "",
        "anna",
        "anna@",
        "@members.example",
        "anna@members",
        "anna@members.",
        "anna@.example",
        "anna@members..example",
        "anna@@members.example",
        "anna@b@members.example",
        "an na@members.example",
        "anna@members.example ",
        " anna@members.example",
        "anna@members.example\n",
        "anna@members.example\r\nBcc: x@y.example",
        "Anna <anna@members.example>",
        "a,b@members.example",
        "a;b@members.example",
        'a"b@members.example',
        "a\\b@members.example",
        "a(b)@members.example",
        "anna@[127.0.0.1]",
        "anna@münchen.example",
        "x" * 65 + "@members.example",
        "x@" + "y" * 64 + ".example",
        "x" * 40 + "@" + ("y" * 50 + ".") * 2 + "example",
    ],
)
def test_what_is_no_address_is_none(address: str) -> None:
    assert not is_email(address)


@given(st.emails())
def test_an_address_with_a_null_byte_is_none_whatever_it_is(address: str) -> None:
    assert is_email(address) in (True, False)
    assert is_email(address + "\x00") is False


def test_keys_can_not_be_guessed_and_are_good_usernames() -> None:
    keys = {new_key() for _ in range(500)}
    assert len(keys) == 500
    assert all(re.fullmatch(r"[a-z2-9]{14}", key) for key in keys)


def test_passwords_meet_every_usual_policy_and_are_never_the_same() -> None:
    passwords = [throwaway_password() for _ in range(200)]
    assert len(set(passwords)) == 200
    for password in passwords:
        assert len(password) >= 30
        assert all(re.search(sign, password) for sign in (r"[a-z]", r"[A-Z]", r"[0-9]", r"[^A-Za-z0-9]"))


@pytest.mark.parametrize(
    ("given_names", "names"),
    [
        (("Mia", "Guest", "mia@guest.test"), ("Mia", "Guest")),
        ((" Mia  Maria ", "\tvan  der Guest\n", "x@y.z"), ("Mia Maria", "van der Guest")),
        (("", "Guest", "mia.m@guest.test"), ("mia.m", "Guest")),
        (("Mia", "", "x@y.z"), ("Mia", "-")),
        (("", "", "mia@guest.test"), ("mia", "-")),
        ((" ", "\n", "mia@guest.test"), ("mia", "-")),
        (("x" * 200, "y" * 200, "x@y.z"), ("x" * 100, "y" * 100)),
    ],
)
def test_an_account_has_a_first_and_a_last_name(given_names: tuple[str, str, str], names: tuple[str, str]) -> None:
    assert names_of(*given_names) == names


@given(st.text(), st.text(), st.emails())
def test_no_name_is_empty_or_too_long(first: str, last: str, email: str) -> None:
    for name in names_of(first, last, email):
        assert 0 < len(name) <= 100
