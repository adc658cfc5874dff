"""What an exercise's grade depends on, as a hash: it changes when the grade could.

Not the text of its file: a comment changes nothing, and a neighbour's new probe is none of its own.
What counts is what it declares, the code of its functions, and what these refer to.
"""

import dataclasses
import functools
import hashlib
import inspect
import types

import numpy as np

from course import runtime
from course.checks import declaration, examiner, judges
from course.runner import fixtures, outcome, plans, serialization, time_limit, watch

_OURS = ("course.exercises", "course_extra")


def of_exercise(exercise):
    """The hash of one exercise, as 24 hexadecimal digits."""
    parts = [_SHARED, _describe(exercise, {})]
    return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()[:24]


def _shared():
    """The text of what all exercises are put and judged with."""
    ours = (declaration, examiner, judges)
    beside = (plans, outcome, time_limit, watch, fixtures, serialization)
    machine = (runtime.backend, runtime.device, runtime.workarounds)
    modules = (*ours, *beside, *machine)
    return hashlib.sha256("\0".join(map(inspect.getsource, modules)).encode()).hexdigest()


_SHARED = _shared()


def _describe(value, seen):
    """A value as plain data in which only what it is made of counts; no address, no line."""
    if value is None or isinstance(value, str | int | float | complex | bytes | bool):
        return repr(value)
    if id(value) in seen:
        return ("again", seen[id(value)])
    seen[id(value)] = len(seen)

    def describe(part):
        return _describe(part, seen)

    if isinstance(value, np.ndarray):
        return ("array", str(value.dtype), value.shape, value.tobytes())
    if isinstance(value, dict):
        return ("dict", [(describe(k), describe(v)) for k, v in value.items()])
    if isinstance(value, set | frozenset):
        return ("set", sorted(repr(describe(item)) for item in value))
    if isinstance(value, list | tuple):
        return (type(value).__name__, [describe(item) for item in value])
    if isinstance(value, functools.partial):
        return ("partial", describe(value.func), describe(value.args), describe(value.keywords))
    if isinstance(value, types.CodeType):
        constants = [describe(c) for c in value.co_consts if c != value.co_name]
        return ("code", value.co_code, value.co_names, value.co_varnames, constants)
    if isinstance(value, types.MethodType):
        return ("method", describe(value.__func__), describe(value.__self__))
    if isinstance(value, types.FunctionType):
        return _of_function(value, describe)
    if isinstance(value, type):
        ours = value.__module__.startswith(_OURS)
        members = [(n, m) for n, m in sorted(vars(value).items()) if not n.startswith("__")]
        return ("class", value.__qualname__, [(n, describe(m)) for n, m in members] if ours else [])
    if dataclasses.is_dataclass(value):
        fields = [(f.name, describe(getattr(value, f.name))) for f in dataclasses.fields(value)]
        return (type(value).__qualname__, fields)
    if type(value).__module__.startswith(_OURS):
        return (describe(type(value)), describe(vars(value)))
    return ("other", type(value).__qualname__, getattr(value, "__name__", ""))


def _of_function(function, describe):
    if not function.__module__.startswith(_OURS):
        return ("function", function.__module__, function.__qualname__)
    closure = [describe(_content(cell)) for cell in function.__closure__ or ()]
    used = sorted(_names(function.__code__) & function.__globals__.keys())
    referred = [(name, describe(function.__globals__[name])) for name in used]
    defaults = describe(function.__defaults__), describe(function.__kwdefaults__)
    return ("function", describe(function.__code__), defaults, closure, referred)


def _names(code):
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _content(cell):
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None
