"""One source, two notebooks: conventions, clearing, stable bytes, the drift check, handouts."""

import ast
import copy
import importlib
import os
import re
import subprocess
import sys
import tomllib
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from conftest import PROVING
from nbformat.v4 import new_code_cell, new_output

from course import authoring, exercises
from course.authoring import building, depends, executing, notebook, template
from course.authoring.conventions import KEY
from course.authoring.names import overwritten
from course.authoring.source import read, sources
from course.grading import assignment

pytest.importorskip("nbgrader", reason="nbgrader is not installed")

ROOT = Path(__file__).resolve().parent.parent

# A lesson beside those of the course: one exercise to write, one to repair, one question.
MODULE = """
from course.checks.declaration import Exercise, Lesson, Probe, Question, call
from course.checks.judges import Match


def exercise(name, points):
    probe = Probe("a number", points, lambda rng: {"x": 4.0}, lambda i: call(i["x"]), judge)
    return Exercise(f"sample.{name}", name, name, 3, (probe,))


judge = Match(lambda i: i["x"] / 2, {})
LESSON = Lesson("77", "sample", "A sample", 5, 1)
EXERCISES = (exercise("half", 2), exercise("broken", 1.5))
QUESTIONS = (Question("sample.sum", "1 + 1?", {"a": ("2", "Yes."), "b": ("11", "No.")}, "a"),)
"""

SOURCE = '''
# This stays out of the notebooks.

# %% [markdown]
# # A sample

# %%
number = 1

# %% exercise="sample.half"
def half(x):
    """Half of x."""
    ### BEGIN SOLUTION
    return x / 2
    ### END SOLUTION


# %%
check(half)

# %% predict="sample.sum"

# %% tags=["timing"]
print(number)

# %% exercise="sample.broken"
def broken(x):
    if x:
        ### BEGIN SOLUTION
        return x / 2
        #~ for i in range(2):
        #~     x = x - i
        #~ return x
        ### END SOLUTION

# %%
check(broken)

# %%
number
'''.lstrip()


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A course's folder with one small lesson, whose declaration `course.exercises` finds."""
    place = tmp_path / "declared"
    place.mkdir()
    (place / "sample.py").write_text(MODULE)
    monkeypatch.setattr(exercises, "__path__", [*exercises.__path__, str(place)])
    importlib.invalidate_caches()
    yield _course(tmp_path / "root", SOURCE)
    sys.modules.pop("course.exercises.sample", None)
    vars(exercises).pop("sample", None)


def _course(root, source):
    (root / "solutions").mkdir(parents=True, exist_ok=True)
    (root / "solutions" / "77_sample.py").write_text(source)
    return root


@pytest.fixture
def runs(monkeypatch):
    """Stands in for the kernel: each cell prints its number; counts how often it was asked."""
    asked = []

    def run(made, places, file, root):
        asked.append(file)
        for count, cell in enumerate(c for c in made.cells if c.cell_type == "code"):
            cell.execution_count = count + 1
            cell.outputs = [new_output("stream", name="stdout", text=f"{count}\n")]
        return 0.0

    monkeypatch.setattr(building, "run", run)
    return asked


def quiet(*_):
    pass


def build(root, **options):
    return authoring.build(root, echo=quiet, **options)


def cells(root, folder):
    return nbformat.read(root / folder / "77_sample.ipynb", as_version=4).cells


def cell(root, folder, cell_id):
    return next(c for c in cells(root, folder) if c.id == cell_id)


def findings(root):
    return [str(finding) for finding in authoring.check(root)]


def edit(root, folder, cell_id, change):
    path = root / folder / "77_sample.ipynb"
    made = nbformat.read(path, as_version=4)
    change(next(c for c in made.cells if c.id == cell_id))
    nbformat.write(made, path)


def refused(root, old, new):
    """What the build says after a change to the source."""
    assert old in SOURCE
    _course(root, SOURCE.replace(old, new))
    with pytest.raises(authoring.AuthoringError) as error:
        build(root)
    assert not list(root.glob("*/*.ipynb"))
    return str(error.value)


