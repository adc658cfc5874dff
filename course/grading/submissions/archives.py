"""Unpacks what a learning platform hands out: one zip with every student's files.

A zip comes from students by way of a platform and is not trusted. It is read in a process of its
own (see `reader`), and whatever is wrong with one file costs the student whose file it is: one
that points out of its folder, a link, a device, one that is encrypted, damaged or a bomb is left
out and told. Only what is no zip at all is refused.
"""

import contextlib
import os
import re
import stat
import unicodedata
import zipfile
from dataclasses import asdict
from datetime import datetime
from pathlib import Path, PurePosixPath

from course.grading import GradingError
from course.grading.submissions import platforms
from course.grading.submissions.folders import is_junk, printable
from course.grading.submissions.reader import Overrun

LARGEST = 4_000_000_000  # bytes unpacked
LARGEST_SHARE = 1_000_000_000  # bytes unpacked of one student
MANY = 50_000  # files
RATIO = 200  # times smaller in the zip; text comes to 20, a bomb to 1,000
PLAIN = 100_000_000  # bytes of a member that are never taken for a bomb: printed output packs well
LONGEST_PART = 150  # bytes of one part of a name; what is longer is cut
AT_A_TIME = 200  # files
_POINTS_OUT = "points out of its folder"


def unpack(path, folder, do=None):
    """Unpacks a platform's zip into folders of students.

    Args:
        path: the zip.
        folder: an empty folder that gets FOLDER/STUDENT/FILE.
        do: `Reader.do`; unpacked in this process if None.

    Returns:
        A dict: "platform", "students" {student: what the platform says} and "problems"
        [(student or None, sentence)].

    Raises:
        GradingError: if it is no zip, or holds nothing that can be unpacked; it says why.
    """
    path, folder, do = Path(path), Path(folder), do or _here
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found = do("layout", seconds=30, path=str(path))
    except Overrun as overrun:
        raise GradingError(f"{path.name} cannot be unpacked: {overrun.why}") from None
    return _unpacked(path, folder, do, found)


def unpack_one(path, folder, do=None):
    """Unpacks the zip that one student handed in, whatever its files are called.

    Returns:
        Sentences on what was left out.

    Raises:
        GradingError: as for `unpack`.
    """
    path, folder, do = Path(path), Path(folder), do or _here
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found = do("layout", seconds=10, path=str(path))
    except Overrun as overrun:
        raise GradingError(f"{path.name} cannot be unpacked: {overrun.why}") from None
    names = [name for _, name, _ in found["members"]]
    own = {"places": {name: [f"files/{name}"] for name in names}, "dates": {}, "unplaced": []}
    done = _unpacked(path, folder, do, found | own)
    return [text for _, text in done["problems"]]


def _here(action, seconds=0, **given):
    return {"layout": layout_of, "unpack": unpack_some}[action](None, **given)


def layout_of(known, path, at=None):
    """The `platforms.Layout` of a zip as plain data, with "members" and "problems".

    Raises:
        GradingError: if it is no zip, or none that can be unpacked.
    """
    path = Path(path)
    with _opened(path) as archive:
        members, problems, names = [], [], {}
        infos = archive.infolist()
        if len(infos) > MANY:
            raise GradingError(
                f"{path.name} is refused: it holds {len(infos):,} files, at most {MANY:,}"
            )
        for number, member in enumerate(infos):
            name = _name_of(member)
            if member.is_dir() or any(map(is_junk, PurePosixPath(name).parts)):
                continue
            if why := _wrong(member, name):
                problems.append([name, why])
            elif name.casefold() in names:
                problems.append([name, "stands in it twice"])
            else:
                names[name.casefold()] = name
                members.append([number, name, member.file_size])
        own = platforms.own_metadata([name for _, name, _ in members])
        text = None
        if own:
            number = next(n for n, name, _ in members if name == own)
            with archive.open(infos[number]) as file:
                text = file.read(50_000_000).decode("utf-8", "replace")
        # What is left out still says whose it is.
        left_out = [name for name, why in problems if why != _POINTS_OUT and name not in names]
        found = platforms.layout([*(name for _, name, _ in members), *left_out], text)
    return asdict(found) | {"members": members, "problems": problems}


@contextlib.contextmanager
def _opened(path):
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        raise GradingError(f"{path.name} cannot be unpacked: {printable(error)}") from None


def _name_of(member):
    """A member's name; zips of old Windows and macOS hold bytes of another encoding."""
    name = member.filename
    if not member.flag_bits & 0x800 and not name.isascii():
        with contextlib.suppress(UnicodeError):
            raw = name.encode("cp437")
            name = _decoded(raw) or name
    parts = [part for part in name.split("/") if part not in ("", ".")]
    start = "/" if name.startswith("/") else ""
    return start + unicodedata.normalize("NFC", "/".join(parts))


def _decoded(raw):
    """UTF-8, or the Chinese GB 18030; None where it is neither, and taken for cp437."""
    with contextlib.suppress(UnicodeDecodeError):
        return raw.decode("utf-8")
    # The common characters are pairs of bytes from 0xA1 on; a single such byte is a European's.
    if re.search(rb"[\xb0-\xf7][\xa1-\xfe]", raw):
        with contextlib.suppress(UnicodeDecodeError):
            return raw.decode("gb18030")
    return None


def _wrong(member, name):
    """Why a member of a zip is not unpacked, or None."""
    original = member.filename
    parts = PurePosixPath(name).parts
    if (
        original.startswith("/")
        or "\\" in original
        or ".." in parts
        or re.match(r"^[A-Za-z]:", original)
    ):
        return _POINTS_OUT
    if "\0" in original or not parts:
        return "is no name of a file"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        return "is a link or a device"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.file_size > max(PLAIN, RATIO * member.compress_size):
        return f"would unpack to {member.file_size / 1e6:.0f} MB: a zip bomb"
    return None


