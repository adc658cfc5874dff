"""The examiner: puts an exercise's probes to a student's code and says which mistake it holds.

It keeps the mistakes that explain all probes, those that passed included, so that two slips which
look alike on one probe are told apart by another.
"""

import ast
import inspect
import re
import textwrap
from dataclasses import dataclass, replace

from course import runner, runtime
from course.checks.counterexample import smallest
from course.checks.declaration import ADVICE, Verdict
from course.checks.explaining import VAGUE, explain
from course.checks.judges import sentence_case
from course.checks.properties import size

FAILURES = {
    "missing": "missing",
    "not callable": "not-callable",
    "not written": "not-written",
    "arguments": "wrong-arguments",
    "exception": "exception",
    "time": "too-slow",
    "result": "wrong-type",
}

# Colours and cursor movements that a framework writes into its messages.
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class ProbeReport:
    """What came of one probe: its title, points and verdict."""

    title: str
    points: float
    max_points: float
    verdict: Verdict


@dataclass(frozen=True)
class Report:
    """What came of one exercise.

    Attributes:
        exercise: the `Exercise`.
        probes: one `ProbeReport` for each probe that was reached.
        mistakes: at most two ids that explain all that was seen; empty when all passed.
        together: whether both are in the answer; else it is one of the two.
        symptom: a true sentence on what came back, where no mistake is known by name.
        counterexample: a `Counterexample` of the first failure, or None.
    """

    exercise: object
    probes: tuple
    mistakes: tuple
    together: bool = False
    symptom: str = ""
    counterexample: object = None

    @property
    def passed(self):
        return not self.mistakes

    @property
    def points(self):
        return sum(probe.points for probe in self.probes)

    @property
    def max_points(self):
        return self.exercise.points

    @property
    def first_failure(self):
        return next((probe for probe in self.probes if not probe.verdict.passed), None)

    @property
    def _all_hold(self):
        """Whether all of the mistakes are there: told together, or each seen by itself."""
        if self.together:
            return True
        judge = self.exercise.probes[self.probes.index(self.first_failure)].judge
        return set(self.mistakes) <= set(getattr(judge, "mends", ()))

    @property
    def message(self):
        """The named mistakes as sentences, then what was seen."""
        if self.passed:
            return f"Passed all {len(self.probes)} public checks."
        detail = self.first_failure.verdict.detail
        joint = " And also: " if self._all_hold else " Or: "
        named = joint.join(self.sentence(mistake) for mistake in self.mistakes)
        return f"{named} {detail}".strip() if detail else named

    def sentence(self, mistake):
        """The sentence for one of the mistakes, or the symptom where it has no name."""
        if self.symptom and mistake in VAGUE:
            return self.symptom
        return self.exercise.sentence(mistake)

    @property
    def sentences(self):
        """What a student reads of the mistakes: a line for each."""
        lines = [self.sentence(mistake) for mistake in self.mistakes]
        if len(lines) < 2:
            return lines
        return (
            [lines[0], f"And also: {lines[1]}"]
            if self._all_hold
            else [
                f"Either: {lines[0]}",
                f"Or: {lines[1]}",
            ]
        )

    def as_json(self):
        """The object that `course check --json` prints."""
        return {
            "exercise": self.exercise.id,
            "passed": self.passed,
            "points": self.points,
            "max_points": self.max_points,
            "mistake": self.mistakes[0] if self.mistakes else None,
            "mistakes": list(self.mistakes),
            "together": self.together,
            "message": self.message,
            "counterexample": self.counterexample.as_json() if self.counterexample else None,
        }


def examine(exercise, execute, seed=0, source=None):
    """Puts an exercise's probes to a student's code, one after another.

    Args:
        exercise: the `Exercise`.
        execute: `execute(plan) -> Outcome`: the runner in place, or a pipe to a sandbox. The
            inputs of one probe are drawn after the answer to the last has come back.
        seed: the public seed, or the grader's secret.
        source: the text of the student's definition, for the scan; None to leave the scan out.

    Returns:
        A `Report`.
    """
    reports = []
    scanned = forbidden_in(source, exercise.may_not_call)
    for index, probe in enumerate(exercise.probes):
        inputs = probe.inputs(exercise.rng(index, seed))
        plan = {"forbid": list(exercise.may_not_call)} | probe.plan(inputs)
        outcome = execute(plan)
        verdict = _judge(exercise, probe, inputs, outcome, scanned)
        earned = probe.points if verdict.passed else 0.0
        reports.append(ProbeReport(probe.title, earned, probe.points, verdict))
        if verdict.mistakes and verdict.mistakes[0] in ("missing", "not-written", "too-slow"):
            break  # every further probe would say the same, some of them slowly
    told = explain(exercise, [report.verdict for report in reports])
    return Report(exercise, tuple(reports), told.mistakes, told.together, told.symptom)