# What students get


def test_the_solution_keeps_its_markers_and_the_lesson_gets_nbgraders_stub(root, runs):
    build(root)
    solved = cell(root, "solutions", "sample-half").source
    assert solved.startswith("# exercise: sample.half\n# 2 points, about 3 minutes\ndef half(x):")
    assert "    ### BEGIN SOLUTION\n    return x / 2\n    ### END SOLUTION" in solved
    given = cell(root, "lessons", "sample-half").source
    assert given == (
        "# exercise: sample.half\n# 2 points, about 3 minutes\ndef half(x):\n"
        '    """Half of x."""\n    # YOUR CODE HERE\n    raise NotImplementedError()'
    )


def test_stub_lines_are_handed_out_and_are_not_in_the_solution(root, runs):
    build(root)
    assert "#~" not in cell(root, "solutions", "sample-broken").source
    given = cell(root, "lessons", "sample-broken").source
    wanted = "    if x:\n        for i in range(2):\n            x = x - i\n        return x"
    assert given.endswith(wanted)
    assert "YOUR CODE" not in given and "BEGIN" not in given


def test_stub_lines_may_be_written_as_ruff_formats_them(root, runs):
    build(root)
    before = cell(root, "lessons", "sample-broken").source
    _course(root, SOURCE.replace("#~", "# ~"))
    build(root)
    assert cell(root, "lessons", "sample-broken").source == before
    assert "~" not in cell(root, "solutions", "sample-broken").source


def test_a_question_is_answered_in_the_solution_and_open_in_the_lesson(root, runs):
    build(root)
    assert cell(root, "solutions", "sample-sum").source == 'predict("sample.sum", "a")'
    assert cell(root, "lessons", "sample-sum").source == 'predict("sample.sum", "?")'


def test_a_question_may_be_written_out(root, runs):
    written = (
        'predict="sample.sum"\nx = 2\n### BEGIN SOLUTION\npredict("sample.sum", "a")\n'
        '#~ predict("sample.sum", "?")\n### END SOLUTION\n'
    )
    _course(root, SOURCE.replace('predict="sample.sum"\n', written))
    build(root)
    assert cell(root, "solutions", "sample-sum").source == 'x = 2\npredict("sample.sum", "a")'
    assert cell(root, "lessons", "sample-sum").source == 'x = 2\npredict("sample.sum", "?")'


def test_each_notebook_opens_with_its_badge_the_title_and_the_setup_cell(root, runs):
    (root / "pyproject.toml").write_text('[tool.course]\nrepository = "a/b"\nbranch = "c"\n')
    build(root)
    for folder in ("solutions", "lessons"):
        badge, title, setup = cells(root, folder)[:3]
        assert f"github/a/b/blob/c/{folder}/77_sample.ipynb" in badge.source
        assert badge.source.startswith("[![Open this notebook in Colab](")
        assert title.source == "# A sample"
        assert "git+https://github.com/a/b@c" in setup.source
        assert setup.source.endswith('setup("sample")')
        assert setup.metadata.tags == ["nbval-ignore-output", "setup"]


def test_cells_carry_nbgraders_metadata_and_are_locked(root, runs):
    build(root)
    own, checked, graded = (
        cell(root, "lessons", f"sample-broken{role}") for role in ("", "-check", "-grade")
    )
    flags = ("solution", "grade", "locked")
    assert [own.metadata.nbgrader[flag] for flag in flags] == [True, False, False]
    assert [checked.metadata.nbgrader[flag] for flag in flags] == [False, False, True]
    assert [graded.metadata.nbgrader[flag] for flag in flags] == [False, True, True]
    assert graded.metadata.nbgrader["points"] == 1.5
    assert graded.source.splitlines()[-1] == 'grade("sample.broken")'
    assert own.metadata.deletable is False and "editable" not in own.metadata
    assert checked.metadata.editable is False and graded.metadata.editable is False
    assert all(each.metadata.nbgrader["checksum"] for each in (own, checked, graded))
    order = [c.id for c in cells(root, "lessons")]
    assert order.index(graded.id) == order.index(checked.id) + 1


