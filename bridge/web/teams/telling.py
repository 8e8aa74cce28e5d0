"""What happened to a team, from the audit log into words: when, who did it, what it was, and to whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from bridge.office import Actor
from bridge.store import audit, people, team_tokens, teams
from bridge.web.words import Words


@dataclass(frozen=True, slots=True)
class Line:
    """Something that happened. ``seat`` is the one that it happened to, ``more`` what else there is to say."""

    at: datetime
    who: str
    what: str
    whom: str
    seat: int | None = None
    more: str = ""


def told(connection: Connection, actor: Actor, entries: Iterable[Row[Any]], words: Words) -> list[Line]:
    """Entries of the team's, in words. Members are called by their names, all others by their addresses: whoever types
    an address learns nothing of who is behind it.
    """
    called = {member.person: member.name or member.email for member in teams.members(connection, actor.team.id)}
    tokens = {token.id: token.name for token in team_tokens.tokens_of(connection, actor.team.id)}
    lines = []
    for entry in entries:
        what = _what(entry, words)
        whom = _called(connection, called, entry.person_id)
        who = _who(connection, called, tokens, entry.actor, words)
        lines.append(Line(entry.at, who, what, whom, entry.facts.get("seat"), _more(entry, tokens, words)))
    return lines


def _what(entry: Row[Any], words: Words) -> str:
    if entry.event == "refused" and (entry.cause or "").startswith("no such "):
        return words["team_event_refused_missing"]
    return words.get(f"team_event_{entry.event.replace(' ', '_')}", words["team_event_unknown"])


def _more(entry: Row[Any], tokens: Mapping[int, str], words: Words) -> str:
    """The role that it is about, the token, how many seats, or why it was done."""
    if entry.event == "seats":  # why is the shop's word on its order
        changed = [name for name in ("given", "revived", "ended", "exchanged") if entry.facts.get(name)]
        order = [f"{words['team_order']} {entry.order_id}"] if entry.order_id else []
        return " · ".join([*order, *(words.counted(f"team_seats_{name}", entry.facts[name]) for name in changed)])
    if entry.event in {"seats decided", "refused"}:  # why is in our own words, for the audit log
        return ""
    told = [words.get(f"team_role_{entry.facts['role']}", "")] if entry.facts.get("role") else []
    told += [tokens[entry.facts["token"]]] if entry.facts.get("token") in tokens else []
    told += [words.counted("team_seats_count", many)] if isinstance(many := entry.facts.get("seats"), int) else []
    return " · ".join([*told, entry.cause] if entry.cause else told)


def _called(connection: Connection, called: dict[int, str], person_id: int | None) -> str:
    """What somebody is called, "" for nobody, or whom the ledger knows no more."""
    if person_id is not None and person_id not in called:
        person = people.get_person(connection, person_id)
        called[person_id] = person.email if person else ""
    return called.get(person_id or 0, "")


def _who(connection: Connection, called: dict[int, str], tokens: Mapping[int, str], actor: str, words: Words) -> str:
    kind, _, number = actor.partition(" ")
    if kind == "person" and number.isdigit():
        return _called(connection, called, int(number))
    if kind == "token":
        name = tokens.get(int(number)) if number.isdigit() else None
        named = words["team_actor_program_named"].format(name=name)
        return named if name else words["team_actor_program"].format(n=number)
    return words["team_actor_bridge" if actor == audit.BRIDGE else "team_actor_organisation"]
