"""Where a submission's process is obtained, talked to within limits, and ended.

First form: a fresh process in its own session and folder, with the limits that rlimits give. The
one function that makes it is `start_child`; everything above it only asks and waits.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from course import runtime
from course.grading import GradingError, pipe

LEVEL = "a process of its own with rlimits; no namespaces, no file system of its own"
PREFIX = "course-grading-"


@dataclass(frozen=True)
class Limits:
    """What one submission may use; the framework's import is not counted.

    Attributes:
        wall: seconds for the whole submission.
        cell: seconds for one cell.
        reserve: seconds of `wall` that only exercises may use.
        grace: seconds that a process gets to react before it is ended.
        start: seconds for the framework's import.
        memory: bytes of data a process may hold.
        file_size: bytes of the largest file it may write.
        output: bytes kept of what it prints.
        restarts: how often a lost process is replaced.
    """

    wall: float = 60.0
    cell: float = 20.0
    reserve: float = 20.0
    grace: float = 2.0
    start: float = 180.0
    memory: int = 4_000_000_000
    file_size: int = 500_000_000
    output: int = 1_000_000
    restarts: int = 3


class Lost(Exception):
    """A process that can no longer be asked; `why` is "time", "ended" or "malformed"."""

    def __init__(self, why, detail=""):
        super().__init__(f"{why}: {detail}" if detail else why)
        self.why, self.detail = why, detail


class Cancelled(Exception):
    """The whole job was told to stop."""


class NotStarted(GradingError):
    """A process that never got ready: this machine's fault, not the student's."""


class Output:
    """What a process prints: the first bytes are kept, all are counted."""

    def __init__(self, limit):
        self.limit, self.kept, self.total = limit, bytearray(), 0

    def add(self, data):
        self.total += len(data)
        self.kept += data[: max(0, self.limit - len(self.kept))]


class Child:
    """A started process: `ask` it, `close` it."""

    def __init__(self, process, write_to, read_from, folder, limits, cancel):
        self.process, self.folder, self.limits, self.cancel = process, folder, limits, cancel
        self.write_to, self.read_from = write_to, read_from
        self.printed = process.stdout.fileno()
        self.reader, self.number, self.used = pipe.Reader(), 0, 0.0
        self.output, self.backend, self.versions = Output(limits.output), None, {}
        for descriptor in (write_to, read_from, self.printed):
            os.set_blocking(descriptor, False)

    def ask(self, request, seconds, interrupt=False):
        """Sends a request and waits for its answer.

        Args:
            request: a tree of plain data.
            seconds: how long the answer may take.
            interrupt: whether to ask the code to stop (SIGINT) before the process is ended.

        Returns:
            The answer's tree, a dict, with "interrupted" set if it had to be stopped.

        Raises:
            Lost: if no well-formed answer came; the process has been ended then.
            Cancelled: if the job was told to stop.
        """
        self.number += 1
        started = time.monotonic()
        try:
            return self._talk(request, seconds, interrupt)
        except (Lost, Cancelled):
            self.close()
            raise
        finally:
            self.used += time.monotonic() - started

    def _talk(self, request, seconds, interrupt):
        pending = memoryview(pipe.encode({"number": self.number, **request}))
        deadline, interrupted = time.monotonic() + seconds, False
        printing = True
        while True:
            if self.cancel is not None and self.cancel.is_set():
                raise Cancelled
            left = deadline - time.monotonic()
            if left <= 0:
                if not interrupt or interrupted:
                    raise Lost("time", f"{seconds:g}")
                self._signal(signal.SIGINT)
                interrupted, deadline = True, time.monotonic() + self.limits.grace
                continue
            readers = [self.read_from] + [self.printed] * printing
            writers = [self.write_to] if pending else []
            readable, writable, _ = select.select(readers, writers, [], min(left, 0.5))
            if writable:
                with contextlib.suppress(BlockingIOError):
                    try:
                        pending = pending[os.write(self.write_to, pending) :]
                    except BrokenPipeError:
                        raise Lost("ended", self._ending()) from None
            # What was printed before the answer is taken in before the answer.
            if self.printed in readable:
                printing = self._drain()
            if self.read_from in readable:
                answer = self._read()
                if answer is not None:
                    self._drain()
                    return answer | {"interrupted": interrupted}

    def _drain(self):
        """Takes in what was printed; False at its end."""
        for _ in range(64):  # then the deadline is looked at again
            try:
                data = os.read(self.printed, 1 << 20)
            except BlockingIOError:
                return True
            if not data:
                return False
            self.output.add(data)
        return True

    def _read(self):
        """The answer to the last request, or None while it is incomplete."""
        data = os.read(self.read_from, 1 << 20)
        if not data:
            raise Lost("ended", self._ending())
        try:
            self.reader.feed(data)
            answer = self.reader.message()
        except pipe.Malformed as error:
            raise Lost("malformed", str(error)) from None
        if answer is None:
            return None
        if not isinstance(answer, dict) or answer.get("number") != self.number:
            raise Lost("malformed", "an answer to nothing that was asked")
        if "lost" in answer:
            known = answer["lost"] in ("KeyboardInterrupt", "MemoryError")
            raise Lost("ended", answer["lost"] if known else "")
        return answer

    def _ending(self):
        """How the process ended, in a word or two."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = self.process.wait(self.limits.grace)
            if code is not None and code < 0:
                with contextlib.suppress(ValueError):
                    return signal.Signals(-code).name
            return f"exit code {code}"
        return "it closed the pipe"

    def _signal(self, number):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def close(self):
        """Ends the process with all that it started, and empties its folder."""
        if self.write_to is None:
            return
        # Its number stays its own until it is waited for, so the group is signalled before.
        self._signal(signal.SIGKILL)
        self.process.wait()
        _end(lambda folder: folder == self.folder)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.printed, 1 << 20):
                self.output.add(data)
        self.process.stdout.close()
        os.close(self.write_to)
        os.close(self.read_from)
        self.write_to = None
        shutil.rmtree(self.folder, ignore_errors=True)