def test_a_lesson_has_no_outputs_and_a_timing_cell_is_not_compared(root, runs):
    build(root)
    assert all(
        not c.outputs and c.execution_count is None
        for c in cells(root, "lessons")
        if c.cell_type == "code"
    )
    timing = next(c for c in cells(root, "solutions") if c.source == "print(number)")
    assert timing.metadata.tags == ["nbval-ignore-output", "timing"]


# Stable builds


def test_building_twice_runs_once_and_changes_no_byte(root, runs):
    assert build(root) == ["77_sample"]
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in root.glob("*/*.ipynb")}
    assert len(before) == 2 and not findings(root)
    assert build(root) == []
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in before} == before
    assert runs == ["solutions/77_sample.py"]


def test_only_what_outputs_depend_on_runs_a_notebook_again(root, runs):
    build(root)
    _course(root, SOURCE.replace("# # A sample", "# # A sample of text"))
    build(root)
    assert len(runs) == 1 and not findings(root)
    _course(root, SOURCE.replace("number = 1", "number = 2"))
    build(root)
    assert len(runs) == 2
    _course(root, SOURCE.replace("number = 1", "number = 2").replace('tags=["timing"]', ""))
    build(root)
    assert len(runs) == 3


def test_a_new_cell_leaves_the_ids_of_the_others(root, runs):
    build(root)
    before = [c.id for c in cells(root, "lessons")]
    _course(root, SOURCE.replace("# %%\nnumber = 1", "# %%\nnew = 0\n\n# %%\nnumber = 1"))
    build(root)
    after = [c.id for c in cells(root, "lessons")]
    assert len(after) == len(before) + 1 and [i for i in after if i in before] == before


