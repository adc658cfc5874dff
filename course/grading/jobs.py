"""`course grade`: a folder of submissions in, records, grades.csv and feedback pages out.

A submission is a unit of its own: read, graded, written as one record. A killed run loses only what
was not written; run again, it grades what is missing or has changed, and nothing twice.
"""

import functools
import sys
import threading
import zipfile
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from course import __version__, runtime
from course import exercises as bank
from course.grading import GradingError, checking
from course.grading import assignment as assignments
from course.grading.grader import grade_document
from course.grading.interrupts import interrupts
from course.grading.results import exports, feedback, records, report
from course.grading.sandbox import cleanup, process
from course.grading.sandbox.worker_pool import WorkerPool
from course.grading.submissions import handout
from course.grading.submissions.collecting import collected
from course.grading.submissions.folders import printable, unread_settings


@dataclass
class Summary:
    """What a run did.

    Attributes:
        out: the folder of results.
        grades: path of grades.csv.
        students: [(student, [records])].
        graded: how many submissions were graded in this run.
        kept: how many records of an earlier run still held.
        ungraded: [(student, reason)] of what could not be graded.
        assignment: path of the assignment.toml that was followed, or None.
        unread: names of files among the submissions that would be settings elsewhere.
        problems: sentences on files of a zip that belong to no student.
    """

    out: Path
    grades: Path
    students: list
    graded: int
    kept: int
    ungraded: list = field(default_factory=list)
    assignment: Path | None = None
    unread: list = field(default_factory=list)
    problems: list = field(default_factory=list)

    def __str__(self):
        lines = [
            f"{len(self.students)} students: {self.graded} submissions graded now, "
            f"{self.kept} kept from an earlier run",
            *(f"ungraded: {student}: {reason}" for student, reason in self.ungraded),
            f"grades    {self.grades}",
            f"feedback  {self.out / 'feedback'}",
            f"report    {self.out / 'report.html'} (for you alone)",
            *([f"followed  {self.assignment}"] if self.assignment else ()),
            *(f"not read  {name}, which lies among the submissions" for name in self.unread),
            *(f"left out  {text}" for text in self.problems),
            f"exports   {self.out / 'canvas.csv'} and {self.out / 'gradescope'}",
            f"records   {self.out / 'records'} (they hold the seed: keep them to yourself)",
        ]
        return "\n".join(map(printable, lines))  # students' words are among them


def grade(
    submissions,
    out,
    *,
    lesson=None,
    seed=None,
    jobs=None,
    progress=None,
    assignment=None,
    limits=None,
    weak_sandbox=False,
):
    """Grades every submission in a folder.

    Args:
        submissions: a folder of students' folders, a folder of notebooks, one notebook, or the zip
            that Canvas or Gradescope gives out.
        out: the folder of results; it is made.
        lesson: grade this lesson only; found from each notebook if None.
        seed: the seed of the checks' inputs; by default a secret one, kept in OUT/seed.txt.
        jobs: how many submissions at a time; the number of cores if None.
        progress: called as `progress(done, total, record)`, first with (0, total, None).
        assignment: path of an assignment.toml, which must lie outside `submissions`: what students
            hand in is never configuration. By default the one beside `submissions`, in the folder
            that holds it, if it is there; its `extra` is code, and needs to be named here.
        limits: `sandbox.Limits`; by default from each lesson.
        weak_sandbox: whether limits alone will do where this machine cannot shut submissions in.

    Returns:
        A `Summary`.

    Raises:
        GradingError: if there is nothing to grade or an argument cannot be followed.
    """
    out, submissions = Path(out), Path(submissions)
    _import_nothing_of(submissions)
    _check(submissions, out, jobs)
    asked = _asked(submissions, assignment)
    lesson = checking.lesson_for(Path(), None, lesson) if lesson else asked.lesson
    cleanup.sweep()
    with collected(submissions, asked, lesson) as (folder, work, platform):
        unread = unread_settings(folder) if folder.is_dir() else []
        seed = records.seed_for(out, seed)
        out.mkdir(parents=True, exist_ok=True)
        for part in (out, out / "records", out / "feedback", out / "gradescope"):
            records.clear_halves(part)
        secret = (submissions, folder, out)
        run = _Run(
            asked, out, seed, limits, jobs or runtime.cores(), weak_sandbox, secret, platform
        )
        finished = run.all(work, progress)
    students = {}
    for each, record in finished:
        students.setdefault(each.student, []).append(record)
    for student, its_records in students.items():
        its_records.sort(key=lambda record: record["lesson"] or "")
        name = its_records[0]["name"]
        page = feedback.page(student, its_records)
        records.write(out / "feedback" / f"{name}.html", page, mode=0o644)
    results = sorted(students.items())
    lessons = {record["lesson"] for _, each in results for record in each if record["lesson"]}
    columns = [e.id for name in bank.lessons() if name in lessons for e in asked.exercises(name)]
    everything = [record for _, each in results for record in each]
    titles = [bank.about(name).title for name in bank.lessons() if name in lessons]
    exports.canvas(out, results, ", ".join(titles) or "Keras Transformer Course")
    exports.gradescope(out, results)
    answers = {}
    for each, record in finished:
        if record["state"] == "graded":
            answers.setdefault(each.lesson, {})[each.student] = each.scan.pieces
    records.write(out / "report.html", report.page(results, answers))
    return Summary(
        out,
        records.write_grades(out, results, columns),
        results,
        graded=sum(not record["kept"] for record in everything),
        kept=sum(record["kept"] for record in everything),
        ungraded=[(r["student"], r["reason"]) for r in everything if r["state"] != "graded"],
        assignment=asked.path,
        unread=unread,
        problems=[text for student, text in platform["problems"] if student is None],
    )


