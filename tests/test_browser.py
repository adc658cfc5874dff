"""Lesson 02 as a student meets it: typed, checked, explored, saved and handed in, in JupyterLab.

The pictures stay under `.cache/screenshots`, to be looked at.
"""

import os
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from jupyter_browser import jupyter_lab

from course import exercises, grading

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parent.parent
LESSON = "02_attention.ipynb"
PICTURES = ROOT / ".cache" / "screenshots"

NO_SCALING = """# exercise: attention.scaled_dot_product
def scaled_dot_product_attention(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    weights = ops.softmax(scores, axis=-1)
    return ops.matmul(weights, value), weights
"""
SCALED = NO_SCALING.replace("-1, -2))", "-1, -2)) / query.shape[-1] ** 0.5")


def answers():
    """{exercise: the solution's cell}."""
    made = nbformat.read(ROOT / "solutions" / LESSON, as_version=4)
    cells = ((c.metadata.get("course", {}).get("exercise"), c.source) for c in made.cells)
    return {exercise: source for exercise, source in cells if exercise}


@pytest.fixture
def folder(tmp_path):
    """What a student has: the lessons, and nothing of the solutions."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    lessons = tmp_path / "lessons"
    lessons.mkdir()
    shutil.copy(ROOT / "lessons" / LESSON, lessons)
    return lessons


def test_a_student_sees_the_mistake_mends_it_explores_and_hands_in(folder, tmp_path):
    with jupyter_lab(folder, env={"PYTHONPATH": str(ROOT)}) as lab:
        notebook = lab.open(LESSON)
        solve_one_by_hand(notebook)
        solve_the_rest(notebook)
        explore(notebook)
        notebook.save()
        assert not notebook.problems
    hand_in = tmp_path / "submissions" / "ada"
    hand_in.mkdir(parents=True)
    shutil.copy(folder / LESSON, hand_in)
    summary = grading.grade(hand_in.parent, tmp_path / "graded", seed=11)
    page = next((tmp_path / "graded" / "feedback").rglob("*ada*"))
    assert not summary.ungraded
    ((_, (record,)),) = summary.students
    total = sum(e.points for e in exercises.of_lesson("attention"))
    assert record["points"] == record["max_points"] == total
    if page.is_dir():
        page = next(page.rglob("*.html"))
    show_feedback(page)


def solve_one_by_hand(notebook):
    """A wrong answer typed, its mistake seen; the right one typed, the pass seen."""
    setup, imports = notebook.find_cell('setup("attention")'), notebook.find_cell("import keras\n")
    notebook.run_cell(setup)
    assert re.search(r"backend\s+(tensorflow|jax)", notebook.wait_for_text("device", index=setup))
    notebook.run_cell(imports)
    answer = notebook.find_cell("# exercise: attention.scaled_dot_product")
    notebook.run_cell(answer)
    assert "not written yet" in notebook.run_cell(answer + 1).lower()
    notebook.set_cell_source(answer, NO_SCALING)
    notebook.run_cell(answer)
    shown = notebook.run_cell(answer + 1)
    sentence = exercises.find("attention.scaled_dot_product").sentence("no-scaling")
    assert sentence in shown and "Yours" in shown and "Expected" in shown
    notebook.screenshot(PICTURES / "lesson_mistake.png", index=answer + 1)
    notebook.set_cell_source(answer, SCALED)
    notebook.run_cell(answer)
    assert "Passed the public checks" in notebook.run_cell(answer + 1)
    notebook.screenshot(PICTURES / "lesson_passed.png", index=answer + 1)


def solve_the_rest(notebook):
    for exercise, source in answers().items():
        if exercise != "attention.scaled_dot_product":
            at = notebook.find_cell(f"# exercise: {exercise}")
            notebook.page.evaluate(
                "([index, source]) => window.jupyterapp.shell.currentWidget.content"
                ".widgets[index].model.sharedModel.setSource(source)",
                [at, source],
            )
    notebook.run_all(timeout=240)
    shown = notebook.wait_for_text("6 of 6", index=notebook.find_cell('progress("attention")'))
    assert "attention" in shown.lower()
    for exercise in exercises.of_lesson("attention"):
        check = notebook.find_cell(f"check({exercise.defines})")
        assert "Passed the public checks" in notebook.cell_output_text(check), exercise.id


def explore(notebook):
    """A click on a word changes what the explorer reads out."""
    from playwright.sync_api import expect

    at = notebook.find_cell("explore_attention(weights, tokens")
    screen = notebook.cell(at).locator(".course-explorer")
    screen.scroll_into_view_if_needed()
    words = screen.get_by_role("listbox").get_by_role("option")
    assert words.count() >= 9
    word = words.nth(3).inner_text()
    words.nth(3).click()
    expect(words.nth(3)).to_have_attribute("aria-selected", "true")
    expect(screen.locator(".course-explorer-readout")).to_contain_text(word)
    notebook.screenshot(PICTURES / "lesson_explorer.png", index=at)


def show_feedback(page):
    """Looks at the feedback page as the student will."""
    from jupyter_browser import CHROMIUM_ARGUMENTS, require_browser
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=require_browser(), args=list(CHROMIUM_ARGUMENTS), env={**os.environ}
        )
        view = browser.new_page(viewport={"width": 1000, "height": 900})
        view.goto(page.as_uri())
        assert "attention" in view.inner_text("body").lower()
        view.screenshot(path=str(PICTURES / "feedback.png"))
        browser.close()


# What the cell of the lesson's last section that shows the explorer stands on.
STANDS_ON = (
    'setup("attention")',
    "import keras\n",
    "scaled_dot_product_attention as attend",
    "corpus = [",
    "word_vectors = ",
    "explore_attention(weights",
)


def test_the_explorer_shows_a_real_sentence(folder, shared_data, tmp_path):
    """The lesson's last section with COURSE_DATA set, as its text says."""
    made = nbformat.read(ROOT / "solutions" / LESSON, as_version=4)
    made.cells = [c for c in made.cells if any(part in c.source for part in STANDS_ON)]
    for cell in made.cells:
        cell.source = re.sub(
            r"corpus = \[row\[.*\n",
            'corpus = [row["en"].lower().rstrip(".").split() for row in '
            'data.load("multi30k", "train")]\n',
            cell.source,
        )
        if cell.cell_type == "code":
            cell.outputs = []
    changed = next(c.source for c in made.cells if "corpus = [" in c.source)
    assert "multi30k" in changed
    nbformat.write(made, folder / "real.ipynb")
    env = {"PYTHONPATH": str(ROOT), "COURSE_DATA": str(shared_data), "COURSE_OFFLINE": "1"}
    with jupyter_lab(folder, env=env) as lab:
        notebook = lab.open("real.ipynb")
        notebook.run_all(timeout=240)
        at = notebook.find_cell("explore_attention(weights, tokens")
        notebook.cell(at).locator(".course-explorer").wait_for()
        notebook.screenshot(PICTURES / "explorer_multi30k.png", index=at)
        assert not notebook.problems
