"""How far learners are in an embedded Totara's courses."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from bridge.sandbox.totara_things import Course


class Completions:
    """The part of a Totara that is about completion. A course with lessons is complete once all of them are."""

    lock: threading.RLock
    courses: dict[int, Course]

    def __init__(self) -> None:
        self.completions: dict[tuple[int, int], int] = {}
        self.finished: dict[tuple[int, int], dict[str, int]] = {}  # user, course -> lesson -> when

    if TYPE_CHECKING:

        def now(self) -> int:
            """The time, in whole seconds since 1970: the whole Totara's."""

    def complete(self, user_id: int, course_id: int) -> None:
        """Mark a course complete for a learner, as the learner would by self completion; with all of its lessons."""
        with self.lock:
            self.completions.setdefault((user_id, course_id), self.now())
            done = self.finished.setdefault((user_id, course_id), {})
            done |= {lesson: self.now() for lesson in self.courses[course_id].lessons if lesson not in done}

    def finish(self, user_id: int, course_id: int, lesson: str) -> None:
        """Mark one lesson of a course done. One that the course does not have is a ValueError."""
        with self.lock:
            lessons = self.courses[course_id].lessons
            if lesson not in lessons:
                raise ValueError(f"course {course_id} has no lesson {lesson}")
            done = self.finished.setdefault((user_id, course_id), {})
            done.setdefault(lesson, self.now())
            if len(done) == len(lessons):
                self.complete(user_id, course_id)

    def lessons_of(self, user_id: int, course_id: int) -> dict[str, int | None]:
        """The lessons of a course, and when the learner finished each, None for not yet."""
        done = self.finished.get((user_id, course_id), {})
        return {lesson: done.get(lesson) for lesson in self.courses[course_id].lessons}

    def per_cent(self, user_id: int, course_id: int) -> int:
        """How far the learner is, rounded down as Totara does."""
        if (user_id, course_id) in self.completions:
            return 100
        lessons = self.lessons_of(user_id, course_id)
        return 100 * sum(when is not None for when in lessons.values()) // (len(lessons) or 1)
