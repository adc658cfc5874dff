"""Grades one submission: its cells run in a process of their own, the judging happens here.

This process holds the exercises, the inputs, the judges and the secret seed, and runs no student's
code. What crosses the pipe are cells, plans and plain results.
"""

from dataclasses import dataclass, field

from course.checks.examiner import Report, examine
from course.grading.outcomes import UNREADABLE, cell_error, guarded, received
from course.grading.sandbox import process
from course.grading.sandbox.process import Lost, Output
from course.grading.sandbox.worker_pool import WorkerPool
from course.grading.submissions import reading
from course.runner import SECONDS, Failure, Outcome

MOST_PIECES = 1000  # statements of a cell that are run one by one
EXCERPT = 2000  # characters of a cell's output that are kept for its feedback


class _Fault(Exception):
    """An exercise's own fault, not the student's."""


class CellFailure(Failure):
    """The error of the cell that should have defined the name, from before any input was drawn."""


@dataclass
class Graded:
    """What came of one exercise of a submission.

    Attributes:
        exercise: the `Exercise`.
        found: how its cell was found, a `matching.Found`.
        report: the examiner's `Report`; None if it could not be graded.
        fault: why it could not be graded.
        met: for each probe, what stopped it: a `runner.Failure` or None.
        error: the error of its cell, as the worker describes it, or None.
        output: the end of what its cell printed.
        seconds: wall time of its probes.
    """

    exercise: object
    found: object
    report: Report | None = None
    fault: str | None = None
    met: list = field(default_factory=list)
    error: dict | None = None
    output: str = ""
    seconds: float = 0.0


