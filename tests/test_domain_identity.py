"""Who is who, by what the shop tells."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.identity import (
    Contact,
    How,
    Identity,
    Party,
    Proof,
    Says,
    clean_name,
    identity_of,
    is_email,
    may_be_one,
    may_link,
    names_of,
    new_key,
    normal_email,
    standing,
    throwaway_password,
)
from bridge.domain.lms import Account, Insight


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
        "an\x00na@members.example",
        "an\x1bna@members.example",
        "an\x7fna@members.example",
        "an\u200bna@members.example",
        "\u202eanna@members.example",
        "\u2066anna@members.example",
        "an\ufeffna@members.example",
        "an\ud800na@members.example",
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


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("A\x00da", "A da"), ("Ada\ud800", "Ada"), ("\r\nBcc: Ada\t", "Bcc: Ada"),
        ("A\u202eda", "Ada"), ("\u00a0 ", ""),
        ("می\u200cنا", "می\u200cنا"), ("Zoë", "Zoë"), ("x" * 101, "x" * 100), ("", ""),
    ],
)  # fmt: skip
def test_a_name_is_made_fit_to_be_kept(typed: str, kept: str) -> None:
    contact = Contact(Identity(7, None), "ada@corp.test", typed, typed, typed)
    assert (contact.first_name, contact.last_name, contact.language) == (kept, kept, kept[:16])


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_every_name_can_be_kept_and_is_kept_as_it_is_the_next_time(typed: str) -> None:
    kept = clean_name(typed)
    assert clean_name(kept) == kept
    assert "\x00" not in kept and len(kept.encode()) <= 400


# --- proofs ----------------------------------------------------------------------------------------------------------


def proofs(*ways: How) -> list[Proof]:
    then = datetime(2026, 11, 24, tzinfo=UTC)
    return [Proof(7, "mia@guest.test", how, then + timedelta(days=n)) for n, how in enumerate(ways)]


@pytest.mark.parametrize(
    ("ways", "counts"),
    [
        ((), None),
        ((How.LINK,), How.LINK),
        ((How.SHOP, How.LINK), How.LINK),
        ((How.LINK, How.WITHDRAWN), None),
        ((How.LINK, How.WITHDRAWN, How.LINK), None),
        ((How.LINK, How.WITHDRAWN, How.SHOP, How.LINK), None),
        ((How.LINK, How.WITHDRAWN, How.OPERATOR), How.OPERATOR),
        ((How.OPERATOR, How.WITHDRAWN), None),
        ((How.WITHDRAWN, How.OPERATOR, How.LINK), How.LINK),
        ((How.WITHDRAWN, How.OPERATOR, How.LINK, How.WITHDRAWN), None),
    ],
)
def test_what_an_operator_withdrew_only_an_operator_brings_back(ways: tuple[How, ...], counts: How | None) -> None:
    found = standing(proofs(*ways))
    assert (found.how if found else None) == counts


# --- may two be one? -------------------------------------------------------------------------------------------------

GUEST, CUSTOMER, OTHER = Party(1, customer=False), Party(2, customer=True), Party(3, customer=True)


def test_a_guest_becomes_the_customer_who_has_proven_the_address_and_nobody_elses_part() -> None:
    assert may_be_one(CUSTOMER, GUEST, proven=True).says is Says.YES
    assert may_be_one(CUSTOMER, GUEST, proven=False).says is Says.OPERATOR
    assert may_be_one(CUSTOMER, GUEST, proven=True, claimed=True).says is Says.OPERATOR


def test_two_customers_and_two_guests_are_one_only_if_an_operator_says_so() -> None:
    assert may_be_one(CUSTOMER, OTHER, proven=True).says is Says.OPERATOR
    assert may_be_one(GUEST, replace(GUEST, id=4), proven=True).says is Says.OPERATOR


@pytest.mark.parametrize(("mine", "yours"), list(product([None, 10], [None, 11])))
def test_of_two_totara_accounts_an_operator_says_which_stays(mine: int | None, yours: int | None) -> None:
    ruling = may_be_one(replace(CUSTOMER, account=mine), replace(GUEST, account=yours), proven=True)
    assert ruling.says is (Says.OPERATOR if mine and yours else Says.YES)
    assert ("users 10 and 11" in ruling.why) is bool(mine and yours)


def test_nobody_becomes_oneself_or_a_part_of_somebodys_part() -> None:
    assert may_be_one(CUSTOMER, CUSTOMER, proven=True).says is Says.NEVER
    assert may_be_one(replace(CUSTOMER, merged=True), GUEST, proven=True).says is Says.NEVER
    assert may_be_one(CUSTOMER, replace(GUEST, merged=True), proven=True).says is Says.NEVER


# --- may an account be linked? ---------------------------------------------------------------------------------------

LEARNER = Account(40, "mia", "mia@company.test", "manual")
KNOWN = Insight(administrator=False, staff=False, tenant="academy", tenant_suspended=False)


def says(account: Account = LEARNER, seen: Insight = KNOWN, *, academy: str = "academy", proven: bool = True) -> Says:
    return may_link(
        account, seen, academy=academy, proven=proven, never=("Chief", "77", "@Agency.test"), own="svc_bridge"
    ).says


def test_a_member_of_the_academy_whose_address_was_proven_is_linked() -> None:
    assert says() is Says.YES
    assert says(seen=replace(KNOWN, tenant=""), academy="") is Says.YES


@pytest.mark.parametrize(
    ("account", "seen"),
    [
        (replace(LEARNER, id=1), KNOWN),
        (replace(LEARNER, id=2), KNOWN),
        (replace(LEARNER, username="admin"), KNOWN),
        (replace(LEARNER, username="guest"), KNOWN),
        (replace(LEARNER, username="svc_bridge"), KNOWN),
        (replace(LEARNER, auth="nologin"), KNOWN),
        (replace(LEARNER, auth="webservice"), KNOWN),
        (replace(LEARNER, username="chief"), KNOWN),
        (replace(LEARNER, id=77), KNOWN),
        (replace(LEARNER, email="Mia@AGENCY.test"), KNOWN),
        (LEARNER, replace(KNOWN, administrator=True)),
    ],
)
def test_an_administrators_a_guests_and_a_programs_account_is_never_linked(account: Account, seen: Insight) -> None:
    for proven in (True, False):
        assert says(account, seen, proven=proven) is Says.NEVER


@pytest.mark.parametrize(
    ("account", "seen", "why"),
    [
        (replace(LEARNER, suspended=True), KNOWN, "suspended"),
        (LEARNER, replace(KNOWN, staff=True), "staff"),
        (LEARNER, replace(KNOWN, tenant="memberland"), "tenant memberland"),
        (LEARNER, replace(KNOWN, tenant=""), "no tenant"),
        (LEARNER, replace(KNOWN, tenant=None), "which tenant"),
        (LEARNER, replace(KNOWN, staff=None), "does not tell"),
        (LEARNER, replace(KNOWN, tenant_suspended=True), "its tenant is suspended"),
        (LEARNER, replace(KNOWN, tenant_suspended=None), "does not tell whether its tenant"),
        (LEARNER, replace(KNOWN, administrator=None), "does not tell"),
        (LEARNER, Insight(), "does not tell"),
    ],
)
def test_what_is_not_known_to_be_a_learners_needs_an_operator(account: Account, seen: Insight, why: str) -> None:
    ruling = may_link(account, seen, academy="academy", proven=True)
    assert (ruling.says, why in ruling.why) == (Says.OPERATOR, True)


@given(
    st.builds(
        Account, st.integers(1, 9), st.sampled_from(["mia", "admin"]), st.just("m@c.test"), suspended=st.booleans()
    ),
    st.builds(
        Insight,
        st.sampled_from([True, False, None]),
        st.sampled_from([True, False, None]),
        st.sampled_from(["academy", "", None]),
        st.sampled_from([True, False, None]),
    ),
)
def test_without_a_proof_no_account_is_ever_linked_by_itself(account: Account, seen: Insight) -> None:
    assert may_link(account, seen, academy="academy", proven=False).says is not Says.YES
