"""All that decides about a course, as one short hash: what has not moved need not be worked out again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from bridge.domain.catalogue import Rule
from bridge.domain.lms import Course, Tree

SIZE = 16  # bytes of a hash


class Basis:
    """What decides beside the course itself: settings, rules, and the categories above it.

    ``given`` is everything else on which the outcome rests, as plain values: the settings, and the versions
    of the programs that make texts fit.
    """

    def __init__(self, tree: Tree, rules: Iterable[Rule], *given: Any) -> None:
        self._tree = tree
        # Rules ask the tree for more than a course's own path: whether their category is there at all.
        told = [(repr(rule), rule.category is None or tree.has(rule.category)) for rule in rules]
        self._given = _hash(told, given)
        self._of_category: dict[int, bytes] = {}

    def digest(self, course: Course) -> str:
        """The same as long as nothing has moved that the product of this course rests on."""
        above = self._of_category.get(course.category_id)
        if above is None:
            path = [(c.id, c.name, c.parent, c.idnumber) for c in self._tree.path(course.category_id)]
            above = self._of_category[course.category_id] = _hash(self._given, path)
        summing = hashlib.blake2b(above, digest_size=SIZE)
        summing.update(_told(_parts(course)))
        return summing.hexdigest()


def _parts(course: Course) -> Sequence[Any]:
    # Each by name, not by its own repr: sets have no order that lasts.
    image = course.image
    return (
        course.id,
        course.fullname,
        course.shortname,
        course.category_id,
        course.summary,
        course.idnumber,
        course.language,
        course.visible,
        course.audience_visible,
        None if course.enrol_methods is None else sorted(course.enrol_methods),
        None if course.tags is None else sorted(course.tags),
        None if image is None else (image.url, image.filename, image.modified),
    )


def _told(value: Any) -> bytes:
    return repr(value).encode()


def _hash(*values: Any) -> bytes:
    return hashlib.blake2b(_told(values), digest_size=SIZE).digest()