def start_child(refused, limits, cancel=None):
    """Obtains a process in which the framework is imported and no student's code has run.

    Args:
        refused: modules that the submission may not import.
        limits: its `Limits`.
        cancel: an event that stops all waiting.

    Returns:
        A `Child`.

    Raises:
        NotStarted: if the process does not get ready.
    """
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
    read_request, write_request = os.pipe()
    read_answer, write_answer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "course.grading.child", str(read_request), str(write_answer)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(read_request, write_answer),
        start_new_session=True,
        cwd=folder,
        env=_environment(folder),
    )
    os.close(read_request)
    os.close(write_answer)
    child = Child(process, write_request, read_answer, folder, limits, cancel)
    hello = {
        "do": "hello",
        "refused": list(refused),
        "memory": limits.memory,
        "file_size": limits.file_size,
    }
    try:
        ready = child.ask(hello, limits.start)
    except Lost as lost:
        said = bytes(child.output.kept[-2000:]).decode("utf-8", "replace").strip()
        raise NotStarted(f"the grading process did not start ({lost}). It said: {said}") from None
    child.backend, child.versions = ready["backend"], ready["versions"]
    child.used, child.output = 0.0, Output(limits.output)
    return child


# What a submission needs of the environment. The rest, such as COURSE_SEED and the instructor's
# keys, stays outside.
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIRTUAL_ENV", "KERAS_BACKEND")
_KEPT_FAMILIES = ("TF_", "XLA_", "COURSE_DATA")


def _environment(folder):
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_FAMILIES)
    }
    fonts = runtime.home() / "matplotlib"  # its font list takes seconds to build: once, not each
    with contextlib.suppress(OSError):
        fonts.mkdir(parents=True, exist_ok=True)
    package = str(Path(__file__).resolve().parents[2])
    return kept | {
        "HOME": folder,
        "TMPDIR": folder,
        "COURSE_HOME": folder,
        "IPYTHONDIR": os.path.join(folder, ".ipython"),
        "KERAS_HOME": os.path.join(folder, ".keras"),
        "MPLCONFIGDIR": str(fonts),
        "MPLBACKEND": "Agg",
        "PYTHONPATH": os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH")))),
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        # The same numbers on every machine: no GPU, and a thread each since children run abreast.
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        # A notebook's `!pip install` must not change the instructor's machine.
        "PIP_DRY_RUN": "1",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_OFFLINE": "1",
    }


_sweeping = threading.Lock()


def sweep():
    """Ends the processes and removes the folders that a killed supervisor of this user left."""
    with _sweeping:
        _end(_abandoned)
        for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
            with contextlib.suppress(OSError):
                if folder.stat().st_uid == os.getuid() and _abandoned(folder):
                    shutil.rmtree(folder, ignore_errors=True)


def _abandoned(folder):
    """Whether the supervisor that made this folder has ended."""
    name = Path(folder).name
    pid = name.removeprefix(PREFIX).partition("-")[0]
    return name.startswith(PREFIX) and pid.isdecimal() and not _alive(int(pid))


def _end(of_folder):
    """Ends what submissions started outside their process groups, on Linux.

    Args:
        of_folder: `of_folder(TMPDIR of a process) -> bool`: whether that process is to end.
    """
    for _ in range(20):  # a process may have started another meanwhile
        found = [pid for pid, folder in _processes() if of_folder(folder)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _processes():
    """(id, TMPDIR) of each process beside this one that has a submission's folder there."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            variables = (entry / "environ").read_bytes().split(b"\0")
            # Ids of another container's processes are not what their folders' names say.
            if not (entry / "ns/pid").samefile("/proc/self/ns/pid"):
                continue
            for variable in variables:
                name, _, value = os.fsdecode(variable).partition("=")
                if name == "TMPDIR" and PREFIX in value:
                    yield int(entry.name), value


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