def test_imports_are_followed_through_modules_lazy_packages_and_tables(tmp_path):
    for name, text in {
        "course/__init__.py": "",
        "course/lab/__init__.py": "__getattr__, __dir__, __all__ = lazy_names(\n"
        "    __name__, {'check': 'checks', 'explore': 'explorer'}\n)\n",
        "course/lab/checks.py": "def check():\n    from course import runner\n",
        "course/lab/explorer.py": "",
        "course/lab/explorer.js": "",
        "course/runner.py": "import numpy\n",
        "course/other.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    def found(code):
        files = depends.imported_files([code], tmp_path / "course")
        return [p.relative_to(tmp_path / "course").as_posix() for p in files]

    lab = ["__init__.py", "lab/__init__.py"]
    assert found("from course.lab import check") == [*lab, "lab/checks.py", "runner.py"]
    assert found("!ls\nfrom course.lab import explore") == [
        *lab,
        "lab/explorer.js",
        "lab/explorer.py",
    ]
    assert found("import course.other") == ["__init__.py", "other.py"]


def test_embedded_data_counts_for_lessons_that_load_data(root, tmp_path):
    def hashed(code):
        made = nbformat.v4.new_notebook(cells=[new_code_cell(code)])
        return depends.depends_hash(made, "start", root)

    for folder in ("world", "bert"):
        (root / "datasets" / folder).mkdir(parents=True)
    codes = "import course.data", "import course.checkpoints", "import course.attention"
    before = [hashed(code) for code in codes]

    def changed(file):
        (root / "datasets" / file).write_text("a")
        after = [hashed(code) for code in codes]
        (root / "datasets" / file).unlink()
        return [one != other for one, other in zip(before, after, strict=True)]

    assert changed("world/pairs.txt")[0] and changed("bert/vocab.txt") == [False, True, False]
    assert not changed("world/pairs.txt")[2]


def test_a_record_counts_for_the_lessons_that_show_it(root):
    results = root / "benchmarks" / "results"
    results.mkdir(parents=True)
    codes = 'x = recorded("cost")', "print(recorded('cost')['s'])", 'recorded("other")'

    def hashed():
        cells = [nbformat.v4.new_notebook(cells=[new_code_cell(code)]) for code in codes]
        return [depends.depends_hash(made, "start", root) for made in cells]

    before = hashed()
    (results / "cost.json").write_text("{}")
    first = hashed()
    (results / "cost.json").write_text("[]")
    assert [a != b for a, b in zip(before, first, strict=True)] == [True, True, False]
    assert [a != b for a, b in zip(first, hashed(), strict=True)] == [True, True, False]


# The drift check


def test_an_edited_lesson_cell_is_found(root, runs):
    build(root)
    edit(root, "lessons", "sample-half", lambda c: c.update(source=c.source + "\n# more"))
    (found,) = findings(root)
    assert found.startswith("lessons/77_sample.ipynb, cell 5 (sample-half), from cell 3 (line 9): ")
    assert "text differs" in found


def test_an_edited_output_is_found(root, runs):
    build(root)
    edit(root, "solutions", "sample-half-check", lambda c: c.outputs[0].update(text="passed\n"))
    (found,) = findings(root)
    assert "solutions/77_sample.ipynb, cell 6 (sample-half-check)" in found and "output" in found


def test_a_changed_source_is_found_in_both_notebooks(root, runs):
    build(root)
    _course(root, SOURCE.replace("number = 1", "number = 2"))
    text = "\n".join(findings(root))
    assert "lessons/77_sample.ipynb, from cell 2 (line 6): this cell of the source is miss" in text
    assert "solutions/77_sample.ipynb, cell 4 (sample-" in text


def test_missing_damaged_and_orphaned_notebooks_are_found(root, runs):
    build(root)
    (root / "lessons" / "77_sample.ipynb").unlink()
    (root / "solutions" / "77_sample.ipynb").write_text("{")
    (root / "lessons" / "78_gone.ipynb").write_text("{}")
    text = "\n".join(findings(root))
    assert "lessons/77_sample.ipynb: missing" in text
    assert "solutions/77_sample.ipynb: missing or damaged" in text
    assert "lessons/78_gone.ipynb: it has no source" in text


def test_wrong_points_are_found(root, runs):
    build(root)
    edit(root, "lessons", "sample-half-grade", lambda c: c.metadata.nbgrader.update(points=5))
    (found,) = findings(root)
    assert "sample-half-grade" in found and "worth 5 points, declared 2" in found


def test_a_lesson_with_outputs_is_found(root, runs):
    build(root)
    edit(root, "lessons", "sample-half-check", lambda c: c.update(execution_count=3))
    assert "cell 6 (sample-half-check): it has outputs" in findings(root)[0]


def test_a_change_in_the_course_asks_for_a_new_run(root, runs, monkeypatch):
    build(root)
    monkeypatch.setattr("course.authoring.checking.depends_hash", lambda *_: "another")
    (found,) = findings(root)
    assert "solutions/77_sample.ipynb: the code or data that its outputs depend on" in found


def test_a_build_without_running_is_told_apart(root, runs):
    build(root, execute=False)
    assert not runs and "it was never executed" in findings(root)[0]


def test_the_committed_notebooks_are_in_step():
    assert findings(ROOT) == []


# Conventions


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# # A sample", "# A sample", "cell 1 (line 3): the first cell is the title"),
        ('exercise="sample.half"', 'exercise="sample.hafl"', "did you mean sample.half"),
        ('exercise="sample.half"', 'exercize="sample.half"', "unknown option 'exercize'"),
        ('exercise="sample.half"', 'exercise="start.double"', "belongs to another lesson"),
        ("def half", "def halve", "cell 3 (line 9): it does not define 'half'"),
        ("check(half)", "print(half)", "cell 3 (line 9): no cell with check(half)"),
        ('# %% predict="sample.sum"\n', "", "0 cells for the question sample.sum"),
        ("# %%\nnumber\n", "# %%\ngrade('sample.half')\n", "the builder adds grade(...)"),
        ("    ### END SOLUTION\n\n\n", "", "`### BEGIN SOLUTION` without `### END SOLUTION`"),
        ("number = 1", "### BEGIN SOLUTION\n### END SOLUTION", "a cell that is no exercise"),
        ("number = 1", "#~ number = 1", "a stub line `#~ ` outside a solution"),
        ("### BEGIN", "# BEGIN", "write the markers as"),
        ("#~ for i in", "#~ for i on", "what the student gets is not Python"),
        ("# This stays", "import os  # This stays", "code before the first"),
        ("# # A sample", f"# # A sample\n#\n# ```text\n# {'─' * 81}\n# ```", "a drawing 81"),
        ("# # A sample", "# # A sample\n# **Time:** 7 minutes.", "its time is 5 minutes"),
        ("# # A sample", "# # A sample\n# **Time:** 5 minutes, 4 of them", "its time is 6 minutes"),
        ("# %%\nnumber = 1", "# %% [markdown]\n# ### Exercise 2: half", "is number 1, not 2"),
    ],
)
def test_a_broken_convention_names_file_and_cell(root, runs, old, new, message):
    said = refused(root, old, new)
    assert said.startswith("solutions/77_sample.py") and message in said


