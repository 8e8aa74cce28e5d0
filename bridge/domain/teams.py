"""Teams: who may do what. One table, that pages, machines and tests read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from bridge.domain.letters import one_line


class TeamRole(StrEnum):
    """What somebody is in a team. Each may do what those before it may."""

    VIEWER = "viewer"
    MANAGER = "manager"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        """The higher, the more it may."""
        return list(TeamRole).index(self)


class Action(StrEnum):
    """What can be done with a team."""

    SEE = "see"  # its pools, its seats and who has them
    EXPORT = "export"
    HISTORY = "history"
    GIVE = "give"  # seats, to people
    RESEND = "resend"
    GIVE_BACK = "give_back"  # take a seat back from whoever has it
    REASSIGN = "reassign"
    APPROVE = "approve"
    ORDERS = "orders"  # see what was ordered: number, purchase order, invoice address
    SETTINGS = "settings"
    MEMBERS = "members"  # invite others to manage, change what they may, take it away
    TOKENS = "tokens"
    TRANSFER = "transfer"  # make somebody else the owner


LEAST: Mapping[Action, TeamRole] = {
    Action.SEE: TeamRole.VIEWER,
    Action.EXPORT: TeamRole.VIEWER,
    Action.HISTORY: TeamRole.VIEWER,
    Action.GIVE: TeamRole.MANAGER,
    Action.RESEND: TeamRole.MANAGER,
    Action.GIVE_BACK: TeamRole.MANAGER,
    Action.REASSIGN: TeamRole.MANAGER,
    Action.APPROVE: TeamRole.MANAGER,
    Action.ORDERS: TeamRole.MANAGER,
    Action.SETTINGS: TeamRole.OWNER,
    Action.MEMBERS: TeamRole.OWNER,
    Action.TOKENS: TeamRole.OWNER,
    Action.TRANSFER: TeamRole.OWNER,
}


def may(role: TeamRole, action: Action) -> bool:
    """Whether somebody with this role may do this."""
    return role.rank >= LEAST[action].rank


def team_name(company: str) -> str:
    """A name as it is kept: one line, and no more than 200 signs. "" for none: pages then say "Your team"."""
    return re.sub(r"\s+", " ", one_line(company)).strip()[:200]


#: The version of the text by which a learner lets a team see how they get on.
CONSENT_TEXT = "2026-11"
