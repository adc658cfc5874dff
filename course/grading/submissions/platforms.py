"""How learning platforms lay a class out in a zip: who handed in which file, when, how late.

    Canvas       lastfirst[_LATE]_USER_FILE_name.ipynb, anonymous: anon_CODE_FILE_name.ipynb;
                 text entries and links: lastfirst[_LATE]_USER_text.html
    Moodle       First Last_NUMBER_assignsubmission_file_[/]name.ipynb, …_onlinetext_…
    Blackboard   Assignment_user_attempt_2026-10-01-12-00-00_name.ipynb, and a .txt beside it
    Gradescope   submission_NUMBER/name.ipynb and submission_metadata.yml above
    Classroom    First Last - name.ipynb
    folders      one folder for each student, with a folder around them or not

Names alone decide. A file of a class whose name says no student is told, and costs nobody.
"""

import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath

from course.grading.submissions import notebooks
from course.grading.submissions.folders import is_junk, printable

METADATA = "submission_metadata.yml"
_CANVAS = re.compile(
    r"^(?P<student>[^/]+?)(?P<late>_LATE)?_(?P<user>\d+|[A-Za-z0-9]{5})_(?P<file>\d+)_(?P<name>[^/]+)$"
)
_CANVAS_TEXT = re.compile(
    r"^(?P<student>[^/]+?)(?P<late>_LATE)?_(?P<user>\d+|[A-Za-z0-9]{5})_(?P<name>(?:text|link)\.html?)$"
)
_MOODLE = re.compile(
    r"^(?P<student>[^/]+?)_(?P<number>\d+)_assignsubmission_(?P<kind>[a-z]+)(?:_(?P<name>.*))?$"
)
_BLACKBOARD = re.compile(
    r"^(?P<head>.+)_attempt_(?P<date>\d{4}(?:-\d\d){5})(?:_(?P<name>.+)|(?P<note>\.txt))$"
)
_CLASSROOM = re.compile(r"^(?P<student>[^/]+?) - (?P<name>[^/]+)$")


@dataclass
class Layout:
    """Where the files of a zip belong.

    Attributes:
        platform: "canvas", "moodle", "blackboard", "gradescope", "classroom" or "folders".
        places: {name in the zip: [places below the folder of submissions, STUDENT/…]}.
        students: {student: what the platform says}: "number", "late", "date", "email", "id",
            "group" and "folder", as far as it does.
        dates: {name in the zip: when it was handed in, seconds since 1970}.
        unplaced: names that say no student.
    """

    platform: str
    places: dict = field(default_factory=dict)
    students: dict = field(default_factory=dict)
    dates: dict = field(default_factory=dict)
    unplaced: list = field(default_factory=list)

    def put(self, name, student, inside, **said):
        """Notes that a file of the zip is this student's."""
        self.places.setdefault(name, []).append(f"{student}/{inside}")
        known = self.students.setdefault(student, {})
        known.update({key: value for key, value in said.items() if value not in (None, "")})


def layout(names, metadata=None):
    """Sorts the names of a zip by student.

    Args:
        names: of its files.
        metadata: the text of Gradescope's `submission_metadata.yml`, where `own_metadata` names
            one.

    Returns:
        A `Layout`.
    """
    names = [name for name in names if not any(map(is_junk, PurePosixPath(name).parts))]
    if metadata is not None:
        return _gradescope(names, metadata)
    flat = {name: PurePosixPath(name).name for name in names}
    for form, patterns in ((_canvas, (_CANVAS, _CANVAS_TEXT)), (_blackboard, (_BLACKBOARD,))):
        matched = {
            name: next(filter(None, (p.match(last) for p in patterns)), None)
            for name, last in flat.items()
        }
        if 2 * sum(map(bool, matched.values())) > len(names):
            return form(matched)
    parts = {name: _moodle_part(name) for name in names}
    if 2 * sum(map(bool, parts.values())) > len(names):
        return _moodle(parts)
    matched = {name: _CLASSROOM.match(last) for name, last in flat.items()}
    one_folder = len({str(PurePosixPath(name).parent) for name in names}) == 1
    if one_folder and names and all(matched.values()):
        return _classroom(matched)
    found = Layout("folders")
    found.places = {name: [name] for name in names}
    return found


def _labels(known):
    """{key: label} for [(name, number)]: students of one name are told apart by the number."""
    numbers, labels, taken = {}, {}, set()
    for name, number in known:
        numbers.setdefault(name, set()).add(number)
    for name, number in dict.fromkeys(known):
        label = f"{name}-{number}" if len(numbers[name]) > 1 else name
        while label in taken:
            label += f"-{number or 'again'}"
        taken.add(label)
        labels[name, number] = label
    return labels


def _clean(name):
    return re.sub(r"[/\\\0]", " ", printable(name)).strip(". ") or "nameless"


def _canvas(matched):
    found = Layout("canvas", unplaced=[name for name, m in matched.items() if not m])
    known = {name: m.groupdict() for name, m in matched.items() if m}
    labels = _labels([(_clean(m["student"]), m["user"]) for m in known.values()])
    for name, m in known.items():
        student = labels[_clean(m["student"]), m["user"]]
        inside = f"{m['file']}/{m['name']}" if m.get("file") else f"text-entry/{m['name']}"
        # An anonymous code is no number that the gradebook's import knows.
        number = m["user"] if m["user"].isdigit() else None
        found.put(name, student, inside, number=number, late=bool(m["late"]) or None)
    return found


