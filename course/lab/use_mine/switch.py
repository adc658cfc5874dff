"""Puts a student's parts in the places of the library's, and takes them out again."""

import contextlib
import functools
import importlib
import os
import sys
import time

import numpy as np

from course.checks.examiner import examine_here
from course.lab import naming
from course.lab.display import BAD, GOOD, shell
from course.lab.use_mine import calling, store
from course.lab.use_mine.parts import PARTS

TOLERANCE = 1e-6
SLOW = 3.0  # times the library's: what a loop in Python costs, and no right answer otherwise does
_in_use = {}  # {exercise id: Mine}
_replaced = []  # (holder, attribute, what stood there)


@naming.understood
def use(*answers):
    """Lets models run on your own parts from now on.

    It is called like this: `use(make_mask)`, or use() for all that has passed.

    Args:
        *answers: your functions or classes, or their names as text. Each is checked once more.
    """
    if _is_graded():
        return naming.say("This notebook is being graded: the library's parts are used.")
    if not answers:
        return load_all()
    lines, failed = [], False
    for answer in answers:
        declared = naming.exercise(answer)
        part = next((p for p in PARTS if p.exercise == declared.id), None)
        if part is None:
            names = ", ".join(p.name for p in PARTS)
            raise naming.Misuse(
                f"No part of the library can be replaced by {declared.defines}. These can: {names}."
            )
        mine = _object(answer, declared)
        line = _try(part, mine)
        failed = failed or part.exercise not in _in_use
        lines.append(line)
    naming.say("\n".join([*lines, _standing()]), BAD if failed else GOOD)


@naming.understood
def use_library(*answers):
    """Goes back to the library's parts.

    It is called like this: `use_library(make_mask)`, or use_library() for all of them.

    Args:
        *answers: your functions or classes, or their names as text.
    """
    ids = [naming.exercise(answer).id for answer in answers] or list(_in_use)
    for each in ids:
        _in_use.pop(each, None)
    _put_in_place()
    naming.say(_standing())


def load_all():
    """Puts everything in place that is kept and passes its check again; says what does not."""
    if _is_graded():
        return naming.say("This notebook is being graded: the library's parts are used.")
    lines = []
    for part in PARTS:
        if part.exercise not in store.kept_exercises():
            continue
        answer, kept = store.load(part.declared)
        if answer is None:
            why = kept.get("error", "its file is damaged")
            lines.append(f"Your {part.name} could not be loaded: {why}.")
            continue
        line = _try(part, answer, kept)
        if part.exercise not in _in_use or "times the time" in line:
            lines.append(line)
    return naming.say("\n".join([*lines, _standing()]), BAD if lines else GOOD)


def made_with():
    """Says whose parts the models of this notebook have run on so far."""
    ran = [mine.part.what for mine in _in_use.values() if mine.calls]
    idle = [mine.part.what for mine in _in_use.values() if not mine.calls]
    if not _in_use:
        return naming.say("This was made with the library's parts. use() puts yours in place.")
    text = f"This was made with your {_list(ran)}." if ran else "None of your parts has run yet."
    return naming.say(text + (f" Not needed so far: {_list(idle)}." if idle else ""), GOOD)


@contextlib.contextmanager
def library():
    """The library's parts for a while: checks and grades are of one function, not of others."""
    kept = dict(_in_use)
    _in_use.clear()
    _put_in_place()
    try:
        yield
    finally:
        _in_use.update(kept)
        _put_in_place()


def parts_in_use():
    """{exercise id: the `Mine` in use}."""
    return dict(_in_use)


def _object(answer, declared):
    if not isinstance(answer, str):
        return answer
    running = shell()
    live = running.user_ns.get(declared.defines) if running else None
    found = live if live is not None else store.load(declared)[0]
    if found is None:
        raise naming.Misuse(
            f"{declared.defines} is not defined here and none is kept. Write it and check it first."
        )
    return found


def _try(part, answer, kept=None):
    """Checks an answer, compares it with the library's, puts it in place; says what came of it."""
    with library():
        report = examine_here(part.declared, answer)
    if not report.passed:
        _in_use.pop(part.exercise, None)
        _put_in_place()
        again = " any more" if kept else ""
        versions = _versions_changed(kept)
        return (
            f"Your {part.name} does not pass its check{again}{versions}, so the library's is used. "
            f"{report.message}"
        )
    if kept is None:
        with contextlib.suppress(store.NotKept, OSError):
            store.keep(part.declared, answer)
    mine = calling.Mine(part, getattr(answer, part.method) if part.method else answer)
    try:
        difference, factor = _compare(part, mine)
    except (calling.PartFailed, AttributeError) as error:
        _in_use.pop(part.exercise, None)
        _put_in_place()
        return f"{error} The library's is used."
    if difference > TOLERANCE:
        return (
            f"Your {part.name} passes its check and differs from the library's by {difference:.1e} "
            f"in a model, more than {TOLERANCE:.0e}. The library's is used."
        )
    mine.calls = 0
    _in_use[part.exercise] = mine
    _put_in_place()
    if factor > SLOW:
        return (
            f"Your {part.name} is right and takes {factor:.0f} times the time of the library's. A "
            f'model runs on it all the same; use_library("{part.name}") takes the library\'s.'
        )
    return f"In use: your {part.name} (lesson {part.number}, {part.title})."


