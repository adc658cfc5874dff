"""What a submission's process may see of the course and of the machine, as one list.

An allow-list: what is not in it does not exist for the process. Of the course it holds the modules
of earlier lessons, the runner and the data; never the module that the lesson has one write, an
exercise, a judge, a solution or another submission.
"""

import ast
import functools
import os
import site
import sys
from pathlib import Path

import course
from course import exercises as bank
from course.data import locations
from course.runtime import parse_source

PACKAGE = Path(course.__file__).resolve().parent
# What any lesson may build on, beside the lessons before it.
COMMON = ("data", "runner", "runtime")
# What a lesson uses beside: a module that is no lesson's own and holds none of its answers.
BESIDE = {"fine_tuning": ("checkpoints",)}
# Never visible, whatever imports them.
SECRET = ("authoring", "checks", "cli", "exercises", "grading", "lab")
# Of the system: what Python and its libraries are linked against, and what they look up.
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
LOOKED_UP = (
    "/etc/alternatives",
    "/etc/fonts",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/ssl/certs",
    "/etc/ssl/openssl.cnf",
)
HOME = "/home/student"


def modules(lesson):
    """The modules of the course that a submission of this lesson may import, sorted.

    Args:
        lesson: its name; None for all lessons' modules.
    """
    return list(_modules(lesson, PACKAGE))


@functools.cache  # reading every module takes longer than grading a small notebook
def _modules(lesson, package):
    number = bank.about(lesson).number if lesson else "99"
    earlier = [name for name in bank.lessons() if bank.about(name).number < number]
    hidden = {*SECRET, *bank.lessons()} - {*earlier}  # this lesson's own, and later ones'
    waiting, found = [*COMMON, *earlier, *BESIDE.get(lesson, ())], set()
    while waiting:
        name = waiting.pop()
        if name in found or name in hidden or not _files(name):
            continue
        found.add(name)
        for file in _files(name):
            for path in file.rglob("*.py") if file.is_dir() else [file]:
                waiting += _imports(path) if path.suffix == ".py" else []
    return tuple(sorted(f"course.{name}" for name in found))


def _files(name):
    """A module's folder, or its file and those beside it that carry its name."""
    if (PACKAGE / name).is_dir():
        return [PACKAGE / name]
    return [path for path in sorted(PACKAGE.glob(f"{name}.*")) if path.suffix != ".pyc"]


@functools.cache
def _imports(path):
    """The first names below `course` that a file imports."""
    found = []
    for node in ast.walk(parse_source(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [item.name for item in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [f"{node.module}.{item.name}" for item in node.names]
        else:
            continue
        found += [name.split(".")[1] for name in names if name.startswith("course.")]
    return found


def view(lesson, secret=(), folder=None, scratch=256_000_000, uid=None):
    """The list of what is visible, in the form that `confine.new_root` takes.

    Args:
        lesson: its name; None for all lessons' modules.
        secret: folders that must not be visible, wherever they lie.
        folder: the submission's own folder on this machine; None where it gets one in memory.
        scratch: bytes that it may write where its folders are in memory.
        uid: the user that it will be; this process's own if None.
    """
    reads = [path for path in _machine() if os.path.exists(path)]
    own = {PACKAGE / "__init__.py", locations.embedded_root()}
    own |= {file for name in modules(lesson) for file in _files(name.removeprefix("course."))}
    if "course.checkpoints" in modules(lesson):
        own.add(locations.embedded_root().parent / "bert")
    if given := os.environ.get("COURSE_DATA"):
        own.add(Path(given).resolve())
    hidden = {PACKAGE, *(Path(each).resolve() for each in secret)}
    if (PACKAGE.parent / "pyproject.toml").exists():  # a checkout, not an installation
        beside = ("solutions", "tests", "benchmarks", ".git")
        hidden |= {PACKAGE.parent / name for name in beside}
    items = []
    for path in map(str, own):
        items.append(("read", path, path))
    for path in reads:
        real = os.path.realpath(path)
        if path in SYSTEM and path != real:
            items.append(("link", path, os.readlink(path)))
        else:
            items += [("read", each, real) for each in {path, real}]
    hidden = {str(path) for path in hidden}
    inside = {path for path in hidden if any(_below(path, read) for _, read, _ in items)}
    items += [("hide", path, "") for path in inside | {str(PACKAGE)}]
    uid = os.getuid() if uid is None else uid
    user = f":x:{uid}:{uid}:student:{HOME}:/bin/sh"
    items += [
        ("text", "/etc/passwd", f"student{user}\n"),
        ("text", "/etc/hosts", "127.0.0.1 localhost\n"),
    ]
    writes = (folder,) if folder else (HOME, "/tmp", "/dev/shm")
    items += [("write", path, scratch) for path in writes]
    return _in_order(items)


def _machine():
    """Folders and files of this machine that a Python with its packages stands on."""
    found = {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}
    found |= set(site.getsitepackages())
    if site.ENABLE_USER_SITE:
        found.add(site.getusersitepackages())
    return [*found, *SYSTEM, *LOOKED_UP]


def _below(path, folder):
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _in_order(items):
    """Parents first, and nothing that the item above it shows already."""
    rank = {"read": 0, "link": 0, "hide": 1, "text": 2, "write": 2}
    kept = []
    for item in sorted(set(items), key=lambda i: (Path(i[1]).parts, rank[i[0]])):
        kind, path, more = item
        above = [each for each in kept if _below(path, each[1])]
        # Shown already: the nearest above is readable, and is of the same place outside.
        if kind == "read" and above and above[-1][0] == "read":
            inside = os.path.relpath(path, above[-1][1])
            if os.path.normpath(os.path.join(above[-1][2], inside)) == more:
                continue
        kept.append(item)
    return kept


def reachable():
    """Files that a submission's process cannot do without."""
    import numpy

    return [os.__file__, numpy.__file__, str(PACKAGE / "runner" / "plans.py")]


def forbidden(secret=()):
    """Places of which the process verifies that it cannot read them."""
    places = [PACKAGE / name for name in ("checks", "exercises", "grading/results", "lab")]
    places += [PACKAGE.parent / "solutions", PACKAGE.parent / "tests", *secret]
    return [str(Path(place).resolve()) for place in places]
