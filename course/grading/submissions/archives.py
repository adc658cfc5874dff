"""Unpacks what a learning platform hands out: one zip with every student's files.

Canvas names files STUDENT[_LATE]_USER_SUBMISSION_NAME.ipynb, with -1, -2 … for repeated uploads;
Gradescope puts each submission in a folder submission_NUMBER beside a submission_metadata.yml that
names the students. Any other zip is taken as it is: folders of students.

A zip comes from students by way of a platform and is not trusted: what points out of its folder,
a link, a device, a name that stands twice or more bytes than it promises is refused as a whole.
"""

import os
import re
import stat
import zipfile
import zlib
from datetime import datetime
from pathlib import Path, PurePosixPath

from course.grading import GradingError

LARGEST = 4_000_000_000  # bytes unpacked
MANY = 50_000  # files
RATIO = 200  # times smaller in the zip; text comes to 20, a bomb to 1,000
PLAIN = 10_000_000  # bytes of a member that are never taken for a bomb

_CANVAS = re.compile(
    r"^(?P<student>[^_/]+?)(?P<late>_LATE)?_(?P<user>\d+)_(?P<submission>\d+)_(?P<name>[^/]+)$"
)
_AGAIN = re.compile(r"-(\d+)(?=\.\w+$)")
_METADATA = "submission_metadata.yml"


def unpack(path, folder):
    """Unpacks a platform's zip into folders of students.

    Args:
        path: the zip.
        folder: an empty folder that gets FOLDER/STUDENT/FILE.

    Returns:
        {student: number of the platform's own}: Canvas' user, Gradescope's submission; empty for
        other zips.

    Raises:
        GradingError: if it is no zip, or one that must not be unpacked; the message says why.
    """
    path, folder = Path(path), Path(folder)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _checked(path, archive)
            names = [member.filename for member in members]
            numbers = {}
            if metadata := _own_metadata(names):
                place, numbers = _gradescope(path, archive, names, metadata)
            elif names and all(_CANVAS.match(PurePosixPath(name).name) for name in names):
                place, numbers = _canvas(names)
            else:
                place = {name: name for name in names}
            for member in members:
                if member.filename in place:
                    _write(archive, member, folder, place[member.filename])
            return numbers
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise GradingError(f"{path.name} cannot be unpacked: {error}") from None


def _checked(path, archive):
    """The files of a zip, or the reason that it is refused."""

    def refuse(why):
        raise GradingError(f"{path.name} is refused: {why}")

    members = [member for member in archive.infolist() if not member.is_dir()]
    if len(members) > MANY:
        refuse(f"it holds {len(members):,} files, at most {MANY:,}")
    if (total := sum(member.file_size for member in members)) > LARGEST:
        refuse(f"it would unpack to {total / 1e9:.1f} GB, at most {LARGEST / 1e9:.0f} GB")
    seen = set()
    for member in archive.infolist():
        name, shown = member.filename, ascii(member.filename)[:80]
        parts = PurePosixPath(name).parts
        if name.startswith("/") or "\\" in name or ".." in parts or re.match(r"^[A-Za-z]:", name):
            refuse(f"{shown} points out of its folder")
        if "\0" in name or not parts:
            refuse(f"{shown} is no name of a file")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            refuse(f"{shown} is a link or a device")
        if member.flag_bits & 1:
            refuse(f"{shown} is encrypted")
        if name.casefold() in seen:
            refuse(f"{shown} stands in it twice")
        seen.add(name.casefold())
        if member.file_size > max(PLAIN, RATIO * member.compress_size):
            refuse(f"{shown} would unpack to {member.file_size / 1e6:.0f} MB: a zip bomb")
    hidden = ("__MACOSX/", ".")
    return [m for m in members if not m.filename.startswith(hidden)]


def _write(archive, member, folder, place):
    """One file, never more bytes of it than the zip promises, with the zip's date."""
    target = folder / place
    if not target.resolve().is_relative_to(folder.resolve()):
        raise GradingError(f"{ascii(place)[:80]} points out of its folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with archive.open(member) as source, open(target, "xb") as file:
        while data := source.read(1 << 20):
            left -= len(data)
            if left < 0:
                raise GradingError(f"{ascii(member.filename)[:80]} is longer than it says")
            file.write(data)
    try:
        when = datetime(*member.date_time).timestamp()
    except (ValueError, OverflowError):  # a zip may hold 31 February
        return
    os.utime(target, (when, when))


def _canvas(names):
    """{name in the zip: place}, {student: user}; of repeated uploads the last number is newest."""
    found, users = {}, {}
    for name in names:
        parts = _CANVAS.match(PurePosixPath(name).name).groupdict()
        # Two students of one name have two users.
        users.setdefault(parts["student"], set()).add(parts["user"])
        found[name] = parts
    places, numbers = {}, {}
    for name, parts in found.items():
        student = parts["student"]
        if len(users[student]) > 1:
            student = f"{student}-{parts['user']}"
        numbers[student] = parts["user"]
        places[name] = f"{student}/{parts['submission']}/{parts['name']}"
    return places, numbers


def _own_metadata(names):
    """The name of Gradescope's own metadata in a zip, or None.

    Gradescope puts it at the top, or into the one folder that holds everything else. Anywhere else
    it is a file that a student handed in, and says nothing of the others.
    """
    shallow = [name for name in names if PurePosixPath(name).name == _METADATA]
    shallow = min(shallow, key=lambda name: len(PurePosixPath(name).parts), default=None)
    if shallow is None:
        return None
    base = shallow.removesuffix(_METADATA)
    places = [name.removeprefix(base) for name in names if name != shallow]
    ordered = all(re.match(r"submission_\d+/.", place) for place in places)
    return shallow if base.count("/") <= 1 and places and ordered else None


def _gradescope(path, archive, names, metadata):
    """{name in the zip: place}, {student: submission}, from the metadata beside the folders."""
    text = archive.read(metadata).decode("utf-8", "replace")
    students = _students(text)
    base = str(PurePosixPath(metadata).parent)
    places, numbers = {}, {}
    for name in names:
        inside = PurePosixPath(name)
        inside = inside.relative_to(base) if base != "." else inside
        folder, *rest = inside.parts
        if not rest:
            continue
        student = students.get(folder, folder)
        places[name] = "/".join([student, folder, *rest])
        numbers[student] = folder.removeprefix("submission_")
    if not places:
        raise GradingError(f"{path.name} holds no submissions beside {_METADATA}")
    return places, numbers


def _students(text):
    """{folder: student} from Gradescope's YAML, whose form is fixed: no YAML reader is needed.

    A group's folder goes to its first student; all names are in the folder's name otherwise.
    """
    found, folder = {}, None
    for line in text.splitlines():
        if top := re.match(r"^(\S[^:]*):\s*$", line):
            folder = top[1].strip("\"'")
        elif folder and (name := re.match(r"^\s+(?:- )?:?name:\s*(.+?)\s*$", line)):
            student = re.sub(r"[/\\\0]", " ", name[1].strip("\"'")).strip(". ")
            found.setdefault(folder, student or folder)
    counts = list(found.values())
    return {
        folder: name if counts.count(name) == 1 else f"{name}-{folder.removeprefix('submission_')}"
        for folder, name in found.items()
    }


def order(path):
    """A key that puts repeated uploads of one file, as Canvas numbers them, the newest first."""
    again = _AGAIN.search(path.name)
    return -int(again[1]) if again else 0
