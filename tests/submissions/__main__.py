"""Makes the kept samples again: `python -m tests.submissions`; with --table, grades the bank.

The table is that of `docs/grading.md`: each case, its outcome, and whether that is the one which is
written down for it.
"""

import sys
import tempfile
from pathlib import Path

from course.grading import jobs
from course.grading.sandbox import process
from submissions import hostile, make_submissions, samples

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]

LIMITS = process.Limits(
    wall=20.0, cell=4.0, reserve=10.0, exercise=6.0, grace=1.0, memory=2_500_000_000
)


def table():
    """Grades the bank and the twelve samples; prints a Markdown table."""
    with tempfile.TemporaryDirectory() as folder, hostile.Outside(Path(folder)) as outside:
        cases = outside.cases()
        hostile.make(Path(folder) / "class", cases)
        make_submissions(Path(folder) / "samples", "attention")
        graded = {}
        for name in ("class", "samples"):
            summary = jobs.grade(Path(folder) / name, Path(folder) / f"{name}-out", limits=LIMITS)
            graded[name] = {student: record for student, (record,) in summary.students}
        print("| case | what it does | outcome | right? |\n|---|---|---|---|")
        for case in cases:
            record = graded["class"][case.name]
            line(case.name, case.what, record, not hostile.faults(case, record))
        for sample in samples("attention"):
            record = graded["samples"][sample.student]
            named = {e["exercise"] for e in record["exercises"] if not e["passed"]}
            right = named == set(sample.mistakes) and (record["state"] == "graded") == sample.graded
            line(sample.student, f"lesson 02: {sample.what}", record, right)
        print(f"\nOutside: {'; '.join(outside.harm()) or 'nothing changed, ended or reached'}.")
        print(f"Sandbox: {graded['class']['attention_right']['sandbox']}.")


def line(name, what, record, right):
    """One line of the table."""
    if record["state"] == "graded":
        outcome = f"{record['points']:g} of {record['max_points']:g}"
    else:
        outcome = f"ungraded: {record['reason']}"
    flags = [flag.replace("|", "\\|") for flag in record["flags"][:1]]
    print(f"| {name} | {what} | {'; '.join([outcome, *flags])} | {'yes' if right else 'NO'} |")


if "--table" in sys.argv:
    table()
else:
    for path in make_submissions(HERE / "attention", "attention"):
        print(path.relative_to(HERE))
