"""Grading: a class of samples and a class of rogues, resuming, matching, `course check`.

Everything is graded for real, each submission in its own process. The twelve samples of lesson 02
run on this run's backend; the rogues have one small exercise and run on JAX, which starts twice as
fast.
"""

import csv
import html
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from submissions import samples

from course import exercises as bank
from course import runtime
from course.grading import GradingError, grader, jobs
from course.grading.results import fingerprint, similarity
from course.grading.sandbox import cleanup, process, worker_pool
from course.grading.submissions import archives, handout, matching, notebooks, selection
from course.grading.submissions import folders as handed_in

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "tests" / "submissions" / "attention"
SEED = 314_159_265_358
LIMITS = process.Limits(wall=60.0, cell=10.0)
FAST = "jax" if importlib.util.find_spec("jax") else os.environ["KERAS_BACKEND"]
KEY = "# exercise: start.double\n"
RIGHT = KEY + "def double(x):\n    return 2 * x"
WRONG = KEY + "def double(x):\n    return x * x"

linux = pytest.mark.skipif(sys.platform != "linux", reason="processes are listed from /proc")


def hand_in(folder, student, *cells, file="00_start.ipynb", metadata=None):
    """Writes a student's notebook of these code cells; gives its path."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    for cell, table in zip(made.cells, metadata or [], strict=False):
        cell.metadata.update(table)
    path = folder / student / file
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(made, path)
    return path


def course(*arguments, **environment):
    """Runs the command; gives what `subprocess.run` gives."""
    return subprocess.run(
        [sys.executable, "-m", "course.cli", *map(str, arguments)],
        env=os.environ | {"KERAS_BACKEND": FAST, "PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def started(arguments, temporary):
    """Starts the command, its temporary files in the given folder."""
    mine = {"KERAS_BACKEND": FAST, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    return subprocess.Popen(
        [sys.executable, "-m", "course.cli", *map(str, arguments)],
        env=os.environ | mine,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # A shell starts its background jobs with interrupts ignored, and all below inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def rows_of(out):
    """{student: row} of grades.csv."""
    with open(out / "grades.csv", newline="", encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def record_of(summary, student):
    """The one record of a student."""
    (record,) = dict(summary.students)[student]
    return record


def page_of(summary, student):
    """The text of a student's feedback page."""
    name = record_of(summary, student)["name"]
    return (summary.out / "feedback" / f"{name}.html").read_text(encoding="utf-8")


def visible(page):
    """What a reader sees of a page: its body without tags."""
    return html.unescape(re.sub(r"<[^>]*>", " ", page.partition("<body>")[2]))