def _moodle_part(name):
    """(match, what is inside) of the first part of a name that Moodle made."""
    parts = PurePosixPath(name).parts
    for place, part in enumerate(parts):
        if match := _MOODLE.match(part):
            return match.groupdict(), "/".join(parts[place + 1 :]), part
    return None


def _moodle(parts):
    found = Layout("moodle", unplaced=[name for name, part in parts.items() if not part])
    known = {name: part for name, part in parts.items() if part}
    labels = _labels([(_clean(m["student"]), m["number"]) for m, _, _ in known.values()])
    for name, (m, inside, _) in known.items():
        student = labels[_clean(m["student"]), m["number"]]
        inside = inside or m["name"] or "file"
        place = f"{m['kind']}/{inside}"
        found.put(
            name,
            student,
            place,
            number=m["number"],
            folder=f"{m['student']}_{m['number']}_assignsubmission_file",
        )
    return found


def _blackboard(matched):
    found = Layout("blackboard", unplaced=[name for name, m in matched.items() if not m])
    known = {name: m.groupdict() for name, m in matched.items() if m}
    heads = sorted({m["head"] for m in known.values()})
    shared = os.path.commonprefix(heads) if len(heads) > 1 else heads[0]  # noqa: RUF071, of letters
    shared = shared[: shared.rfind("_") + 1]  # the assignment's name, which all have in front
    for name, m in known.items():
        student = _clean(m["head"][len(shared) :])
        when = datetime.strptime(m["date"], "%Y-%m-%d-%H-%M-%S").replace(tzinfo=UTC)
        found.put(name, student, f"{m['date']}/{m['name'] or 'attempt.txt'}")
        said = found.students[student]
        said["date"] = max(said.get("date", ""), when.isoformat(timespec="seconds"))
        said["id"] = student
        found.dates[name] = when.timestamp()
    return found


def _classroom(matched):
    found = Layout("classroom")
    for name, m in matched.items():
        found.put(name, _clean(m["student"]), m["name"])
    return found


def own_metadata(names):
    """The name of Gradescope's own metadata in a zip, or None.

    Gradescope puts it at the top, or into the one folder that holds everything else. Anywhere else
    it is a file that a student handed in, and says nothing of the others.
    """
    names = [name for name in names if not any(map(is_junk, PurePosixPath(name).parts))]
    shallow = [name for name in names if PurePosixPath(name).name == METADATA]
    shallow = min(shallow, key=lambda name: len(PurePosixPath(name).parts), default=None)
    if shallow is None:
        return None
    base = shallow.removesuffix(METADATA)
    places = [name.removeprefix(base) for name in names if name != shallow]
    ordered = all(re.match(r"submission_\d+/.", place) for place in places)
    return shallow if base.count("/") <= 1 and places and ordered else None


def _gradescope(names, metadata):
    """Each member of a group has the group's files."""
    found, said = Layout("gradescope"), _submissions(metadata)
    base = PurePosixPath(own_metadata(names)).parent
    submitters = [
        (_clean(each.get("name") or folder), folder)
        for folder, its in said.items()
        for each in its["submitters"] or [{}]
    ]
    labels = _labels(submitters)
    for name in names:
        inside = PurePosixPath(name).relative_to(base)
        folder, *rest = inside.parts
        if not rest:
            continue
        its = said.get(folder, {"submitters": []})
        when = its.get("created_at")
        group = [_clean(each.get("name") or folder) for each in its["submitters"] or [{}]]
        for each, student in zip(its["submitters"] or [{}], group, strict=True):
            label = labels.get((student, folder), student)
            found.put(
                name,
                label,
                "/".join([folder, *rest]),
                number=folder.removeprefix("submission_"),
                date=when and when.isoformat(timespec="seconds"),
                email=each.get("email"),
                id=each.get("sid"),
                group=folder if len(group) > 1 else None,
            )
        if when:
            found.dates[name] = when.timestamp()
    return found


def _submissions(text):
    """{folder: {"submitters": […], "created_at": …}} from Gradescope's YAML.

    Its form is fixed and it is read line by line: names in it are students' words.
    """
    found, folder = {}, None
    for line in text.splitlines()[:2_000_000]:
        if top := re.match(r"^(\S[^:]*):\s*$", line):
            folder = top[1].strip("\"'")
            found[folder] = {"submitters": [], "created_at": None, "depth": None}
            continue
        match = re.match(r"^( *)(- )?:?(\w+):\s*(.*?)\s*$", line) if folder else None
        if not match:
            continue
        indent, item, key, value = len(match[1]), match[2], match[3], match[4].strip("\"'")
        its = found[folder]
        if key == "submitters" and indent <= 2:
            its["depth"] = "submitters"
        elif indent <= 2 and not item:
            its["depth"] = None
            if key == "created_at":
                its["created_at"] = _date(value)
        elif its["depth"] == "submitters" and key in ("name", "sid", "email"):
            if item or not its["submitters"]:
                its["submitters"].append({})
            its["submitters"][-1][key] = value
    return found


def _date(text):
    text = re.sub(r"(\.\d{1,6})\d*", r"\1", text).replace(" Z", "+00:00").replace(" UTC", "+00:00")
    text = re.sub(r" ([+-]\d\d:?\d\d)$", r"\1", text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def kinds_of(names):
    """What a zip holds, in a few words, for an instructor who expected something else."""
    count = sum(notebooks.kind_of(name) == "ipynb" for name in names)
    shown = ", ".join(printable(name) for name in sorted(names)[:4])
    return f"{len(names)} files, {count} of them notebooks: {shown}"
