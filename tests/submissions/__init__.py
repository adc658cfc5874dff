"""Twelve sample submissions of a lesson, and what the grader must say of each.

`make_submissions(folder, lesson)` makes them from the lesson's two notebooks. Those of lesson 02
are kept in `tests/submissions/attention/STUDENT/02_attention.ipynb`; after a change to that lesson
`python -m tests.submissions` makes them again.
"""

import copy
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from course import exercises

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Sample:
    """One student, and what the grader must say.

    Attributes:
        student: the name of the folder.
        what: what was handed in, for people.
        mistakes: {exercise: the mistake that is named}; all other exercises have full points.
        flag: words that the flags in grades.csv must hold.
        graded: whether there are points at all.
    """

    student: str
    what: str
    mistakes: dict = field(default_factory=dict)
    flag: str = ""
    graded: bool = True


# Slips in solutions: {exercise: (the mistake that must be named, text, text in its place)}.
SLIPS = {
    "start": {"start.double": ("squared", "return 2 * x", "return x * x")},
    "attention": {
        "attention.scaled_dot_product": ("no-scaling", " / d_k**0.5", ""),
        "attention.masks": ("padding-on-queries", "[:, None, :]", "[:, :, None]"),
        "attention.fully_masked_row": (
            "uniform-row",
            "weights = ops.where(attention_mask, weights, ops.zeros_like(weights))",
            "pass",
        ),
        "attention.multi_head": (
            "merge-by-reshape",
            "heads = ops.transpose(heads, (0, 2, 1, 3))",
            "pass",
        ),
        "attention.repair": ("split-and-merge-by-reshape", None, None),  # as it is handed out
        "attention.cost": ("crossover-d-model", "2.0 * d_model", "1.0 * d_model"),
    },
}


def samples(lesson):
    """The twelve samples of a lesson, in the order of the README."""
    ids = [exercise.id for exercise in exercises.of_lesson(lesson)]
    slips = {name: slip[0] for name, slip in SLIPS[lesson].items()}
    first, last = ids[0], ids[-1]
    alone = len(ids) == 1
    unsolved = {name: "not-written" for name in ids}
    if "attention.repair" in unsolved:  # handed out as code with two mistakes
        unsolved["attention.repair"] = slips["attention.repair"]
    return [
        Sample("right", "every exercise right"),
        Sample("partly_right", "the first half right, one slip in each other", _half(slips, ids)),
        Sample("wrong", "a slip in every exercise", slips),
        Sample("unsolved", "the lesson as it was handed out", unsolved),
        Sample(
            "syntax_error",
            "the first exercise's cell does not parse",
            {first: "exception"},
            "syntax error in code cell",
        ),
        Sample(
            "missing_cell",
            "the last exercise's cell deleted",
            {last: "missing"},
            "no cell of it was found" if not alone else "UNGRADED: no exercise",
            graded=not alone,
        ),
        Sample(
            "duplicated_cell",
            "the first exercise solved, its unsolved cell pasted again below",
            {},
            "define it, code cell",
        ),
        Sample(
            "stripped_metadata",
            "no metadata, no cell ids and no comment keys, as after a converter",
            {},
            "found by the name that it defines",
        ),
        Sample("corrupt_json", "cut off in the middle", {}, "not valid JSON", graded=False),
        Sample("empty_file", "no bytes", {}, "the file is empty", graded=False),
        Sample(
            "infinite_loop",
            "all right, and a cell of the student's own that never ends",
            {},
            "was stopped after",
        ),
        Sample("prints_100_mb", "all right, and a cell that prints 100 MB", {}, "printed 100 MB"),
    ]