def processes_of(grader):
    """Ids of the processes that this grader or its submissions have started."""
    found, mark = [], f"{cleanup.PREFIX}{grader}-".encode()
    for entry in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in entry.read_bytes():
                found.append(int(entry.parent.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


def wait_for(condition, seconds, what):
    """Waits until `condition()` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.02)


# --- the twelve samples -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def class_of_samples(tmp_path_factory):
    """The twelve samples, graded once."""
    out = tmp_path_factory.mktemp("samples")
    return jobs.grade(SAMPLES, out, seed=SEED, limits=LIMITS)


sample = pytest.mark.parametrize("sample", samples("attention"), ids=lambda s: s.student)


@pytest.mark.slow
@sample
def test_a_sample_has_the_mistakes_that_are_declared_and_all_other_points(sample, class_of_samples):
    record = record_of(class_of_samples, sample.student)
    found = {e["exercise"]: e for e in record["exercises"]}
    if not sample.graded:
        assert record["state"] == "ungraded"
        assert record["points"] is None
        assert not found
        return
    assert record["state"] == "graded"
    assert list(found) == [e.id for e in bank.of_lesson("attention")]
    named = {i: e["mistakes"][0]["id"] for i, e in found.items() if e["mistakes"]}
    assert named == sample.mistakes
    for name, exercise in found.items():
        assert (exercise["points"] < exercise["max_points"]) == (name in sample.mistakes), name
        assert exercise["passed"] == (name not in sample.mistakes), name


@pytest.mark.slow
@sample
def test_a_sample_has_its_row_in_grades_csv(sample, class_of_samples):
    row = rows_of(class_of_samples.out)[sample.student]
    record = record_of(class_of_samples, sample.student)
    assert sample.flag in row["flags"]
    assert row["max"] == "28"
    ids = [exercise.id for exercise in bank.of_lesson("attention")]
    if sample.graded:
        assert [float(row[i]) for i in ids] == [e["points"] for e in record["exercises"]]
        assert float(row["total"]) == sum(float(row[i]) for i in ids)
        assert "UNGRADED" not in row["flags"]
    else:
        assert [row[i] for i in [*ids, "total"]] == [""] * 7
        assert row["flags"].startswith("UNGRADED: ")
    if not sample.flag:
        assert row["flags"] == ""


@pytest.mark.slow
@sample
def test_a_sample_has_a_page_that_names_its_mistakes(sample, class_of_samples):
    text = visible(page_of(class_of_samples, sample.student))
    if not sample.graded:
        assert "Not graded." in text
        assert sample.flag in text
        return
    exercises = {exercise.id: exercise for exercise in bank.of_lesson("attention")}
    for name, mistake in sample.mistakes.items():
        assert exercises[name].sentence(mistake) in text
    assert text.count("all checks passed") == 2 * (len(exercises) - len(sample.mistakes))


@pytest.mark.slow
@sample
def test_a_page_shows_no_number_that_a_check_has_seen(sample, class_of_samples):
    text = visible(page_of(class_of_samples, sample.student))
    record = record_of(class_of_samples, sample.student)
    told = " ".join(m["sentence"] for e in record["exercises"] for m in e["mistakes"])
    points = {
        f"{p[k]:g}"
        for e in record["exercises"]
        for p in (e, *e["probes"])
        for k in ("points", "max_points")
    }
    numbers = set(re.findall(r"-?\d+\.\d+(?:e[-+]\d+)?", text))
    assert numbers <= points | {f"{record['points'] or 0:g}"} | set(re.findall(r"\d+\.\d+", told))
    for exercise in record["exercises"]:
        for probe in exercise["probes"]:
            detail = probe.get("detail", "")
            assert not re.search(r"\bis\b.*\d", detail) or detail not in text


@pytest.mark.slow
def test_grades_csv_has_one_row_for_each_student_under_a_stable_header(class_of_samples):
    with open(class_of_samples.out / "grades.csv", newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    ids = [exercise.id for exercise in bank.of_lesson("attention")]
    assert header == ["student", *ids, "total", "max", "flags"]
    assert [row[0] for row in rows] == sorted(s.student for s in samples("attention"))


@pytest.mark.slow
def test_a_page_is_one_file_that_asks_for_nothing(class_of_samples):
    for student, _ in class_of_samples.students:
        page = page_of(class_of_samples, student)
        assert "<script" not in page
        assert not re.search(r"(src|href)=\"(?!#)", page)
        assert "@import" not in page and "url(" not in page


@pytest.mark.slow
def test_the_same_seed_gives_the_same_points_and_another_the_same_verdicts(
    class_of_samples, tmp_path
):
    shutil.copytree(SAMPLES / "wrong", tmp_path / "class" / "wrong")
    again = jobs.grade(tmp_path / "class", tmp_path / "out", seed=SEED, limits=LIMITS)
    # Into the same folder: grades of two seeds are never mixed.
    other = jobs.grade(tmp_path / "class", tmp_path / "out", seed=SEED + 1, limits=LIMITS)
    assert (other.graded, other.kept) == (1, 0)
    first, second, third = (record_of(each, "wrong") for each in (class_of_samples, again, other))
    assert third["seed"] == SEED + 1
    assert third["points"] > 0

    def of_exercises(record, *keys):
        return [[e[key] for key in keys] for e in record["exercises"]]

    seen = ("points", "mistakes", "message", "probes")
    assert of_exercises(first, *seen) == of_exercises(second, *seen)
    assert of_exercises(first, "points", "mistakes") == of_exercises(third, "points", "mistakes")
    assert of_exercises(first, "probes") != of_exercises(third, "probes"), "the inputs are the same"


# --- a class of rogues --------------------------------------------------------------------------

# Looks everywhere in a process for what only the grader may hold.
SEARCH = '''
def found_references(seed):
    """What of the checks is in this process: modules, objects, the secret seed."""
    import gc, os, sys

    ours = ("course.exercises", "course.checks", "course.grading", "course.authoring")
    known = {"course.grading", "course.grading.sandbox"}
    parts = ("worker", "confinement", "supervisor", "protocol", "fork_server", "syscalls")
    known |= {f"course.grading.sandbox.{name}" for name in parts}
    found = {name for name in sys.modules if name.startswith(ours) and name not in known}
    for thing in gc.get_objects():
        for owner in (type(thing), thing if callable(thing) else None):
            home = getattr(owner, "__module__", None) if owner is not None else None
            if isinstance(home, str) and home.startswith(ours) and home not in known:
                found.add(home)
        if type(thing) is dict and any(type(v) is int and v == seed for v in list(thing.values())):
            found.add("the seed")
    for frame in sys._current_frames().values():
        while frame is not None:
            if frame.f_code.co_name != "found_references":
                for value in list(frame.f_locals.values()):
                    if type(value) is int and value == seed:
                        found.add("the seed")
                    if str(getattr(type(value), "__module__", "")).startswith(ours[:2]):
                        found.add("a judge in a frame")
            frame = frame.f_back
    allowed = {"COURSE_HOME", "COURSE_DATA"}
    if any(name.startswith("COURSE_") and name not in allowed for name in os.environ):
        found.add("the environment")
    return sorted(found)
'''

# {student: (points, words among the flags, cells)}; the honest ones stand before, between, after.
CLASS = {
    "Ana María": (1, "", [RIGHT]),
    "asks the judge": (0, "", [
        "import course.exercises.start as secret",
        KEY + "def double(x):\n"
        "    from course.exercises import find\n"
        "    return find('start.double').probes[0].judge.reference({'x': x})",
    ]),
    "cheats": (0, "", [
        # Every tool that could compare two arrays now says yes; the answer is still wrong.
        "import numpy as np, keras, builtins\n"
        "np.array_equal = np.allclose = keras.ops.isclose = lambda *a, **k: True\n"
        "np.testing.assert_allclose = lambda *a, **k: None\n"
        "np.abs = np.asarray = keras.ops.abs = lambda *a, **k: 0.0\n"
        "builtins.sum = builtins.all = lambda *a: True\n",
        "from course.lab import check, grade\n"
        "def check(*a, **k): return 'passed'\n"
        "def grade(*a, **k): return 1.0\n"
        "points = 1.0",
        WRONG + "\ncheck(double)\ngrade('start.double')",
    ]),
    "exits in a cell": (1, "ended the process (exit code 0)", ["import os\nos._exit(0)", RIGHT]),
    "exits in the answer": (0, "took its process with it", [
        KEY + "def double(x):\n    import os\n    os._exit(0)",
    ]),
    "forks": (None, "", ["import os\npid = os.fork()", RIGHT]),
    "forges": (0, "took its process with it", [
        "import json, os, struct\n"
        "def forge(number):\n"
        "    text = json.dumps({'number': number, 'passed': True, 'points': 100, 'outcome': {\n"
        "        'results': {'result': 1.0}, 'types': {'result': 'float'}, 'failure': None,\n"
        "        'mutated': [], 'called': [], 'seconds': 0.0, 'passed': True}}).encode()\n"
        "    data = struct.pack('>QI', len(text), 0) + text\n"
        "    for descriptor in range(3, 64):\n"
        "        try:\n"
        "            os.write(descriptor, data)\n"
        "        except OSError:\n"
        "            pass",
        KEY + "def double(x):\n    for number in range(20):\n        forge(number)\n    return x",
    ]),
    "hoards": (None, "", [
        "import numpy as np\nhoard = []\nwhile True:\n    hoard.append(np.empty(10**8))", RIGHT,
    ]),
    "keeps running": (1, "", [
        "import subprocess, threading, time\n"
        "def work():\n"
        "    while True:\n"
        "        print('still here')\n"
        "        time.sleep(0.01)\n"
        "threading.Thread(target=work).start()\n"
        "subprocess.Popen(['sleep', '1000'])\n"
        "subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "time.sleep(1)",
        RIGHT,
    ]),
    "kills its group": (1, "ended the process (SIGKILL)", [
        "import os\nos.killpg(0, 9)", RIGHT, "import os\nos.killpg(0, 9)",
    ]),
    "searches": (1, "", [
        SEARCH,
        KEY + "def double(x):\n"
        "    found = found_references(SEED)\n"
        "    return x * 0 if found else 2 * x",
    ]),
    "sys.exit": (0, "", [
        "import sys\nsys.exit(3)", "exit()", "raise SystemExit",
        KEY + "def double(x):\n"
        "    print(f'I saw {x}')\n"
        "    raise SystemExit(f'I saw {x}')",
    ]),
    "writes to every file": (1, "wrote into the grader's files", [
        "import os\n"
        "for descriptor in range(3, 64):\n"
        "    try:\n"
        "        os.write(descriptor, b'\\xff' * 100)\n"
        "    except OSError:\n"
        "        pass",
        RIGHT,
    ]),
    "=1+1": (0, "", [
        "print('<script>alert(1)</script>')\n" + KEY +
        "print('<script>alert(2)</script>')\n"
        "raise ValueError('<img src=x onerror=alert(3)>')",
    ]),
    "<b>bold": (1, "", ["raise RuntimeError('at module level')", RIGHT + "\n1 / 0"]),
    "李 明": (1, "", [RIGHT]),
}  # fmt: skip


@pytest.fixture(scope="module")
def rogues(tmp_path_factory):
    """The class of rogues: its folder of submissions, the folder of its temporaries, a summary."""
    folder, temporary = tmp_path_factory.mktemp("rogues"), tmp_path_factory.mktemp("temporary")
    for student, (_, _, cells) in CLASS.items():
        cells = [cell.replace("SEED", str(SEED)) for cell in cells]
        hand_in(folder, student, *cells)
    # A file of another name in folders of its own, as a learning platform zips it.
    odd = folder / "李 明" / "作业 一" / "abgabe (2)"
    odd.mkdir(parents=True)
    (folder / "李 明" / "00_start.ipynb").rename(odd / "回家作业.ipynb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(temporary))
        patch.setenv("KERAS_BACKEND", FAST)
        patch.setenv("COURSE_SEED", str(SEED))
        out = tmp_path_factory.mktemp("out")
        yield folder, temporary, jobs.grade(folder, out, seed=SEED, limits=LIMITS)


@pytest.mark.slow
@pytest.mark.parametrize("student", CLASS)
def test_a_rogue_costs_only_itself(student, rogues):
    points, words, _ = CLASS[student]
    _, _, summary = rogues
    record = record_of(summary, student)
    assert record["state"] == "graded"
    assert not record["exercises"][0]["fault"]
    row = rows_of(summary.out)["'=1+1" if student == "=1+1" else student]
    assert words in row["flags"]
    if points is not None:
        assert record["points"] == points, record
        assert row["total"] == f"{points}"


def test_a_fault_of_ours_is_noted_and_stops_nobody(tmp_path, monkeypatch):
    """Two faults, neither a student's: the run goes to its end, and both will be tried again."""
    errors = [SystemError("a race"), process.NotStarted("no process")]
    for student in ("ann", "bob"):
        hand_in(tmp_path / "class", student, RIGHT)

    def fails(*args, **kwargs):
        raise errors.pop()

    monkeypatch.setattr(jobs._Run, "pool", lambda self: "no sandbox")
    monkeypatch.setattr(jobs, "grade_document", fails)
    summary = jobs.grade(tmp_path / "class", tmp_path / "out", seed=SEED, jobs=1)
    reasons = {record_of(summary, student)["reason"] for student in ("ann", "bob")}
    assert reasons == {"our fault: SystemError: a race", "our fault: no process"}
    assert all(record_of(summary, student)["again"] for student in ("ann", "bob"))
    assert summary.graded == 2 and not errors


def test_a_parse_that_met_another_is_done_again(monkeypatch):
    import ast

    real, races = ast.parse, [1, 2]

    def races_twice(*args):
        if races:
            raise SystemError(f"AST constructor recursion depth mismatch {races.pop()}")
        return real(*args)

    monkeypatch.setattr(ast, "parse", races_twice)
    assert ast.unparse(runtime.parse_source("x = 1")) == "x = 1"
    assert not races


@pytest.mark.slow
@linux
def test_no_process_and_no_folder_of_a_submission_is_left(rogues):
    _, temporary, _ = rogues
    assert processes_of(os.getpid()) == []
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_the_search_for_references_finds_them_where_they_are(rogues):
    """The control of "searches": the same code, in the process that does hold them."""
    found, seed, judge = {}, SEED, bank.find("start.double").probes[0].judge
    exec(SEARCH, found)
    held = found["found_references"](seed)
    assert judge
    assert {"course.exercises.start", "the seed", "a judge in a frame"} <= set(held)


@pytest.mark.slow
def test_an_import_of_the_checks_is_refused_by_name(rogues):
    _, _, summary = rogues
    record = record_of(summary, "asks the judge")
    assert "course.exercises belongs to the checks" in record["exercises"][0]["message"]


@pytest.mark.slow
def test_what_a_submission_prints_and_raises_is_escaped(rogues):
    _, _, summary = rogues
    page = page_of(summary, "=1+1")
    assert "<script" not in page and "<img" not in page
    assert "&lt;img src=x onerror=alert(3)&gt;" in page
    assert "&lt;script&gt;alert(2)&lt;/script&gt;" in page
    assert "<h1>Feedback for &lt;b&gt;bold</h1>" in page_of(summary, "<b>bold")


@pytest.mark.slow
def test_what_an_answer_prints_or_raises_about_its_inputs_stays_hidden(rogues):
    _, _, summary = rogues
    page = page_of(summary, "sys.exit")
    assert "I saw" not in page.replace("raise SystemExit(f&#x27;I saw {x}&#x27;)", "")
    assert "stopped with SystemExit" in page


@pytest.mark.slow
def test_a_spreadsheet_takes_no_student_for_a_formula(rogues):
    _, _, summary = rogues
    assert "'=1+1" in rows_of(summary.out)


@pytest.mark.slow
def test_odd_names_of_students_are_kept_and_their_files_are_safe(rogues):
    _, _, summary = rogues
    assert {"Ana María", "李 明", "<b>bold"} <= rows_of(summary.out).keys()
    for path in (summary.out / "feedback").iterdir():
        assert re.fullmatch(r"[\w.\-]+\.html", path.name)
    assert record_of(summary, "李 明")["files"] == ["作业 一/abgabe (2)/回家作业.ipynb"]


@pytest.mark.slow
def test_graded_again_nothing_is_graded_twice(rogues):
    folder, _, summary = rogues
    before = {p: p.stat().st_mtime_ns for p in (summary.out / "records").iterdir()}
    grades = (summary.out / "grades.csv").read_bytes()
    again = jobs.grade(folder, summary.out, seed=SEED, limits=LIMITS)
    assert (again.graded, again.kept) == (0, len(CLASS))
    assert {p: p.stat().st_mtime_ns for p in (summary.out / "records").iterdir()} == before
    assert (summary.out / "grades.csv").read_bytes() == grades


@pytest.mark.slow
@linux
def test_killed_and_started_again_it_goes_on_where_it_was(rogues, tmp_path):
    folder, _, whole = rogues
    students = ("Ana María", "keeps running", "sys.exit")
    for student in students:
        shutil.copytree(folder / student, tmp_path / "class" / student)
    out, temporary = tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    asked = ["grade", tmp_path / "class", "--out", out, "--seed", SEED, "--jobs", "1"]
    first = subprocess.Popen(
        [sys.executable, "-m", "course.cli", *map(str, asked)],
        env=os.environ | {"KERAS_BACKEND": FAST, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        # Killed while the second submission's own processes are running.
        wait_for(lambda: any(map(_is_sleep, processes_of(first.pid))), 120, "the second")
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    (kept,) = (out / "records").glob("*.json")
    assert json.loads(kept.read_text(encoding="utf-8"))["student"] == "Ana María"
    assert not (out / "grades.csv").exists()
    wait_for(lambda: not processes_of(first.pid), 20, "all that it started ends")
    written = kept.stat()

    done = course(*asked, TMPDIR=str(temporary))
    assert done.returncode == 0, done.stderr
    assert "2 submissions graded now, 1 kept from an earlier run" in done.stdout
    assert (kept.stat().st_mtime_ns, kept.stat().st_ino) == (written.st_mtime_ns, written.st_ino)
    assert rows_of(out) == {s: row for s, row in rows_of(whole.out).items() if s in students}
    assert list(temporary.iterdir()) == []
    assert not list(out.rglob(".writing-*"))


@pytest.mark.slow
@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_its_processes_before_it_ends(tmp_path, number):
    hand_in(tmp_path / "class", "sleeps", "!sleep 1000", RIGHT)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    asked = ["grade", tmp_path / "class", "--out", tmp_path / "out"]
    with started(asked, temporary) as running:
        wait_for(lambda: any(map(_is_sleep, processes_of(running.pid))), 120, "its processes")
        running.send_signal(number)
        assert running.wait(60) != 0
    assert processes_of(running.pid) == []
    assert list(temporary.iterdir()) == []
    assert not list((tmp_path / "out").rglob("*.json"))


def _is_sleep(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"sleep\0")
    except OSError:
        return False


@pytest.mark.slow
def test_an_endless_answer_ends_with_the_time_of_its_submission(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", FAST)
    hand_in(tmp_path / "class", "endless", KEY + "def double(x):\n    while True:\n        x = -x")
    limits = process.Limits(wall=4.0, cell=2.0, reserve=2.0, grace=0.5)
    summary = jobs.grade(tmp_path / "class", tmp_path / "out", seed=SEED, limits=limits)
    (exercise,) = record_of(summary, "endless")["exercises"]
    assert exercise["points"] == 0
    assert exercise["mistakes"][0]["id"] == "too-slow"
    assert "in line" not in visible(page_of(summary, "endless"))  # it could be chosen by inputs


@pytest.mark.slow
def test_a_second_process_cannot_tell_what_the_first_has_seen(tmp_path, monkeypatch):
    """Its first answer keeps an input and ends the process; run again, the cell raises it."""
    monkeypatch.setenv("KERAS_BACKEND", FAST)
    path = tmp_path / "kept"
    cell = (
        f"import os\nif os.path.exists({str(path)!r}):\n"
        f"    said = open({str(path)!r}).read()\n    print(said)\n"
        "    raise type(said, (Exception,), {})(said)\n"
        "def first(x):\n"
        f"    open({str(path)!r}, 'w').write('I saw ' + repr(x))\n    os._exit(1)\n"
        "def second(x):\n    return 2 * x\n"
    )
    double = bank.find("start.double")
    two = [replace(double, id=f"start.{name}", defines=name) for name in ("first", "second")]
    document = notebooks.Document((notebooks.Cell(0, cell),))
    # Where a process has a file system of its own, there is not even a place to keep it.
    with worker_pool.WorkerPool(weak=True, level="rlimits") as place:
        graded, flags, *_ = grader.grade_document(document, two, SEED, limits=LIMITS, pool=place)
    assert "I saw" in path.read_text(), "the first answer has not run"
    told = json.dumps([flags, [(each.error, each.output) for each in graded]])
    assert "I saw" not in told
    assert "I saw" not in json.dumps([vars(f) for each in graded for f in each.met if f])


def test_the_grader_itself_imports_no_framework():
    code = "import sys, course.grading.jobs, course.exercises as b\n"
    code += "[b.of_lesson(n) for n in b.lessons()]\n"
    code += "print(sorted({'keras', 'tensorflow', 'jax', 'torch'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stdout + done.stderr


# --- which files and cells count ----------------------------------------------------------------


def matched(*sources, ids=(), exercise="start.double"):
    """What is found of an exercise in these cells; `ids` are their metadata's."""
    ids = [*ids, *[None] * len(sources)]
    cells = tuple(notebooks.Cell(i, s, ids[i]) for i, s in enumerate(sources))
    return matching.match(notebooks.Document(cells), [bank.find(exercise)])[exercise]


def test_a_cell_is_found_by_its_comment_key():
    found = matched("x = 1", RIGHT)
    assert (found.status, found.how, found.index, found.flags) == ("found", "key", 1, ())


@pytest.mark.parametrize("key", ["#exercise:start.double", "  ##  Exercise :  Start.Double."])
def test_a_comment_key_may_be_retyped(key):
    assert matched("x = 1", f"{key}\ndouble = lambda x: 2 * x").how == "key"


def test_a_cell_without_its_key_is_found_by_the_name_that_it_defines():
    found = matched("x = 1", RIGHT.removeprefix(KEY))
    assert (found.status, found.how, found.index) == ("found", "name", 1)
    assert "its comment key is gone" in found.flags[0]


def test_a_cell_that_defines_another_name_is_found_by_its_metadata():
    cell = "def dbl(x):\n    return 2 * x"
    found = matched("x = 1", cell, ids=[None, "start-double"])
    assert (found.status, found.how, found.index) == ("found", "metadata", 1)
    assert "does not define double but defines dbl" in found.flags[-1]


@pytest.mark.parametrize(
    ("cells", "counts"),
    [
        ((RIGHT, WRONG), 1),  # the last
        ((RIGHT, KEY + "def double(x):\n    raise NotImplementedError"), 0),  # the last written
        ((RIGHT, "def double(x):\n    return x", "double = lambda x: 2 * x"), 2),
        ((RIGHT, KEY + "def double(x)\n    return 2 * x"), 0),  # the last that parses
        ((RIGHT, "from numpy import double"), 0),  # a library's, under the same name
    ],
)
def test_of_several_definitions_the_last_complete_one_counts(cells, counts):
    found = matched(*cells)
    assert found.index == counts
    alone = "from numpy" in cells[1]
    assert found.status == ("found" if alone else "duplicated")
    assert alone or any(f"code cell {counts + 1} counts" in flag for flag in found.flags)


def test_a_definition_below_a_magic_or_a_condition_is_found():
    assert matched("%%time\n" + RIGHT).how == "key"
    assert matched("!pip install x\n" + RIGHT.removeprefix(KEY)).how == "name"
    assert matched("if True:\n    def double(x):\n        return 2 * x").how == "name"


def test_a_mere_mention_of_the_name_is_no_answer():
    assert matched("print(double(1))", "# double is easy", "double == 2").status == "missing"


def planned(folder, lesson=None):
    """{student: [what was chosen]}."""
    found = {}
    for each in selection.plan_work(folder, lesson):
        found.setdefault(each.student, []).append(each)
    return found


def test_students_are_found_by_folder_or_by_file_whatever_they_are_called(tmp_path):
    hand_in(tmp_path, "张 伟", RIGHT, file="a/b/第一课.ipynb")
    hand_in(tmp_path, "O'Neil & Søn", RIGHT)
    hand_in(tmp_path, ".", RIGHT, file="Eve.ipynb")
    hand_in(tmp_path, "__MACOSX/x", RIGHT)
    hand_in(tmp_path, "张 伟/.ipynb_checkpoints", WRONG, file="第一课-checkpoint.ipynb")
    found = planned(tmp_path)
    assert set(found) == {"张 伟", "O'Neil & Søn", "Eve"}
    assert all(work.lesson == "start" and not work.reason for (work,) in found.values())
    assert [p.name for p in found["张 伟"][0].files] == ["第一课.ipynb"]


def test_names_that_one_file_system_takes_for_the_same_get_files_of_their_own():
    students = ["anna", "Anna", "a/b", "a b", "..", "é", "e\u0301", "x" * 300]
    names = handed_in.safe_names(students)
    assert len({name.lower() for name in names.values()}) == len(students)
    assert all(re.fullmatch(r"[\w\-][\w.\-]{0,119}", name) for name in names.values())
    assert handed_in.safe_names(["李明", "é"]) == {"李明": "李明", "é": "é"}


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda folder: None, "no notebook was found"),
        (lambda folder: (folder / "essay.docx").write_bytes(b"PK"), "no notebook was found"),
        (lambda folder: hand_in(folder, ".", "x = 1"), ""),  # its name says the lesson
        (
            lambda folder: hand_in(folder, ".", "x = 1", file="Untitled.ipynb"),
            "no exercise of this course was found in it",
        ),
        (
            lambda folder: (folder / "a.ipynb").write_text("<!DOCTYPE html>"),
            "unreadable: it is a web page, not a notebook: download the .ipynb",
        ),
        (
            lambda folder: (folder / "a.ipynb").write_text("[1, 2]"),
            "unreadable: it is JSON, but not a notebook",
        ),
        (
            lambda folder: (folder / "a.ipynb").write_text("[" * 100_000),
            "unreadable: its JSON is nested too deep",
        ),
        (lambda folder: (folder / "a.ipynb").write_bytes(b"\0" * 9), "unreadable: the file is em"),
        (lambda folder: (folder / "a.ipynb").write_bytes(b"PK\xff"), "unreadable: byte 3 is not"),
    ],
)  # fmt: skip
def test_a_folder_without_a_gradable_notebook_says_why(tmp_path, make, reason):
    (tmp_path / "student").mkdir()
    make(tmp_path / "student")
    ((work,),) = planned(tmp_path).values()
    assert work.reason.startswith(reason)
    assert bool(work.reason) == bool(reason)


def test_the_newest_readable_notebook_counts_and_the_others_are_named(tmp_path):
    old = hand_in(tmp_path, "student", WRONG)
    new = hand_in(tmp_path, "student", RIGHT, file="00_start (1).ipynb")
    broken = tmp_path / "student" / "00_start (2).ipynb"
    broken.write_text("{")
    for age, path in enumerate((broken, new, old)):
        os.utime(path, (1e9 - 100 * age, 1e9 - 100 * age))
    ((work,),) = planned(tmp_path).values()
    assert work.path == new
    assert list(work.files) == [new, old, broken]
    assert "00_start (2).ipynb is unreadable" in work.notes[0]


def test_a_notebook_of_two_lessons_in_one_folder_is_graded_for_each(tmp_path):
    hand_in(tmp_path, "student", RIGHT)
    shutil.copy(SAMPLES / "right" / "02_attention.ipynb", tmp_path / "student")
    hand_in(tmp_path, "student", "scratch = 1", file="scratch.ipynb")
    assert {w.lesson for w in planned(tmp_path)["student"]} == {"start", "attention"}
    assert [w.lesson for w in planned(tmp_path, "start")["student"]] == ["start"]


# --- what learning platforms hand out -----------------------------------------------------------


def zipped(path, members):
    """Writes a zip of {name: text}, or of [(ZipInfo, bytes)]."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items() if isinstance(members, dict) else members:
            archive.writestr(name, data)
    return path


def of_cells(*cells):
    """The text of a notebook."""
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    return nbformat.writes(made)


def test_a_zip_of_canvas_is_sorted_by_student_and_its_newest_file_counts(tmp_path):
    path = zipped(
        tmp_path / "submissions.zip",
        {
            "liwei_1234_55501_00_start.ipynb": of_cells(WRONG),
            "liwei_1234_55502_00_start-1.ipynb": of_cells(RIGHT),
            "garciaana_LATE_77_55503_00_start.ipynb": of_cells(RIGHT),
            "smithjo_5_55504_00_start.ipynb": of_cells(WRONG),
            "smithjo_6_55505_00_start.ipynb": of_cells(RIGHT),
        },
    )
    folder = tmp_path / "class"
    said = archives.unpack(path, folder)["students"]
    numbers = {student: its["number"] for student, its in said.items()}
    assert numbers == {"liwei": "1234", "garciaana": "77", "smithjo-5": "5", "smithjo-6": "6"}
    assert {student for student, its in said.items() if its.get("late")} == {"garciaana"}
    found = planned(folder)
    assert found.keys() == numbers.keys()
    ((work,),) = [found["liwei"]]
    assert [path.name for path in work.files] == ["00_start-1.ipynb", "00_start.ipynb"]


def test_a_zip_of_gradescope_is_sorted_by_the_students_in_its_metadata(tmp_path):
    metadata = (
        "submission_301:\n  :submitters:\n  - :name: Ana María Ruiz\n    :sid: '12'\n"
        "    :email: ana@example.org\n  :created_at: 2026-10-01 12:00:00.000 Z\n"
        "submission_302:\n  :submitters:\n  - :name: ../../evil\n"
    )
    path = zipped(
        tmp_path / "export.zip",
        {
            "assignment_9_export/submission_metadata.yml": metadata,
            "assignment_9_export/submission_301/00_start.ipynb": of_cells(RIGHT),
            "assignment_9_export/submission_302/lesson.ipynb": of_cells(RIGHT),
        },
    )
    said = archives.unpack(path, tmp_path / "class")["students"]
    assert sorted(its["number"] for its in said.values()) == ["301", "302"]
    assert said["Ana María Ruiz"]["date"] == "2026-10-01T12:00:00+00:00"
    assert said["Ana María Ruiz"]["email"] == "ana@example.org"
    assert said.keys() == planned(tmp_path / "class").keys()
    assert not (tmp_path / "evil").exists()


# --- what students hand in is never configuration ---------------------------------------------

ASKS_FOR_CODE = 'lesson = "start"\nextra = "e"\n'


def runs_and_tells(folder):
    """A module that says so when it is run; the file that it would leave."""
    folder.mkdir(parents=True)
    mark = folder.parent / "it-ran"
    (folder / "x.py").write_text(f"open({str(mark)!r}, 'w').close()\nEXERCISES = ()\n")
    return mark


@pytest.mark.parametrize("place", ["class", "class/jane", "class/jane/deeper"])
def test_an_assignment_among_the_submissions_is_not_read(place, tmp_path):
    folder = tmp_path / place
    mark = runs_and_tells(folder / "e")
    (folder / "assignment.toml").write_text(ASKS_FOR_CODE)
    (tmp_path / "class" / "jane").mkdir(exist_ok=True)
    (tmp_path / "class" / "jane" / "00_start.ipynb").write_text(of_cells(RIGHT))
    summary = jobs.grade(tmp_path / "class", tmp_path / "out", seed=SEED)
    assert not mark.exists()
    assert summary.assignment is None
    jane = dict(summary.students)["jane"][0]
    assert jane["points"] == jane["max_points"]
    if place == "class":
        assert "not read  assignment.toml" in str(summary)
    else:
        assert any("assignment.toml" in flag for flag in jane["flags"])


def test_an_assignment_in_a_zip_is_not_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    members = {
        "jane/00_start.ipynb": of_cells(RIGHT),
        "assignment.toml": ASKS_FOR_CODE,
        "e/x.py": "open('it-ran', 'w').close()\nEXERCISES = ()\n",
    }
    summary = jobs.grade(zipped(tmp_path / "x.zip", members), tmp_path / "out", seed=SEED)
    assert not (tmp_path / "it-ran").exists()
    assert dict(summary.students)["jane"][0]["state"] == "graded"
    assert "not read  assignment.toml" in str(summary)


def test_an_assignment_inside_the_submissions_is_refused_though_it_is_named(tmp_path):
    (tmp_path / "class" / "jane").mkdir(parents=True)
    given = tmp_path / "class" / "jane" / "assignment.toml"
    given.write_text('lesson = "start"\n')
    with pytest.raises(GradingError, match="never configuration: move it out"):
        jobs.grade(tmp_path / "class", tmp_path / "out", assignment=given)


def test_an_assignment_beside_the_submissions_is_followed_and_said(tmp_path):
    (tmp_path / "class" / "jane").mkdir(parents=True)
    (tmp_path / "class" / "jane" / "00_start.ipynb").write_text(of_cells(RIGHT))
    (exercise, *_) = bank.of_lesson("start")
    beside = tmp_path / "assignment.toml"
    beside.write_text(f'lesson = "start"\n[points]\n"{exercise.id}" = 7\n')
    summary = jobs.grade(tmp_path / "class", tmp_path / "out", seed=SEED)
    assert dict(summary.students)["jane"][0]["points"] == 7
    assert f"followed  {beside}" in str(summary)


def test_code_of_an_assignment_that_nobody_named_is_not_run(tmp_path):
    (tmp_path / "class" / "jane").mkdir(parents=True)
    mark = runs_and_tells(tmp_path / "e")
    (tmp_path / "assignment.toml").write_text(ASKS_FOR_CODE)
    with pytest.raises(GradingError, match="name it: --assignment"):
        jobs.grade(tmp_path / "class", tmp_path / "out")
    assert not mark.exists()


def test_nothing_is_looked_for_beside_one_notebook(tmp_path):
    """It may lie in a student's own folder."""
    mark = runs_and_tells(tmp_path / "jane" / "e")
    (tmp_path / "jane" / "assignment.toml").write_text(ASKS_FOR_CODE)
    notebook = tmp_path / "jane" / "00_start.ipynb"
    notebook.write_text(of_cells(RIGHT))
    summary = jobs.grade(notebook, tmp_path / "out", seed=SEED)
    assert not mark.exists() and summary.assignment is None


def test_students_modules_are_not_on_the_path_while_they_are_graded(tmp_path, monkeypatch):
    (tmp_path / "class" / "jane").mkdir(parents=True)
    (tmp_path / "class" / "jane" / "00_start.ipynb").write_text(of_cells(RIGHT))
    monkeypatch.chdir(tmp_path / "class")
    monkeypatch.setattr(sys, "path", ["", str(tmp_path / "class" / "jane"), *sys.path])
    jobs.grade(Path("."), tmp_path / "out", seed=SEED)
    assert not {"", str(tmp_path / "class" / "jane")} & set(sys.path)


@pytest.mark.parametrize(
    "place", ["mallory/submission_metadata.yml", "mallory/submission_9/submission_metadata.yml"]
)
def test_a_students_own_metadata_says_nothing_of_the_others(place, tmp_path):
    metadata = "jane:\n  :submitters:\n  - :name: mallory\n"
    path = zipped(
        tmp_path / "x.zip",
        {
            "jane/00_start.ipynb": of_cells(RIGHT),
            "mallory/00_start.ipynb": of_cells(WRONG),
            place: metadata,
        },
    )
    assert archives.unpack(path, tmp_path / "class")["platform"] == "folders"
    found = planned(tmp_path / "class")
    assert found.keys() == {"jane", "mallory"}
    assert any("submission_metadata.yml" in note for note in found["mallory"][0].notes)


def entry(name, mode=0o100644):
    """A member of a zip with this name and these Unix rights."""
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    return member


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([(entry("../a.ipynb"), b"x")], "points out of its folder"),
        ([(entry("/etc/passwd"), b"x")], "points out of its folder"),
        ([(entry("a/../../b"), b"x")], "points out of its folder"),
        ([(entry("C:/a.ipynb"), b"x")], "points out of its folder"),
        ([(entry("a\\..\\b"), b"x")], "points out of its folder"),
        ([(entry("a", 0o120777), b"/etc/passwd")], "is a link or a device"),
        ([(entry("a", 0o020666), b"")], "is a link or a device"),
        ([(entry("a/b"), b"x"), (entry("A/B"), b"y")], "stands in it twice"),
        ([("bomb.ipynb", bytes(150_000_000))], "a zip bomb"),
    ],
)
def test_what_is_hostile_in_a_zip_is_left_out_and_told(tmp_path, members, words):
    text = of_cells(RIGHT).encode()
    path = zipped(tmp_path / "x.zip", [(entry("good/00_start.ipynb"), text), *members])
    before = sorted(p.name for p in tmp_path.rglob("*"))
    done = archives.unpack(path, tmp_path / "class")
    assert words in str(done["problems"])
    assert planned(tmp_path / "class")["good"][0].reason == ""
    written = [p for p in (tmp_path / "class").rglob("*") if p.is_file() and p.parent.name != "a"]
    assert [p.name for p in written] == ["00_start.ipynb"]
    assert not any(p.is_symlink() for p in (tmp_path / "class").rglob("*"))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["class", *before]


