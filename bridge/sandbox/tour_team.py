"""The tour's steps with a company: it buys places, and gives them to its people by itself.

Each person has a browser of their own, and comes only by what they were sent.
"""

from __future__ import annotations

from collections.abc import Callable

import requests

from bridge.sandbox.looking import Looking, Wrong
from bridge.sandbox.town import Town
from bridge.sandbox.walker import Walker

COURSE, COMPANY, BOUGHT, REFUNDED = "INTRO", "Harbour & Sons", 10, 2
BUYER = "bea@harbour.example"
#: Whom the company gives its places to, as its file has them. The last one's address is none.
PEOPLE = {
    "ada@harbour.example": ("Ada", "Byte", "en"),
    "ben@harbour.example": ("Ben", "Beam", "en"),
    "cleo@harbour.example": ("Cléo", "Quai", "fr"),
    "dov@harbour.example": ("Dov", "Dock", "en"),
    "ela@harbour.example": ("Ela", "Estuary", "es"),
    "fay.harbour.example": ("Fay", "Ferry", "en"),
}
GOOD = [address for address in PEOPLE if "@" in address]
ADA, BEN, CLEO, DOV, _ELA = GOOD
GUS = "gus@harbour.example"
#: What letters say in their subjects, in the languages of those who answer.
INVITES = {"en": f"{COMPANY} invites you", "fr": COMPANY}