def _compare(part, mine):
    """(the largest difference between the student's part and the library's, times the time)."""
    with library():
        expected, theirs = _timed(part)
    before = dict(_in_use)
    _in_use.clear()
    _in_use[part.exercise] = mine
    try:
        _put_in_place()
        found, ours = _timed(part)
    finally:
        _in_use.clear()
        _in_use.update(before)
        _put_in_place()
    difference = max(
        float(np.max(np.abs(a.astype("float64") - b.astype("float64")), initial=0.0))
        / max(1.0, float(np.max(np.abs(b.astype("float64")), initial=0.0)))
        for a, b in zip(found, expected, strict=True)
    )
    return difference, ours / theirs


def _timed(part):
    """The numbers of a part's trial, and the shortest of three times."""
    import keras

    times = []
    for _ in range(3):
        started = time.perf_counter()
        result = part.trial(np.random.default_rng(0))
        arrays = [np.asarray(keras.ops.convert_to_numpy(x)) for x in keras.tree.flatten(result)]
        times.append(time.perf_counter() - started)
    return arrays, min(times)


def _put_in_place():
    """Makes the library's attributes those that `_in_use` asks for."""
    while _replaced:
        holder, attribute, original = _replaced.pop()
        setattr(holder, attribute, original)
    for part in PARTS:
        mine = _in_use.get(part.exercise)
        for place, adapter in part.places.items() if mine else ():
            holder, attribute = _holder(place)
            now = getattr(holder, attribute, None)
            if now is not None:
                new = calling.out_of_autograph(adapter(mine, now))
                # Keras reads from the signature of `call` what it passes on.
                _replace(holder, attribute, now, functools.update_wrapper(new, now))
    if _in_use and "keras" in sys.modules:
        _without_xla()
    decoding = sys.modules.get("course.decoding.compilation")
    if decoding is not None:
        decoding._graphs.clear()  # they hold the parts that they were made with


def _replace(holder, attribute, now, new):
    """Puts a new object in the place of one, and wherever modules of the course hold the same."""
    holders = [(holder, attribute)]
    if not isinstance(holder, type):
        for name, module in list(sys.modules.items()):
            if name.startswith("course.") and not name.startswith(_OURS) and module is not holder:
                holders += [(module, n) for n, v in list(vars(module).items()) if v is now]
    for each, name in holders:
        _replaced.append((each, name, now))
        setattr(each, name, new)


_OURS = ("course.lab", "course.checks", "course.exercises", "course.runner", "course.grading")


def _holder(place):
    """The module or class that holds a dotted name, and the name's last part."""
    parts = place.split(".")
    for split in range(len(parts) - 1, 0, -1):
        try:
            holder = importlib.import_module(".".join(parts[:split]))
        except ImportError:
            continue
        for name in parts[split:-1]:
            holder = getattr(holder, name)
        return holder, parts[-1]
    raise ImportError(place)


def _without_xla():
    """On TensorFlow XLA compiles no Python: what needs values runs outside of it."""
    import keras

    from course import runtime

    if keras.backend.backend() == "tensorflow":
        _replace(runtime, "jit_compile", runtime.jit_compile, lambda: False)


def _is_graded():
    """Whether this process belongs to a grader: it sets the seed, or nbgrader its own mark."""
    return bool(os.environ.get("COURSE_SEED") or os.environ.get("NBGRADER_EXECUTION"))


def _versions_changed(kept):
    from course import runtime

    then, now = (kept or {}).get("versions", {}), runtime.versions()
    changed = [f"{n} {then[n]} then, {now[n]} now" for n in then if now.get(n, then[n]) != then[n]]
    return f" ({'; '.join(changed)})" if changed else ""


def _standing():
    if not _in_use:
        return "The library's parts are in use."
    names = ", ".join(mine.part.name for mine in _in_use.values())
    return (
        f"Yours in use: {names}. Models that you make from now on run on them. "
        "use_library() goes back to the library's."
    )


def _list(names):
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
