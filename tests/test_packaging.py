"""The package as others meet it: installed beside Colab's versions, as a wheel, and as a tree."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import os
import re
import statistics
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import environments
import pytest
import yaml
from conftest import installed
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PYPROJECT["optional-dependencies"]
COLAB_PYTHON = "3.13"

# DESIGN.md's floors, lowest first: a module imports the rows above its own here, and its own
# package. Attention turns its queries by their positions; decoding and the optimizers use the
# kernels; pretraining is built from the transformer's blocks.
FLOORS = [
    ["runtime"],
    ["kernels"],
    ["positions", "tokens", "data", "decoding", "training", "runner"],
    ["attention", "checks"],
    ["transformer"],
    ["pretraining", "language_modelling", "translation"],
    ["checkpoints"],
    ["fine_tuning", "question_answering", "summarisation", "scaling", "interpretation", "trust"],
    ["exercises"],
    ["lab", "grading", "authoring"],
    ["cli"],
    ["__main__"],
]


# --- requirements -------------------------------------------------------------------------------


def colab_record(runtime: str) -> Path:
    """What a Colab runtime has preinstalled, see tests/colab/README.md."""
    return ROOT / "tests" / "colab" / f"colab-{runtime}.txt"


def resolve(*options: object, python: str = COLAB_PYTHON, system="x86_64-manylinux_2_35", stdin=""):
    """What pyproject.toml (or the requirements in `stdin`) resolves to, by normal name."""
    source = "-" if stdin else "pyproject.toml"
    quiet = ["--quiet", "--no-header", "--no-annotate"]
    place = ["--python-version", python, "--python-platform", system]
    try:
        found = environments.uv("pip", "compile", source, *quiet, *place, *options, stdin=stdin)
    except environments.Unreachable as unreachable:
        pytest.skip(f"the package index cannot be reached: {unreachable}")
    pairs = (line.split("==", 1) for line in found.splitlines() if "==" in line)
    return {environments.normal(name): version.split(" ")[0] for name, version in pairs}


@pytest.mark.parametrize(
    ("runtime", "extras"),
    [("cpu", []), ("cpu", ["tf"]), ("gpu", []), ("gpu", ["tf"]), ("tpu", [])],
    ids=["cpu", "cpu-tf", "gpu", "gpu-tf", "tpu"],
)
def test_installing_on_colab_changes_no_version_there(runtime, extras):
    record = colab_record(runtime)
    options = [word for extra in extras for word in ("--extra", extra)]
    resolved = resolve("-c", record, *options)
    colab = environments.read_versions(record)
    changed = {n: (colab[n], v) for n, v in resolved.items() if n in colab and colab[n] != v}
    assert not changed
    assert resolved.keys() - colab.keys() <= environments.ADDED_TO_COLAB
    assert "keras" in resolved and "anywidget" in resolved


def test_installing_on_the_tpu_runtime_adds_no_tensorflow():
    resolved = resolve("-c", colab_record("tpu"))
    assert not [n for n in resolved if re.match("tensorflow|keras-(hub|nlp)|tf-", n)]


def test_the_base_brings_neither_a_backend_nor_keras_nlp_nor_jupyterlab():
    resolved = resolve(python="3.11")
    heavy = {"tensorflow", "jax", "torch", "keras-nlp", "keras-hub", "jupyterlab", "nbgrader"}
    assert not heavy & resolved.keys()


@pytest.mark.needs_tf
def test_keras_nlp_is_a_shim_over_keras_hub():
    # Why keras-nlp is in [tf] and not in the base: what it requires ends at TensorFlow.
    def requires(name):
        lines = importlib.metadata.requires(name) or []
        return {environments.normal(Requirement(line).name) for line in lines}

    if importlib.util.find_spec("keras_nlp") is None:
        pytest.skip("keras-nlp is not installed")
    assert requires("keras-nlp") == {"keras-hub"}
    assert importlib.metadata.version("keras-nlp") == importlib.metadata.version("keras-hub")
    files = [f for f in importlib.metadata.files("keras-nlp") if f.suffix == ".py"]
    assert [str(f) for f in files] == ["keras_nlp/__init__.py"]
    assert "from keras_hub import *" in files[0].read_text()
    assert "tensorflow-text" in requires("keras-hub")
    assert "tensorflow" in requires("tensorflow-text")


@pytest.mark.parametrize(
    ("python", "system", "has_text"),
    [
        ("3.11", "x86_64-manylinux_2_35", True),
        ("3.12", "x86_64-manylinux_2_35", True),
        ("3.13", "x86_64-manylinux_2_35", True),
        ("3.13", "aarch64-manylinux_2_35", True),
        ("3.13", "aarch64-apple-darwin", True),
        ("3.13", "windows", False),
    ],
)
def test_the_tested_set_has_wheels_wherever_the_course_is_offered(python, system, has_text):
    extras = [word for extra in ("tf", "jax", "lab") for word in ("--extra", extra)]
    wheels = ["--only-binary", ":all:"]
    resolved = resolve("-c", "constraints.txt", *extras, *wheels, python=python, system=system)
    assert "tensorflow" in resolved and "jax" in resolved
    assert ("tensorflow-text" in resolved) == has_text == ("keras-nlp" in resolved)


# --- the three lists ----------------------------------------------------------------------------


def listed(*extras: str) -> list[Requirement]:
    """The requirements of the base and of these extras, without the extras that name the course."""
    lines = PYPROJECT["dependencies"] + [line for extra in extras for line in EXTRAS[extra]]
    requirements = map(Requirement, lines)
    return [r for r in requirements if r.name != PYPROJECT["name"]]


def test_constraints_are_plain_pins_in_order():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9.-]+==[A-Za-z0-9.]+", line)] == []
    names = [line.split("==")[0] for line in lines]
    assert names == sorted(set(names))


def test_constraints_hold_every_requirement_inside_its_range():
    pinned = environments.read_versions(ROOT / "constraints.txt")
    wrong = []
    for requirement in listed(*EXTRAS):
        version = pinned.get(environments.normal(requirement.name))
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement}: constraints.txt has {version}. Run: make constraints")
    assert wrong == []


def test_requirements_are_ranges_with_a_floor_and_no_ceiling():
    wrong = [str(r) for r in listed(*EXTRAS) if {s.operator for s in r.specifier} != {">="}]
    assert wrong == []


def test_floors_are_not_above_what_colab_has():
    for runtime in ("cpu", "gpu", "tpu"):
        colab = environments.read_versions(colab_record(runtime))
        above = [
            f"{requirement}: Colab {runtime} has {colab[name]}"
            for requirement in listed("tf", "jax", "parity")
            if (name := environments.normal(requirement.name)) in colab
            and not requirement.specifier.contains(colab[name])
        ]
        # The TPU runtime's torch is older than the parity tests want; nobody runs those there.
        assert [line for line in above if not (runtime == "tpu" and line.startswith("torch"))] == []


def test_conda_users_get_the_same_packages():
    recipe = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    conda = [entry for entry in recipe["dependencies"] if isinstance(entry, str)]
    [by_pip] = [entry["pip"] for entry in recipe["dependencies"] if isinstance(entry, dict)]
    assert any(entry.startswith(f"python{PYPROJECT['requires-python']}") for entry in conda)
    assert by_pip[0] == "-c constraints.txt" and by_pip[-1] == "-e ."
    assert {str(Requirement(line)) for line in by_pip[1:-1]} == {
        str(r) for r in listed("tf", "jax", "lab", "instructor", "rouge", "test")
    }


def test_no_lock_file_is_tracked():
    assert "uv.lock" not in {path.name for path in tracked()}


def test_the_pages_of_figures_are_in_step_with_the_records():
    done = subprocess.run(
        [sys.executable, "benchmarks/summary.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_version_stands_in_one_place():
    import course

    assert "version" in PYPROJECT["dynamic"] and "version" not in PYPROJECT
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == course.__version__


# --- the wheel ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def wheel() -> Path:
    """The wheel of this tree."""
    try:
        return environments.build_wheel()
    except environments.Unreachable as unreachable:
        pytest.skip(f"cannot build the wheel without the package index: {unreachable}")


@pytest.fixture(scope="session")
def wheel_names(wheel) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_carries_the_embedded_data_and_no_generator(wheel_names):
    there = {
        f"course/data/embedded/{folder}/{path.name}"
        for folder, ends in (("world", (".jsonl.xz", ".md")), ("bert", ("",)))
        for path in (ROOT / "datasets" / folder).iterdir()
        if path.name.endswith(ends)
    }
    assert len(there) > 30 and {n for n in wheel_names if "embedded" in n} == there
    assert not [n for n in wheel_names if "generator" in n]


def test_the_wheel_carries_the_recorded_results_that_lessons_show(wheel_names):
    recorded = {p.name for p in (ROOT / "benchmarks" / "results").glob("*.json")}
    inside = {n.rpartition("/")[2] for n in wheel_names if n.startswith("course/lab/recorded/")}
    assert inside == recorded


def test_the_wheel_carries_every_tracked_file_of_the_package(wheel_names):
    package = {p.relative_to(ROOT).as_posix() for p in tracked() if ROOT / "course" in p.parents}
    assert package - wheel_names == set()


def test_the_wheel_carries_both_licences_and_nothing_else_from_the_repository(wheel_names):
    assert {n.rpartition("/")[2] for n in wheel_names if "/licenses/" in n} == {
        "LICENSE",
        "LICENSE-CONTENT",
    }
    tops = {n.partition("/")[0] for n in wheel_names}
    beside = {n for n in wheel_names if not n.startswith("course/") and ".dist-info/" not in n}
    assert [n.partition(".data/")[2] for n in beside] == [
        "data/etc/ipython/startup/50-keras-transformer-course.py"
    ]
    assert len(tops) == 3
    assert not [n for n in wheel_names if "__pycache__" in n]
    lessons = {f"course/lessons/{p.name}" for p in (ROOT / "lessons").glob("*.ipynb")}
    assert {n for n in wheel_names if n.endswith(".ipynb")} == lessons


def test_the_wheel_is_small_enough_to_download_in_a_classroom(wheel):
    assert wheel.stat().st_size < 9_000_000


# --- the tree -----------------------------------------------------------------------------------


def tracked() -> list[Path]:
    """The files that git tracks, as they are in the working tree."""
    done = subprocess.run(
        ["git", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_is_over_nine_megabytes():
    assert [p.name for p in tracked() if p.stat().st_size > 9_000_000] == []


def test_no_tracked_file_names_a_registry_or_a_place_on_one_machine():
    # Written in two parts, so that this file does not find itself.
    parts = [
        ("index", "-url"),
        ("find", "-links"),
        ("/wo", "rk/"),
        ("/ro", "ot/"),
        ("pypi", r"\.org"),
        ("pythonhos", r"ted\.org"),
        ("registry", r"\.npmjs"),
    ]
    pattern = re.compile("|".join("".join(pair) for pair in parts).encode())
    found = []
    for path in tracked():
        data = path.read_bytes()
        if b"\0" in data[:4096]:
            continue
        for number, line in enumerate(data.splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {match[0].decode()}")
    assert found == []


def test_ruff_finds_nothing_to_say():
    ruff = [sys.executable, "-m", "ruff"]
    options = {"cwd": ROOT, "capture_output": True, "text": True}
    checked = subprocess.run([*ruff, "check", "--output-format", "concise", "."], **options)
    formatted = subprocess.run([*ruff, "format", "--check", "."], **options)
    assert checked.returncode == 0, checked.stdout
    assert formatted.returncode == 0, formatted.stdout


# An exercise's probes are read one exercise at a time, and a lesson has up to six.
SITTING, SIX_EXERCISES = 400, 850


def test_no_module_is_longer_than_a_sitting():
    lengths = {
        p.relative_to(ROOT).as_posix(): len(p.read_text(encoding="utf-8").splitlines())
        for p in modules().values()
    }
    usual = {p: SIX_EXERCISES if p.startswith("course/exercises/") else SITTING for p in lengths}
    assert {p: n for p, n in lengths.items() if n > usual[p]} == {}


def test_importing_the_course_is_quick_and_brings_no_framework():
    script = (
        "import sys, time; start = time.perf_counter(); import course; "
        "print(time.perf_counter() - start, *(sys.modules.keys() & {'tensorflow', 'jax', 'keras', "
        "'torch', 'numpy', 'matplotlib'}))"
    )
    command = [sys.executable, "-c", script]
    runs = [
        subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
        for _ in range(5)
    ]
    assert [run[1:] for run in runs] == [[]] * 5
    assert statistics.median(float(run[0]) for run in runs) < 0.15


@pytest.mark.needs_tf
def test_tensorflow_starts_without_jax_which_can_be_imported_all_the_same():
    if not installed("jax"):
        pytest.skip("JAX is not installed")
    script = (
        "import sys; from course import runtime; runtime.start(); print('jax' in sys.modules); "
        "import jax; print(int(jax.numpy.ones(2).sum()))"
    )
    env = os.environ | {"KERAS_BACKEND": "tensorflow", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "2"], done.stderr[-2000:]


# --- the floors ---------------------------------------------------------------------------------


def modules(package: Path = ROOT / "course") -> dict[str, Path]:
    """Every module of the course by its dotted name; a package is named without `__init__`."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(name: str, path: Path, known: dict[str, Path]) -> set[str]:
    """The modules of the course that one imports, wherever in it the import stands."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*up, base] if base else up)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in known else base)
    return {m for m in found if m in known and m != name}


def floor_faults(known: dict[str, Path]) -> list[str]:
    """What breaks the order of the floors, one line each."""
    floors = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
    faults = []
    for name, path in known.items():
        room = name.split(".")[1] if "." in name else None
        if room is None:
            found = imports(name, path, known)
            faults += [f"{name} imports {other}: it must import nothing" for other in found]
            continue
        if room not in floors:
            faults.append(f"course.{room} has no floor: give it one in {Path(__file__).name}")
            continue
        for other in imports(name, path, known):
            below = other.split(".")[1] if "." in other else None
            if below in (None, room) or below not in floors:
                continue
            if floors[below] >= floors[room]:
                faults.append(f"{name} imports {other}, whose floor is not below")
    return faults


def circles(known: dict[str, Path]) -> list[str]:
    """The circles of imports among modules, each as `a -> b -> a`."""
    graph = {name: sorted(imports(name, path, known)) for name, path in known.items()}
    done, found = set(), []

    def walk(name, trail):
        if name in trail:
            found.append(" -> ".join([*trail[trail.index(name) :], name]))
        elif name not in done:
            for other in graph[name]:
                walk(other, [*trail, name])
            done.add(name)

    for name in graph:
        walk(name, [])
    return found


def test_every_module_imports_only_the_floors_below():
    assert floor_faults(modules()) == []


def test_no_imports_run_in_a_circle():
    assert circles(modules()) == []


def test_the_floor_check_sees_every_way_to_import(tmp_path):
    # The guard guards: absolute and relative imports, at module level and inside a function.
    files = {
        "__init__.py": "",
        "cli.py": "from course import lab",
        "runtime.py": "def f():\n    import course.cli",
        "positions.py": "from . import data, runtime",
        "data/__init__.py": "from course import runtime",
        "lab/__init__.py": "from ..grading import sandbox",
        "lab/plots.py": "from .views import x",
        "lab/views.py": "from course.lab.plots import y",
        "grading/__init__.py": "",
        "grading/sandbox.py": "",
        "stray.py": "",
    }
    for name, text in files.items():
        path = tmp_path / "course" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    known = modules(tmp_path / "course")
    assert [re.split("[,:]", fault)[0] for fault in floor_faults(known)] == [
        "course.lab imports course.grading.sandbox",
        "course.positions imports course.data",
        "course.runtime imports course.cli",
        "course.stray has no floor",
    ]
    assert "course.lab.plots -> course.lab.views -> course.lab.plots" in circles(known)


def test_the_wheel_carries_the_solutions_that_students_may_ask_for(wheel_names):
    written = {p.name for p in (ROOT / "solutions").glob("*.py")}
    inside = {n.rpartition("/")[2] for n in wheel_names if n.startswith("course/lab/solutions/")}
    assert inside == written