def test_a_comment_that_names_another_exercise_is_refused(root, runs):
    said = refused(root, "def half", "# exercise: sample.broken\ndef half")
    assert "its comment names sample.broken, its option sample.half" in said


def test_an_unknown_lesson_is_refused_with_those_that_exist(root):
    with pytest.raises(
        authoring.AuthoringError, match=r"no source for lesson .atention.; there are 77_sample"
    ):
        build(root, lessons=["atention"])


def test_unknown_settings_are_refused(root):
    (root / "pyproject.toml").write_text('[tool.course]\nrepo = "a/b"\n')
    with pytest.raises(ValueError, match="repo; it may have repository"):
        template.settings(root)


# The kernel


@pytest.fixture(scope="module")
def execute(tmp_path_factory):
    """Runs cells in a real kernel; gives the cells, or the error."""

    def run(*sources, tags=(), nbgrader=None):
        made = nbformat.v4.new_notebook(metadata={"language_info": notebook.LANGUAGE})
        made.cells = [new_code_cell(source) for source in sources]
        made.cells[-1].metadata.tags = list(tags)
        if nbgrader:
            made.cells[-1].metadata.nbgrader = nbgrader
        places = [f"cell {i + 1}" for i in range(len(sources))]
        executing.execute(made, places, "solutions/77_sample.py", tmp_path_factory.getbasetemp())
        return made.cells

    return run


def error_of(execute, *sources, **options):
    with pytest.raises(authoring.AuthoringError) as error:
        execute(*sources, **options)
    return str(error.value)


def test_an_error_names_file_cell_and_the_last_lines(execute):
    said = error_of(execute, "x = 1", "def f(x):\n    return x / 0\n\nf(x)")
    assert said.startswith("solutions/77_sample.py, cell 2: ZeroDivisionError: division by zero")
    assert "return x / 0" in said and "\x1b" not in said


def test_stderr_in_a_solution_is_refused(execute):
    code = "import sys\nprint('careful', file=sys.stderr)"
    said = error_of(execute, code, tags=["timing"])
    assert "cell 1: it writes on stderr" in said and "careful" in said


def test_memory_addresses_and_lost_points_are_refused(execute):
    said = error_of(execute, "print(object())", "1.0", nbgrader={"grade": True, "points": 2})
    assert "cell 1: it prints a memory address" in said
    assert "cell 2: solved it earns 1.0 points, expected 2.0" in said


def test_outputs_are_the_same_on_every_machine(execute):
    code = "import os\nprint(os.environ['COURSE_HOME'], os.environ.get('KERAS_BACKEND'))"
    first, second = execute(code, "print('now')", tags=["timing"])
    assert first.outputs[0].text == "COURSE_HOME None\n"
    assert second.outputs == [] and "execution" not in second.metadata


def test_a_failed_build_leaves_the_notebooks_as_they_were(root, runs, monkeypatch):
    build(root)
    before = {p: p.read_bytes() for p in root.glob("*/*")}
    monkeypatch.setattr(building, "run", executing.execute)
    monkeypatch.setattr(template, "SETUP", "raise SystemError('no {lesson} {install}')")
    with pytest.raises(authoring.AuthoringError, match="the setup cell: SystemError: no sample"):
        build(root)
    assert {p: p.read_bytes() for p in root.glob("*/*")} == before


