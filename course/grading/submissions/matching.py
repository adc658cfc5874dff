"""Finds the exercise cells of a submission.

By comment key, then by the name that a cell defines, then by nbgrader's metadata: Colab and
converters drop metadata, students delete, duplicate and retype cells. The last complete definition
counts.
"""

import ast
import functools
import re
import warnings
from collections import Counter
from dataclasses import dataclass

from course.runtime import parse_source

_KEY = re.compile(r"^[ \t]*#+[ \t]*exercise[ \t]*:[ \t]*([\w.\-]+)", re.IGNORECASE | re.MULTILINE)
# Cell magics whose body is Python of the notebook.
_PYTHON_MAGICS = re.compile(r"\A\s*%%(time|capture|prun)\b[^\n]*\n")


@dataclass(frozen=True)
class Definition:
    """Where a name is bound at the top level of a cell.

    Attributes:
        index: the cell's.
        source: the text of the definition.
        stub: whether it still says `raise NotImplementedError`.
    """

    index: int
    source: str
    stub: bool


@dataclass(frozen=True)
class Found:
    """What was found of one exercise.

    Attributes:
        status: "found", "missing" or "duplicated".
        how: "key", "name" or "metadata"; None if missing.
        index: the cell that counts, or None.
        source: the text of its definition, for the examiner's scan; None where it does not parse.
        flags: what an instructor should know.
    """

    status: str
    how: str | None = None
    index: int | None = None
    source: str | None = None
    flags: tuple = ()


@dataclass(frozen=True)
class Parsed:
    """A cell as Python: its bindings {name: [Definition]}, its keys, and its syntax error."""

    cell: object
    keys: tuple
    bindings: dict
    error: SyntaxError | None


def match(document, exercises):
    """Finds the cells of exercises.

    Args:
        document: a `notebooks.Document`.
        exercises: the exercises, each with `id` and `defines`.

    Returns:
        {exercise id: `Found`}.
    """
    cells = [parse(cell) for cell in document.cells]
    return {exercise.id: _find(exercise, cells) for exercise in exercises}


def _find(exercise, cells):
    name = exercise.defines
    keyed = [p.cell.index for p in cells if exercise.id.lower() in p.keys]
    tagged = [p.cell.index for p in cells if _same_id(p.cell.grade_id, exercise.id)]
    broken = [p.cell.index for p in cells if p.error and _mentions(p.cell.source, name)]
    # A library's function imported under this name counts only where the exercise is answered.
    definitions = [
        definition
        for p in cells
        for definition in p.bindings.get(name, ())
        if not definition.source.startswith(("import ", "from "))
        or p.cell.index in (*keyed, *tagged)
    ]
    # The handout goes on with the library's function, which an answer may not import: that line
    # binds nothing, so that it does not take the place of a student's own.
    own = [d for d in definitions if not re.match(r"from course\.|import course\.", d.source)]
    definitions = own or definitions
    places = sorted({*keyed, *broken, *(d.index for d in definitions)}) or tagged
    if not places:
        return Found("missing", flags=("no cell of it was found",))
    written = [d for d in definitions if not d.stub]
    chosen = (written or definitions or [None])[-1]
    index = chosen.index if chosen else (broken or keyed or tagged)[-1]
    how = "key" if index in keyed else "name" if chosen or index in broken else "metadata"
    flags = []
    if how == "name":
        flags.append("found by the name that it defines, its comment key is gone")
    elif how == "metadata":
        flags.append("found by nbgrader's metadata alone")
    if len(places) > 1:
        listed = ", ".join(str(place + 1) for place in places)
        flags.append(f"code cells {listed} define it, code cell {index + 1} counts")
    if any(place in broken for place in places):
        flags.append(f"syntax error in code cell {broken[-1] + 1}")
    elif chosen is None:
        others = sorted(cells[index].bindings)
        instead = f" but defines {', '.join(others[:3])}" if others else ""
        flags.append(f"code cell {index + 1} does not define {name}{instead}")
    return Found(
        "duplicated" if len(places) > 1 else "found",
        how,
        index,
        chosen.source if chosen else None,
        tuple(flags),
    )


def parse(cell):
    """A cell as Python, magics and shell lines understood."""
    keys = tuple(key.lower().rstrip(".") for key in _KEY.findall(cell.source))
    source = _PYTHON_MAGICS.sub("\n", cell.source)
    if source.lstrip().startswith("%%"):  # another language
        return Parsed(cell, keys, {}, None)
    bindings, (found, error) = {}, _definitions(source)
    for name, segment, stub in found:
        bindings.setdefault(name, []).append(Definition(cell.index, segment, stub))
    return Parsed(cell, keys, bindings, error)


def remembered(function):
    """Keeps what a function said of a short text.

    A class hands in the same cells many times, and each is looked at by several functions. Long
    texts are not kept: a hostile notebook could fill the memory with them.
    """
    known = functools.lru_cache(maxsize=500)(function)

    @functools.wraps(function)
    def call(source):
        return (known if len(source) < 5000 else function)(source)

    return call


