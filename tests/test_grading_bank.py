"""The bank of hostile and broken submissions, and what it proves: outcomes, canaries, fork safety.

`python -m tests.submissions --table` grades the bank and prints the table of `docs/grading.md`.
"""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from submissions import hostile

from course import exercises as bank
from course.grading import jobs
from course.grading.sandbox import confinement, process, visibility
from course.grading.sandbox.worker_pool import WorkerPool
from course.grading.submissions import matching, notebooks

ROOT = Path(__file__).resolve().parent.parent
SEED = 271_828
LIMITS = process.Limits(
    wall=20.0, cell=3.0, reserve=10.0, exercise=6.0, grace=1.0, memory=2_500_000_000
)
NAMES = [case.name for case in hostile.cases()]

linux = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox is Linux's")


@pytest.fixture(scope="module")
def outside(tmp_path_factory):
    """What must stay as it is: a file that all may write, a process, a listening socket."""
    with hostile.Outside(tmp_path_factory.mktemp("outside")) as outside:
        yield outside


@pytest.fixture(scope="module")
def graded(outside, tmp_path_factory):
    """The whole bank, graded once: {student: record}."""
    folder = tmp_path_factory.mktemp("bank")
    hostile.make(folder / "class", outside.cases())
    summary = jobs.grade(folder / "class", folder / "out", seed=SEED, limits=LIMITS)
    return {student: record for student, (record,) in summary.students}


@pytest.mark.slow
@linux
@pytest.mark.parametrize("name", NAMES)
def test_a_case_of_the_bank_has_its_outcome(name, graded):
    (case,) = (each for each in hostile.cases() if each.name == name)
    assert hostile.faults(case, graded[name]) == []


@pytest.mark.slow
@linux
def test_nothing_outside_was_changed_ended_or_reached(graded, outside):
    assert outside.harm() == []


@pytest.mark.slow
@linux
def test_every_record_says_how_its_submission_was_shut_in(graded):
    for record in graded.values():
        run = record["state"] == "graded"
        assert record["sandbox"].startswith("namespaces of its own" if run else ("names", "not"))


def test_the_bank_is_large_and_its_names_are_its_own():
    assert len(NAMES) == len(set(NAMES)) >= 45


# --- levels -------------------------------------------------------------------------------------

# Grades three cases at a level and prints {student: [points, sandbox]}.
AT_A_LEVEL = """
import json, sys, pathlib
sys.path[:0] = [{root!r}, {tests!r}]
from course import exercises
from course.grading import grader
from course.grading.sandbox.worker_pool import WorkerPool
from course.grading.submissions import notebooks
folder, found = pathlib.Path({folder!r}), {{}}
with WorkerPool(level={level!r}, weak={level!r} == "rlimits", secret=[folder]) as pool:
    for path in sorted(folder.glob("*/*.ipynb")):
        graded, *_ = grader.grade_document(
            notebooks.read(path), exercises.of_lesson("positions"), 5, lesson="positions",
            refused=["course.positions"], pool=pool)
        found[path.parent.name] = sum(each.report.points for each in graded)
    print(json.dumps([str(pool), found]))
"""
SOME = {
    "forks": 21,
    "reads_canary": 16,
    "reads_solutions": 0,
    "lifts_the_gate": 16,
    "kills_others": 21,
    "connects": 21,
    "daemons": 21,
}


