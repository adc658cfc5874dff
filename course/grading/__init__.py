"""The grader: runs submissions in processes of their own and writes grades and feedback.

Importing this package imports nothing, because a student's process lives in it too.
"""

from course.runtime.lazy import lazy_names


class GradingError(Exception):
    """Something that the person who started the grader can put right; the message says how."""


__getattr__, __dir__, __all__ = lazy_names(__name__, {"grade": "jobs", "check_file": "checking"})
__all__ = ["GradingError", *__all__]
