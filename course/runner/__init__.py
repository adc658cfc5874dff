"""What lives beside a student's code: carries plans out, builds fixtures, makes results plain.

It knows no lesson, no expected value and no seed but those in a plan. What never lives beside a
student's code is in `course.checks` and `course.exercises`: the boundary is the folder.
"""

from course.runner.outcome import Failure, Outcome, PlanError, outcome_from
from course.runner.plans import carry_out
from course.runner.time_limit import PATIENCE, SECONDS

__all__ = [
    "PATIENCE",
    "SECONDS",
    "Failure",
    "Outcome",
    "PlanError",
    "carry_out",
    "outcome_from",
]
