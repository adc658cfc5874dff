"""Decides which of a student's files count: for each lesson, the newest that can be read."""

from dataclasses import dataclass
from pathlib import Path

from course import exercises as bank
from course.grading.submissions import folders, reading


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
    scan: object = None
    key: str = ""

    def shown(self, path):
        """A file's name as the instructor sees it, inside the student's folder."""
        inside = self.root is not None and path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside else path.name

    @property
    def record_name(self):
        return f"{self.name}.{self.lesson or 'unknown'}.json"


def plan_work(folder, lesson=None, read=None, lessons=None, handed=None):
    """Reads every student's files and decides which count: the newest of each lesson.

    Args:
        folder: the folder of submissions, or one file.
        lesson: only this lesson counts; any if None.
        read: `read(path, only)`, what `reading.read_file` gives; read in this process if None.
        lessons: what `reading.about_lessons` gives; the course's own if None.
        handed: what `folders.find` gives for the folder; looked up if None.

    Returns:
        A list of `Work`, one for each student and lesson.
    """
    known = {name: bank.about(name) for name in bank.lessons()}
    if lessons is None:
        lessons = reading.about_lessons(known, bank.of_lesson, lambda name: ())
    if handed is None:
        handed = folders.find(folder, {about.file for about in known.values()})
    names = folders.safe_names([each.student for each in handed])
    work = []
    for each in handed:
        choose = _Choice(each, names[each.student], lesson)
        for path in each.files:
            choose.add(
                path,
                read(path, lesson) if read else reading.read_file(lessons, path, lesson),
            )
        work += choose.work()
    return work


class _Choice:
    """One student's files, sorted by lesson."""

    def __init__(self, handed, name, lesson):
        self.handed, self.name, self.only = handed, name, lesson
        self.readable, self.unreadable = {}, []

    def add(self, path, answer):
        """Takes in what was read of a file."""
        lesson = answer["lesson"]
        if reason := answer.get("unreadable"):
            if self.only in (None, lesson):
                self.unreadable.append((path, lesson, reason, answer["content"]))
        elif self.only in (None, lesson) or lesson is None:
            self.readable.setdefault(lesson, []).append((path, answer))

    def work(self):
        """One `Work` for each lesson; the newest readable file counts."""
        found = []
        for lesson, group in self.readable.items():
            if lesson is None and len(self.readable) > 1:
                continue  # a scratch notebook beside the real one
            path, answer = group[0]
            lesson = lesson or self.only
            damaged = [(p, reason) for p, its, reason, _ in self.unreadable if its == lesson]
            files = (path, *(p for p, _ in group[1:]), *(p for p, _ in damaged))
            reason = "" if lesson else "no exercise of this course was found in it"
            notes = [f"{p.name} is unreadable: {why}" for p, why in damaged]
            found.append(self._make(lesson, path, files, answer, reason, notes))
        graded = {each.lesson for each in found}
        for path, lesson, reason, content in self.unreadable:
            if lesson not in graded:
                graded.add(lesson)
                read = {"content": content}
                found.append(self._make(lesson, path, (path,), read, f"unreadable: {reason}"))
        if not found:
            wanted = f"of lesson {self.only} " if self.only else ""
            reason = self.handed.empty or f"no notebook {wanted}was found"
            found.append(self._make(self.only, None, (), {}, reason))
        return found

    def _make(self, lesson, path, files, answer, reason, notes=()):
        return Work(
            self.handed.student,
            self.name,
            lesson,
            path,
            files,
            self.handed.root,
            reading.document_of(answer) if "cells" in answer else None,
            answer.get("content", ""),
            reason,
            (*self.handed.flags, *notes),
            reading.scan_of(answer),
            self.handed.key,
        )
