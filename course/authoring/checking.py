"""Says what is out of step between a source and its two notebooks."""

import difflib
from pathlib import Path

from course.authoring import notebook
from course.authoring.building import NEVER_RUN, carry_outputs, hashes_of_outputs
from course.authoring.depends import depends_hash
from course.authoring.source import AuthoringError, Finding, read, sources

BUILD = "run `course build`"


def check(root, lessons=None):
    """Compares sources, structure and hashes; runs nothing and changes nothing.

    Args:
        root: the course's folder.
        lessons: names ("attention") or numbers ("02"); None for all.

    Returns:
        A list of `Finding`, empty when all is in step.
    """
    root = Path(root)
    try:
        paths = sources(root, lessons)
    except AuthoringError as error:
        return error.findings
    found = []
    for path in paths:
        try:
            found += _lesson(path, root)
        except AuthoringError as error:
            found += error.findings
    return found if lessons is not None else found + list(_orphans(root, paths))


def _orphans(root, paths):
    names = {path.stem for path in paths}
    for folder in ("solutions", "lessons"):
        for path in sorted((root / folder).glob("*.ipynb")):
            if path.stem not in names:
                message = f"it has no source solutions/{path.stem}.py; remove it or add the source"
                yield Finding(f"{folder}/{path.name}", "", message)


def _lesson(path, root):
    source = read(path)
    made, places = notebook.solution(source, root)
    handed_out = notebook.lesson(source, root)
    depends = depends_hash(made, source.lesson.name, root)
    name = path.with_suffix(".ipynb").name
    yield from _lesson_notebook(root, f"lessons/{name}", handed_out, places)
    yield from _solution_notebook(root, f"solutions/{name}", made, places, depends)


def _lesson_notebook(root, file, expected, places):
    found = notebook.load(root / file)
    if found is None:
        yield Finding(file, "", f"missing or damaged; {BUILD}")
        return
    different = list(_cells(file, found, expected, places))
    for index, cell in enumerate(found.cells):
        if cell.cell_type == "code" and (cell.outputs or cell.get("execution_count")):
            different.append(Finding(file, _name(cell, index), f"it has outputs; {BUILD}"))
    yield from different or _metadata(file, found, expected)


def _solution_notebook(root, file, expected, places, depends):
    found = notebook.load(root / file)
    if found is None:
        yield Finding(file, "", f"missing or damaged; {BUILD}")
        return
    different = list(_cells(file, found, expected, places))
    noted = found.metadata.get("course", {})
    different += _edited_outputs(file, found)
    if not different and noted.get("depends_hash") != depends:
        reason = (
            "it was never executed"
            if noted.get("depends_hash") == NEVER_RUN
            else "the code or data that its outputs depend on has changed"
        )
        different.append(Finding(file, "", f"{reason}; {BUILD}"))
    if not different:
        carry_outputs(found, expected)
        different += _metadata(file, found, expected)
    yield from different


def _edited_outputs(file, found):
    noted, have = found.metadata.get("course", {}).get("outputs", {}), hashes_of_outputs(found)
    for index, cell in enumerate(found.cells):
        if noted.get(cell.get("id")) != have.get(cell.get("id")):
            message = f"its output is not the one that the build recorded; {BUILD}"
            yield Finding(file, _name(cell, index), message)


def _cells(file, found, expected, places):
    """Cells that differ, matched by id."""
    have, want = [c.get("id") for c in found.cells], [c.id for c in expected.cells]
    matcher = difflib.SequenceMatcher(a=have, b=want, autojunk=False)
    for op, a, b, c, d in matcher.get_opcodes():
        if op == "equal":
            for index, wanted in zip(range(a, b), range(c, d), strict=True):
                cell, other = found.cells[index], expected.cells[wanted]
                if reason := _difference(cell, other):
                    where = f"{_name(cell, index)}, from {places[wanted]}"
                    yield Finding(file, where, f"{reason}; {BUILD}")
            continue
        for index in range(a, b):
            cell = _name(found.cells[index], index)
            yield Finding(file, cell, f"it is not what the source has here; {BUILD}")
        for wanted in range(c, d):
            place = f"from {places[wanted]}"
            yield Finding(file, place, f"this cell of the source is missing; {BUILD}")


def _difference(cell, expected):
    if cell.cell_type != expected.cell_type:
        return f"it is a {cell.cell_type} cell, expected {expected.cell_type}"
    if cell.source != expected.source:
        pairs = zip(cell.source.split("\n"), expected.source.split("\n"), strict=False)
        line = next((i for i, (a, b) in enumerate(pairs, 1) if a != b), None)
        return "its text differs from the source" + (f" in line {line}" if line else " in length")
    for key in sorted(cell.metadata.keys() | expected.metadata.keys()):
        got, wanted = cell.metadata.get(key), expected.metadata.get(key)
        if got != wanted:
            if key == "nbgrader" and got and wanted and got.get("points") != wanted.get("points"):
                return f"it is worth {got.get('points')} points, declared {wanted.get('points')}"
            return f"its metadata {key!r} differ"
    return None


def _metadata(file, found, expected):
    """The notebook's own metadata."""
    for key in sorted(found.metadata.keys() | expected.metadata.keys()):
        if found.metadata.get(key) != expected.metadata.get(key):
            yield Finding(file, "", f"its metadata {key!r} are of another version; {BUILD}")


def _name(cell, index):
    return f"cell {index + 1} ({cell.get('id', 'without id')})"
