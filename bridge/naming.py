"""What the things are called that seats give: a course by Totara, all else by its kind and id."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping

from bridge.domain.offers import Item, Kind
from bridge.domain.texts import one_language
from bridge.errors import BridgeError
from bridge.totara_client import TotaraClient

#: Seconds for which a name is taken to be the same, and for which Totara is not asked again after it did not answer.
KNOWN, AWAY = 600.0, 60.0


class Names:
    """Names of courses, remembered for some minutes: a page asks Totara seldom, and is shown without it too."""

    def __init__(self, totara: TotaraClient) -> None:
        self._totara = totara
        self._names: dict[int, str] = {}
        self._asked: dict[int, float] = {}  # course -> when it may be asked for again
        self._lock = threading.Lock()

    def of(self, items: Iterable[Item], language: str) -> Mapping[Item, str]:
        """What each item is called, in this language if Totara has it; nobody waits for a name that is not told."""
        wanted = list(items)
        self._look([item.id for item in wanted if item.kind is Kind.COURSE])
        named = {item: self._names.get(item.id, "") if item.kind is Kind.COURSE else "" for item in wanted}
        return {item: one_language(name, language) or str(item) for item, name in named.items()}

    def apart(self, items: Collection[Item], language: str, *, picked: bool) -> Mapping[Item, str]:
        """What tells things apart that were sold under one name: each one's own. Nothing where that name says it all:
        it is one thing, and was not ``picked`` among several; and nothing for what has no name of its own.
        """
        if len(items) < 2 and not picked:
            return {}
        return {item: name for item, name in self.of(items, language).items() if name != str(item)}

    def _look(self, courses: list[int]) -> None:
        now = time.monotonic()
        with self._lock:
            new = [one for one in courses if self._asked.get(one, 0.0) <= now]
            self._asked.update(dict.fromkeys(new, now + AWAY))  # nobody else asks meanwhile
        if not new:
            return
        try:
            found = self._totara.find_courses(new)
        except BridgeError:
            return
        with self._lock:
            self._names.update({one: course.fullname for one, course in found.items()})
            self._asked.update(dict.fromkeys(new, now + KNOWN))
