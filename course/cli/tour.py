"""`course tour`: the course at work in a few minutes, for someone who has never seen it."""

import shutil
import time
from pathlib import Path

RIGHT = """\
# exercise: attention.scaled_dot_product
from keras import ops

def scaled_dot_product_attention(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores, axis=-1)
    return ops.matmul(weights, value), weights
"""
STUDENTS = ("right", "partly_right", "wrong", "unsolved")  # of the sample submissions


def run(root, out):
    """Takes the tour; everything it makes lands in `out`.

    Returns:
        The exit code: 0 if every stop did what it promises.
    """
    from rich.console import Console

    console, root, out = Console(), Path(root).resolve(), Path(out).resolve()
    if not (root / "solutions").is_dir():
        console.print(f"{root} is not the course's folder: run the tour in its clone.")
        return 2
    out.mkdir(parents=True, exist_ok=True)
    stops = (
        ("Run lesson 02's solution in a real kernel", run_lesson),
        ("Check a right answer and a wrong one", check_answers),
        ("Grade four submissions of a class", grade_class),
        ("Draw an attention map", draw_map),
    )
    for number, (title, stop) in enumerate(stops, 1):
        console.rule(f"[bold]{number} of {len(stops)}: {title}")
        start = time.perf_counter()
        if not stop(console, root, out):
            console.print(f"[bold]Stopped here.[/] See {out}")
            return 1
        console.print(f"({time.perf_counter() - start:.0f} s)")
    console.rule("[bold]What next")
    console.print(
        "make lab      open the lessons in JupyterLab; start with 00_start.ipynb\n"
        "make test     run every test of the course\n"
        f"The tour's results are in {out}"
    )
    return 0


def run_lesson(console, root, out):
    """Executes the solution notebook and says what its cells showed."""
    import nbformat

    from course.authoring import AuthoringError
    from course.authoring.executing import execute

    path = root / "solutions" / "02_attention.ipynb"
    notebook = nbformat.read(path, as_version=4)
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    places = [f"cell {index + 1}" for index in range(len(notebook.cells))]

    def on_cell(index):
        if index in code:
            lines = notebook.cells[index].source.splitlines()
            first = next((x for x in lines if x and x[0] != "#"), "")
            status.update(f"cell {code.index(index) + 1} of {len(code)}: {first[:60]}")

    with console.status("starting the kernel") as status:
        try:
            execute(notebook, places, path.name, root, on_cell=on_cell)
        except AuthoringError as error:
            console.print(str(error), highlight=False, markup=False)
            return False
    nbformat.write(notebook, out / "02_attention.ipynb")
    console.print(f"{len(code)} cells ran; the notebook with its outputs is 02_attention.ipynb")
    return True


def check_answers(console, root, out):
    """A right answer passes; the same without scaling is told so."""
    from course.grading import check_file
    from course.lab.interactive import show_report

    wrong = RIGHT.replace(" / query.shape[-1] ** 0.5", "")
    for name, text in (("right.py", RIGHT), ("wrong.py", wrong)):
        (out / name).write_text(text, encoding="utf-8")
    with console.status("checking right.py and wrong.py"):
        right, wrong = (
            check_file(out / name, lesson="attention")[0] for name in ("right.py", "wrong.py")
        )
    for name, report in (("right.py", right), ("wrong.py", wrong)):
        console.print(f"[bold]course check {name}[/]")
        console.print(show_report(report).text, highlight=False, markup=False)
    return right.passed and wrong.mistakes[:1] == ("no-scaling",)


def grade_class(console, root, out):
    """Grades four of the sample submissions and prints their grades."""
    import csv

    from rich.table import Table

    from course import grading

    samples = root / "tests" / "submissions" / "attention"
    folder = out / "class"
    for old in (folder, out / "grades"):
        shutil.rmtree(old, ignore_errors=True)
    for student in STUDENTS:
        shutil.copytree(samples / student, folder / student)
    with console.status("starting") as status:
        summary = grading.grade(
            folder,
            out / "grades",
            progress=lambda done, total, record: status.update(f"graded {done} of {total}"),
        )
    with open(out / "grades" / "grades.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = Table("", *(row["student"].replace("_", " ") for row in rows))
    for name in (n for n in rows[0] if n not in ("student", "flags")):
        table.add_row(name, *(row[name] for row in rows))
    console.print(table)
    console.print(str(summary), highlight=False, markup=False)
    return len(rows) == len(STUDENTS)


def draw_map(console, root, out):
    """Attention over a sentence, by our own layer, as a PNG."""
    import numpy as np

    from course import runtime

    runtime.start()
    from course.attention import scaled_dot_product_attention
    from course.lab import attention_map

    tokens = "the bank of the green river".split()
    vectors = {"bank": (1, 1), "river": (2, 0)}
    x = np.array([vectors.get(token, (0, 0)) for token in tokens], "float32")
    _, weights = scaled_dot_product_attention(x, x, x, return_weights=True)
    picture = attention_map(weights, tokens, title="'bank' looks at itself and at 'river'")
    picture.save(out / "attention.png")
    console.print(f"attention.png: {picture.alt}")
    return (out / "attention.png").stat().st_size > 1000