def test_a_zip_of_which_nothing_can_be_used_is_refused_with_the_reason(tmp_path):
    path = zipped(tmp_path / "x.zip", [(entry("../a.ipynb"), b"x")])
    with pytest.raises(GradingError, match="points out of its folder"):
        jobs.grade(path, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["x.zip"]


def test_a_damaged_zip_is_told(tmp_path):
    path = zipped(tmp_path / "x.zip", {"a/00_start.ipynb": of_cells(RIGHT)})
    data = bytearray(path.read_bytes())
    data[60:80] = bytes(20)
    path.write_bytes(data)
    summary = jobs.grade(path, tmp_path / "out")
    record = record_of(summary, "a")
    assert record["state"] == "ungraded" and "is damaged" in str(record["problems"])


def test_a_link_to_another_students_file_hands_in_nothing(tmp_path):
    theirs = hand_in(tmp_path, "honest", RIGHT)
    (tmp_path / "thief").mkdir()
    (tmp_path / "thief" / "00_start.ipynb").symlink_to(theirs)
    (tmp_path / "Eve.ipynb").symlink_to(theirs)
    found = planned(tmp_path)
    assert found.keys() == {"honest", "thief"}
    assert found["thief"][0].reason == "no notebook was found"


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A zip of Canvas, graded: its summary."""
    folder = tmp_path_factory.mktemp("exported")
    path = zipped(
        folder / "submissions.zip",
        {
            "liwei_1234_55501_00_start.ipynb": of_cells(RIGHT),
            "ruizana_77_55503_00_start.ipynb": of_cells(WRONG),
            "smithjo_5_55504_00_start.ipynb": "{",
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_BACKEND", FAST)
        yield jobs.grade(path, folder / "out", seed=SEED, limits=LIMITS)


@pytest.mark.slow
def test_canvas_reads_its_scores_back_and_finds_its_students_by_its_own_numbers(exported):
    with open(exported.out / "canvas.csv", newline="", encoding="utf-8") as file:
        possible, *rows = csv.DictReader(file)
    title = bank.about("start").title
    assert possible["Student"].strip() == "Points Possible" and float(possible[title]) == 1
    scores = {row["ID"]: row[title] for row in rows}
    assert scores == {"1234": "1", "77": f"{record_of(exported, 'ruizana')['points']:g}", "5": ""}


@pytest.mark.slow
def test_gradescope_reads_its_results_back(exported):
    found = {p.stem: json.loads(p.read_text()) for p in (exported.out / "gradescope").iterdir()}
    assert found.keys() == {"liwei", "ruizana", "smithjo"}
    assert found["liwei"]["score"] == 1
    (test,) = found["ruizana"]["tests"]
    assert test["score"] < test["max_score"] and "squared" in test["output"]
    assert "score" not in found["smithjo"] and found["smithjo"]["tests"] == []
    assert "not valid JSON" in found["smithjo"]["output"]


@pytest.mark.slow
def test_the_plain_csv_reads_back_what_the_records_hold(exported):
    rows = rows_of(exported.out)
    for student, (record,) in exported.students:
        points = rows[student]["total"]
        assert (float(points) if points else None) == record["points"]
        assert rows[student]["max"] == "1"
    assert rows["smithjo"]["total"] == "" and "UNGRADED" in rows["smithjo"]["flags"]


# --- the instructor's report --------------------------------------------------------------------

LONG = (
    'def {f}({x}, {n}):\n    """{doc}"""\n'
    + "".join(f"    {{x}} = {{x}} * {i} + {{n}} / ({{x}} - {i})\n" for i in range(1, 25))
    + "    return {x}\n"
)


def test_renaming_hides_no_copy_and_short_or_different_answers_are_no_pair():
    one = LONG.format(f="double", x="x", n="n", doc="Mine.")
    renamed = LONG.format(f="other", x="value", n="count", doc="All mine.").replace(" * ", "  *  ")
    different = one.replace(" + ", " - ").replace(" / ", " ** ")
    short = "def double(x):\n    return 2 * x"
    answers = {"a": one, "b": renamed, "c": different, "d": short, "e": short, "f": "def ("}
    pairs = similarity.pairs({name: similarity.pieces([its]) for name, its in answers.items()})
    assert [(a, b) for _, a, b in pairs] == [("a", "b")]
    assert pairs[0][0] == 1


@pytest.mark.slow
def test_the_report_tells_spread_mistakes_flags_and_copies(class_of_samples):
    page = (class_of_samples.out / "report.html").read_text(encoding="utf-8")
    text = visible(page)
    assert f"{len(samples('attention'))} students" in text
    slip = bank.find("attention.repair").sentence("split-and-merge-by-reshape")
    assert f"3 of 10: {slip}" in text  # as it was handed out, and two slips
    assert "the course's solution" in text  # "right" is made from it
    assert "UNGRADED: unreadable" in text
    assert "src=" not in page and "href=" not in page


@pytest.mark.slow
@pytest.mark.browser
def test_the_report_is_sorted_by_a_click_and_fits_a_phone(class_of_samples, chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 360, "height": 740})
        tab.goto((class_of_samples.out / "report.html").as_uri())
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
        table = tab.locator("h2:text-is('Students') + div table")
        table.get_by_role("button", name="Points").click()
        points = table.locator("tbody td:nth-child(2)").evaluate_all(
            "cells => cells.map(cell => Number(cell.dataset.value))"
        )
        assert points == sorted(points) and points[0] < points[-1]
        table.get_by_role("button", name="Points").click()
        assert table.locator("th[aria-sort=descending]").count() == 1
        browser.close()


# --- which cells run ----------------------------------------------------------------------------


@pytest.mark.parametrize("lesson", bank.lessons())
def test_of_the_handouts_own_cells_only_those_run_that_an_answer_reaches(lesson):
    handed_out = handout.cells_of(lesson)
    if not handed_out:
        pytest.skip(f"lesson {lesson} is not built yet")
    document = notebooks.read(ROOT / "lessons" / bank.about(lesson).file)
    found = matching.match(document, bank.of_lesson(lesson))
    left_out = handout.needless(document, found, handed_out)
    assert 0 not in left_out
    assert not left_out & {each.index for each in found.values()}
    assert handout.needless(document, found, set()) == set()
    # The student's own cell that uses a demonstration's name brings that demonstration back.
    index = min(left_out) if left_out else None
    names = handout.names_of(document.cells[index].source)[2] if left_out else set()
    if names:
        mine = notebooks.Cell(len(document.cells), f"print({min(names)})")
        changed = replace(document, cells=(*document.cells, mine))
        assert index not in handout.needless(changed, found, handed_out)


def test_a_demonstration_that_an_answer_calls_is_run():
    cells = ["setup()", "table = [1, 2]", "def helper(x):\n    return table[0] * x", "other = 3",
             "table[0] = 2", KEY + "def double(x):\n    return helper(x)"]  # fmt: skip
    document = notebooks.Document(tuple(notebooks.Cell(i, s) for i, s in enumerate(cells)))
    found = matching.match(document, [bank.find("start.double")])
    assert handout.needless(document, found, set(cells)) == {3}


# --- what is graded again -----------------------------------------------------------------------


def test_a_fingerprint_changes_with_what_its_exercise_does_and_with_nothing_else():
    masks, cost = bank.find("attention.masks"), bank.find("attention.cost")
    before = fingerprint.of_exercise(masks)
    assert fingerprint.of_exercise(bank.find("attention.masks")) == before
    assert fingerprint.of_exercise(cost) != before
    changed = replace(masks.probes[0], points=masks.probes[0].points + 1)
    assert fingerprint.of_exercise(replace(masks, probes=(changed, *masks.probes[1:]))) != before
    sterner = replace(masks.probes[0], plan=lambda inputs: {"steps": []})
    assert fingerprint.of_exercise(replace(masks, probes=(sterner, *masks.probes[1:]))) != before


@pytest.mark.slow
def test_a_changed_exercise_is_graded_again_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", FAST)
    double = bank.find("start.double")
    two = [double, replace(double, id="start.twice", defines="twice")]
    monkeypatch.setattr(bank, "of_lesson", lambda lesson: two if lesson == "start" else [])
    hand_in(tmp_path / "class", "a", RIGHT, "def twice(x):\n    return x * x")
    first = record_of(jobs.grade(tmp_path / "class", tmp_path / "out", seed=SEED), "a")
    assert [e["points"] > 0.9 for e in first["exercises"]] == [True, False]
    worth_two = tuple(replace(p, points=2 * p.points) for p in double.probes)
    two[1] = replace(two[1], probes=worth_two)
    asked = []
    real = grader.examine
    monkeypatch.setattr(grader, "examine", lambda e, *a: asked.append(e.id) or real(e, *a))
    again = jobs.grade(tmp_path / "class", tmp_path / "out", seed=SEED)
    assert (again.graded, again.kept) == (1, 0)
    assert asked == ["start.twice"]
    second = record_of(again, "a")
    assert second["exercises"][0] == first["exercises"][0]
    assert second["exercises"][1]["max_points"] == 2 * first["exercises"][1]["max_points"]


# --- arguments, and what is kept ----------------------------------------------------------------


@pytest.fixture
def ungradable(tmp_path):
    """A class of two whose files cannot be read: graded at once, with no process."""
    for student in ("a", "b"):
        (tmp_path / "class" / student).mkdir(parents=True)
        (tmp_path / "class" / student / "00_start.ipynb").write_text("{")
    return tmp_path / "class"


@pytest.mark.parametrize(
    ("submissions", "options", "words"),
    [
        ("nowhere", {}, "there is no folder"),
        ("empty", {}, "holds no submissions: expected one folder for each student"),
        ("class", {"lesson": "alchemy"}, "no lesson 'alchemy'; there are start, "),
        ("class", {"seed": -1}, "the seed is -1, expected a whole number"),
        ("class", {"seed": True}, "the seed is True, expected a whole number"),
        ("class", {"assignment": "none.toml"}, "none.toml cannot be read"),
        ("class", {"out": "class"}, "choose a folder outside"),
        ("class", {"out": "class/out"}, "choose a folder outside"),
        ("class", {"out": "class/../class/a/out"}, "choose a folder outside"),
        ("class", {"out": "a file"}, "is a file"),
        ("class", {"jobs": -1}, "jobs is -1"),
    ],
)
def test_a_bad_argument_is_told_and_nothing_is_written(
    ungradable, tmp_path, monkeypatch, submissions, options, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a file").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(GradingError, match=re.escape(words)):
        jobs.grade(submissions, **({"out": "grades"} | options))
    assert sorted(tmp_path.rglob("*")) == before


def test_the_command_tells_a_bad_argument_on_stderr_with_exit_code_2(tmp_path):
    done = course("grade", tmp_path / "nowhere", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "course: there is no folder" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_secret_seed_is_made_once_and_kept_for_the_next_run(ungradable, tmp_path):
    out = tmp_path / "out"
    jobs.grade(ungradable, out)
    seed = (out / "seed.txt").read_text()
    assert int(seed) > 0
    assert (out / "seed.txt").stat().st_mode & 0o077 == 0
    again = jobs.grade(ungradable, out)
    assert (out / "seed.txt").read_text() == seed
    assert (again.graded, again.kept) == (0, 2)
    assert all(record["seed"] == int(seed) for _, (record,) in again.students)


def test_a_seed_file_that_holds_no_number_is_not_overwritten(ungradable, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "seed.txt").write_text("forty-two")
    with pytest.raises(GradingError, match="holds no number: delete it"):
        jobs.grade(ungradable, tmp_path / "out")
    assert (tmp_path / "out" / "seed.txt").read_text() == "forty-two"


def test_what_is_changed_or_damaged_is_graded_again_and_nothing_else(ungradable, tmp_path):
    out = tmp_path / "out"
    jobs.grade(ungradable, out, seed=1)
    (ungradable / "a" / "00_start.ipynb").write_text("")
    again = jobs.grade(ungradable, out, seed=1)
    assert (again.graded, again.kept) == (1, 1)
    assert record_of(again, "a")["reason"] == "unreadable: the file is empty"
    (out / "records" / "b.start.json").write_text('{"format": 2, "stu')
    (out / "records" / ".writing-half").write_text("{")
    again = jobs.grade(ungradable, out, seed=1)
    assert (again.graded, again.kept) == (1, 1)
    assert sorted(p.name for p in (out / "records").iterdir()) == ["a.start.json", "b.start.json"]


def test_records_and_grades_are_the_instructors_alone_and_pages_are_not(ungradable, tmp_path):
    jobs.grade(ungradable, tmp_path / "out", seed=1)
    for path in (tmp_path / "out").rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == (
                0o644 if path.parent.name == "feedback" else 0o600
            )


# --- course check -------------------------------------------------------------------------------


@pytest.mark.slow
def test_check_passes_a_py_file_of_right_answers(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def double(x):\n    return x + x\n\nif __name__ == '__main__':\n    1 / 0\n")
    done = course("check", file, "--lesson", "00", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout) == [
        {
            "exercise": "start.double",
            "passed": True,
            "points": 1.0,
            "max_points": 1.0,
            "mistake": None,
            "mistakes": [],
            "together": False,
            "message": "Passed all 2 public checks.",
            "counterexample": None,
        }
    ]


@pytest.mark.slow
def test_check_of_a_notebook_lists_every_exercise_and_fails_with_exit_code_1(tmp_path):
    cells = nbformat.read(SAMPLES / "wrong" / "02_attention.ipynb", as_version=4).cells
    answer = next(c.source for c in cells if c.source.startswith("# exercise: attention.scaled"))
    file = hand_in(tmp_path, ".", "from keras import ops", answer, file="lesson.ipynb")
    done = course("check", file, "--json")
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    assert [each["exercise"] for each in found] == [e.id for e in bank.of_lesson("attention")]
    for each in found:
        told = {"mistake", "mistakes", "together", "message", "counterexample"}
        assert set(each) == {"exercise", "passed", "points", "max_points"} | told
    assert [each["mistake"] for each in found] == ["no-scaling", *["missing"] * 5]
    assert found[0]["message"].startswith("The scores are not scaled.")
    assert sum(each["points"] for each in found) == 0.25  # one key only: nothing to scale


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.py", None, "there is no file"),
        ("mine.ipynb", "{", "mine.ipynb: it is not valid JSON"),
        ("mine.ipynb", "", "mine.ipynb: the file is empty"),
        ("mine.txt", "x", "mine.txt is neither a notebook (.ipynb) nor a .py of answers"),
        ("mine.py", "x = 1", "mine.py holds no exercise that this course knows"),
        ("00_start.py", "x = 1", "answers no exercise of lesson start"),
    ],
)
def test_check_of_a_file_that_cannot_be_checked_says_why(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_text(content)
    done = course("check", tmp_path / name, "--json")
    assert done.returncode == 2
    assert words in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_check_of_a_folder_or_an_unknown_lesson_says_what_to_do(tmp_path):
    assert "use `course grade` for a class" in course("check", tmp_path).stderr
    (tmp_path / "mine.py").write_text(RIGHT)
    done = course("check", tmp_path / "mine.py", "--lesson", "99")
    assert done.returncode == 2
    assert "no lesson '99'; there are start, " in done.stderr
