"""Builds the environments that the tests run the course in: Colab replicas and bare ones.

An environment is a virtual environment under `.cache/environments/<name>-<hash>`, where the hash
is of everything that decides what is in it; it is built once, in seconds to minutes, and kept.
uv links files from its own cache, so a second environment with the same packages costs little
disk. Nothing here is a test; tests/test_environments.py and tests/test_packaging.py use it.

`COURSE_REPLICA_PYTHON` names another interpreter to build with (Colab has Python 3.13); the
default is the one that runs the tests.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "environments"
DISTRIBUTION = "keras-transformer-course"

# What a Colab session has of what the course can touch. Everything that these bring with them is
# held at Colab's versions too.
COLAB_COMMON = (
    "anywidget cloudpickle hypothesis ipykernel ipython ipywidgets jax jaxlib joblib jupytext "
    "keras matplotlib nbclient nbconvert nbformat nltk numpy pip pooch psutil pytest regex rich "
    "safetensors tokenizers typer"
).split()
COLAB_TENSORFLOW = "keras-hub keras-nlp lxml tabulate tensorflow tensorflow-text".split()

# What an install on Colab adds besides the course: jedi, which Colab's IPython 7.34 requires and
# Colab leaves out, so that any install that names ipython brings it; and sacreBLEU with what it
# needs, of which the CPU and GPU runtimes have lxml and tabulate.
ADDED_TO_COLAB = {"jedi", "sacrebleu", "portalocker", "colorama", "tabulate", "lxml"}

# Tools of the tests that Colab does not have; nothing in the course imports them.
NOT_ON_COLAB = {"hypothesis"}

# Settings of this test run that a student's kernel would not have.
NOT_A_STUDENTS = (
    "COURSE_DATA COURSE_HOME COURSE_PROVE JAX_PLATFORMS KERAS_BACKEND MPLBACKEND PYTHONPATH "
    "PYTHONHOME VIRTUAL_ENV TF_CPP_MIN_LOG_LEVEL"
).split()


class Unreachable(Exception):
    """Packages were needed and the package index did not answer."""


def uv_environment() -> dict[str, str]:
    """The environment variables to run uv with: no questions, no downloaded interpreters."""
    return {
        **os.environ,
        "UV_PYTHON_DOWNLOADS": "never",
        "UV_NO_PROGRESS": "1",
        "UV_LINK_MODE": os.environ.get("UV_LINK_MODE") or _link_mode(),
    }


def _link_mode() -> str:
    # Hard links where the cache is on our file system; elsewhere uv would fall back, and complain.
    if sys.platform != "linux":
        return "clone" if sys.platform == "darwin" else "copy"
    cache = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
    while not cache.exists():
        cache = cache.parent
    return "hardlink" if cache.stat().st_dev == ROOT.stat().st_dev else "copy"


def uv(*arguments: object, stdin: str | None = None) -> str:
    """Runs uv and returns what it printed.

    Raises:
        Unreachable: if it failed and the index cannot be reached.
        RuntimeError: if it failed for any other reason; the message is uv's own.
    """
    command = [sys.executable, "-m", "uv", *map(str, arguments)]
    done = subprocess.run(
        command, input=stdin or "", capture_output=True, text=True, env=uv_environment(), cwd=ROOT
    )
    if done.returncode == 0:
        return done.stdout
    if re.search(r"dns error|Failed to fetch|error sending request|timed out", done.stderr, re.I):
        raise Unreachable(done.stderr.strip().splitlines()[0])
    raise RuntimeError(f"uv {' '.join(map(str, arguments[:2]))} failed:\n{done.stderr.strip()}")


def normal(name: str) -> str:
    """A distribution's name as the index spells it: `Jinja2` and `jinja_2` are one."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_versions(path: Path) -> dict[str, str]:
    """The `name==version` lines of a file, by normal name."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==", 1) for line in lines if "==" in line and line[0] != "#")
    return {normal(name): version.strip() for name, version in pairs}


@dataclass(frozen=True)
class Environment:
    """One built environment, and what it cost."""

    name: str
    folder: Path
    seconds: float

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def versions(self) -> dict[str, str]:
        """What is installed in it, by normal name."""
        listed = json.loads(uv("pip", "list", "--format", "json", "--python", self.python))
        return {normal(entry["name"]): entry["version"] for entry in listed}

    def forget_additions(self):
        """Uninstalls whatever has come in since it was built."""
        built = json.loads((self.folder / "complete.json").read_text())["names"]
        if added := self.versions().keys() - set(built):
            uv("pip", "uninstall", "--quiet", "--python", self.python, *sorted(added))

    def megabytes(self) -> int:
        """Its size if nothing were linked, as `du` counts one folder alone."""
        total = sum(p.stat().st_size for p in self.folder.rglob("*") if not p.is_symlink())
        return round(total / 1e6)


@contextlib.contextmanager
def _locked(path: Path):
    # Two test processes (xdist, or two people's) may want the same environment at once.
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(name: str, requirements: list[str], constraints: str = "", key: str = "") -> Environment:
    """The environment with these requirements; built if it is not there yet.

    Args:
        name: what it is for; the start of its folder's name.
        requirements: what to install, as pip would be told.
        constraints: `name==version` lines that hold for whatever the requirements bring.
        key: anything else that decides what is in it (for a requirement that is a file).
    """
    interpreter = os.environ.get("COURSE_REPLICA_PYTHON") or sys.executable
    version = subprocess.run(
        [interpreter, "-c", "import sys; print(sys.version)"], capture_output=True, text=True
    ).stdout
    decides = [version, *sorted(requirements), constraints, key]
    folder = CACHE / f"{name}-{_digest(*decides)[:12]}"
    complete = folder / "complete.json"
    with _locked(CACHE / f"{folder.name}.lock"):
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)
            start = time.monotonic()
            uv("venv", "--quiet", "--seed", "--python", interpreter, folder)
            listed, held = folder / "requirements.txt", folder / "constraints.txt"
            listed.write_text("\n".join(requirements) + "\n", encoding="utf-8")
            held.write_text(constraints + "\n", encoding="utf-8")
            python = folder / "bin" / "python"
            uv("pip", "install", "--quiet", "--python", python, "-r", listed, "-c", held)
            seconds = round(time.monotonic() - start, 1)
            names = sorted(Environment(name, folder, seconds).versions())
            complete.write_text(json.dumps({"seconds": seconds, "names": names}))
    return Environment(name, folder, json.loads(complete.read_text())["seconds"])


@contextlib.contextmanager
def scratch(name: str, requirements: list[str], constraints: str = ""):
    """A throw-away environment, for a test that installs into it; removed at the end."""
    folder = CACHE / f"{name}-scratch-{os.getpid()}"
    start = time.monotonic()
    try:
        uv("venv", "--quiet", "--seed", "--clear", "--python", sys.executable, folder)
        held = folder / "constraints.txt"
        held.write_text(constraints + "\n", encoding="utf-8")
        python = folder / "bin" / "python"
        uv("pip", "install", "--quiet", "--python", python, "-c", held, *requirements)
        yield Environment(name, folder, round(time.monotonic() - start, 1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replica_requirements(record: Path, names: list[str]) -> tuple[list[str], list[str]]:
    """What to install to have Colab's versions of `names`.

    Returns:
        The requirements, and one line for each that differs from the record: a version that has
        no wheel for this Python is replaced by the nearest lower one that has.
    """
    versions = read_versions(record)
    unknown = [name for name in names if name not in versions and name not in NOT_ON_COLAB]
    if unknown:
        raise ValueError(f"{record.name} does not list {', '.join(unknown)}")
    exact = [f"{name}=={versions[name]}" if name in versions else name for name in names]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    try:
        _resolve(exact, python, "-c", record)
        return exact, []
    except RuntimeError:
        pass
    requirements, differing = [], []
    for requirement in exact:
        try:
            _resolve([requirement], python, "--no-deps", "--only-binary", ":all:")
            requirements.append(requirement)
        except RuntimeError:
            lower = requirement.replace("==", "<=")
            found = _resolve([lower], python, "--no-deps", "--only-binary", ":all:").strip()
            requirements.append(found)
            differing.append(f"{requirement} has no wheel for Python {python}: {found} instead")
    return requirements, differing


def _resolve(requirements: list[str], python: str, *options: object) -> str:
    arguments = ["--python-version", python, "--quiet", "--no-header", "--no-annotate"]
    return uv("pip", "compile", "-", *arguments, *options, stdin="\n".join(requirements))


def _digest(*parts: str | bytes) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def wheel_sources() -> list[Path]:
    """Every file that can change what is in the wheel."""
    top = [ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-CONTENT")]
    package = [p for p in (ROOT / "course").rglob("*") if "__pycache__" not in p.parts]
    folders = (ROOT / "datasets" / "world", ROOT / "benchmarks" / "results", ROOT / "lessons")
    data = [p for folder in folders for p in folder.glob("*")]
    return sorted(p for p in [*top, *package, *data] if p.is_file())


def build_wheel() -> Path:
    """The wheel of the working tree, built once for each state of its sources."""
    parts = [x for p in wheel_sources() for x in (str(p.relative_to(ROOT)), p.read_bytes())]
    folder = ROOT / ".cache" / "wheels" / _digest(*parts)[:12]
    with _locked(folder.with_suffix(".lock")):
        built = list(folder.glob("*.whl"))
        if not built:
            for old in folder.parent.glob("*/"):
                shutil.rmtree(old, ignore_errors=True)
            uv("build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
            built = list(folder.glob("*.whl"))
    return built[0]


def students_environment(home: Path, **more: str) -> dict[str, str]:
    """The variables that a student's kernel would see: none of this test run's own."""
    kept = {k: v for k, v in os.environ.items() if k not in NOT_A_STUDENTS}
    return {**kept, "COURSE_HOME": str(home), "IPYTHONDIR": str(home / "ipython"), **more}


def run_notebook(python: Path, notebook: Path, folder: Path, timeout=600, **variables: str):
    """Runs one notebook, alone in `folder`, in a kernel of another environment.

    The client is this environment's; only the kernel is the other's, so that it needs nothing
    installed but ipykernel.

    Args:
        python: the interpreter whose kernel runs it.
        notebook: the file; it is read, never written.
        folder: working directory of the kernel, which should be empty.
        timeout: seconds for a cell.
        **variables: environment variables to add, for example COURSE_SOURCE.

    Returns:
        The executed notebook.

    Raises:
        nbclient.exceptions.CellExecutionError: if a cell raises.
    """
    import nbformat
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    folder.mkdir(parents=True, exist_ok=True)
    specs = folder.parent / f"{folder.name}-kernels"
    spec = specs / "replica"
    spec.mkdir(parents=True, exist_ok=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    described = {"argv": command, "display_name": "replica", "language": "python"}
    (spec / "kernel.json").write_text(json.dumps(described), encoding="utf-8")
    node = nbformat.read(notebook, as_version=4)
    manager = AsyncKernelManager(
        kernel_name="replica",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(specs)], ensure_native_kernel=False),
    )
    client = NotebookClient(
        node, km=manager, timeout=timeout, resources={"metadata": {"path": str(folder)}}
    )
    home = folder.parent / f"{folder.name}-home"
    home.mkdir(exist_ok=True)
    # We made the manager, so the client would leave its kernel running unless told otherwise.
    client.execute(env=students_environment(home, **variables), cleanup_kc=True)
    return node


def text_of(notebook) -> str:
    """Everything that a notebook's cells printed or showed, as text."""
    told = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            told.append(output.get("text") or data.get("text/plain") or "")
            told.append(data.get("text/html") or "")
    return "\n".join(told)