@dataclass
class Session:
    """One submission at work: the process, what happened to each cell, the time used.

    Use it as a context manager; at its end no process of the submission is left.

    Attributes:
        document: the `notebooks.Document`.
        found: {exercise id: `matching.Found`}.
        names: {exercise id: the name that it defines}.
        lesson: the lesson's name, or None.
        refused: modules that the submission may not import.
        limits: its `sandbox.Limits`.
        pool: the `WorkerPool` that its processes come from.
        needless: indices of cells that are not run, see `handout`.
        statements: {index: ((line, text), …)} of each cell that answers an exercise.
        drawn: whether its process has seen hidden inputs: a later one may have learnt of them.
    """

    document: object
    found: dict
    names: dict
    lesson: str | None
    refused: list
    limits: process.Limits
    pool: WorkerPool
    needless: set = field(default_factory=set)
    statements: dict = field(default_factory=dict)
    drawn: bool = False
    worker: object = None
    starts: int = 0
    used: float = 0.0
    took: dict = field(default_factory=dict)  # {index: seconds of a cell}
    spent: dict = field(default_factory=dict)  # {exercise id: seconds of its probes}
    flags: list = field(default_factory=list)
    notes: list = field(default_factory=list)  # for the instructor only
    errors: dict = field(default_factory=dict)
    outputs: dict = field(default_factory=dict)
    fatal: dict = field(default_factory=dict)  # {index: numbers of statements not run again}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._let_go()

    def _let_go(self):
        if self.worker is not None:
            self.used += self.worker.used
            self.worker.close()
            self.worker = None

    @property
    def seconds(self):
        """Seconds that the submission has used."""
        return self.used + (self.worker.used if self.worker else 0.0)

    @property
    def left(self):
        """Seconds left of the submission's time."""
        return self.limits.wall - self.seconds

    def flag(self, text):
        """Notes something that student and instructor may know, as long as it tells no input."""
        if self.drawn:
            self.note(text)
        elif text not in self.flags:
            self.flags.append(text)

    def note(self, text):
        """Notes something for the instructor; hidden inputs may speak from it."""
        if text not in self.notes:
            self.notes.append(text)

    def prepare(self):
        """Makes sure that there is a process in which the cells have run.

        Raises:
            Lost: if the submission has used up its processes.
            NotStarted: if this machine starts none.
        """
        while self.worker is None:
            if self.starts > self.limits.restarts:
                raise Lost("used up", f"{self.starts} processes of it have ended")
            self.starts += 1
            self.worker = self.pool.fork(self.limits, self.lesson, self.refused)
            for cell in self.document.cells:
                if cell.index not in self.needless and not self._run(cell):
                    break

    def _run(self, cell):
        """Runs one cell; False if that ended the process, which begins afresh without its cause.

        A cell that answers an exercise is run statement by statement: one that stops, or ends the
        process, costs itself and not the definitions around it.
        """
        index = cell.index
        names = [n for e, n in self.names.items() if self.found[e].index == index]
        pieces = self.statements.get(index) if names else None
        if not pieces or len(pieces) > MOST_PIECES:
            pieces = ((1, cell.source),)
        fatal = self.fatal.setdefault(index, set())
        pieces = [(n, *piece) for n, piece in enumerate(pieces) if n not in fatal]
        if not pieces:
            return True
        seconds = self._seconds_for(index, names)
        if seconds < 0.5:
            self.flag(f"{cell.label} was not run, its time was used up by others")
            return True
        before, output = self.seconds, Output(self.limits.output)
        self.worker.output = output
        try:
            for number, line, text in pieces:
                left = max(0.5, seconds - (self.seconds - before))
                request = {"do": "cell", "index": index, "source": "#\n" * (line - 1) + text}
                request["names"] = names
                try:
                    answer = self.worker.ask(request, left, interrupt=True)
                except Lost as lost:
                    fatal.add(number)
                    self._lost_in(cell, lost, seconds)
                    return False
                if not self._goes_on(cell, answer, seconds):
                    fatal.add(number)
                    self._let_go()
                    return False
        finally:
            if not self.drawn:
                self.outputs.setdefault(index, _excerpt(output))
            if output.total > output.limit:
                size, kept = output.total / 1e6, output.limit / 1e6
                self.flag(f"{cell.label} printed {size:.0f} MB, {kept:.0f} MB kept")
        self.took[index] = self.seconds - before
        return True

    def _seconds_for(self, index, names):
        """How long a cell may take; one with several answers has the time of several."""
        most = self.limits.cell * max(1, len(names))
        seconds = min(most, self.left - (0 if names else self.limits.reserve))
        if index in self.took:  # in a process that was lost: it gets what it needed then
            seconds = max(seconds, min(self.left, 1 + 2 * self.took[index]))
        return seconds

    def _goes_on(self, cell, answer, seconds):
        """Notes the error of what was run; False if the process is not fit to go on."""
        error = answer.get("error")
        if answer["interrupted"]:
            self.flag(f"{cell.label} was stopped after {seconds:.0f} s")
            error = _too_slow(seconds, error)
        if error is not None and not self.drawn:
            self.errors.setdefault(cell.index, cell_error(error))
        # What such a one leaves behind depends on the moment, and may fill the memory.
        return not answer["interrupted"] and cell_error(error)["type"] != "MemoryError"

    def _lost_in(self, cell, lost, seconds):
        """Notes a cell that took the process with it."""
        self._let_go()
        if lost.why == "time":
            self.flag(f"{cell.label} was stopped after {seconds:.0f} s, and the process with it")
            error = _too_slow(seconds, None)
        else:
            how = "it wrote into the grader's files" if lost.why == "malformed" else lost.detail
            self.flag(f"{cell.label} ended the process ({how or lost.why})")
            error = {"message": "This cell ended the whole process."}
        if not self.drawn:
            self.errors.setdefault(cell.index, cell_error(error))

    def executor(self, exercise):
        """The `execute` that the examiner calls for this exercise."""
        found, broken = self.found[exercise.id], []

        def execute(plan):
            if found.status == "missing":
                message = f"no cell of the file defines {exercise.defines}"
                return Outcome(failure=Failure("missing", message=message))
            if broken:  # it took a process with it: its other probes would do so too
                return Outcome(failure=broken[0])
            before = self.seconds
            try:
                return self._plan(exercise, found, plan)
            except Lost as lost:
                self._let_go()
                self.note(
                    str(lost)
                    if lost.why == "used up"
                    else f"{exercise.id} took its process with it ({lost})"
                )
                broken.append(_lost_failure(lost))
                return Outcome(failure=broken[0])
            finally:
                spent = self.spent.get(exercise.id, 0.0)
                self.spent[exercise.id] = spent + self.seconds - before

        return execute

    def _plan(self, exercise, found, plan):
        if self.left <= 0:
            self.flag(f"its {self.limits.wall:g} s are used up")
            return Outcome(failure=Failure("time", message=f"{self.limits.wall:g}"))
        left = self.limits.exercise - self.spent.get(exercise.id, 0.0)
        if left <= 0:
            return Outcome(failure=Failure("time", message=f"{self.limits.exercise:g}"))
        self.prepare()
        self.worker.output = Output(0)  # what is printed now could show hidden inputs
        asked = plan.get("seconds", SECONDS.get(self.worker.backend, 10.0))
        seconds = max(0.5, min(float(asked), self.left, left))
        request = {
            "do": "plan",
            "name": exercise.defines,
            "index": found.index,
            "plan": plan | {"seconds": seconds},
        }
        self.drawn = True
        answer = self.worker.ask(request, seconds + 2 * self.limits.grace)
        if "plan_error" in answer:
            raise _Fault(f"its plan cannot be carried out: {answer['plan_error']}"[:300])
        outcome = received(answer.get("outcome"), plan)
        error = self.errors.get(found.index)
        if outcome.failure and outcome.failure.kind == "missing" and error:
            # The name is not there because its cell stopped: that is what to tell.
            return Outcome(failure=CellFailure(*_cell_failure(error)))
        return outcome

    def grade(self, exercise, seed):
        """Puts one exercise's probes; a `Graded`, and never an exception of the student's."""
        found, before = self.found[exercise.id], self.seconds
        graded = Graded(exercise, found)
        try:
            execute = self.executor(exercise)

            def noted(plan):
                outcome = execute(plan)
                graded.met.append(outcome.failure)
                return outcome

            graded.report = examine(guarded(exercise, self.note), noted, seed, found.source)
        except (process.Cancelled, process.NotStarted):
            raise
        except Exception as error:  # inputs, plan or examiner: ours
            graded.fault = f"{type(error).__name__}: {error}"[:300]
            self.flag(f"{exercise.id} could not be graded, the fault is the check's own")
        graded.error = self.errors.get(found.index)
        graded.output = self.outputs.get(found.index, "")
        graded.seconds = self.seconds - before
        return graded


