"""Finds what students handed in, as folders: SUBMISSIONS/STUDENT/…/NOTEBOOK.ipynb.

Links that lead out of a student's folder are not followed: they would hand in another's file.
"""

import hashlib
import os
import re
import unicodedata
from dataclasses import dataclass, replace
from pathlib import Path

from course.grading import GradingError
from course.grading.submissions import notebooks

# What a platform or an instructor configures grading with. What students hand in never does.
SETTINGS = ("assignment.toml", "overrides.csv", "roster.csv", "submission_metadata.yml")
# What machines put among files by themselves.
_JUNK = re.compile(
    r"\._.*|\.DS_Store|__MACOSX|__pycache__|\.ipynb_checkpoints|Thumbs\.db|desktop\.ini|\.git"
    r"|\.Trash.*|\.venv|site-packages|node_modules|\.writing-.*",
    re.IGNORECASE,
)
MOST_FILES = 5_000  # of one student
DEEPEST = 12  # folders
_AGAIN = re.compile(r"-(\d+)(?=\.\w+$)|\((\d+)\)(?=\.\w+$)")


@dataclass(frozen=True)
class Handed:
    """One student's files, the newest first, and the folder that they are shown relative to.

    `flags` name files that look like the grader's own settings, which are never read, and what
    else an instructor should know. `zips` are read where there is no notebook. `empty` says what
    there is instead where there is neither. `key` is the name as the folder or file has it.
    """

    student: str
    files: tuple
    root: Path
    flags: tuple = ()
    zips: tuple = ()
    empty: str = ""
    key: str = ""


def is_junk(name):
    """Whether a file or folder of this name was made by a machine, not handed in."""
    return _JUNK.fullmatch(name) is not None


def find(folder, lesson_files=()):
    """Finds the students and their files.

    Args:
        folder: a folder of students' folders, a folder of notebooks, or one notebook.
        lesson_files: names of the lessons' notebooks; a folder that holds one directly is the
            folder of one student.

    Returns:
        A list of `Handed`, sorted by student. A student's notebooks count wherever they are in
        the student's folder; hidden files only where there are no others. Where there is no
        notebook, .py files count.

    Raises:
        GradingError: if there is nothing to grade.
    """
    folder = Path(folder)
    if folder.is_file():
        own = folder.name in lesson_files
        name = folder.parent.resolve().name if own else notebooks.stem_of(folder)
        return [Handed(name, (folder,), folder.parent, key=name)]
    if not folder.is_dir():
        raise GradingError(f"there is no folder {folder}: give the folder of submissions")
    folder = class_of(folder, lesson_files)
    folders, files = {}, {}
    for entry in sorted(folder.iterdir()):
        if is_junk(entry.name) or entry.is_symlink():
            continue
        if entry.is_dir():
            folders[entry.name] = entry
        elif entry.is_file() and (notebooks.kind_of(entry) == "ipynb" or _is_zip(entry)):
            own = entry.name in lesson_files
            name = folder.resolve().name if own else notebooks.stem_of(entry)
            name = name.removesuffix(entry.suffix) if _is_zip(entry) else name
            files.setdefault(name, []).append(entry)
    if not folders and not files:
        raise GradingError(
            f"{folder} holds no submissions: expected one folder for each student, "
            f"SUBMISSIONS/STUDENT/NOTEBOOK.ipynb, and found {_found_in(folder)}"
        )
    found = [
        _handed(name, folders.get(name), files.get(name, []), folder)
        for name in sorted({*folders, *files})
    ]
    return sorted(_told_apart(found), key=lambda each: each.student)


def class_of(folder, lesson_files=()):
    """The folder of students in a folder that holds nothing else, as some zips have one on top."""
    for _ in range(3):
        inside = [each for each in sorted(folder.iterdir()) if not is_junk(each.name)]
        if len(inside) != 1 or not inside[0].is_dir() or inside[0].is_symlink():
            return folder
        within = [each for each in inside[0].iterdir() if not is_junk(each.name)]
        students = [each for each in within if each.is_dir() and _files(each)[0]]
        notes = [e for e in within if e.is_file() and notebooks.kind_of(e) == "ipynb"]
        own = any(each.name in lesson_files for each in notes)
        if own or len(students) + len(notes) < 2:
            return folder
        folder = inside[0]
    return folder


def _handed(name, folder, files, parent):
    """What one student handed in, in a folder, beside it, or both."""
    found, others, flags = list(files), [], []
    if folder is not None:
        inside, others, cut = _files(folder)
        found += inside
        flags = _flags(folder)
        if cut:
            flags.append(f"more than {MOST_FILES:,} files or {DEEPEST} folders deep: not all read")
    zips = tuple(path for path in [*found, *others] if _is_zip(path))
    found = [path for path in found if not _is_zip(path)]
    seen = ", ".join(sorted(path.name for path in others)[:3])
    return Handed(
        unicodedata.normalize("NFC", printable(name)),
        tuple(sorted(found, key=_newest)),
        folder if folder is not None else parent,
        tuple(flags),
        zips if not found else (),
        f"no notebook was found, but {seen}" if seen else "",
        name,
    )


