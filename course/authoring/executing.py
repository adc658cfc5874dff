"""Runs a solution notebook in a real kernel and keeps what is the same on every machine."""

import os
import re
import sys
import tempfile
import time
from pathlib import Path

from course.authoring.notebook import VOLATILE
from course.authoring.source import AuthoringError, Finding

CELL_SECONDS = 600
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
# A live widget's id is new at every run; its picture or text beside it stays.
_LIVE = ("application/vnd.jupyter.widget-view+json", "application/vnd.jupyter.widget-state+json")


def execute(made, places, file, root, solved=True, on_cell=None):
    """Runs every cell and fills in the outputs, in place.

    Args:
        made: a notebook.
        places: where each cell stands in the source, in words.
        file: the source, for messages.
        root: the course's folder; its `course` is the one that is imported.
        solved: whether its grade cells are to earn all their points, or none.
        on_cell: called as `on_cell(index)` before each cell.

    Returns:
        The seconds it took.

    Raises:
        AuthoringError: naming the cell that failed, wrote on stderr, printed what belongs to one
            machine, or earned other points than it should.
    """
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="course-build-") as folder:
        work, home = Path(folder, "work"), Path(folder, "home")
        work.mkdir()
        _run(made, places, file, work, _environment(root, home), on_cell)
        for cell in made.cells:
            _keep(cell, folder, str(home))
    findings = []
    for cell, place in zip(made.cells, places, strict=True):
        findings += _refused(cell, file, place, solved)
    if findings:
        raise AuthoringError(findings)
    return time.monotonic() - started


def _environment(root, home):
    """The kernel's environment: nothing of this machine but the course and its packages."""
    ours = ("KERAS_BACKEND", "MPLBACKEND")  # the course picks one, the kernel the other
    chosen = {k: v for k, v in os.environ.items() if k not in ours and k[:7] != "COURSE_"}
    chosen |= {"COURSE_HOME": str(home), "COURSE_OFFLINE": "1", "PYTHONHASHSEED": "0"}
    if (Path(root) / "course" / "__init__.py").exists():
        rest = [chosen["PYTHONPATH"]] if chosen.get("PYTHONPATH") else []
        chosen["PYTHONPATH"] = os.pathsep.join([str(Path(root).resolve()), *rest])
    return chosen


def _run(made, places, file, work, environment, on_cell):
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    class ThisPython(KernelSpecManager):
        """Whatever kernels are installed: the notebook runs in this interpreter."""

        def get_kernel_spec(self, kernel_name):
            # Errors only: a note about encryption on this machine's own port helps nobody.
            launch = ["-m", "ipykernel_launcher", "--log-level=40", "-f", "{connection_file}"]
            return KernelSpec(argv=[sys.executable, *launch], language="python")

    class Manager(AsyncKernelManager):
        def _kernel_spec_manager_default(self):
            return ThisPython()

    now = [0]

    def started(cell, cell_index):
        now[0] = cell_index
        if on_cell is not None:
            on_cell(cell_index)

    client = NotebookClient(
        made,
        kernel_manager_class=Manager,
        timeout=CELL_SECONDS,
        resources={"metadata": {"path": str(work)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        on_cell_start=started,
    )
    language = dict(made.metadata["language_info"])
    try:
        client.execute(env=environment)
    except CellExecutionError as error:
        last = _COLOUR.sub("", error.traceback).strip().splitlines()[-12:]
        message = "\n    ".join([f"{error.ename}: {error.evalue}", *last])
    except CellTimeoutError:
        message = f"it did not finish in {CELL_SECONDS} s"
    except DeadKernelError:
        message = "the kernel died here (out of memory?)"
    else:
        made.metadata["language_info"] = language
        return
    raise AuthoringError(Finding(file, places[now[0]], message)) from None


def _keep(cell, folder, home):
    """Leaves in a cell what every run prints alike."""
    if cell.cell_type != "code":
        return
    cell.metadata.pop("execution", None)
    if any(tag in VOLATILE for tag in cell.metadata.get("tags", ())):
        # What goes wrong must still be seen: `_refused` reads stderr.
        cell.outputs = [o for o in cell.outputs if o.get("name") == "stderr"]
    for output in cell.outputs:
        if "data" in output:
            for kind in _LIVE:
                output.data.pop(kind, None)
            for kind, value in output.data.items():
                if isinstance(value, str) and not kind.startswith("image/png"):
                    output.data[kind] = value.replace(home, "COURSE_HOME").replace(folder, "…")
        elif "text" in output:
            output.text = output.text.replace(home, "COURSE_HOME").replace(folder, "…")


def _refused(cell, file, place, solved):
    """What a notebook may not print."""
    if cell.cell_type != "code":
        return
    for output in cell.outputs:
        if output.get("name") == "stderr":
            message = "it writes on stderr, which nbgrader reads as failed: "
            yield Finding(file, place, message + output.text.strip()[-400:])
            continue
        data = output.get("data", {})
        text = output.get("text", "") + data.get("text/plain", "") + data.get("text/html", "")
        shows = data.keys() & {"text/html", "image/png", "image/svg+xml"}
        if not shows and _ADDRESS.search(text):
            yield Finding(file, place, f"it prints a memory address: {text.strip()[:80]}")
        if "ipykernel_" in text or str(Path.home()) + os.sep in text:
            yield Finding(file, place, f"it prints a path of this machine: {text.strip()[-200:]}")
    graded = cell.metadata.get("nbgrader", {})
    if graded.get("grade"):
        results = [o for o in cell.outputs if o.output_type == "execute_result"]
        earned = results[0].data["text/plain"] if results else "nothing"
        wanted = float(graded["points"]) if solved else 0.0
        if earned != str(wanted):
            state = "solved" if solved else "with nothing solved"
            yield Finding(file, place, f"{state} it earns {earned} points, expected {wanted}")