def grade_document(
    document,
    exercises,
    seed,
    *,
    only=None,
    lesson=None,
    refused=(),
    handed_out=(),
    limits=None,
    pool=None,
    scan=None,
):
    """Grades the cells of one submission.

    Args:
        document: a `notebooks.Document`.
        exercises: the lesson's exercises, in order.
        seed: the seed of their inputs.
        only: ids of those to grade; all if None.
        lesson: the lesson's name; it decides which modules of the course are visible.
        refused: modules that the submission may not import.
        handed_out: texts of the lesson's cells, those that nothing graded uses are not run.
        limits: `sandbox.Limits`; the defaults if None.
        pool: the `WorkerPool` to fork from; one of its own if None.
        scan: the `reading.Scan` of the document; made here if None.

    Returns:
        (list of `Graded`, flags, notes for the instructor only, seconds used)

    Raises:
        sandbox.NotStarted: if this machine starts no process.
    """
    if pool is None:
        with WorkerPool() as pool:
            return grade_document(
                document,
                exercises,
                seed,
                only=only,
                lesson=lesson,
                refused=refused,
                handed_out=handed_out,
                limits=limits,
                pool=pool,
                scan=scan,
            )
    scan = scan or reading.scan(document, exercises, handed_out)
    found = scan.found
    names = {exercise.id: exercise.defines for exercise in exercises}
    limits = limits or process.Limits()
    session = Session(
        document,
        found,
        names,
        lesson,
        list(refused),
        limits,
        pool,
        scan.needless,
        scan.statements,
    )
    with session:
        if any(each.status != "missing" for each in found.values()):
            try:
                session.prepare()  # so that the cells' time is not the first exercise's
            except Lost as lost:
                session.flag(str(lost))
        wanted = [e for e in exercises if only is None or e.id in only]
        graded = [session.grade(exercise, seed) for exercise in wanted]
        return graded, session.flags, session.notes, round(session.seconds, 3)


def _too_slow(seconds, error):
    return cell_error(error) | {"type": "time", "message": f"{seconds:.0f}"}


def _cell_failure(error):
    """The fields of the failure that stands for a cell's error."""
    kind = "time" if error["type"] == "time" else "exception"
    return kind, error["type"], error["message"], error["line"], error["source"]


def _lost_failure(lost):
    if lost.why == "time":
        return Failure("time", message=lost.detail)
    if lost.why == "malformed":
        return UNREADABLE
    if lost.why == "used up":
        return Failure("exception", message="The notebook ends its process again and again.")
    return Failure("exception", message="It ended the whole process.")


def _excerpt(output):
    """The start and end of what a cell printed, as text."""
    text = bytes(output.kept).decode("utf-8", "replace").strip()
    if len(text) > EXCERPT:
        text = f"{text[: EXCERPT // 2]}\n…\n{text[-EXCERPT // 2 :]}"
    return text
