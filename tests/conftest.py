"""What every test can count on.

**Backends.** Keras reads its backend once, when it is first imported, so a pytest run has exactly
one. It is `KERAS_BACKEND` if that is set, TensorFlow if it is installed, else JAX. A test that
touches Keras is marked `backend`; `make test` runs those on JAX (`KERAS_BACKEND=jax pytest -m
backend`) and then everything on TensorFlow. A whole module is marked with
`pytestmark = pytest.mark.backend`.

**Markers** (declared in pyproject.toml). `needs_tf`, `parity` and `browser` tests skip, with a
reason, where TensorFlow, torch and transformers, or Chromium are missing. `slow` and
`environments` let a person leave the long ones out: `pytest -m "not slow and not environments"`.

`grid` marks one behaviour in a grid of cases, of which the backends share the work: TensorFlow runs
every other one, JAX, where most of a case's time is the compiler's, every third. `make prove` runs
them all.

`prove` marks a proof whose full scale is for `make prove`; here it runs a twentieth (`proof_size`).

**Nothing touches the user's files.** `COURSE_HOME` points to a fresh folder in every test, and to
a throw-away one for whatever a session-wide fixture starts.

**Time.** The tests of a file stay in one process, and the files that take longest begin
(`LONGEST_FIRST`), so that no process is left alone with one in the end. Where several processes
share the cores, each computes with one thread: a quarter to a third of TensorFlow's CPU time.

**Skips are told.** The run ends with one line for each reason, and how many tests it cost.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTES = pytest.StashKey[list]()


def installed(*names: str) -> bool:
    """Whether every one of these modules can be imported, without importing any."""
    return all(importlib.util.find_spec(name) is not None for name in names)


# Before any test module is imported, since each of these is read once, at a first import.
os.environ.setdefault("KERAS_BACKEND", "tensorflow" if installed("tensorflow") else "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")


def chromium_path() -> str | None:
    """The Chromium (or Chrome) of this machine, or None."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next(filter(None, map(shutil.which, names)), None)


def shared_folder(name: str) -> Path | None:
    """`../shared/<name>` beside the repository, or None where it is not there."""
    folder = ROOT.parent / "shared" / name
    return folder if folder.is_dir() else None


# `make prove` runs every proof at its full scale; everything else runs a sample of it.
PROVING = os.environ.get("COURSE_PROVE", "") not in ("", "0")
# Most of a small test's time on JAX is the compiler's: less of it, and nothing twice.
if not PROVING:
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
    # The newer code generator takes a third longer over the small programs of a test; JAX 0.11 has
    # no other, and stops at a flag that it does not know.
    on_jax = os.environ["KERAS_BACKEND"] == "jax"
    if on_jax and tuple(map(int, version("jax").split(".")[:2])) < (0, 11):
        os.environ.setdefault("XLA_FLAGS", "--xla_cpu_use_fusion_emitters=false")

LONGEST_FIRST = (
    "authoring mistakes grading_bank environments decoding translation browser transformer"
    " pretraining fine_tuning nbgrader grading checkpoints world packaging tokens training explorer"
    " attention"
).split()


def numbers(tensor):
    """A tensor of the backend as a NumPy array."""
    import keras
    import numpy as np

    return np.array(keras.ops.convert_to_numpy(tensor))


def pytest_configure(config):
    # Session-wide fixtures and the processes that they start need a home too, and the fixture
    # `course_home` below only reaches single tests.
    home = tempfile.TemporaryDirectory(prefix="course-home-", ignore_cleanup_errors=True)
    os.environ["COURSE_HOME"] = home.name
    config.add_cleanup(home.cleanup)
    # No window on a laptop. Not by MPLBACKEND, which kernels would inherit and then show nothing.
    if installed("matplotlib"):
        import matplotlib

        matplotlib.use("Agg")


def pytest_collection_modifyitems(config, items):
    if not PROVING:
        thin_out(config, items)
    places = {f"test_{name}.py": place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))
    lacking = {}
    if not installed("tensorflow"):
        lacking["needs_tf"] = "TensorFlow is not installed"
    missing = [name for name in ("torch", "transformers") if not installed(name)]
    if missing:
        lacking["parity"] = f"no {' and no '.join(missing)} here: PARITY=1 make test installs them"
    if chromium_path() is None:
        lacking["browser"] = "no Chromium on this machine (Debian: apt-get install chromium)"
    elif not installed("playwright"):
        lacking["browser"] = "playwright is not installed"
    for item in items:
        for name, reason in lacking.items():
            if item.get_closest_marker(name) is not None:
                item.add_marker(pytest.mark.skip(reason=reason))