def ordinary_user(command, tmp_path):
    """Runs a command as a user without rights; None where that cannot be arranged.

    Where this Python lies in a folder that only root may enter, the command sees, in a mount
    namespace of its own, an open folder with nothing but this Python in its place.
    """
    if os.geteuid() != 0:
        return subprocess.run(command, capture_output=True, text=True, timeout=600)
    if not shutil.which("unshare") or not shutil.which("setpriv"):
        return None
    shows = {str(Path(p).resolve()) for p in (sys.base_prefix, sys.prefix, ROOT)}
    script, n = "set -e\n", 0
    for show in sorted(shows):
        parents = [p for p in reversed(Path(show).parents) if p.stat().st_mode & 0o005 != 0o005]
        if parents:
            n, aside = n + 1, tmp_path / f"aside{n}"
            aside.mkdir()
            script += f"mount --bind '{show}' '{aside}'\n"
            script += f"mount -t tmpfs -o mode=755 tmpfs '{parents[0]}'\nmkdir -p '{show}'\n"
            script += f"mount --move '{aside}' '{show}'\n"
    home = tmp_path / "home-of-1234"
    home.mkdir()
    os.chown(home, 1234, 1234)
    script += 'exec setpriv --reuid 1234 --regid 1234 --clear-groups --inh-caps=-all "$@"'
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *command],
        env=os.environ | {"HOME": str(home), "TMPDIR": str(home), "COURSE_HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.fixture
def open_folder():
    """A folder that any user may enter; pytest's own are root's alone where root runs it."""
    with tempfile.TemporaryDirectory(prefix="open-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.mark.slow
@linux
def test_all_of_the_grader_is_tested_as_an_ordinary_user_too(open_folder, note):
    """The whole bank, and the other tests of the grader; root drops its rights for them."""
    if os.geteuid() != 0:
        pytest.skip("the whole run is an ordinary user's")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"]
    files = [str(ROOT / "tests" / f"test_{name}.py") for name in ("grading", "grading_bank")]
    done = ordinary_user([*command, "-k", "not ordinary_user", *files], open_folder)
    if done is None:
        pytest.skip("no unshare or setpriv here")
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    note(f"the grader as an ordinary user: {passed[0]}")
    assert int(passed[1]) > 130


@pytest.mark.slow
@linux
def test_an_ordinary_user_shuts_submissions_in_with_landlock_where_namespaces_are_missing(
    open_folder, outside
):
    cases = [case for case in outside.cases() if case.name in SOME]
    hostile.make(open_folder / "class", cases)
    code = AT_A_LEVEL.format(
        root=str(ROOT),
        tests=str(ROOT / "tests"),
        folder=str(open_folder / "class"),
        level="landlock",
    )
    (open_folder / "run.py").write_text(code)
    done = ordinary_user([sys.executable, str(open_folder / "run.py")], open_folder)
    if done is None:
        pytest.skip("no unshare or setpriv here")
    if "no landlock here" in done.stderr:
        pytest.skip("this kernel has no Landlock")
    assert done.returncode == 0, done.stderr[-3000:]
    said, points = json.loads(done.stdout.splitlines()[-1])
    assert said.startswith("landlock")
    assert points == SOME
    assert outside.harm() == []


def test_where_no_level_will_do_the_flag_and_the_reason_are_told(monkeypatch):
    monkeypatch.setattr(confinement, "LEVELS", (confinement.RLIMITS,))
    for name in ("_start", "_await_start", "_let_go"):
        monkeypatch.setattr(WorkerPool, name, lambda self: None)
    pool = WorkerPool()
    for _ in range(2):  # the second time it is not tried again
        with pytest.raises(process.NotStarted, match="say --weak-sandbox where you trust"):
            pool.ready()


def test_a_lesson_sees_the_modules_of_earlier_lessons_and_not_its_own():
    assert "course.positions" not in visibility.modules("positions")
    assert "course.attention" in visibility.modules("positions")
    names = bank.lessons()
    for place, lesson in enumerate(names):
        assert not {f"course.{later}" for later in names[place:]} & {*visibility.modules(lesson)}
    # The answers to lesson 05's schedules are in a module that is no lesson's.
    assert "course.training" not in visibility.modules("translation")
    # Lesson 08 loads a checkpoint; its own modules stay hidden, and the weights may be read.
    assert "course.checkpoints" in visibility.modules("fine_tuning")
    assert "course.checkpoints" not in visibility.modules("decoding")
    bert = str(visibility.locations.embedded_root().parent / "bert")
    assert bert in {item[1] for item in visibility.view("fine_tuning", folder="/x")}
    assert bert not in {item[1] for item in visibility.view("decoding", folder="/x")}
    everything = {item[1] for item in visibility.view("positions", folder="/x")}
    package = str(visibility.PACKAGE)
    assert f"{package}/attention.py" in everything
    for name in ("positions.py", "exercises", "grading", "lab", "cli", "authoring"):
        assert f"{package}/{name}" not in everything
    assert ("hide", package, "") in visibility.view("positions", folder="/x")


def test_a_course_that_is_installed_among_other_packages_is_hidden_there(tmp_path, monkeypatch):
    packages = tmp_path / "lib" / "site-packages"
    shutil.copytree(visibility.PACKAGE, packages / "course", ignore=shutil.ignore_patterns("*.pyc"))
    monkeypatch.setattr(visibility, "PACKAGE", packages / "course")
    monkeypatch.setattr(visibility, "_machine", lambda: [str(tmp_path / "lib")])
    seen = visibility.view("positions", secret=[tmp_path / "lib" / "class"], folder="/x")
    places = [path for _, path, _ in seen]
    assert places.index(str(tmp_path / "lib")) < places.index(str(packages / "course"))
    assert ("hide", str(packages / "course"), "") in seen
    assert ("hide", str(tmp_path / "lib" / "class"), "") in seen
    hidden = {path for kind, path, _ in seen if kind == "hide"}
    allowed = set(confinement._around(str(tmp_path / "lib"), hidden))
    assert not any(path.startswith(str(packages / "course")) for path in allowed)


# --- forking ------------------------------------------------------------------------------------

WORK = """
import keras, numpy as np
layer = keras.layers.Dropout(0.5)
model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), layer])
model.compile("sgd", "mse", jit_compile=False)
model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
print("done")
"""


@pytest.mark.slow
@pytest.mark.prove
@linux
def test_a_forked_process_computes_every_time(proof_size, backend, note):
    forks = proof_size(200 if backend == "tensorflow" else 50)
    with WorkerPool() as pool:
        for _ in range(forks):
            child = pool.fork(LIMITS)
            child.output = process.Output(1000)
            answer = child.ask({"do": "cell", "index": 0, "names": [], "source": WORK}, 60)
            child.close()
            assert answer["error"] is None
            assert b"done" in bytes(child.output.kept)
    note(f"fork safety: {forks} of {forks} on {backend}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "work", "reason"),
    [
        ("tensorflow", "keras.ops.ones(3)", "TensorFlow's eager context is initialised"),
        ("jax", "keras.ops.ones(3)", "a backend of JAX is initialised"),
    ],
)
def test_a_process_that_has_computed_is_not_forked(backend, work, reason):
    pytest.importorskip(backend)
    code = (
        "from course.grading.sandbox import fork_server\n"
        "fork_server.warm_up(); assert not fork_server.not_forkable()\n"
        f"import keras; {work}\nprint(fork_server.not_forkable())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"KERAS_BACKEND": backend, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=300,
    )
    assert done.stdout.splitlines()[-1:] == [reason], done.stdout + done.stderr[-2000:]


# --- killed and resumed -------------------------------------------------------------------------

KEY = "# exercise: start.double\n"
# Of the bank, those that do not wait for a limit.
QUICK = (
    "aborts asks blanks_cells carriage_returns duplicates exits exits_in_answer exits_late html "
    "imports_checks imports_module kills_itself liar_array liar_equal not_json odd_error "
    "patches_tools resets seeds segfault syntax system_exit warns"
).split()


@pytest.mark.slow
@pytest.mark.prove
@linux
def test_a_run_killed_at_random_loses_changes_and_doubles_no_score(tmp_path, proof_size, note):
    """Right and wrong answers to lesson 00, and one in twenty from the bank, lessons 02 and 03."""
    size, rng = proof_size(1000), random.Random(7)
    expected, drawn = {}, {}
    cases = [case for case in hostile.cases() if case.name in QUICK]
    for i in range(size):
        student = f"student-{i:04}"
        if i % 20 == 10:
            drawn[student] = rng.choice(cases)
            continue
        right = rng.random() < 0.6
        body = "return 2 * x" if right else "return x * x"
        cells = [f"{KEY}def double(x):\n    {body}"]
        folder = tmp_path / "class" / student
        folder.mkdir(parents=True)
        (folder / "00_start.ipynb").write_text(json.dumps(hostile.notebook(cells)))
        expected[student] = 1.0 if right else 0.0
    hostile.make(tmp_path / "class", [replace(case, name=name) for name, case in drawn.items()])
    out = tmp_path / "out"
    command = [sys.executable, "-m", "course.cli", "grade", str(tmp_path / "class")]
    command += ["--out", str(out), "--seed", "5"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    written, kills = {}, 5 if size == 1000 else 2
    for kill in range(1, kills + 2):
        running = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        if kill <= kills:
            until = len(written) + rng.randint(1, max(1, size // (kills + 2)))
            while (
                len(list((out / "records").glob("[!.]*.json"))) < until and running.poll() is None
            ):
                time.sleep(0.02)
            time.sleep(rng.random())
            running.send_signal(signal.SIGKILL)
        said, _ = running.communicate()
        now = {p.name: p.stat().st_mtime_ns for p in (out / "records").glob("[!.]*.json")}
        assert written.items() <= now.items(), "a record was written again"
        written = now
    assert f"{size - len(written)}" == "0" and running.returncode == 0, said
    found = [json.loads(path.read_text()) for path in (out / "records").glob("*.json")]
    points = {record["student"]: record["points"] for record in found}
    assert {name: points[name] for name in expected} == expected
    of_bank = {r["student"]: hostile.faults(drawn[r["student"]], r) for r in found
               if r["student"] in drawn}  # fmt: skip
    assert of_bank.keys() == drawn.keys() and not any(of_bank.values()), of_bank
    assert len(found) == size == len((out / "grades.csv").read_text().splitlines()) - 1
    assert not list(out.rglob(".writing-*"))
    note(f"{size} submissions, {len(drawn)} of them from the bank, killed {kills} times: "
         "no score lost, changed or doubled")  # fmt: skip


# --- fuzz ---------------------------------------------------------------------------------------

SAMPLE = json.dumps(
    hostile.notebook([hostile.IMPORTS, f"{KEY}def double(x):\n    return 2 * x", "%time 1"])
)
TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                "cells metadata source cell_type code course exercise nbgrader grade_id".split()
            )
            | st.text(max_size=8),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@st.composite
def mutated(draw):
    """The bytes of a notebook that something has happened to."""
    how = draw(st.sampled_from(["bytes", "cut", "tree", "cells", "noise"]))
    data = bytearray(SAMPLE.encode())
    if how == "bytes":
        for _ in range(draw(st.integers(1, 8))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    elif how == "cut":
        start, end = sorted([draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))])
        del data[start:end]
    elif how == "tree":
        tree = json.loads(SAMPLE) | draw(st.dictionaries(st.sampled_from(["cells", "metadata",
            "worksheets", "nbformat"]), TREES, max_size=3))  # fmt: skip
        data = json.dumps(tree).encode()
    elif how == "cells":
        tree = json.loads(SAMPLE)
        cell = tree["cells"][draw(st.integers(0, 2))]
        cell[draw(st.sampled_from(list(cell)))] = draw(TREES)
        tree["cells"] += [draw(TREES)]
        data = json.dumps(tree).encode()
    else:
        data = draw(st.binary(max_size=400))
    return bytes(data)


@pytest.mark.prove
def test_a_mutated_notebook_is_read_or_refused_with_a_reason(tmp_path, proof_size, note):
    size, known = proof_size(2000), {name: bank.about(name) for name in bank.lessons()}
    seen = {"read": 0, "refused": 0}

    @settings(max_examples=size, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(mutated())
    def check(data):
        path = tmp_path / "00_start.ipynb"
        path.write_bytes(data)
        try:
            document = notebooks.read(path)
        except notebooks.Unreadable as error:
            assert str(error)
            seen["refused"] += 1
            return
        seen["read"] += 1
        found = matching.match(document, bank.of_lesson("start"))
        assert found["start.double"].status in ("found", "missing", "duplicated")
        matching.lesson_of(Path("x.ipynb"), document, known, bank.of_lesson)
        for cell in document.cells:
            matching.statements_of(cell.source)

    check()
    assert seen["read"] and seen["refused"]
    note(f"{sum(seen.values())} mutated notebooks: {seen['read']} read, {seen['refused']} refused")
