"""Decides which of a student's files count: for each lesson, the newest that can be read."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from course import exercises as bank
from course.grading import GradingError, checking
from course.grading.submissions import folders, matching, notebooks


@dataclass(frozen=True)
class Work:
    """One submission to grade: a student's file that counts, or the reason that none does."""

    student: str
    name: str
    lesson: str | None
    path: Path | None = None
    files: tuple = ()
    root: Path | None = None
    document: object = None
    content: str = ""
    reason: str = ""
    notes: tuple = ()

    def shown(self, path):
        """A file's name as the instructor sees it, inside the student's folder."""
        inside = self.root is not None and path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside else path.name

    @property
    def record_name(self):
        return f"{self.name}.{self.lesson or 'unknown'}.json"


def plan_work(folder, lesson=None):
    """Reads every student's files and decides which count: the newest of each lesson.

    Args:
        folder: the folder of submissions, or one file.
        lesson: only this lesson counts; any if None.

    Returns:
        A list of `Work`, one for each student and lesson.
    """
    known = {name: bank.about(name) for name in bank.lessons()}
    handed = folders.find(folder, {about.file for about in known.values()})
    names = folders.safe_names([each.student for each in handed])
    work = []
    for each in handed:
        choose = _Choice(each, names[each.student], lesson, known)
        for path in each.files:
            choose.read(path)
        work += choose.work()
    return work


class _Choice:
    """One student's files, sorted by lesson."""

    def __init__(self, handed, name, lesson, known):
        self.handed, self.name, self.only, self.known = handed, name, lesson, known
        self.readable, self.unreadable = {}, []

    def read(self, path):
        try:
            document = notebooks.read(path)
        except notebooks.Unreadable as error:
            nothing = notebooks.Document(())  # its name may still say the lesson
            lesson = matching.lesson_of(path, nothing, self.known, bank.of_lesson) or self.only
            if self.only in (None, lesson):
                self.unreadable.append((path, lesson, str(error)))
            return
        try:
            lesson = checking.lesson_for(path, document)
        except GradingError:
            lesson = None
        if self.only in (None, lesson) or lesson is None:
            self.readable.setdefault(lesson, []).append((path, document))

    def work(self):
        """One `Work` for each lesson; the newest readable file counts."""
        found = []
        for lesson, group in self.readable.items():
            if lesson is None and len(self.readable) > 1:
                continue  # a scratch notebook beside the real one
            path, document = group[0]
            lesson = lesson or self.only
            damaged = [(p, reason) for p, its, reason in self.unreadable if its == lesson]
            files = (path, *(p for p, _ in group[1:]), *(p for p, _ in damaged))
            reason = "" if lesson else "no exercise of this course was found in it"
            notes = [f"{p.name} is unreadable: {why}" for p, why in damaged]
            found.append(self._make(lesson, path, files, document, reason, notes))
        graded = {each.lesson for each in found}
        for path, lesson, reason in self.unreadable:
            if lesson not in graded:
                graded.add(lesson)
                found.append(self._make(lesson, path, (path,), None, f"unreadable: {reason}"))
        if not found:
            wanted = f"of lesson {self.only} " if self.only else ""
            found.append(self._make(self.only, None, (), None, f"no notebook {wanted}was found"))
        return found

    def _make(self, lesson, path, files, document, reason, notes=()):
        return Work(
            self.handed.student,
            self.name,
            lesson,
            path,
            files,
            self.handed.root,
            document,
            hashlib.sha256(path.read_bytes()).hexdigest() if path else "",
            reason,
            (*self.handed.flags, *notes),
        )