# The setup cell


def run_setup(monkeypatch, source, done):
    """Runs the setup cell where `course` cannot be imported; gives the command that it starts."""
    started = []

    def run(command, **_):
        started.append(command)
        return done

    monkeypatch.setenv("COURSE_SOURCE", source)
    monkeypatch.setitem(sys.modules, "course.lab", None)
    monkeypatch.setattr("subprocess.run", run)
    code = template.setup_cell(ROOT, "start")
    with pytest.raises((RuntimeError, ImportError)) as error:
        exec(code, {})
    return started, error.value


class Done:
    returncode, stderr = 1, "ERROR: no matching distribution"


def test_the_setup_cell_installs_from_one_source_and_says_what_to_do(monkeypatch):
    started, error = run_setup(monkeypatch, "the.whl", Done)
    assert started == [[sys.executable, "-m", "pip", "install", "-q", "the.whl"]]
    assert "from the.whl" in str(error) and "no matching distribution" in str(error)
    assert "COURSE_SOURCE" in str(error) and error.__suppress_context__


# The handout


@pytest.fixture
def handout(root, runs, tmp_path):
    build(root)

    def release(**options):
        path = authoring.release("sample", tmp_path / "out", root=root, **options)
        made = nbformat.read(path, as_version=4)
        settings = tomllib.loads((path.parent / "assignment.toml").read_text())
        return {c.id: c for c in made.cells}, settings

    return release


def test_a_plain_handout_is_the_lesson_without_its_badge(handout, root):
    given, settings = handout()
    ours = {c.id: c for c in cells(root, "lessons") if c.id != "sample-badge"}
    assert given == ours and settings == {"lesson": "sample"}


def test_a_handout_is_clean_even_if_the_lesson_was_opened_and_run(handout, root):
    edit(root, "lessons", "sample-half-check", lambda c: c.update(execution_count=3))
    given, _ = handout()
    assert given["sample-half-check"].execution_count is None


def test_a_handout_may_leave_out_the_solutions(handout):
    given, _ = handout(solutions=False)
    assert given["sample-setup"].source.endswith('setup("sample", solutions=False)')


def test_points_and_deadline_of_the_instructor(handout):
    given, settings = handout(points={"sample.half": 3}, deadline="2026-12-01T23:59:00Z")
    assert settings["points"] == {"sample.half": 3}
    assert settings["deadline"] == datetime.fromisoformat("2026-12-01T23:59:00+00:00")
    assert "**Hand in by 2026-12-01 23:59 UTC.**" in next(iter(given.values())).source
    assert "# 3 points, about" in given["sample-half"].source
    graded = given["sample-half-grade"]
    assert graded.metadata.nbgrader["points"] == 3
    assert graded.source.endswith('round(grade("sample.half") * 3 / 2, 6)')
    assert given["sample-broken-grade"].metadata.nbgrader["points"] == 1.5


def test_an_exercise_left_out_stays_as_practice(handout):
    given, settings = handout(leave_out=["sample.half"])
    assert settings["leave_out"] == ["sample.half"]
    assert "sample-half-grade" not in given and "sample-broken-grade" in given
    assert "# Not graded in this class." in given["sample-half"].source
    assert "nbgrader" not in given["sample-half"].metadata
    assert "nbgrader" not in given["sample-half-check"].metadata


def test_last_years_assignment_is_read(handout, tmp_path):
    handout(points={"sample.half": 3}, leave_out=["sample.broken"], deadline="2026-01-01T00:00Z")
    given, settings = handout(points=tmp_path / "out" / "assignment.toml")
    assert settings["points"] == {"sample.half": 3} and settings["leave_out"] == ["sample.broken"]
    assert settings["deadline"].year == 2026 and "# 3 points" in given["sample-half"].source


