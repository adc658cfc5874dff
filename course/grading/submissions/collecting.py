"""From what an instructor names to a list of submissions: zips unpacked, files read, lessons found.

Everything that comes from students is parsed by a `Reader`, in processes of their own.
"""

import contextlib
import os
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

from course import exercises as bank
from course.grading import GradingError
from course.grading.sandbox import cleanup
from course.grading.submissions import archives, folders, handout, notebooks, reading
from course.grading.submissions.reader import Overrun, Reader
from course.grading.submissions.selection import plan_work

RETRIES = 3  # cells of a file that may each take its reading down
NO_PLATFORM = {"platform": "folders", "students": {}, "problems": []}


@contextlib.contextmanager
def collected(submissions, asked, lesson, reader=None):
    """The submissions of a class, as long as their unpacked files are there.

    Args:
        submissions: a folder, a notebook, or a platform's zip.
        asked: the `Assignment`.
        lesson: only this lesson counts; any if None.
        reader: the `Reader` that reads; one of its own if None.

    Yields:
        (the folder of students' folders, [`selection.Work`], what `archives.unpack` gives)

    Raises:
        GradingError: if there is nothing to grade.
    """
    known = {name: bank.about(name) for name in bank.lessons()}
    beside = asked.path and asked.path.parent

    def handed_out(name):
        return handout.cells_of(name, beside) if lesson in (None, name) else ()

    about = reading.about_lessons(known, asked.exercises, handed_out)
    prefix = f"{cleanup.PREFIX}{os.getpid()}-"  # what a killed run leaves, `sweep` removes
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix))
        reader = reader or stack.enter_context(Reader(about))
        folder, platform = submissions, NO_PLATFORM
        if submissions.is_file() and zipfile.is_zipfile(submissions):
            folder = Path(place, "class")
            platform = archives.unpack(submissions, folder, reader.do)
        elif submissions.is_file() and notebooks.kind_of(submissions) is None:
            raise GradingError(
                f"{submissions} is neither a notebook (.ipynb, .py) nor a zip: give a folder of "
                "students' folders, or the zip of a platform"
            )
        handed = folders.find(folder, {each.file for each in known.values()})
        handed = [
            _with_zips(each, Path(place, f"zips-{n}"), reader) for n, each in enumerate(handed)
        ]
        work = plan_work(folder, lesson, _careful(reader), about, handed)
        yield folder, work, platform


def _with_zips(handed, place, reader):
    """A student's files with those of the zips that were handed in instead of notebooks."""
    if handed.files or not handed.zips:
        return handed
    files, flags = [], []
    for number, path in enumerate(handed.zips[:20]):
        inside = place / str(number)
        try:
            found = archives.unpack_one(path, inside, reader.do)
        except GradingError as error:
            flags.append(folders.printable(error))
            continue
        flags += [f"in {path.name}: {text}" for text in found]
        files += folders.files_in(inside)
    flags.append(f"read from {', '.join(path.name for path in handed.zips[:3])}")
    return replace(
        handed,
        files=tuple(files),
        root=place if files else handed.root,
        flags=(*handed.flags, *flags),
    )


def _careful(reader):
    """`read(path, only)`: a cell that takes its reading down is left out of the next."""

    def read(path, only):
        skip, why = [], ""
        size = path.stat().st_size
        for _ in range(RETRIES):
            try:
                return reader.do(
                    "read",
                    seconds=5 + size // 20_000_000,
                    path=str(path),
                    only=only,
                    skip=skip,
                )
            except (Overrun, GradingError) as error:
                why, at = str(error), getattr(error, "at", -1)
                if at < 0 or at in skip:
                    break
                skip.append(at)
        content = f"{size} bytes of {path.stat().st_mtime_ns}"
        return {"unreadable": why, "lesson": only, "content": content}

    return read
