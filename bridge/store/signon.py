"""Signing in: what was used once, who is signed in, and the keys that sign for Totara.

Functions take the caller's connection, so that what belongs together commits together. Of every secret that a browser
holds only the digest is kept.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, delete, func, insert, or_, select, update

from bridge.store import audit, people
from bridge.store.db import Store
from bridge.store.models import Moment, accounts, link_requests, links, persons, signing_keys, used, visits
from bridge.store.people import Person
from bridge.store.together import Together, gone, named, put
from bridge.store.work import Work

#: As much as the clocks of two nodes may be apart, and what was used is still known to both.
CLOCKS_DIFFER = timedelta(minutes=10)


def new_secret() -> str:
    """What nobody can guess: 256 bits."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """What is kept of a secret that nobody can guess."""
    return hashlib.sha256(secret.encode()).hexdigest()


def use_once(store: Store, connection: Connection, name: str, until: datetime) -> bool:
    """Whether this is the first use of the name. One insert under a unique key: of any number at once, one wins.

    ``until`` is when whatever bears it has run out by itself. It is remembered for longer, since the node that forgets
    it may have a clock that is ahead of another's.
    """
    return connection.execute(_using(store), _use(name, until)).scalar() is not None


def _using(store: Store) -> Any:
    values = {"name": bindparam("used_name"), "until": bindparam("used_until", type_=Moment)}
    return store.insert(used).values(values).on_conflict_do_nothing().returning(used.c.name)


def _use(name: str, until: datetime) -> dict[str, Any]:
    return {"used_name": digest(name), "used_until": until + CLOCKS_DIFFER}


# --- who is signed in ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Visit:
    """A browser's session with the bridge. ``customer_id`` is None for whoever came by a mailed link, ``person_id`` for
    a customer of whom the ledger knew nothing when they came.

    ``target`` is where it goes, as a word; ``form`` is the word that its own forms have to bring along; ``sid`` is what
    Totara is told to end it by, None for one from before that was. ``visitor`` is who visits, as they were when the
    visit was looked for; None for a customer of whom the ledger knew nothing yet.
    """

    name: str
    person_id: int | None
    customer_id: int | None
    target: str
    form: str
    began: datetime
    seen: datetime
    sid: str | None
    visitor: Person | None


_VISIT = tuple(visits.c[field.name] for field in fields(Visit) if field.name != "visitor")
_VISITOR = or_(
    persons.c.customer_id == visits.c.customer_id,
    and_(visits.c.customer_id.is_(None), persons.c.id == visits.c.person_id),
)
_FIND = (
    select(*_VISIT, *people.COLUMNS)
    .select_from(visits.outerjoin(persons, _VISITOR).outerjoin(accounts, accounts.c.person_id == persons.c.id))
    .where(visits.c.name == bindparam("name"), visits.c.seen > bindparam("seen"), visits.c.began > bindparam("began"))
)


def begin_visit(
    connection: Connection, secret: str, person_id: int, target: str, now: datetime, *, before: str
) -> None:
    """A new session of somebody who came by a mailed link; whoever comes from the shop is let in by :class:`Entering`.
    ``before`` as for :func:`new_visit`.
    """
    values = new_visit(secret, person_id, None, target, now, before=before)
    connection.execute(_BEGIN_OF_PERSON, values)
    connection.execute(_END, {"visit_before": values["visit_before"]})


def new_visit(
    secret: str,
    person_id: int | None,
    customer_id: int | None,
    target: str,
    now: datetime,
    *,
    before: str,
    shop_session: str | None = None,
) -> dict[str, Any]:
    """The values of a new session, under a secret of its own: one from before the sign-in is never gone on with.

    ``before`` is the secret that the browser had until now: that session ends. ``shop_session`` is the shop's name for
    the login that it begins with, if there is one.
    """
    row: dict[str, Any] = {"name": digest(secret), "person_id": person_id, "customer_id": customer_id}
    row |= {"target": target, "form": new_secret(), "began": now, "seen": now, "shop_session": shop_session}
    return {**named("visit", row), "visit_before": digest(before), "visit_sid": secrets.token_hex(16)}


def _sid(theirs: ColumnElement[bool]) -> ColumnElement[Any]:
    """By what Totara may end a new session: by the same as an earlier one of theirs in the same browser, since that is
    what its session there was told.
    """
    same_browser = _BEFORE | (visits.c.shop_session == bindparam("visit_shop_session"))
    query = select(visits.c.sid).where(same_browser, theirs, visits.c.sid.is_not(None))
    earlier = query.order_by(visits.c.began.desc()).limit(1).scalar_subquery()
    return func.coalesce(earlier, bindparam("visit_sid"))


_BEFORE = visits.c.name == bindparam("visit_before")
_GIVEN = ("name", "person_id", "customer_id", "target", "form", "began", "seen", "shop_session")
_OF_CUSTOMER = _sid(visits.c.customer_id == bindparam("visit_customer_id"))
_OF_PERSON = _sid(visits.c.person_id == bindparam("visit_person_id"))
_BEGIN_OF_PERSON = insert(visits).values(
    {column: bindparam(f"visit_{column}") for column in _GIVEN} | {"sid": _OF_PERSON}
)
_END = delete(visits).where(_BEFORE)
#: What is owed with a visit: the look at what the customer has bought, and at the order that they came from.
_OWED = ("owed", "owed_too")
_GO_ON = (
    update(visits)
    .where(visits.c.name == bindparam("visit_name"))
    .values(target=bindparam("visit_target"))
    .returning(visits.c.name)
)


class Entering:
    """What is written when a customer of the shop's comes in, and when they go on to Totara; built once. To be run by
    :meth:`Store.together`, or in a transaction.
    """

    def __init__(self, store: Store, work: Work) -> None:
        self._work = work
        begun = put(store, visits, _GIVEN, of=("visit",), made={"sid": _OF_CUSTOMER})
        begins = (_using(store), begun, gone(visits, _BEFORE), audit.noting(store, "note"))
        self._come_in = [Together(store, *begins, work.marking(_OWED[:most])) for most in range(1, len(_OWED) + 1)]
        self._go_on = Together(store, _GO_ON, audit.noting(store, "note"))

    def coming_in(
        self,
        name: str,
        until: datetime,
        visit: Mapping[str, Any],
        note: Mapping[str, Any],
        owed: Sequence[tuple[str, object]],
    ) -> Callable[[Connection], bool]:
        """Begins a visit, the values of :func:`new_visit`, if this is the first use of the name, as by
        :func:`use_once`; False if not, and nothing was written. What is ``owed`` is marked due with it, in this order.
        """
        values = {**_use(name, until), **visit, **named("note", note)}
        for of, thing in zip(_OWED, owed, strict=False):
            values |= named(of, self._work.owed(*thing))
        return partial(self._come_in[len(owed) - 1], values=values)

    def going_on(self, name: str, target: str, note: Mapping[str, Any]) -> Callable[[Connection], bool]:
        """Writes down where a visit goes next, and a note of it; False if the visit is there no more, and nothing was
        written.
        """
        return partial(self._go_on, values={"visit_name": name, "visit_target": target, **named("note", note)})


def find_visit(connection: Connection, secret: str, *, seen_after: datetime, began_after: datetime) -> Visit | None:
    """The session of this secret, unless it rested for too long or began too long ago."""
    row = connection.execute(_FIND, {"name": digest(secret), "seen": seen_after, "began": began_after}).first()
    if row is None:
        return None
    found: Sequence[Any] = row[len(_VISIT) :]
    visitor = people.living(connection, Person(*found)) if found[0] is not None else None
    return Visit(*(*row[: len(_VISIT)], visitor))


def set_visit(connection: Connection, name: str, **values: Any) -> None:
    """Change a session: when it was seen, where it goes."""
    connection.execute(update(visits).where(visits.c.name == name).values(values))


def end_visit(connection: Connection, name: str) -> None:
    """Nobody is signed in by it any more."""
    _end(connection, visits.c.name == name)


def end_visits_of_customer(connection: Connection, customer_id: int, shop_session: str | None) -> list[int | None]:
    """End the sessions of a customer that began with one login of theirs, or all for None; whose they were."""
    theirs = visits.c.customer_id == customer_id
    return _end(connection, theirs if shop_session is None else theirs & (visits.c.shop_session == shop_session))


def end_link_visits(connection: Connection, person_ids: Collection[int]) -> list[int | None]:
    """End the sessions of persons that began with a link that was mailed to them; whose they were."""
    return _end(connection, visits.c.customer_id.is_(None) & visits.c.person_id.in_(sorted(person_ids)))


def is_sid(connection: Connection, sid: str) -> bool:
    """Whether Totara knows a session by this."""
    return connection.execute(select(visits.c.name).where(visits.c.sid == sid)).first() is not None


def end_visits_by_sid(connection: Connection, sid: str) -> list[int | None]:
    """End the sessions that Totara knows by this; whose they were."""
    return _end(connection, visits.c.sid == sid)


def _end(connection: Connection, which: ColumnElement[bool]) -> list[int | None]:
    """End sessions; the person of each that there was."""
    return list(connection.execute(delete(visits).where(which).returning(visits.c.person_id)).scalars())


def tidy(connection: Connection, now: datetime, *, seen_before: datetime, began_before: datetime) -> None:
    """Forget what has run out by itself."""
    connection.execute(delete(used).where(used.c.until < now))
    connection.execute(delete(links).where(links.c.until <= now))
    connection.execute(delete(visits).where((visits.c.seen <= seen_before) | (visits.c.began <= began_before)))


# --- links that were mailed ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LinkRequest:
    """Somebody asked for a link to this address, which may be anybody's or nobody's."""

    id: int
    email: str
    language: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Link:
    """A link that was mailed to a person at an address: to sign in, or to take the seat or the part in a team that it
    names.
    """

    person_id: int
    email: str
    seat_id: int | None = None
    team_id: int | None = None


def ask_link(connection: Connection, email: str, language: str, now: datetime) -> None:
    """Write down that somebody asks for a link."""
    connection.execute(insert(link_requests).values(email=email, language=language, at=now))


def asked_links(connection: Connection, most: int) -> list[LinkRequest]:
    """The requests that wait, the oldest first."""
    t = link_requests.c
    query = select(t.id, t.email, t.language, t.at).order_by(t.id).limit(most)
    return [LinkRequest(*row) for row in connection.execute(query)]


def link_answered(connection: Connection, request_id: int) -> None:
    """Forget a request, and the address in it."""
    connection.execute(delete(link_requests).where(link_requests.c.id == request_id))


def keep_link(
    connection: Connection,
    secret: str,
    person_id: int,
    email: str,
    until: datetime,
    *,
    seat_id: int | None = None,
    team_id: int | None = None,
) -> None:
    """A new link, under the digest of its secret."""
    row = {"person_id": person_id, "email": email, "until": until, "seat_id": seat_id, "team_id": team_id}
    connection.execute(insert(links).values(name=digest(secret), **row))


def count_links(connection: Connection, person_id: int, now: datetime) -> int:
    """How many links to sign in a person could open now."""
    mine = (links.c.person_id == person_id, links.c.until > now, links.c.seat_id.is_(None), links.c.team_id.is_(None))
    return int(connection.execute(select(func.count()).select_from(links).where(*mine)).scalar_one())


def count_invitations(
    connection: Connection,
    now: datetime,
    *,
    seat_id: int | None = None,
    team_id: int | None = None,
    person_id: int | None = None,
) -> int:
    """How many letters of now went out that invite to a seat, or this person to help manage a team."""
    mine = _about(seat_id=seat_id, team_id=team_id, person_id=person_id)
    return int(
        connection.execute(select(func.count()).select_from(links).where(*mine, links.c.until > now)).scalar_one()
    )


def _about(**named: int | None) -> list[ColumnElement[bool]]:
    return [links.c[name] == value for name, value in named.items() if value is not None]


def written_to_often(now: datetime, most: int) -> Select[tuple[int]]:
    """The seats about which so many letters of now went out, or more: as a part of other queries."""
    of_seats = (links.c.seat_id.is_not(None), links.c.until > now)
    return select(links.c.seat_id).where(*of_seats).group_by(links.c.seat_id).having(func.count() >= most)


_LINK = (links.c.person_id, links.c.email, links.c.seat_id, links.c.team_id)


def look_at_link(connection: Connection, secret: str, now: datetime) -> Link | None:
    """The link of this secret, as long as it can be opened."""
    row = connection.execute(select(*_LINK).where(links.c.name == digest(secret), links.c.until > now)).first()
    return Link(*row) if row else None


def take_link(connection: Connection, secret: str, now: datetime) -> Link | None:
    """The link of this secret, used up: one deletion, so that of any number at once one gets it."""
    gone = delete(links).where(links.c.name == digest(secret), links.c.until > now)
    row = connection.execute(gone.returning(*_LINK)).first()
    return Link(*row) if row else None


def forget_invitations(connection: Connection, seat_ids: Collection[int]) -> None:
    """Forget what was mailed about these seats."""
    connection.execute(delete(links).where(links.c.seat_id.in_(sorted(seat_ids))))


def forget_ways_in(connection: Connection, person_ids: Collection[int], email: str | None = None) -> None:
    """Forget links that were mailed to persons: all that went to this address, invitations too; or for None those to
    sign in, wherever they went.
    """
    to = (links.c.seat_id.is_(None), links.c.team_id.is_(None)) if email is None else (links.c.email == email,)
    connection.execute(delete(links).where(links.c.person_id.in_(sorted(person_ids)), *to))


# --- keys ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A key that signs for Totara from a moment on. ``private`` is PEM, and empty once it was withdrawn."""

    kid: str
    private: str
    public: dict[str, Any]
    made: datetime
    signs_from: datetime


def keep_key(connection: Connection, key: KeptKey) -> None:
    """Keep one more key."""
    values = {"kid": key.kid, "private": key.private, "public": key.public}
    connection.execute(insert(signing_keys).values(made=key.made, signs_from=key.signs_from, **values))


def kept_keys(connection: Connection) -> Sequence[KeptKey]:
    """All keys, the newest first."""
    t = signing_keys
    query = select(t.c.kid, t.c.private, t.c.public, t.c.made, t.c.signs_from)
    return [KeptKey(*row) for row in connection.execute(query.order_by(t.c.signs_from.desc(), t.c.kid))]


def drop_keys(connection: Connection, kids: Sequence[str]) -> None:
    """Forget keys: what they signed is not accepted any more."""
    connection.execute(delete(signing_keys).where(signing_keys.c.kid.in_(kids)))