def thin_out(config, items):
    """Leaves this backend's share of the cases of a test that is marked `grid`."""
    step, first = (3, 1) if os.environ["KERAS_BACKEND"] == "jax" else (2, 0)
    seen, left = Counter(), []
    for item in items:
        case = seen[item.path, item.originalname] if item.get_closest_marker("grid") else first
        seen[item.path, item.originalname] += 1
        left.append(case % step == first)
    gone = [item for item, keep in zip(items, left, strict=True) if not keep]
    config.hook.pytest_deselected(items=gone)
    items[:] = [item for item, keep in zip(items, left, strict=True) if keep]


def pytest_terminal_summary(terminalreporter, config):
    if notes := config.stash.get(NOTES, []):
        terminalreporter.section("noted", sep="-")
        for line in notes:
            terminalreporter.write_line(line)
    reasons = Counter()
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[reason.removeprefix("Skipped: ")] += 1
    if reasons:
        terminalreporter.section("skipped, and why", sep="-")
        for reason, count in reasons.most_common():
            terminalreporter.write_line(f"{count:4d}  {reason}")


def pytest_sessionfinish(session):
    # A worker of pytest-xdist sends its notes to the process that prints the summary.
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["notes"] = session.config.stash.get(NOTES, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    told = getattr(node, "workeroutput", {}).get("notes", [])
    node.config.stash.setdefault(NOTES, []).extend(told)


def pytest_report_header():
    return f"Keras backend: {os.environ['KERAS_BACKEND']}"


@pytest.fixture(autouse=True)
def course_home(tmp_path_factory, monkeypatch) -> Path:
    """A fresh COURSE_HOME, so that no test reads or writes a user's progress and caches."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("COURSE_HOME", str(home))
    return home


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets: COURSE_DATA, or ../shared/data; skips where neither is."""
    given = os.environ.get("COURSE_DATA")
    if given:
        if not Path(given).is_dir():
            pytest.fail(f"COURSE_DATA is {given!r}, which is not a folder")
        return Path(given)
    folder = shared_folder("data")
    if folder is None:
        pytest.skip("no real data: COURSE_DATA is not set and ../shared/data is not there")
    return folder


@pytest.fixture(scope="session")
def note(request):
    """`note(line)`: a line to show at the end of the run (a size, a time, a choice made)."""
    return request.config.stash.setdefault(NOTES, []).append


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser; use it with the marker `browser`."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    return path


@pytest.fixture(scope="session")
def backend() -> str:
    """The name of the backend that this run is on: "tensorflow" or "jax"."""
    return os.environ["KERAS_BACKEND"]


@pytest.fixture(scope="session")
def keras():
    """Keras, imported when the first test asks for it."""
    import keras

    return keras


@pytest.fixture
def rng():
    """A NumPy generator, the same in every test and every run."""
    import numpy as np

    return np.random.default_rng(20_170_612)


@pytest.fixture(scope="session")
def proof_size():
    """`proof_size(2000)`: that many cases in `make prove`, a twentieth of them in `make test`.

    For tests marked `prove`, so that a proof at full scale and its daily sample are one test.
    """
    return lambda cases: cases if PROVING else max(1, cases // 20)


@pytest.fixture
def program(tmp_path):
    """`program(text)` is a function that runs the text in a process of its own, in `tmp_path`.

    Called with arguments for it, it returns what the process printed last, read as JSON; with
    `kill=True` it kills the process as soon as that prints "here".
    """

    def prepared(text):
        path = tmp_path / "program.py"
        path.write_text(textwrap.dedent(text))

        def run(*arguments, kill=False):
            process = subprocess.Popen(
                [sys.executable, path, *map(str, arguments)],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            if kill:
                assert process.stdout.readline().strip() == "here", process.stderr.read()
                process.kill()
                process.communicate()
                return None
            out, err = process.communicate(timeout=500)
            assert process.returncode == 0, err
            return json.loads(out.splitlines()[-1])

        return run

    return prepared
