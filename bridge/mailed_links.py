"""Signing in by a link that was mailed: for learners who have no account in the shop, guests and whoever was given a
seat.

To ask is the same for every address: it is written down, and the page says the same. Whether anybody is behind it is
looked at afterwards, by the worker, so that neither words nor time tell who is known here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address

from sqlalchemy import Connection

from bridge.addresses import Addresses
from bridge.domain.identity import How, is_email, normal_email
from bridge.domain.letters import Letter, Message
from bridge.domain.targets import Place, Target
from bridge.errors import BadSignature, Refused, Unavailable
from bridge.kinds import ALL, LINKS
from bridge.mail import Mailer
from bridge.often import Often
from bridge.store import audit, people, signon
from bridge.store.db import Store
from bridge.store.people import Person
from bridge.store.signon import Link, LinkRequest, new_secret
from bridge.store.work import Claim, Work
from bridge.ways_in import WaysIn
from bridge.who import prove
from bridge.worker import Done

#: How long a link may be opened: the letters say so too. A request that could not be answered by then is forgotten.
LINK_LIFE = timedelta(minutes=15)
#: Links that one person may have at a time.
MOST_LINKS = 3
#: What one process takes on in a minute: for one address, from one client, and in all.
MOST_OF_ONE, MOST_OF_CLIENT, MOST_OF_ALL = 3, 20, 600
#: Bits of an IPv6 address that name the network: within it one client may have as many addresses as it likes.
_ONE_CLIENT = 64
#: Letters that are written before the worker looks at other things again.
AT_ONCE = 50


class MailedLinks:
    """Takes requests, mails links, opens them. ``mailer`` is None where the bridge sends no mail."""

    def __init__(
        self,
        store: Store,
        work: Work,
        mailer: Mailer | None,
        addresses: Addresses,
        ways: WaysIn,
        now: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._addresses = addresses
        self._work = work
        self._mailer = mailer
        self._ways = ways
        self._now = now
        self._often_one, self._often_all = Often(MOST_OF_ONE), Often(MOST_OF_ALL)
        self._often_client = Often(MOST_OF_CLIENT)

    @property
    def there(self) -> bool:
        """Whether links are mailed here."""
        return self._mailer is not None

    def ask(self, address: str, language: str, client: str = "") -> bool:
        """Write down that somebody asks for a link; False if that was asked too often just now.

        ``client`` is the network address that asks. That of this machine is a proxy's, if `server.trusted_proxies` does
        not say to ask it whose request it is: everybody's, and not counted. Raises ValueError for what is no address.
        """
        email = normal_email(address)
        if not is_email(email):
            raise ValueError("it is no address that mail could reach")
        if (whose := _counted(client)) and self._often_client(hash(whose)):
            return False
        if self._often_one(hash(email)) or self._often_all():
            return False
        with self._store.begin() as connection:
            signon.ask_link(connection, email, language[:16], self._now())
            self._work.mark(connection, LINKS, [ALL])
        self._store.bell.ring()
        return True

    # --- the worker's part -----------------------------------------------------------------------------------------

    def settle(self, _claim: Claim) -> Done | None:
        """Write the letters that were asked for. Raises Unavailable if one has to wait; the others are written first,
        since a mail server may put off one address alone.
        """
        with self._store.read() as connection:
            waiting = signon.asked_links(connection, AT_ONCE)
        put_off: Unavailable | None = None
        for request in waiting:
            try:
                self._answer(request)
            except Unavailable as err:
                put_off = err
        if put_off is not None:
            raise put_off
        more = self._now() if len(waiting) == AT_ONCE else None
        return Done(lambda connection: None, again_at=more)

    def _answer(self, request: LinkRequest) -> None:
        now = self._now()
        if request.at >= now - LINK_LIFE:
            self._addresses.look(request.email)
        with self._store.begin() as connection:
            person = self._behind(connection, request, now)
            if person is None:
                signon.link_answered(connection, request.id)
                return
            secret = new_secret()
            signon.keep_link(connection, secret, person.id, request.email, now + LINK_LIFE)
        try:
            self._send(person, request, secret)
        except Unavailable:
            with self._store.begin() as connection:
                signon.take_link(connection, secret, now)
            raise
        except Refused as err:  # the address can't be reached: nobody else's letter waits for that
            self._write_down(request, person, "link not mailed", str(err))
        else:
            self._write_down(request, person, "link mailed", "somebody asked for it")

    def _behind(self, connection: Connection, request: LinkRequest, now: datetime) -> Person | None:
        """Who is written to; None if nobody is, or if nobody waits for it any more."""
        person = people.reached_by(connection, request.email) if request.at >= now - LINK_LIFE else None
        if person is None or signon.count_links(connection, person.id, now) >= MOST_LINKS:
            return None
        return person

    def _send(self, person: Person, request: LinkRequest, secret: str) -> None:
        if self._mailer is None:
            raise Refused("there is no mail server")
        message = Message(
            kind=Letter.LINK,
            to_address=request.email,
            name=person.name,
            language=person.language or request.language,
            courses=(),
            start_url=self._ways.opened(secret),
        )
        self._mailer.send(message, key=f"link {signon.digest(secret)}")

    def _write_down(self, request: LinkRequest, person: Person, event: str, why: str) -> None:
        with self._store.begin() as connection:
            signon.link_answered(connection, request.id)
            audit.note(connection, event, why, self._now(), person_id=person.id)

    # --- the browser's part ----------------------------------------------------------------------------------------

    def look(self, secret: str) -> tuple[int, str]:
        """Whom a link signs in, and the address that it was mailed to, without using it up. Raises BadSignature, as
        :meth:`open`.
        """
        with self._store.read() as connection:
            person, link = _of(connection, signon.look_at_link(connection, secret, self._now()))
        return person.id, link.email

    def open(self, secret: str, before: str = "") -> str:
        """Sign in whoever opens a link: the secret of a new session. The address is proven by it.

        Of any number who open it at once, one gets in. Raises BadSignature for a link that was never mailed, was used,
        has run out, or whose address has become somebody else's meanwhile. ``before``: as at a launch.
        """
        now = self._now()
        with self._store.begin() as connection:
            person, link = _of(connection, signon.take_link(connection, secret, now))
            session = self._let_in(connection, person, link.email, now, before)
        self._store.bell.ring()
        return session

    def _let_in(self, connection: Connection, person: Person, email: str, now: datetime, before: str) -> str:
        session, target = new_secret(), str(Target(Place.COURSES))
        prove(self._store, connection, person.id, email, How.LINK, now)
        signon.begin_visit(connection, session, person.id, target, now, before=before)
        audit.note(connection, "signed in", "by a mailed link", now, person_id=person.id, facts={"target": target})
        return session


def _of(connection: Connection, link: Link | None) -> tuple[Person, Link]:
    """Whom a link signs in. Raises BadSignature where there is nobody (any more)."""
    person = people.reached_by(connection, link.email) if link else None
    if (
        link is None
        or link.seat_id
        or link.team_id
        or person is None
        or person.id != people.living_id(connection, link.person_id)
    ):
        raise BadSignature("no link that was mailed can still be opened by it")
    return person, link


def _counted(client: str) -> str:
    """The network by which a client is counted, "" for this machine. Of IPv6 everybody has a whole one of their own."""
    try:
        address = ip_address(client)
    except ValueError:
        return client
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return "" if address.is_loopback else str(IPv6Network((int(address), _ONE_CLIENT), strict=False))
        address = address.ipv4_mapped
    return "" if address.is_loopback else str(address)