def _import_nothing_of(submissions):
    """Takes the students' folders off Python's path: `python -m` puts the current folder there."""
    below = submissions.resolve()
    sys.path[:] = [each for each in sys.path if not Path(each).resolve().is_relative_to(below)]


def _check(submissions, out, jobs):
    if out.exists() and not out.is_dir():
        raise GradingError(f"--out {out} is a file: give a folder for the results")
    if submissions.is_dir() and out.resolve().is_relative_to(submissions.resolve()):
        raise GradingError(
            f"--out {out} is inside {submissions}, where it would be taken for a student's: "
            "choose a folder outside"
        )
    if jobs is not None and jobs < 1:
        raise GradingError(f"jobs is {jobs}, expected 1 or more submissions at a time")


def _asked(submissions, given):
    """The instructor's `Assignment`: the one that is named, or the one beside the submissions.

    Nothing inside SUBMISSIONS is read here: students put what they like there. For the same reason
    nothing is looked for beside a single notebook, which may lie in a student's own folder.
    """
    if given is not None:
        if submissions.is_dir() and Path(given).resolve().is_relative_to(submissions.resolve()):
            raise GradingError(
                f"--assignment {given} is inside {submissions}, where students' files are, and "
                "what they hand in is never configuration: move it out of that folder"
            )
        return assignments.load(given)
    beside = submissions.resolve().parent / assignments.FILE
    whole_class = submissions.is_dir() or zipfile.is_zipfile(submissions)
    if not whole_class or not beside.is_file():
        return assignments.Assignment()
    return assignments.load(beside, may_run_code=False)


