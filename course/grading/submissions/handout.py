"""Which cells of a submission need not run: the lesson's own, unchanged, that nothing graded uses.

A lesson is mostly demonstrations, and running those again for every student takes most of the time.
Left out is a cell only if it is one of the handout's, letter for letter, and binds no name that an
exercise, or any cell that the student has written or changed, can reach. Every cell of a student's
own is run.
"""

import ast
import symtable
from pathlib import Path

from course.grading.submissions import matching, notebooks
from course.runtime import parse_source


def cells_of(lesson, folder=None):
    """The texts of a lesson's code cells as they are handed out; empty where they are not known.

    Args:
        lesson: its name.
        folder: the folder of a release, whose notebook is its handout.
    """
    from course import exercises as bank
    from course.grading.sandbox import visibility

    name, found = bank.about(lesson).file, set()
    for place in (folder, visibility.PACKAGE.parent / "lessons", visibility.PACKAGE / "lessons"):
        if place is not None and (Path(place) / name).is_file():
            try:
                document = notebooks.read(Path(place) / name)
            except notebooks.Unreadable:
                continue
            found |= {cell.source.strip() for cell in document.cells}
    return found


def needless(document, found, handed_out):
    """Indices of the cells that need not run.

    Args:
        document: a `notebooks.Document`.
        found: {exercise id: `matching.Found`}.
        handed_out: the texts that `cells_of` gives.
    """
    answers = {each.index for each in found.values()}
    now, later, binds, candidates = {}, {}, {}, []
    for cell in document.cells:
        names = names_of(cell.source)
        now[cell.index], later[cell.index], binds[cell.index] = names or (set(), set(), set())
        same = cell.source.strip() in handed_out
        first = cell.index == 0  # the setup: what it does is not in its names
        if same and not first and cell.index not in answers and names:
            candidates.append(cell.index)
    called, left_out = set(), set(candidates)
    waiting = [cell.index for cell in document.cells if cell.index not in left_out]
    while waiting:
        index = waiting.pop()
        called |= later[index]
        # What a function reads may be bound below it, what a cell itself reads is bound above.
        used = {i for i in left_out if binds[i] & (called | now[index] if i < index else called)}
        waiting += used
        left_out -= used
    return left_out


@matching.remembered
def names_of(source):
    """The global names that a cell reads, that its functions read, and that it binds or changes.

    Names of functions' own are none of these: Python's table of symbols tells them apart. None
    where the cell is no Python, or binds names that it does not say. Python's grammar takes some
    texts that its table of symbols does not, such as two parameters of one name.
    """
    source = matching.python_of(source)
    if source is None:
        return None
    now, later, binds = set(), set(), set()
    try:
        tables = [symtable.symtable(source, "cell", "exec")]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            outermost = table.get_type() == "module"
            if not outermost and not symbol.is_global():
                continue
            if symbol.is_referenced():
                (now if outermost else later).add(symbol.get_name())
            if symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace():
                binds.add(symbol.get_name())
    for node in ast.walk(parse_source(source)):
        if isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            while isinstance(node, ast.Attribute | ast.Subscript):
                node = node.value
            if isinstance(node, ast.Name):
                binds.add(node.id)
        elif isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
            return None
    return now, later, binds
