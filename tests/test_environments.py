"""The course where students run it: replicas of Colab, and a wheel in an empty environment.

The replicas have the versions of `tests/colab` on this Python (Colab's own is 3.13, which
`COURSE_REPLICA_PYTHON` can name where it is installed). tests/environments.py builds them once.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path

import environments
import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = [pytest.mark.environments, pytest.mark.slow]

LESSON = "02_attention"

# A kernel that loads TensorFlow or JAX on a busy two-core machine; a hang is caught, a wait is not.
CELL_SECONDS = 300

# What touches Keras, and is not about a browser or another framework. The first half of `make test`
# has just run all of it on JAX, so here, with Colab's versions and no TensorFlow to import, these
# files stand for the rest.
UNIT_TESTS = "not (browser or environments or needs_tf or parity or slow)"
UNIT_FILES = "attention runner".split()


@contextlib.contextmanager
def index_may_be_away():
    """Skips where packages are missing and the package index cannot be reached."""
    try:
        yield
    except environments.Unreachable as unreachable:
        pytest.skip(f"cannot build the environment: {unreachable}")


def replica(runtime: str, names: list[str], note) -> environments.Environment:
    record = ROOT / "tests" / "colab" / f"colab-{runtime}.txt"
    with index_may_be_away():
        requirements, differing = environments.replica_requirements(record, names)
        held = "" if differing else record.read_text(encoding="utf-8")
        made = environments.build(runtime, requirements, held)
    note(f"replica {made.folder.name}: built in {made.seconds:.0f} s, {made.megabytes()} MB")
    for line in differing:
        note(f"replica {made.folder.name}: {line}")
    made.forget_additions()
    return made


@pytest.fixture(scope="session")
def tpu(note):
    """Colab's TPU runtime: Keras and JAX, and no TensorFlow."""
    return replica("tpu", environments.COLAB_COMMON, note)


@pytest.fixture(scope="session")
def gpu(note):
    """Colab's GPU runtime: TensorFlow, keras-hub and tensorflow-text at Colab's versions."""
    return replica("gpu", environments.COLAB_COMMON + environments.COLAB_TENSORFLOW, note)


@pytest.fixture(scope="session")
def wheel() -> Path:
    with index_may_be_away():
        return environments.build_wheel()


def built(folder: str) -> Path:
    """Lesson 02, solved ("solutions") or as students open it ("lessons")."""
    path = ROOT / folder / f"{LESSON}.ipynb"
    if not path.exists():
        pytest.skip(f"{folder}/{LESSON}.ipynb is not built yet")
    return path


def run_alone(environment, notebook: Path, folder: Path, **variables: str) -> str:
    """What the notebook shows when it is run in an empty folder of that environment."""
    ran = environments.run_notebook(
        environment.python, notebook, folder / "alone", timeout=CELL_SECONDS, **variables
    )
    return environments.text_of(ran)


def says_not_written(shown: str) -> bool:
    return "not written yet" in shown.lower()


@pytest.mark.parametrize("runtime", ["tpu", "gpu"])
def test_the_replica_is_colab_to_the_letter(runtime, request):
    environment = request.getfixturevalue(runtime)
    record = environments.read_versions(ROOT / "tests" / "colab" / f"colab-{runtime}.txt")
    installed = environment.versions()
    named = environments.COLAB_COMMON + environments.COLAB_TENSORFLOW * (runtime == "gpu")
    assert {n: installed.get(n) for n in named if n in record} == {
        n: record[n] for n in named if n in record
    }
    assert ("tensorflow" in installed) == (runtime == "gpu")
    assert environments.DISTRIBUTION not in installed


@pytest.mark.parametrize("runtime", ["tpu", "gpu"])
def test_a_colab_session_installs_the_course_changes_nothing_else_and_runs_the_lesson(
    runtime, wheel, request, tmp_path
):
    environment = request.getfixturevalue(runtime)
    before = environment.versions()
    try:
        shown = run_alone(environment, built("solutions"), tmp_path, COURSE_SOURCE=str(wheel))
        after = environment.versions()
    finally:
        environment.forget_additions()
    added = after.keys() - before.keys()
    assert {environments.DISTRIBUTION} <= added
    assert added <= {environments.DISTRIBUTION, *environments.ADDED_TO_COLAB}
    assert {name: after.get(name) for name in before} == before
    assert not says_not_written(shown)
    backend = "tensorflow" if runtime == "gpu" else "jax"
    assert re.search(rf"backend +{backend}", shown)


def test_the_unit_tests_pass_with_no_tensorflow_installed(tpu, wheel, tmp_path, request):
    request.addfinalizer(tpu.forget_additions)
    environments.uv("pip", "install", "--quiet", "--python", tpu.python, wheel)
    heavy = ("tensorflow", "keras-nlp", "keras-hub")
    assert not [name for name in tpu.versions() if name.startswith(heavy)]
    variables = environments.students_environment(
        tmp_path, KERAS_BACKEND="jax", JAX_PLATFORMS="cpu", PYTHONPATH=str(ROOT)
    )
    files = [f"tests/test_{name}.py" for name in UNIT_FILES]
    command = [tpu.python, "-m", "pytest", "-p", "no:cacheprovider", "--durations=20"]
    done = subprocess.run(
        [*command, "-m", UNIT_TESTS, *files],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=1500,
    )
    print(done.stdout[-3000:])
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 50


@pytest.fixture(scope="module")
def installed_by_its_notebook(wheel, tmp_path_factory):
    """An environment of a kernel, Keras and JAX, where lesson 02 found no course and installed it.

    Yields the environment, and what the notebook as students open it showed.
    """
    notebook = built("lessons")
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    bare = ["ipykernel", "jax", "keras"]
    with index_may_be_away(), environments.scratch("bare", bare, constraints) as environment:
        assert environments.DISTRIBUTION not in environment.versions()
        folder = tmp_path_factory.mktemp("session")
        yield environment, run_alone(environment, notebook, folder, COURSE_SOURCE=str(wheel))


def test_a_notebook_that_finds_no_course_installs_it_from_one_setting(installed_by_its_notebook):
    """Lesson 02 unsolved, alone in an empty folder; the replicas above run it solved."""
    environment, shown = installed_by_its_notebook
    assert environments.DISTRIBUTION in environment.versions()
    assert re.search("backend +jax", shown)
    assert says_not_written(shown)


def test_the_installed_wheel_has_its_data_and_its_command(installed_by_its_notebook, tmp_path):
    environment, _ = installed_by_its_notebook
    script = (
        "import sys; from course.data import load; rows = load('world-en-de', 'train'); "
        "print(len(rows), *(sys.modules.keys() & {'keras', 'jax'}))"
    )
    variables = environments.students_environment(tmp_path)
    command = environment.python.with_name("course")
    shown = []
    for arguments in ([environment.python, "-c", script], [command, "--help"]):
        done = subprocess.run(
            arguments, cwd=tmp_path, env=variables, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        shown.append(done.stdout)
    rows, *frameworks = shown[0].split()
    assert int(rows) >= 20_000 and frameworks == []
    assert "grade" in shown[1]