def _judge(exercise, probe, inputs, outcome, scanned):
    """What must hold of any outcome, then the probe's own judge."""
    if outcome.failure is not None and not outcome.called:
        return _failure(probe, outcome.failure)
    if outcome.called or scanned:  # what it may not call may also be what raised
        name = (outcome.called or scanned)[0]
        detail = f"It may not call {name}."
        return Verdict(False, ("forbidden-call",), detail)
    verdict = probe.judge(inputs, outcome)
    if verdict.passed and outcome.mutated and not probe.in_place:
        names = " and ".join(outcome.mutated)
        return Verdict(False, ("input-changed",), f"It changes {names}.")
    return verdict


def clean(text):
    """A framework's message without its colours and control characters."""
    return CONTROLS.sub("", ESCAPES.sub("", text))


def _failure(probe, failure):
    mistake = FAILURES.get(failure.kind, "exception")
    where = f" in line {failure.line}: {failure.source}" if failure.line else ""
    if mistake == "exception":
        message = clean(failure.message)
        detail = f"{failure.type}{where}\n{message}".strip()
        advice = next((do for said, do in ADVICE if re.search(said, message)), None)
        detail = f"{detail}\n{advice}" if advice else detail
        return Verdict(False, (probe.raised(failure.type, message) or mistake,), detail)
    if mistake == "too-slow":
        return Verdict(False, (mistake,), f"It was stopped after {failure.message} s{where}.")
    return Verdict(False, (mistake,), sentence_case(failure.message))


def forbidden_in(source, names):
    """The forbidden dotted names that a definition's text calls or imports.

    A scan of the syntax tree, aliases resolved inside the text; `runner` traces what really runs.
    """
    if not source or not names:
        return []
    try:
        tree = runtime.parse_source(textwrap.dedent(source))
    except SyntaxError:
        return []
    aliases = {"ops": "keras.ops", "layers": "keras.layers", "np": "numpy"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for item in node.names:
                aliases[item.asname or item.name] = f"{node.module}.{item.name}"
        elif isinstance(node, ast.Import):
            for item in node.names:
                if item.asname:
                    aliases[item.asname] = item.name
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name):
            text = ast.unparse(node)
            head, _, rest = text.partition(".")
            full = ".".join(filter(None, (aliases.get(head, head), rest)))
            found += [name for name in names if full == name or full.startswith(name + ".")]
    return list(dict.fromkeys(found))


def examine_here(exercise, answer, seed=0, counterexample=False):
    """Examines an object of this process with the runner in place, as `check` does.

    Args:
        exercise: the `Exercise`.
        answer: the student's function or class.
        seed: the seed from which probes draw.
        counterexample: whether to look for the smallest input that still fails, too.
    """
    try:
        source = inspect.getsource(answer)
    except (OSError, TypeError):
        source = None

    def execute(plan):
        return runner.carry_out(plan, answer)

    report = examine(exercise, execute, seed, source)
    return with_counterexample(report, execute) if counterexample else report


def with_counterexample(report, execute):
    """The report with the smallest input on which a failure is told again.

    The grader never calls it: its feedback shows no inputs.
    """
    failures = [
        (probe, reached.verdict)
        for probe, reached in zip(report.exercise.probes, report.probes, strict=False)
        if not reached.verdict.passed and reached.verdict.evidence is not None
    ]
    # The failures that show the mistake which is told, the smallest of them first.
    telling = [(p, v) for p, v in failures if set(report.mistakes) & set(v.mistakes)] or failures
    if not telling:
        return report
    probe, verdict = min(telling, key=lambda one: size(one[1].evidence.inputs))
    wanted = set(report.mistakes) & set(verdict.mistakes) or verdict.mistakes
    inputs = verdict.evidence.inputs
    try:
        found = smallest(report.exercise, probe, inputs, execute, wanted)
    except Exception:  # a student's code may do anything on the second call
        found = None
    return replace(report, counterexample=found)