def test_exercises_of_the_instructors_own_join_the_handout_and_reach_the_grader(
    handout, tmp_path, root
):
    own = tmp_path / "own"
    (own / "cells").mkdir(parents=True)
    (own / "recap.py").write_text(
        MODULE.replace("sample", "recap").replace(
            '(exercise("half", 2), exercise("broken", 1.5))', '(exercise("half", 2),)'
        )
    )
    source = SOURCE.replace("sample", "recap").replace("# # A", "# ## A")
    first, second = (source.index(f'# %% exercise="recap.{name}"') for name in ("half", "broken"))
    (own / "cells" / "recap.py").write_text(source[:second])
    assert first < second
    before = list(exercises.__path__)
    given, settings = handout(extra=own, points={"recap.half": 4})
    assert settings["extra"] == "extra" and settings["points"] == {"recap.half": 4}
    assert (tmp_path / "out" / "extra" / "recap.py").exists()
    assert given["recap-half"].source.startswith("# exercise: recap.half\n# 4 points")
    assert given["recap-half-grade"].metadata.nbgrader["points"] == 4
    assert '__path__.append("extra")' in given["sample-extra"].source
    asked = assignment.load(tmp_path / "out" / "assignment.toml").exercises("sample")
    assert {e.id: e.points for e in asked} == {
        "sample.half": 2,
        "sample.broken": 1.5,
        "recap.half": 4,
    }
    assert list(exercises.__path__) == before and "course.exercises.recap" not in sys.modules


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"points": {"sample.hafl": 3}},
            "points: no exercise 'sample.hafl'; did you mean",
        ),
        ({"points": {"sample.half": 0}}, "expected a number above 0"),
        ({"leave_out": ["start.double"]}, "leave_out: no exercise 'start.double'"),
        ({"deadline": "tomorrow"}, "deadline: 'tomorrow', expected a date"),
        ({"deadline": "2026-12-01T23:59:00"}, "no time or time zone"),
        ({"extra": "nowhere"}, "extra: nowhere has no module"),
    ],
)
def test_a_wrong_setting_of_a_handout_is_named(handout, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        handout(**options)


# For real


def nbval(path):
    """Runs a notebook's cells with nbval in this environment's kernel."""
    command = "-m pytest -q -p no:cacheprovider -p no:xdist --nbval-lax --nbval-current-env".split()
    return subprocess.run(
        [sys.executable, *command, "--nbval-cell-timeout=300", str(path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COURSE_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )


# What is trained for long in a lesson, and a fraction of it. `course build` ran the whole, of which
# the outputs in the files are left, and so does `make prove`.
LESS = {
    "05_translation": {"max_steps=900,": "max_steps=90,", "round_steps=90,": "round_steps=30,"},
    "07_pretraining": {"max_steps=240,": "max_steps=40,", "round_steps=40,": "round_steps=10,"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(p.name for p in (ROOT / "solutions").glob("*.ipynb")))
def test_a_solution_runs_under_nbval(name, tmp_path):
    """Every cell runs, and the points that it earns are those in the file."""
    made = nbformat.read(ROOT / "solutions" / name, as_version=4)
    less = {} if PROVING else LESS.get(name.removesuffix(".ipynb"), {})
    for much, little in less.items():
        (cell,) = (c for c in made.cells if c.cell_type == "code" and much in c.source)
        cell.source = cell.source.replace(much, little)
    nbformat.write(made, tmp_path / name)
    done = nbval(tmp_path / name)
    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.slow
def test_nbval_sees_points_that_are_not_earned(tmp_path):
    made = nbformat.read(ROOT / "solutions" / "00_start.ipynb", as_version=4)
    (answer,) = (c for c in made.cells if c.metadata.get("course", {}).get("exercise"))
    answer.source = answer.source.replace("2 * x", "3 * x")
    nbformat.write(made, tmp_path / "wrong.ipynb")
    done = nbval(tmp_path / "wrong.ipynb")
    assert done.returncode == 1 and "1 failed" in done.stdout


LESSONS = sorted(p.name for p in (ROOT / "lessons").glob("*.ipynb"))


@pytest.mark.parametrize("name", LESSONS)
def test_no_cell_of_a_lesson_needs_an_answer(name):
    """So that it can be read on with nothing solved: only checks use what students define."""
    made = nbformat.read(ROOT / "lessons" / name, as_version=4)
    answers = {
        e.defines for e in exercises.of_lesson(name.partition("_")[2].removesuffix(".ipynb"))
    }
    for each in made.cells:
        if each.cell_type != "code" or each.metadata.get("course", {}).get("exercise"):
            continue
        tree = ast.parse(
            each.source.replace("%", "#", 1) if each.source[:1] in "%!" else each.source
        )
        own = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        imported = {
            alias.asname or alias.name
            for n in ast.walk(tree)
            if isinstance(n, ast.Import | ast.ImportFrom)
            for alias in n.names
        }
        answers -= own | imported  # from here on the name is the lesson's
        checked = {
            id(argument)
            for n in ast.walk(tree)
            if isinstance(n, ast.Call) and getattr(n.func, "id", "") == "check"
            for argument in n.args
        }
        used = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in checked}
        assert not used & answers, each.id


@pytest.mark.slow
@pytest.mark.prove
@pytest.mark.parametrize("name", LESSONS if PROVING else ["00_start.ipynb"])
def test_an_unsolved_lesson_runs_from_top_to_bottom(name):
    """Nothing crashes, nothing is written on stderr, and nothing has earned a point yet."""
    made = nbformat.read(ROOT / "lessons" / name, as_version=4)
    places = [f"cell {i + 1} ({c.id})" for i, c in enumerate(made.cells)]
    executing.execute(made, places, f"lessons/{name}", ROOT, solved=False)
    for each in made.cells:
        if each.id.endswith("-check"):
            shown = str(each.outputs)
            assert "Not written yet" in shown or "✗" in shown, each.id


# --- names that somebody needs ------------------------------------------------------------------


def _cell(body, exercise=None):
    return SimpleNamespace(
        kind="code", body=body, solved=body, exercise=exercise, place=body.split("\n")[0]
    )


ANSWER = SimpleNamespace(id="sample.answer", defines="answer")


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([_cell("for round in range(3):\n    print(round)")], "Python's own 'round'"),
        ([_cell("check = 1")], "'check' of the setup cell"),
        ([_cell("import numpy as np"), _cell("np = 2")], "'np', imported in"),
        (
            [_cell("def answer(x):\n    return x", ANSWER), _cell("answer = 4")],
            "an exercise defines",
        ),
        (
            [
                _cell("table = [1]"),
                _cell("def answer(x):\n    return table[x]", ANSWER),
                _cell("table = 5"),
            ],
            "binds 'table' anew, which sample.answer reads",
        ),
    ],
)
def test_a_cell_may_not_take_a_name_that_somebody_needs(cells, words):
    (found,) = overwritten(cells)
    assert words in found[1]


def test_names_inside_functions_and_comprehensions_are_free():
    cells = [_cell("def f(round):\n    max = round\n    return max"), _cell("[id for id in 'ab']")]
    assert list(overwritten(cells)) == []


@pytest.mark.prove
@pytest.mark.slow
@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem) for p in sources(ROOT)])
def test_a_lesson_can_be_run_cell_by_cell_twice(path):
    """Every cell twice in a row, and each answer checked again after the whole lesson."""
    if not PROVING and path.stem != "01_tokens":
        pytest.skip("one lesson here, all in `make prove`")
    made, places = notebook.solution(read(path), ROOT)
    order = [i for i in range(len(made.cells)) for _ in range(2)]
    keyed = [i for i, c in enumerate(made.cells) if c.metadata.get("nbgrader", {}).get("grade")]
    again = [i for i, c in enumerate(made.cells) if KEY in c.source and c.cell_type == "code"]
    cells = [copy.deepcopy(made.cells[i]) for i in [*order, *again, *keyed]]
    for number, cell in enumerate(cells):
        cell.id = f"{number}-{cell.id}"[:64]
    made.cells, places = cells, [places[i] for i in [*order, *again, *keyed]]
    executing.execute(made, places, path.name, ROOT)
