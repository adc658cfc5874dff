"""Finds what students handed in, as folders: SUBMISSIONS/STUDENT/…/NOTEBOOK.ipynb.

Links that lead out of a student's folder are not followed: they would hand in another's file.
"""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from course.grading import GradingError
from course.grading.submissions import archives


@dataclass(frozen=True)
class Handed:
    """One student's files, the newest first, and the folder that they are shown relative to.

    `flags` name files that look like the grader's own settings; they are never read.
    """

    student: str
    files: tuple
    root: Path
    flags: tuple = ()


# What a platform or an instructor configures grading with. What students hand in never does.
SETTINGS = ("assignment.toml", "overrides.csv", "roster.csv", "submission_metadata.yml")


def find(folder, lesson_files=()):
    """Finds the students and their files.

    Args:
        folder: a folder of students' folders, a folder of notebooks, or one notebook.
        lesson_files: names of the lessons' notebooks; a folder that holds one directly is the
            folder of one student.

    Returns:
        A list of `Handed`, sorted by student. A student's notebooks count wherever they are in
        the student's folder; hidden files do not. Where there is no notebook, .py files count.

    Raises:
        GradingError: if there is nothing to grade.
    """
    folder = Path(folder)
    if folder.is_file():
        name = folder.parent.resolve().name if folder.name in lesson_files else folder.stem
        return [Handed(name, (folder,), folder.parent)]
    if not folder.is_dir():
        raise GradingError(f"there is no folder {folder}: give the folder of submissions")
    found = {}
    for entry in sorted(folder.iterdir()):
        if _hidden(entry.name):
            continue
        if entry.is_dir():
            found.setdefault(entry.name, []).extend(_files(entry))
        elif entry.suffix == ".ipynb" and not entry.is_symlink():
            name = folder.resolve().name if entry.name in lesson_files else entry.stem
            found.setdefault(name, []).append(entry)
    if not found:
        raise GradingError(
            f"{folder} holds no submissions: expected one folder for each student, "
            "SUBMISSIONS/STUDENT/NOTEBOOK.ipynb"
        )
    return [
        Handed(
            name,
            tuple(sorted(found[name], key=_newest)),
            folder / name if (folder / name).is_dir() else folder,
            _flags(folder / name),
        )
        for name in sorted(found)
    ]


def _files(folder):
    """A student's notebooks, or .py files where there is none; FIFOs and devices are no files."""
    for suffix in (".ipynb", ".py"):
        files = [
            path
            for path in folder.rglob(f"*{suffix}")
            if path.is_file()
            and not _leads_out(path, folder)
            and not any(map(_hidden, path.relative_to(folder).parts))
        ]
        if files:
            return files
    return []


def _flags(folder):
    """What to tell of settings that lie in a student's folder."""
    names = {path.name for name in SETTINGS for path in folder.rglob(name)}
    return tuple(f"a file {name} was handed in; it was not read" for name in sorted(names))


def unread_settings(folder):
    """Names of files in the folder of submissions itself that would be settings elsewhere."""
    return [name for name in SETTINGS if Path(folder, name).is_file()]


def _leads_out(path, folder):
    """Whether a link in a student's folder leads to what is not the student's."""
    return not path.resolve().is_relative_to(folder.resolve())


def _newest(path):
    return -path.stat().st_mtime_ns, archives.order(path), str(path)


def _hidden(name):
    return name.startswith((".", "__MACOSX", "__pycache__"))


def safe_names(students):
    """File names for students: letters, digits, dots and dashes; no two alike.

    Args:
        students: their names.

    Returns:
        {student: name}; a name that had to change, or that a file system which ignores case takes
        for another's, ends in a piece of its hash.
    """
    plain = {student: _plain(student) for student in students}
    lower = [name.lower() for name in plain.values()]
    return {
        student: name
        if name == student and lower.count(name.lower()) == 1
        else f"{name}-{hashlib.sha256(student.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"
        for student, name in plain.items()
    }


def _plain(student):
    text = unicodedata.normalize("NFC", student)
    text = re.sub(r"[^\w.\-]+", "_", text)[:60]
    return re.sub(r"^[.\-]+", "_", text) or "_"
