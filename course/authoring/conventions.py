"""The conventions that a source is held to, cell by cell and as a whole."""

import ast
import re

from course import exercises
from course.authoring.names import overwritten

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
KEY = "# exercise: "
# ruff and black write "#~" as "# ~": both are read.
STUB_LINE = re.compile(r"^(\s*)# ?~(?: (.*))?$")
WIDEST = 80  # characters of a drawing: what JupyterLab shows beside its files, 1,200 pixels wide


def of_cell(cell):
    """What is wrong with one `SourceCell`, as sentences."""
    if cell.kind == "code":
        return _regions(cell) + _code(cell)
    messages = ["a solution in a text cell; only code cells are cleared"] * (BEGIN in cell.body)
    drawn = re.findall(r"^```\w*\n(.*?)^```", cell.body, re.MULTILINE | re.DOTALL)
    widest = max((len(line) for text in drawn for line in text.split("\n")), default=0)
    if widest > WIDEST:
        messages.append(f"a drawing {widest} characters wide, which wraps; at most {WIDEST} fit")
    return messages


def _regions(cell):
    begins, depth, inside = 0, 0, False
    for line in cell.body.split("\n"):
        text = line.strip()
        if "BEGIN SOLUTION" in text or "END SOLUTION" in text:
            if text not in (BEGIN, END):
                return [f"write the markers as `{BEGIN}` and `{END}`, alone on a line"]
            depth += 1 if text == BEGIN else -1
            begins += text == BEGIN
            inside = text == BEGIN
            if depth not in (0, 1):
                return [f"`{BEGIN}` and `{END}` do not pair up"]
        elif STUB_LINE.match(line) and not inside:
            return ["a stub line `#~ ` outside a solution"]
    if depth:
        return [f"`{BEGIN}` without `{END}`"]
    if begins and not (cell.exercise or cell.question):
        return ['a solution in a cell that is no exercise; say which: # %% exercise="id"']
    if begins > 1:
        return ["more than one solution region; nbgrader would put the same stub in each"]
    if not begins and (cell.exercise or (cell.question and cell.body)):
        return [f"an exercise without `{BEGIN}` … `{END}`"]
    return []


def _code(cell):
    messages = []
    if not cell.body and not (cell.question or cell.exercise):
        messages.append("an empty cell")
    for called in ("setup", "grade"):
        if re.search(rf"^\s*{called}\(", cell.body, re.MULTILINE):
            messages.append(f"the builder adds {called}(...) itself; take it out")
    if cell.exercise is None:
        return messages
    comment = re.match(rf"{KEY}(\S+)", cell.body)
    if comment and comment[1] != cell.exercise.id:
        messages.append(f"its comment names {comment[1]}, its option {cell.exercise.id}")
    try:
        tree = ast.parse(cell.solved)
    except SyntaxError as error:
        return [*messages, f"its solution is not Python: {error.msg}, line {error.lineno}"]
    if cell.exercise.defines not in _defined(tree):
        messages.append(f"it does not define {cell.exercise.defines!r}")
    return messages


def _defined(tree):
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name)}
    return names


def of_lesson(cells, lesson, title):
    """What is wrong with the cells together, as pairs: the place, and a sentence.

    Args:
        cells: the `SourceCell`s.
        lesson: the `Lesson` whose exercises and questions they hold.
        title: whether the first cell has to be the lesson's title.
    """
    if not cells:
        return
    if title and not (cells[0].kind == "markdown" and cells[0].body.startswith("# ")):
        yield cells[0].place, "the first cell is the title: `# # Title` as markdown"
    for kind, option, group in (
        ("exercise", "exercise", exercises.of_lesson(lesson.name)),
        ("question", "predict", exercises.questions_of(lesson.name)),
    ):
        here = [getattr(cell, kind).id for cell in cells if getattr(cell, kind)]
        for item in group:
            if (count := here.count(item.id)) != 1:
                wanted = f'expected one, with the option {option}="{item.id}"'
                yield "", f"{count} cells for the {kind} {item.id}, {wanted}"
    for index, cell in enumerate(cells):
        if cell.exercise and check_of(cells, index) is None:
            call = f"check({cell.exercise.defines})"
            yield cell.place, f"no cell with {call} between it and the next exercise"
    yield from _said_twice(cells, lesson)
    yield from overwritten(cells)


def _said_twice(cells, lesson):
    """Where the text repeats what is declared, and says something else."""
    number = 0
    for cell in cells:
        number += cell.exercise is not None
        heading = re.search(r"^### Exercise (\d+)\b", cell.body, re.MULTILINE)
        if cell.kind == "markdown" and heading and int(heading[1]) != number + 1:
            yield cell.place, f"the next exercise is number {number + 1}, not {heading[1]}"
    first = next((cell for cell in cells if cell.kind == "markdown"), None)
    time = re.search(
        r"\*\*Time:\*\* (\d+) minutes(?:, (\d+) of them)?", first.body if first else ""
    )
    if time:
        exercising = sum(exercise.minutes for exercise in exercises.of_lesson(lesson.name))
        for said, declared in ((time[1], lesson.minutes), (time[2], exercising)):
            if said and int(said) != declared:
                yield first.place, f"its time is {declared} minutes by the declaration, not {said}"


def check_of(cells, index):
    """The index of the cell that checks the exercise at `index`, or None."""
    exercise = cells[index].exercise
    for later in range(index + 1, len(cells)):
        if cells[later].exercise:
            return None
        if cells[later].kind == "code":
            called = re.search(r"^check\((\w+|[\"'][\w.]+[\"'])\s*[,)]", cells[later].body, re.M)
            if called and called[1].strip("\"'") in (exercise.defines, exercise.id):
                return later
    return None
