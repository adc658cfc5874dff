"""The examiner: puts an exercise's probes to a student's code and says which mistake it holds.

It keeps the mistakes that explain all probes, those that passed included, so that two slips which
look alike on one probe are told apart by another.
"""

import ast
import inspect
import re
import textwrap
from dataclasses import dataclass

from course import runner, runtime
from course.checks.declaration import ADVICE, Verdict
from course.checks.judges import sentence_case

FAILURES = {
    "missing": "missing",
    "not callable": "not-callable",
    "not written": "not-written",
    "arguments": "wrong-arguments",
    "exception": "exception",
    "time": "too-slow",
    "result": "wrong-type",
}

# What a first failure may show on the surface while a later probe knows the mistake by its name.
VAGUE = ("unrecognised", "nan", "exception", "wrong-shape")


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
    """

    exercise: object
    probes: tuple
    mistakes: tuple

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
        """Whether each of the mistakes was seen by itself, as those are that mends find."""
        judge = self.exercise.probes[self.probes.index(self.first_failure)].judge
        return set(self.mistakes) <= set(getattr(judge, "mends", ()))

    @property
    def message(self):
        """The named mistakes as sentences, then what was seen."""
        if self.passed:
            return f"Passed all {len(self.probes)} public checks."
        sentences = [self.exercise.sentence(mistake) for mistake in self.mistakes]
        detail = self.first_failure.verdict.detail
        named = (" And also: " if self._all_hold else " Or: ").join(sentences)
        return f"{named} {detail}".strip() if detail else named

    def as_json(self):
        """The object that `course check --json` prints."""
        return {
            "exercise": self.exercise.id,
            "passed": self.passed,
            "points": self.points,
            "max_points": self.max_points,
            "mistake": self.mistakes[0] if self.mistakes else None,
            "message": self.message,
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
    return Report(exercise, tuple(reports), _explain(exercise, [r.verdict for r in reports]))


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


def _failure(probe, failure):
    mistake = FAILURES.get(failure.kind, "exception")
    where = f" in line {failure.line}: {failure.source}" if failure.line else ""
    if mistake == "exception":
        detail = f"{failure.type}{where}\n{failure.message}".strip()
        advice = next((do for said, do in ADVICE if re.search(said, failure.message)), None)
        detail = f"{detail}\n{advice}" if advice else detail
        return Verdict(False, (probe.if_raises or mistake,), detail)
    if mistake == "too-slow":
        return Verdict(False, (mistake,), f"It was stopped after {failure.message} s{where}.")
    return Verdict(False, (mistake,), sentence_case(failure.message))


def _explain(exercise, verdicts):
    """At most two mistakes that explain the failures, the likeliest first."""
    failed = [verdict for verdict in verdicts if not verdict.passed]
    if not failed:
        return ()
    first = failed[0].mistakes
    if first[0] not in exercise.mistakes and first[0] not in VAGUE:
        return tuple(first[:2])
    judged = [agreeing for v in verdicts if (agreeing := v.agreeing()) is not None]
    alike = frozenset.intersection(*judged) if judged else ()
    # A named mistake that every probe agrees with beats one that only the first failure suggests.
    agreed = [m for m in exercise.mistakes if m in alike and any(m in v.mistakes for v in failed)]
    if agreed:
        return tuple(agreed[:2])
    # Else what the first failure suggests, as far as the other probes do not speak against it. A
    # failure that nothing explains speaks against a name that one probe alone suggests: that may
    # be chance, and no name is better than a wrong one.
    nameless = [v for v in failed[1:] if v.mistakes[0] in VAGUE and v.consistent is not None]
    if first[0] in exercise.mistakes and nameless:
        heard = [m for m in first if sum(m in v.mistakes for v in failed) > 1]
        heard += [m for m in first if all(m in v.consistent for v in nameless)]
        first = tuple(m for m in first if m in heard) or nameless[0].mistakes
    heard = {m: sum(m in agreeing for agreeing in judged) for m in first}
    return tuple([m for m in first if heard[m] == max(heard.values())][:2])


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


def examine_here(exercise, answer, seed=0):
    """Examines an object of this process with the runner in place, as `check` does."""
    try:
        source = inspect.getsource(answer)
    except (OSError, TypeError):
        source = None
    return examine(exercise, lambda plan: runner.carry_out(plan, answer), seed, source)