def _half(slips, ids):
    return {name: slips[name] for name in ids[len(ids) // 2 :]}


def make_submissions(folder, lesson):
    """Writes the samples of a lesson.

    Args:
        folder: gets one folder for each student.
        lesson: the lesson's name.

    Returns:
        The paths of the twelve files.
    """
    name = exercises.about(lesson).file
    handed_out = _load(ROOT / "lessons" / name)
    solved = _load(ROOT / "solutions" / name)
    answers, paths = _answers(solved), []
    for sample in samples(lesson):
        text = _make(sample, lesson, handed_out, answers)
        path = Path(folder) / sample.student / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def _answers(solved):
    """{exercise: source} of a solution notebook, without nbgrader's marks."""
    marks = re.compile(r"^ *### (BEGIN|END) SOLUTION\n?", re.MULTILINE)
    return {k: marks.sub("", c["source"]).rstrip() for k, c in _exercise_cells(solved).items()}


def answers_with_slips(lesson, student):
    """{exercise: source} of one of the samples "right", "partly_right" and "wrong"."""
    (sample,) = (each for each in samples(lesson) if each.student == student)
    file = exercises.about(lesson).file
    solved, handed_out = _load(ROOT / "solutions" / file), _load(ROOT / "lessons" / file)
    made = json.loads(_make(sample, lesson, handed_out, _answers(solved)))
    return {key: cell["source"] for key, cell in _exercise_cells(made).items()}


def _make(sample, lesson, handed_out, answers):
    """The text of one submission."""
    notebook = copy.deepcopy(handed_out)
    cells = _exercise_cells(notebook)
    ids = list(cells)
    if sample.student != "unsolved":
        for key, cell in cells.items():
            cell["source"] = answers[key]
    if sample.student in ("wrong", "partly_right"):
        for key in sample.mistakes:
            _slip(cells[key], *SLIPS[lesson][key], _exercise_cells(handed_out)[key])
    elif sample.student == "syntax_error":
        cells[ids[0]]["source"] = re.sub(
            r"^(def .*\)):", r"\1", cells[ids[0]]["source"], flags=re.MULTILINE
        )
    elif sample.student == "missing_cell":
        notebook["cells"].remove(cells[ids[-1]])
    elif sample.student == "duplicated_cell":
        again = copy.deepcopy(_exercise_cells(handed_out)[ids[0]]) | {"id": "pasted-again"}
        notebook["cells"].insert(notebook["cells"].index(cells[ids[0]]) + 1, again)
    elif sample.student == "stripped_metadata":
        notebook["metadata"], notebook["nbformat_minor"] = {}, 4
        for cell in notebook["cells"]:
            cell.pop("id", None)
            cell["metadata"] = {}
            cell["source"] = re.sub(r"^# exercise: .*\n", "", cell["source"])
    elif sample.student == "infinite_loop":
        _add(notebook, cells[ids[0]], "tries = 0\nwhile True:\n    tries += 1")
    elif sample.student == "prints_100_mb":
        _add(notebook, cells[ids[0]], 'for _ in range(1000):\n    print("x" * 99_999)')
    text = _dump(notebook)
    if sample.student == "corrupt_json":
        return text[: len(text) // 2]
    return "" if sample.student == "empty_file" else text


def _slip(cell, mistake, right, wrong, handed_out):
    """Puts a slip into a solved cell, and fails if the solution has changed under it."""
    if right is None:
        cell["source"] = handed_out["source"]
        return
    if right not in cell["source"]:
        raise ValueError(f"the slip {mistake} finds no {right!r} in:\n{cell['source']}")
    cell["source"] = cell["source"].replace(right, wrong)


def _add(notebook, after, source):
    """Adds a code cell of the student's own below a cell."""
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "of-the-student",
        "metadata": {},
        "outputs": [],
        "source": source,
    }
    notebook["cells"].insert(notebook["cells"].index(after) + 1, cell)


def _exercise_cells(notebook):
    """{exercise: its cell}, by the comment key."""
    found = {}
    for cell in notebook["cells"]:
        key = re.match(r"# exercise: (\S+)", cell["source"])
        if cell["cell_type"] == "code" and key:
            found[key[1]] = cell
    return found


def _load(path):
    """A notebook without outputs, its sources as text."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return notebook


def _dump(notebook):
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