class _Run:
    """What the submissions of a run have in common; its pool is started when one needs it."""

    def __init__(self, asked, out, seed, limits, jobs, weak, secret, platform):
        self.asked, self.out, self.seed, self.limits = asked, out, seed, limits
        self.jobs, self.weak, self.secret = jobs, weak, secret
        self.cancel, self.lock = threading.Event(), threading.Lock()
        self.started, self.known, self.texts, self.platform = None, {}, {}, platform

    def pool(self):
        """The pool of this run.

        Raises:
            sandbox.NotStarted: if this machine starts none, once for all submissions.
        """
        with self.lock:
            if self.started is None:
                self.started = WorkerPool(self.weak, self.secret, cancel=self.cancel)
        self.started.ready()
        return self.started

    def all(self, work, progress):
        """[(work, record)], graded `jobs` at a time; an interrupt ends all processes first."""
        finished = []
        if progress:
            progress(0, len(work), None)
        try:
            with (
                interrupts() as stopped,
                ThreadPoolExecutor(self.jobs, thread_name_prefix="course-grade") as pool,
            ):
                try:
                    waiting = {pool.submit(self.one, each): each for each in work}
                    while waiting:
                        done, _ = wait(waiting, 1.0, return_when=FIRST_COMPLETED)
                        if stopped.is_set():  # it came where Python drops exceptions
                            raise KeyboardInterrupt
                        for future in done:
                            record = future.result()
                            finished.append((waiting.pop(future), record))
                            if progress:
                                progress(len(finished), len(work), record)
                except BaseException:
                    self.cancel.set()
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
        finally:
            if self.started is not None:
                self.started.close()
        order = {id(each): i for i, each in enumerate(work)}
        return sorted(finished, key=lambda pair: order[id(pair[0])])

    def one(self, work):
        """Grades one submission, or takes the record of an earlier run that still holds."""
        path = self.out / "records" / work.record_name
        prints = self.prints(work.lesson) if work.lesson and not work.reason else {}
        identity = {"content": work.content, "seed": self.seed, "reason": work.reason}
        before = records.load(path)
        changed = None  # every exercise
        # A record that says "our fault" is tried again.
        if before and before["identity"] == identity and not before["again"]:
            known = before["exercise_identities"]
            changed = {name for name in prints if known.get(name) != prints[name]}
        if changed is not None and not changed and list(prints) == list(known):
            record = before | _circumstances(work, self.asked, self.platform) | {"kept": True}
        else:
            record = self.graded(work, before, changed) | {"identity": identity, "kept": False}
            record["exercise_identities"] = prints
        if record | {"kept": False} != before:
            records.save(path, record | {"kept": False})
        return record

    def prints(self, lesson):
        """The fingerprints of a lesson's exercises, made once."""
        with self.lock:
            if lesson not in self.known:
                self.known[lesson] = self.asked.fingerprints(lesson)
            return self.known[lesson]

    def handed_out(self, lesson):
        """The texts of a lesson's cells, read once."""
        with self.lock:
            if lesson not in self.texts:
                self.texts[lesson] = handout.cells_of(
                    lesson, self.asked.path and self.asked.path.parent
                )
            return self.texts[lesson]

    def graded(self, work, before, changed):
        """A record of one submission, graded now.

        Args:
            work: the `Work`.
            before: its record of an earlier run, or None.
            changed: ids of the exercises whose parts of that record no longer hold; None for all.
        """
        record = _blank(work, self.asked, self.seed, self.platform)
        if work.reason:
            return record
        limits = self.limits or limits_for(work.lesson)
        record["limits"] = asdict(limits)
        exercises = self.asked.exercises(work.lesson)
        kept = {}
        if changed is not None and before["state"] == "graded":
            kept = {e["exercise"]: e for e in before["exercises"] if e["exercise"] not in changed}
        try:
            pool = self.pool()
            record["sandbox"] = str(pool)
            graded, flags, notes, seconds = grade_document(
                work.document,
                exercises,
                self.seed,
                only={e.id for e in exercises} - kept.keys(),
                lesson=work.lesson,
                refused=assignments.refused(work.lesson),
                handed_out=self.handed_out(work.lesson),
                limits=limits,
                pool=pool,
                scan=work.scan,
            )
        except process.Cancelled:
            raise
        except Exception as error:  # whatever it is, the others' grades do not wait for it
            kind = "" if isinstance(error, process.NotStarted) else f"{type(error).__name__}: "
            return record | {"again": True, "reason": f"our fault: {kind}{error}"[:600]}
        new = {each.exercise.id: records.of_exercise(each, work.document) for each in graded}
        parts = [kept.get(e.id) or new[e.id] for e in exercises]
        if all(part["status"] == "missing" for part in parts):
            return record | {"reason": f"no exercise of lesson {work.lesson} was found in it"}
        whole = all(part["points"] is not None for part in parts)
        return record | {
            "state": "graded",
            "again": not whole,
            "flags": [*record["flags"], *flags],
            "notes": notes,
            "exercises": parts,
            "points": sum(part["points"] for part in parts) if whole else None,
            "seconds": seconds,
        }


def _circumstances(work, asked, platform):
    """What may change without the file's content: its date, the files beside it, the deadline."""
    modified = None
    if work.path:
        modified = datetime.fromtimestamp(work.path.stat().st_mtime, UTC)
    said = platform["students"].get(work.key, {})
    if said.get("date"):
        modified = datetime.fromisoformat(said["date"])
    late = bool(modified and asked.deadline and modified > asked.deadline) or bool(said.get("late"))
    return {
        "platform": {"name": platform["platform"], **said},
        "problems": [text for student, text in platform["problems"] if student == work.key],
        "files": [work.shown(path) for path in work.files],
        "modified": modified.isoformat(timespec="seconds") if modified else None,
        "late": late,
    }


def _blank(work, asked, seed, platform):
    """The record of a submission that is not graded."""
    exercises = asked.exercises(work.lesson) if work.lesson else []
    return {
        "format": records.FORMAT,
        "student": work.student,
        "name": work.name,
        "lesson": work.lesson,
        "title": bank.about(work.lesson).title if work.lesson else None,
        "state": "ungraded",
        "again": False,
        "reason": work.reason,
        "flags": [*work.notes, *(work.document.flags if work.document else ())],
        "notes": [],
        "exercises": [],
        "points": None,
        "max_points": float(sum(exercise.points for exercise in exercises)),
        "versions": {"course": __version__, **_versions()},
        "sandbox": "not run",
        "seed": seed,
        "seconds": 0.0,
        "graded": datetime.now(UTC).isoformat(timespec="seconds"),
        **_circumstances(work, asked, platform),
    }


_versions = functools.cache(runtime.versions)  # looked up on the disk


def limits_for(lesson):
    """The limits of a lesson: three times what its solution takes, where that is long."""
    seconds = float(bank.about(lesson).seconds)
    return process.Limits(wall=max(60.0, 3 * seconds), cell=max(20.0, seconds))