class TeamTour(Looking):
    """The steps. Each goes on where the one before it stopped."""

    def __init__(self, town: Town, patience: float = 30.0) -> None:
        super().__init__(town, patience)
        self._buyer = Walker()
        self._home: requests.Response | None = None
        self._order = 0

    @property
    def _team(self) -> requests.Response:
        """The first page of the team, as its buyer came there."""
        if self._home is None:
            raise Wrong("the buyer never came to the pages of the team")
        return self._home

    def steps(self) -> tuple[Callable[[], str], ...]:
        """All of them, in order."""
        return (
            self.team_bought,
            self.team_given,
            self.team_accepted,
            self.team_declined,
            self.team_taken_back,
            self.team_given_again,
            self.team_refunded,
        )

    def team_bought(self) -> str:
        """A company's buyer registers in the shop, buys ten seats, and goes by the plugin to the pages of the team."""
        who = {"first_name": "Bea", "last_name": "Boss", "email": BUYER, "account": "yes"}
        form: dict[str, str | int] = {"product": self._sold(COURSE), "quantity": BOUGHT}
        form |= {"payment": "card", "company": COMPANY}
        ordered = self._buyer.send(f"{self._town.shop_url}/buy", **form, **who)
        self._order = max(self._shop.orders)
        note = self._note(self._order, f"{BOUGHT} × open seat")
        came = self._buyer.click(ordered, "Give places to your team")
        if not came.url.startswith(f"{self._town.url}/team/") or not came.ok:
            raise Wrong(f"the way ended at {came.url} with status {came.status_code}")
        self._home = came
        if self._totara.user_by_email(BUYER):
            raise Wrong("the buyer was given an account in Totara")
        return note

    def team_given(self) -> str:
        """The team's manager gives seats by a CSV file: a row that is wrong is shown, nobody has an account by that."""
        sold = (self._product(COURSE) or {})["name"]
        pool = self._buyer.click(self._team, sold)
        preview = self._buyer.fill(pool, "/upload", people="", file=as_csv())
        if [one for one in GOOD if self._letters(one)]:
            raise Wrong("somebody was written to before the list was confirmed")
        self._buyer.fill(preview, "/confirm")
        for address in GOOD:
            self._invited(address)
        if [one for one in GOOD if self._totara.user_by_email(one)]:
            raise Wrong("somebody has an account and did not accept")
        return f"{len(GOOD)} of {len(PEOPLE)} were written to, and none has an account before they accept"

    def team_accepted(self) -> str:
        """An employee follows the letter in a browser of their own, accepts, is in the course, and begins to learn."""
        found = self._accepts(ADA)
        ada, course = self._totara.user_by_email(ADA), self._town.ids[COURSE]
        if ada is None or (ada.firstname, ada.lastname) != ("Ada", "Byte"):
            raise Wrong("the account has another name than the list")
        self._totara.finish(ada.id, course, next(iter(self._totara.courses[course].lessons)))
        refused = self._take_back("Ada Byte")
        if refused.status_code != requests.codes.conflict or self._access(ADA, COURSE) != "active":
            raise Wrong(f"the seat of somebody who learns was taken back: {refused.status_code}")
        return f"{found}, and can't lose the seat to anybody any more"

    def team_declined(self) -> str:
        """Another one declines: they get no account by that, and the letter opens nothing any more."""
        ben = Walker()
        if not ben.fill(self._looked_at(ben, BEN), "/decline").ok:
            raise Wrong("nobody could decline")
        if self._look(ben, self._invited(BEN)).ok or self._totara.user_by_email(BEN):
            raise Wrong("whoever declined has an account, or can still accept")
        return "no account in Totara, and the letter is good for nothing"

    def team_taken_back(self) -> str:
        """Somebody accepted and never came: the seat is taken back, and access in Totara rests."""
        dov = Walker()
        dov.leave(self._looked_at(dov, DOV), "/accept", first_name="Dov", last_name="Dock")
        found = self._begins(DOV, COURSE)
        if not (done := self._take_back("Dov Dock")).ok:
            raise Wrong(f"the seat was not taken back: {done.status_code}")
        self._until("access at rest", lambda: self._access(DOV, COURSE) == "suspended")
        return f"{found}; then the seat was open again, and access suspended"

    def team_given_again(self) -> str:
        """The seat of somebody who was only asked is given to somebody else; the first letter is good for nothing."""
        first, cleo = self._invited(CLEO), Walker()
        form = self._buyer.click(self._seat(CLEO), "Give to somebody else")
        self._buyer.fill(form, "/reassign", email=GUS, first_name="Gus", last_name="Gull")
        found = self._accepts(GUS)
        if self._look(cleo, first).ok or self._totara.user_by_email(CLEO):
            raise Wrong("the first letter still opened something")
        return found

    def team_refunded(self) -> str:
        """Two of the ten seats are refunded: open ones go, and whoever learns, or was asked, is left alone."""
        line = self._shop.orders[self._order]["line_items"][0]["id"]
        self._shop.refund(self._order, lines={line: REFUNDED})
        note = self._note(self._order, f"{REFUNDED} × unused seat ended")
        if f"{BOUGHT - REFUNDED - 3} × open seat" not in note:
            raise Wrong(f"other seats are open than should be: {note}")
        if [self._access(one, COURSE) for one in (ADA, GUS)] != ["active", "active"]:
            raise Wrong("somebody who learns has lost the seat, though others were open")
        if not self._look(Walker(), self._invited(_ELA)).ok:
            raise Wrong("somebody who was asked can't answer any more, though seats were open")
        return note

    # --- what they do ----------------------------------------------------------------------------------------------

    def _invited(self, address: str) -> str:
        """The link in the letter by which somebody is asked."""
        language = PEOPLE.get(address, ("", "", "en"))[2]
        return self._mailed(address, INVITES.get(language, COMPANY), "/team/invitation#")

    def _look(self, walker: Walker, link: str) -> requests.Response:
        """What an employee sees who opens the letter's link."""
        page, _, secret = link.partition("#")
        return walker.fill(walker.go(page), "/look", invitation=secret)

    def _looked_at(self, walker: Walker, address: str) -> requests.Response:
        page = self._look(walker, self._invited(address))
        if not page.ok or COMPANY not in page.text.replace("&amp;", "&"):
            raise Wrong(f"the letter's link shows no invitation: {page.status_code}")
        return page

    def _accepts(self, address: str) -> str:
        """Somebody says yes, and is in the course."""
        walker = Walker()
        first, last, _ = PEOPLE.get(address, ("Gus", "Gull", ""))
        page = walker.fill(self._looked_at(walker, address), "/accept", first_name=first, last_name=last)
        return self._in_course(walker, page, address, COURSE)

    def _seat(self, name: str) -> requests.Response:
        """The page of somebody's seat; before they have answered, a team knows them by their address only."""
        return self._buyer.click(self._buyer.go(f"{self._team.url}seats"), name)

    def _take_back(self, name: str) -> requests.Response:
        return self._buyer.fill(self._buyer.click(self._seat(name), "Take back"), "/give-back")


def as_csv() -> bytes:
    """The people as a German or French spreadsheet saves them for the web."""
    rows = [("E-mail", "First name", "Last name", "Language"), *((who, *told) for who, told in PEOPLE.items())]
    return "".join(";".join(row) + "\r\n" for row in rows).encode("utf-8-sig")