def _told_apart(handed):
    """No two of one name: two spellings of a letter look the same and are two folders."""
    seen, found = set(), []
    for each in handed:
        name, count = each.student, 2
        while name in seen:
            name, count = f"{each.student} ({count})", count + 1
        seen.add(name)
        flags = each.flags
        if name != each.student:
            flags = (*flags, f"there is another {each.student}, whose name looks the same")
        found.append(replace(each, student=name, flags=flags))
    return found


def _files(folder):
    """(notebooks, or .py files where there is none; other files; whether some were left out).

    FIFOs and devices are no files.
    """
    seen, cut = [], False
    for place, names, files in os.walk(folder):
        deep = len(Path(place).relative_to(folder).parts)
        cut = cut or (deep >= DEEPEST and bool(names)) or len(seen) > MOST_FILES
        names[:] = sorted(n for n in names if not is_junk(n)) if deep < DEEPEST else []
        if len(seen) > MOST_FILES:
            break
        seen += [Path(place, name) for name in sorted(files) if not is_junk(name)]
    seen = [path for path in seen if path.is_file() and not _leads_out(path, folder)]
    for hidden in (False, True):
        mine = [path for path in seen if hidden or not _is_hidden(path.relative_to(folder))]
        for kind in ("ipynb", "py"):
            if files := [path for path in mine if notebooks.kind_of(path) == kind]:
                return files, [path for path in mine if path not in files], cut
    return [], seen, cut


def files_in(folder):
    """The notebooks in a folder, or its .py files where there is none, the newest first."""
    return sorted(_files(folder)[0], key=_newest)


def _is_hidden(path):
    return any(part.startswith(".") for part in path.parts)


def _is_zip(path):
    return path.suffix.lower() == ".zip"


def _found_in(folder):
    names = sorted(each.name for each in folder.iterdir())
    shown = ", ".join(printable(name) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "nothing"


def _flags(folder):
    """What to tell of settings that lie in a student's folder."""
    found = set()
    for count, (place, _, files) in enumerate(os.walk(folder)):
        found |= {name for name in SETTINGS if name in files}
        if count > MOST_FILES or len(Path(place).parts) > 200:
            break
    return [f"a file {name} was handed in; it was not read" for name in sorted(found)]


def unread_settings(folder):
    """Names of files in the folder of submissions itself that would be settings elsewhere."""
    return [name for name in SETTINGS if Path(folder, name).is_file()]


def _leads_out(path, folder):
    """Whether a link in a student's folder leads to what is not the student's."""
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):  # links in a circle
        return True


def _newest(path):
    again = _AGAIN.search(path.name)
    number = int((again[1] or again[2])[:9]) if again else 0
    return -path.stat().st_mtime_ns, -number, str(path)


def printable(text):
    """Text that neither a terminal nor a table acts on: control characters become "?".

    Among them are the escape sequences that move a cursor, and the marks that turn the direction
    of writing around.
    """
    return "".join(
        "?" if unicodedata.category(c) in ("Cc", "Cs") or c in _TURNS else c for c in str(text)
    )


_TURNS = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def safe_names(students):
    """File names for students: letters, digits, dots and dashes; no two alike.

    Args:
        students: their names.

    Returns:
        {student: name} of at most 120 bytes; a name that had to change, or that a file system
        which ignores case takes for another's, ends in a piece of its hash.
    """
    plain = {student: _plain(student) for student in students}
    lower = [name.casefold() for name in plain.values()]
    names, taken = {}, set()
    # Those that keep their names first, so that no other can take one by looking like a hash.
    for student in sorted(plain, key=lambda s: plain[s] != s):
        name, digits = plain[student], 8
        digest = hashlib.sha256(student.encode("utf-8", "surrogatepass")).hexdigest()
        if name != student or lower.count(name.casefold()) > 1:
            name = f"{plain[student]}-{digest[:digits]}"
        while name.casefold() in taken:
            digits += 8
            name = f"{plain[student]}-{digest[:digits]}"
        taken.add(name.casefold())
        names[student] = name
    return {student: names[student] for student in plain}


def _plain(student):
    text = unicodedata.normalize("NFC", student)
    text = re.sub(r"[^\w.\-]+", "_", text)
    text = text.encode("utf-8", "replace")[:100].decode("utf-8", "ignore")
    return re.sub(r"^[.\-]+", "_", text) or "_"