def _unpacked(path, folder, do, found):
    """Writes the files of a layout, a few at a time; one that ends its process is left out."""
    jobs, used, shares, places = [], 0, {}, _apart(found["places"])
    problems = [(_owner(places.get(name)), _said(name, why)) for name, why in found["problems"]]
    problems += [(None, _said(name, "says no student")) for name in found["unplaced"]]
    sizes = {}
    for number, name, size in found["members"]:
        if name in places:
            jobs.append([number, name, places[name], found["dates"].get(name)])
            sizes[number] = size
    kept = []
    for job in jobs:
        student = job[2][0].partition("/")[0]
        size = sizes[job[0]] * len(job[2])
        shares[student] = shares.get(student, 0) + size
        if shares[student] > LARGEST_SHARE or used + size > LARGEST:
            problems.append((student, _said(job[1], "is more than there is room for")))
            continue
        used += size
        kept.append(job)
    while kept:
        batch, kept = kept[:AT_A_TIME], kept[AT_A_TIME:]
        bytes_of_all = sum(sizes[job[0]] for job in batch)
        done, more = _batch(path, folder, do, batch, 10 + bytes_of_all // 10_000_000)
        problems += [(job[2][0].partition("/")[0], _said(job[1], why)) for job, why in more]
        kept = [job for job in batch if job[0] not in done] + kept
    for student, _ in problems:
        if student is not None:  # whoever handed in nothing that can be used has a row all the same
            (folder / student).mkdir(exist_ok=True)
    if not any(folder.iterdir()):
        shown = "; ".join(text for _, text in problems[:3])
        raise GradingError(
            f"{path.name} is refused: nothing in it can be unpacked"
            + (f". {shown}" if shown else f". It holds {platforms.kinds_of(list(places))}")
        )
    return {
        "platform": found["platform"],
        "students": {_shortened(name): said for name, said in found["students"].items()},
        "problems": problems,
    }


def _batch(path, folder, do, batch, seconds):
    """(numbers that are dealt with, [(job, why it was left out)])."""
    given = {"path": str(path), "folder": str(folder), "jobs": batch}
    try:
        answer = do("unpack", seconds=seconds, **given)
    except Overrun as overrun:
        stopped = next((job for job in batch if job[0] == overrun.at), None)
        if stopped is None:  # before the first
            return {job[0] for job in batch}, [(job, overrun.why) for job in batch]
        before = batch[: batch.index(stopped)]
        for place in stopped[2]:
            (folder / place).unlink(missing_ok=True)
        return {job[0] for job in before} | {stopped[0]}, [(stopped, overrun.why)]
    wrong = dict(answer)
    return (
        {job[0] for job in batch},
        [(job, wrong[job[0]]) for job in batch if job[0] in wrong],
    )


def unpack_some(known, path, folder, jobs, at=lambda number: None):
    """Writes some files of a zip.

    Args:
        path: the zip.
        folder: where to.
        jobs: [[number of the member, name, places, seconds since 1970 or None]].
        at: called with each number before it is read.

    Returns:
        [[number, why it was left out]].
    """
    wrong = []
    with _opened(Path(path)) as archive:
        infos = archive.infolist()
        for number, _, places, when in jobs:
            at(number)
            for place in places:
                try:
                    _write(archive, infos[number], Path(folder), place, when)
                except MemoryError:
                    raise
                except Exception as error:  # whatever a damaged file does to its decoder
                    Path(folder, place).unlink(missing_ok=True)
                    text = str(error) if isinstance(error, GradingError) else ""
                    wrong.append([number, text or f"is damaged ({type(error).__name__})"])
                    break
    return wrong


def _write(archive, member, folder, place, when):
    """One file, never more bytes of it than the zip promises, with the zip's date."""
    target = folder / place
    if not target.resolve().is_relative_to(folder.resolve()):
        raise GradingError(_POINTS_OUT)
    target.parent.mkdir(parents=True, exist_ok=True)
    left = member.file_size
    with archive.open(member) as source:
        if target.exists():
            return  # done by a process that ended later
        with open(target, "xb") as file:
            while data := source.read(1 << 20):
                left -= len(data)
                if left < 0:
                    raise GradingError("is longer than it says")
                file.write(data)
    if when is None:
        try:
            when = datetime(*member.date_time).timestamp()
        except (ValueError, OverflowError):  # a zip may hold 31 February
            return
    os.utime(target, (when, when))


def _apart(places):
    """{name: places} in which none is a folder of another, and no part is too long for a disk."""
    short = {name: [_shortened(place) for place in its] for name, its in places.items()}
    folders = {
        str(parent).casefold()
        for its in short.values()
        for place in its
        for parent in PurePosixPath(place).parents
    }
    taken, found = set(), {}
    for name, its in short.items():
        found[name] = []
        for place in its:
            path = PurePosixPath(place)
            while str(path).casefold() in taken | folders:  # `a` beside `a/b`, or cut to the same
                path = path.with_name(f"again-{path.name}")
            taken.add(str(path).casefold())
            found[name].append(str(path))
    return found


def _shortened(place):
    parts = []
    for part in PurePosixPath(place).parts:
        data = part.encode("utf-8", "replace")
        if len(data) > LONGEST_PART:
            end = PurePosixPath(part).suffix[:20]
            part = data[: LONGEST_PART - 30].decode("utf-8", "ignore") + end
        parts.append(part)
    return "/".join(parts)


def _owner(places):
    """The student whose file has these places, or None."""
    first, _, rest = places[0].partition("/") if places else ("", "", "")
    return first if rest else None


def _said(name, why):
    return f"{printable(name)[:80]} {why}"