@remembered
def _definitions(source):
    """((name, its text, whether it is a stub) for each binding, syntax error or None)."""
    tree, text, error = _tree(source)
    found = [(name, node) for node in _statements(tree) for name in _bound(node)]
    return tuple((name, _segment(text, node), _is_stub(node)) for name, node in found), error


@remembered
def _tree(source):
    """(syntax tree, the Python that it is of, syntax error or None)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "invalid escape sequence" is the student's to see
        try:
            return parse_source(source), source, None
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
        try:
            from IPython.core.inputtransformer2 import TransformerManager

            text = TransformerManager().transform_cell(source)
            return parse_source(text), text, None
        except SyntaxError as error:
            return ast.Module([], []), source, error
        except Exception as error:  # a transformer tripped over odd text
            return ast.Module([], []), source, SyntaxError(str(error))


def python_of(source):
    """A cell as Python text, magics and shell lines understood; None where it is none."""
    source = _PYTHON_MAGICS.sub("\n", source)
    if source.lstrip().startswith("%%"):
        return None
    _, text, error = _tree(source)
    return None if error else text


def _statements(tree):
    """The statements that run when a cell runs, those inside if, try, with and for included."""
    waiting = list(reversed(tree.body))
    while waiting:  # not by recursion: a chain of `elif` is as deep as it is long
        node = waiting.pop()
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With | ast.For | ast.While):
            parts = [getattr(node, part, []) or [] for part in ("body", "orelse", "finalbody")]
            waiting += reversed([inner for part in parts for inner in part])


def _bound(node):
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [item.asname or item.name.partition(".")[0] for item in node.names]
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        targets = [node.target]
    else:
        return []
    return [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]


def _segment(text, node):
    """The text of a definition, decorators included."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
    return "\n".join(_lines(text)[first - 1 : node.end_lineno])


def _lines(text):
    """Lines as Python counts them: a form feed or a Unicode separator ends none."""
    return re.split(r"\r\n|\r|\n", text)


def _is_stub(node):
    """Whether a definition still raises NotImplementedError where its answer should stand."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in inner.body:
                if isinstance(statement, ast.Return):
                    break
                if isinstance(statement, ast.Raise) and statement.exc is not None:
                    raised = statement.exc
                    raised = raised.func if isinstance(raised, ast.Call) else raised
                    if isinstance(raised, ast.Name) and raised.id == "NotImplementedError":
                        return True
    return False


def _mentions(source, name):
    """Whether text that does not parse looks like a definition of `name`."""
    pattern = rf"^[ \t]*(?:(?:async[ \t]+)?def[ \t]+|class[ \t]+){re.escape(name)}\b|"
    return re.search(pattern + rf"^{re.escape(name)}[ \t]*=(?!=)", source, re.MULTILINE) is not None


def _same_id(grade_id, exercise_id):
    """nbgrader's ids may hold no dots; letters, digits and their order are compared."""
    if not grade_id:
        return False
    plain = re.sub(r"[^a-z0-9]+", "_", grade_id.lower()).strip("_")
    return plain == re.sub(r"[^a-z0-9]+", "_", exercise_id.lower()).strip("_")


def statements_of(source):
    """The outermost statements of a cell, ((line from 1, text), …); empty where it is no Python.

    Those that share a line stay together. A cell that answers an exercise is run in these pieces,
    so that one that stops, or ends the process, costs itself and not the definitions around it.
    """
    source = _PYTHON_MAGICS.sub("\n", source)
    if source.lstrip().startswith("%%"):
        return ()
    tree, text, error = _tree(source)
    if error is not None:
        return ()
    spans = []
    for node in tree.body:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", ()))])
        if spans and first <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], node.end_lineno)
        else:
            spans.append([first, node.end_lineno])
    lines = _lines(text)
    return tuple((first, "\n".join(lines[first - 1 : last])) for first, last in spans)


def lesson_of(path, document, lessons, exercises_of):
    """The lesson that a submission answers, or None.

    By its file's name, then its metadata, then the keys, ids and names in its cells.

    Args:
        path: the file.
        document: its `notebooks.Document`.
        lessons: {name: `Lesson`}.
        exercises_of: `exercises_of(name) -> list of Exercise`.
    """
    stem = path.name.lower()
    for name, about in lessons.items():
        if re.search(rf"(?<![0-9]){about.number}[ _-]?{name}", stem):
            return name
    block = document.metadata.get("course")
    named = block.get("lesson") if isinstance(block, dict) else None
    if isinstance(named, str) and named in lessons:
        return named
    votes = Counter()
    cells = [parse(cell) for cell in document.cells]
    for name in lessons:
        exercises = exercises_of(name)
        ids = {exercise.id.lower() for exercise in exercises}
        votes[name] += 100 * sum(key in ids for p in cells for key in p.keys)
        votes[name] += 10 * sum(
            _same_id(p.cell.grade_id, exercise.id) for p in cells for exercise in exercises
        )
        names = {exercise.defines for exercise in exercises}
        votes[name] += len(names & {bound for p in cells for bound in p.bindings})
    best = votes.most_common(1)
    return best[0][0] if best and best[0][1] else None
