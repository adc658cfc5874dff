"""Builds the two notebooks of each lesson."""

import json
from pathlib import Path

from course import runtime
from course.authoring import notebook
from course.authoring.depends import depends_hash
from course.authoring.executing import execute as run
from course.authoring.source import AuthoringError, read, sources

BUDGET = 20  # seconds on two CPU cores
LONGER = {"translation": 90, "pretraining": 90, "fine_tuning": 90, "generation": 90}
NEVER_RUN = "not executed"


def build(root, lessons=None, execute=True, echo=print):
    """Makes `solutions/NN_name.ipynb` and `lessons/NN_name.ipynb` from `solutions/NN_name.py`.

    A notebook is executed only if something that its outputs depend on has changed. Nothing is
    written for a lesson that fails; the other lessons are still built.

    Args:
        root: the course's folder.
        lessons: names ("attention") or numbers ("02"); None for all.
        execute: whether notebooks may be executed; otherwise the check will ask for it.
        echo: is called with a line for each lesson.

    Returns:
        Names of the lessons of which a file was written, as in "02_attention".

    Raises:
        AuthoringError: with the findings of all lessons that failed.
    """
    written, findings = [], []
    for path in sources(root, lessons):
        try:
            if _build(path, Path(root), execute, echo):
                written.append(path.stem)
        except AuthoringError as error:
            findings += error.findings
            echo(f"{path.stem}: not built")
    if findings:
        raise AuthoringError(findings)
    return written


def _build(path, root, execute, echo):
    source = read(path)
    made, places = notebook.solution(source, root)
    handed_out = notebook.lesson(source, root)
    target = path.with_suffix(".ipynb")
    depends = depends_hash(made, source.lesson.name, root)
    before = notebook.load(target)
    did = "outputs kept"
    if outputs_hold(before, depends):
        carry_outputs(before, made)
    elif execute:
        echo(f"{source.name}: running, about {source.lesson.seconds} s")
        seconds = run(made, places, f"solutions/{path.name}", root)
        made.metadata["course"] |= {"depends_hash": depends, "versions": runtime.versions()}
        made.metadata["course"]["outputs"] = hashes_of_outputs(made)
        budget = LONGER.get(source.lesson.name, BUDGET)
        over = f", OVER its {budget} s" if seconds > budget else f" of {budget} s"
        did = f"executed in {seconds:.1f} s{over}"
    else:
        made.metadata["course"] |= {"depends_hash": NEVER_RUN, "outputs": {}}
        did = NEVER_RUN
    changed = notebook.save(made, target)
    changed |= notebook.save(handed_out, root / "lessons" / target.name)
    echo(f"{source.name}: {did}{'' if changed else ', nothing changed'}")
    return changed


def hashes_of_outputs(made):
    """A hash for each cell that has outputs, which tells one edited by hand: {cell id: hash}."""
    found = {}
    for cell in made.cells:
        if cell.cell_type == "code" and (cell.outputs or cell.get("execution_count")):
            content = [cell.get("execution_count"), cell.outputs]
            found[cell.get("id")] = notebook.digest(json.dumps(content, sort_keys=True))[:12]
    return found


def outputs_hold(before, depends):
    """Whether an earlier notebook's outputs are still what its code prints."""
    noted = before.metadata.get("course", {}) if before else {}
    return noted.get("depends_hash") == depends and noted.get("outputs") == hashes_of_outputs(
        before
    )


def carry_outputs(before, made):
    """Takes over the outputs of an earlier notebook with the same code cells, in place."""
    pairs = ([cell for cell in each.cells if cell.cell_type == "code"] for each in (before, made))
    for old, new in zip(*pairs, strict=True):
        new.outputs, new.execution_count = old.outputs, old.get("execution_count")
    for key in ("depends_hash", "outputs", "versions"):
        if key in before.metadata["course"]:
            made.metadata["course"][key] = before.metadata["course"][key]
