"""The source of answers that have passed, kept under `COURSE_HOME`, one module a piece.

What a cell needs beside itself is kept with it: its imports, the functions of other cells that it
calls, and plain values. So an answer can be loaded where its notebook is not.
"""

import builtins
import inspect
import json
import linecache
import time
import types

from course import exercises, runtime
from course.lab import cell_runs


class NotKept(ValueError):
    """An answer that cannot be kept; the message says why."""


def folder():
    """Where answers are kept."""
    return runtime.home() / "mine"


def keep(exercise, answer):
    """Keeps the source of an answer that has passed its check.

    Raises:
        NotKept: if it stands on something that has no source, such as an array of another cell.
        OSError: if the folder cannot be written.
    """
    kept = {
        "exercise": exercise.id,
        "source": source_of(exercise, answer),
        "versions": runtime.versions(),
        "backend": runtime.start().backend.backend(),
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    path = folder() / f"{exercise.id}.json"
    runtime.write_atomically(path, json.dumps(kept, indent=1, ensure_ascii=False).encode())


def kept_exercises():
    """The ids of the exercises of which an answer is kept, in the order of the course."""
    known = [e.id for name in exercises.lessons() for e in exercises.of_lesson(name)]
    return [each for each in known if (folder() / f"{each}.json").is_file()]


def load(exercise):
    """(the answer, what is noted of it); (None, {}) where none is kept or it cannot be read."""
    path = folder() / f"{exercise.id}.json"
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        source = kept["source"]
    except (OSError, ValueError, KeyError, TypeError):
        return None, {}
    module = types.ModuleType(f"course_mine_{exercise.id.replace('.', '_')}")
    file = f"<your {exercise.defines}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    try:
        exec(compile(source, file, "exec"), vars(module))
    except Exception as error:
        return None, kept | {"error": f"{type(error).__name__}: {error}"}
    return vars(module).get(exercise.defines), kept


def source_of(exercise, answer):
    """The text of a module that defines an answer and all that it stands on."""
    parts, seen = [], set()
    run = cell_runs.of_exercise(exercise)
    text = run.text if run is not None and not run.why else None
    _add(exercise.defines, answer, parts, seen, text)
    return "\n\n".join(parts) + "\n"


def _add(name, value, parts, seen, text=None):
    """Adds the text that makes a name, after the text of what it needs."""
    if name in seen:
        return
    seen.add(name)
    module = getattr(value, "__module__", None)
    written = getattr(value, "__name__", None)
    if isinstance(value, types.ModuleType):
        parts.append(f"import {value.__name__} as {name}")
    elif isinstance(value, bool | int | float | str | tuple | type(None)):
        parts.append(f"{name} = {value!r}")
    elif not (inspect.isfunction(value) or inspect.isclass(value)):
        raise NotKept(f"it uses {name}, a {type(value).__name__} that another cell makes")
    elif module != "__main__" and not str(module).startswith("course_mine_") and not text:
        if written and _is_importable(module, written, value):
            parts.append(f"from {module} import {written} as {name}")
        else:
            _add_source(name, value, parts, seen, text)
    else:
        _add_source(name, value, parts, seen, text)


def _is_importable(module, name, value):
    import importlib
    import sys

    if module is None or str(module).startswith("test"):
        return False
    found = sys.modules.get(module) or importlib.import_module(module)
    return getattr(found, name, None) is value


def _add_source(name, value, parts, seen, text):
    if text is None:
        try:
            text = inspect.getsource(value)
        except (OSError, TypeError):
            raise NotKept(f"the text of {name} is not known") from None
    for each, needed in _needs(value).items():
        _add(each, needed, parts, seen)
    parts.append(inspect.cleandoc(text))


def _needs(value):
    """{name: object} of the globals that a function or the methods of a class use."""
    functions = [value] if inspect.isfunction(value) else list(vars(value).values())
    needs = {}
    for function in filter(inspect.isfunction, functions):
        codes = [function.__code__]
        while codes:
            code = codes.pop()
            codes += [c for c in code.co_consts if isinstance(c, types.CodeType)]
            for name in code.co_names:
                if name in function.__globals__ and not hasattr(builtins, name):
                    needs[name] = function.__globals__[name]
    if inspect.isclass(value):
        scope = next((f.__globals__ for f in functions if inspect.isfunction(f)), {})
        try:
            import ast
            import textwrap

            tree = runtime.parse_source(textwrap.dedent(inspect.getsource(value)))
            names = [
                n.id
                for base in tree.body[0].bases
                for n in ast.walk(base)
                if isinstance(n, ast.Name)
            ]
        except (OSError, TypeError, SyntaxError):
            names = []
        needs |= {n: scope[n] for n in [*names, "keras"] if n in scope}
    return {name: each for name, each in needs.items() if each is not value}
