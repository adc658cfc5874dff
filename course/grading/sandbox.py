"""Where a submission's process comes from, is talked to within limits, and is ended.

A `Nursery` starts the zygote, finds out how well this machine can shut a process in, and forks
one process for each submission; everything above it only asks and waits.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from course import runtime
from course.grading import GradingError, confine, keeper, pipe, visible
from course.runner import PATIENCE

PREFIX = "course-grading-"
MARK = "GRADING_PROCESS"  # the variable by which what a submission started is known
FIRST_UID = 61_500  # where root grades: each process at work has a user of its own from here on


@dataclass(frozen=True)
class Limits:
    """What one submission may use; the framework's import is not counted.

    Seconds are those in which its code had a core to run on: standing in line for one, on a busy
    machine, does not count, up to `PATIENCE` times the limit.

    Attributes:
        wall: seconds for the whole submission.
        cell: seconds for one cell.
        reserve: seconds of `wall` that only exercises may use.
        exercise: seconds for the probes of one exercise.
        grace: seconds that a process gets to react before it is ended.
        start: seconds for the framework's import.
        memory: bytes of data a process may hold, and all of a submission's together.
        file_size: bytes of the largest file it may write.
        scratch: bytes of all files it may write.
        processes: how many processes and threads it may have.
        output: bytes kept of what it prints.
        restarts: how often a lost process is replaced.
    """

    wall: float = 60.0
    cell: float = 20.0
    reserve: float = 20.0
    exercise: float = 40.0
    grace: float = 2.0
    start: float = 300.0
    memory: int = 4_000_000_000
    file_size: int = 200_000_000
    scratch: int = 256_000_000
    processes: int = 100
    output: int = 1_000_000
    restarts: int = 5


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


class _Clock:
    """Seconds in which a process had a core; see `Limits`."""

    def __init__(self, pid):
        self.tasks, self.started, self.before = Path(f"/proc/{pid}/task"), time.monotonic(), None
        self.waited, self.known = 0.0, {}

    def seconds(self, exact=False):
        """The time so far; what was waited for is looked up again where it is to be exact."""
        if exact:
            for path in self.tasks.glob("*/schedstat"):
                with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended
                    waited = int(path.read_text().split()[1]) / 1e9
                    self.waited += max(0.0, waited - self.known.get(path, waited))
                    self.known[path] = waited
        wall = time.monotonic() - self.started
        return max(wall / PATIENCE, wall - self.waited)


class Child:
    """A started process: `ask` it, `close` it.

    Attributes:
        used: seconds of its own that it has used, see `Limits`.
        output: the `Output` that takes in what it prints.
        level: how it is shut in, one of `confine.LEVELS`.
        backend, versions: what it runs on.
    """

    def __init__(self, nursery, number, limits, cancel):
        self.nursery, self.number_in_line, self.limits = nursery, number, limits
        self.cancel, self.level = cancel, nursery.level
        self.backend, self.versions = nursery.backend, nursery.versions
        self.reader, self.number, self.used = pipe.Reader(), 0, 0.0
        self.output, self.folder, self.pid = Output(limits.output), None, None
        read_request, self.write_to = os.pipe()
        self.read_from, write_answer = os.pipe()
        self.printed, write_printed = os.pipe()
        self.keeper, theirs = socket.socketpair()
        given = (theirs.fileno(), read_request, write_answer, write_printed)
        try:
            nursery.send(given)
        finally:
            theirs.close()
            for descriptor in given[1:]:
                os.close(descriptor)
        self.said = self.keeper.makefile("rb", buffering=0)
        for descriptor in (self.write_to, self.read_from, self.printed):
            os.set_blocking(descriptor, False)

    def settle(self, config):
        """Waits until the keeper has shut the process in.

        Raises:
            NotStarted: with the keeper's reason, if it could not.
        """
        self.keeper.settimeout(self.limits.start)
        told = {}
        with contextlib.suppress(OSError, ValueError):
            self.keeper.sendall(json.dumps(config).encode() + b"\n")
            told = json.loads(self.said.readline())
        self.keeper.settimeout(None)
        if "pid" not in told:
            raise NotStarted(told.get("error", "its keeper ended"))
        self.pid = told["pid"]

    def ask(self, request, seconds, interrupt=False):
        """Sends a request and waits for its answer.

        Args:
            request: a tree of plain data.
            seconds: how long the answer may take, see `Limits`.
            interrupt: whether to ask the code to stop (SIGINT) before the process is ended.

        Returns:
            The answer's tree, a dict, with "interrupted" set if it had to be stopped.

        Raises:
            Lost: if no well-formed answer came; the process has been ended then.
            Cancelled: if the job was told to stop.
        """
        self.number += 1
        clock = _Clock(self.pid)
        try:
            answer = self._talk(request, seconds, interrupt, clock)
        except BaseException:
            self.used += clock.seconds()  # what it takes to end it is not its own
            self.close()
            raise
        self.used += clock.seconds()
        return answer

    def _talk(self, request, seconds, interrupt, clock):
        pending = memoryview(pipe.encode({"number": self.number, **request}))
        limit, interrupted, printing = seconds, False, True
        while True:
            if self.cancel is not None and self.cancel.is_set():
                raise Cancelled
            left = limit - clock.seconds()
            readers = [self.read_from] + [self.printed] * printing
            writers = [self.write_to] if pending else []
            wait = max(0.0, min(left, 0.5))
            readable, writable, _ = select.select(readers, writers, [], wait)
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
            late = clock.seconds(exact=not readable) > limit
            if late and self.read_from not in readable:
                if not interrupt or interrupted:
                    raise Lost("time", f"{seconds:g}")
                self._interrupt()
                interrupted, limit = True, clock.seconds() + self.limits.grace

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
        self.keeper.settimeout(self.limits.grace)
        with contextlib.suppress(OSError, ValueError, KeyError):
            code = json.loads(self.said.readline())["code"]
            if code == keeper.TOO_MUCH_MEMORY:
                return "it held too much memory"
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
            return f"exit code {code}"
        return "it closed the pipe"

    def _interrupt(self):
        with contextlib.suppress(OSError):
            self.keeper.sendall(b"i")

    def close(self):
        """Ends the process with all that it started, and empties its folder."""
        if self.write_to is None:
            return
        with contextlib.suppress(OSError):
            self.keeper.shutdown(socket.SHUT_WR)
        # The keeper ends when nothing of the submission is left; it runs no student's code.
        self.keeper.settimeout(60)
        with contextlib.suppress(OSError):
            while self.said.readline():
                pass
        if self.folder:
            _end(lambda mark: mark == self.folder.name)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.printed, 1 << 20):
                self.output.add(data)
        self.said.close()
        self.keeper.close()
        for descriptor in (self.write_to, self.read_from, self.printed):
            os.close(descriptor)
        self.write_to = None
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.nursery.leave(self.number_in_line)


class Nursery:
    """The zygote, and how its children are shut in. Use it as a context manager.

    Attributes:
        level: one of `confine.LEVELS`, the best that this machine offers.
        missing: why the better levels are missing, a sentence each.
        backend, versions: what children run on.
    """

    def __init__(self, weak=False, secret=(), level=None, limits=None, cancel=None):
        """Starts the zygote and tries the levels, best first.

        Args:
            weak: whether limits alone (`confine.RLIMITS`) will do.
            secret: folders that no submission may see.
            level: try this level only.
            limits: the `Limits` that its start obeys.
            cancel: an event that stops all waiting.

        Raises:
            NotStarted: if there is no process to fork from, or no level that will do.
        """
        if not hasattr(os, "fork"):
            raise NotStarted(
                "grading forks a process for each submission, and this system cannot: "
                "on Windows run it in WSL2 or on Colab"
            )
        self.secret, self.weak, self.cancel = tuple(secret), weak, cancel
        self.limits, self.lock = limits or Limits(), threading.Lock()
        self.level, self.missing, self.places = level, [], set()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.process = None
        try:
            self._start()
            self._choose([level] if level else list(confine.LEVELS))
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __str__(self):
        text = self.level
        if self.level == confine.NAMESPACES:
            text += (
                " of its own (mount, PID, network, IPC, UTS, user), capabilities dropped, rlimits"
            )
        elif self.level == confine.LANDLOCK:
            text += f" ({confine.landlock_knows()}), rlimits"
        else:
            text += " only: files, processes and network of this machine are open to submissions"
        return "; ".join([text, *self.missing])

    def _start(self):
        ours, theirs = socket.socketpair()
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "course.grading.zygote", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd=self.folder,
                env=_environment(self.folder),
            )
        theirs.close()
        self.socket, data = ours, b""
        end = time.monotonic() + self.limits.start
        while not data.endswith(b"\n"):
            if self.cancel is not None and self.cancel.is_set():
                raise Cancelled
            if time.monotonic() > end:
                raise NotStarted(f"the grading process was not ready in {self.limits.start:g} s")
            if select.select([ours], [], [], 0.5)[0]:
                more = ours.recv(65536)
                if not more:
                    said = (self.folder / "log").read_text(errors="replace").strip()[-2000:]
                    raise NotStarted(f"the grading process did not start. It said: {said}")
                data += more
        ready = json.loads(data)
        self.backend, self.versions = ready["backend"], ready["versions"]

    def _choose(self, levels):
        for self.level in levels:
            if self.level == confine.RLIMITS and not self.weak:
                break
            try:
                child = self.fork(self.limits)
            except NotStarted as error:
                self.missing.append(f"no {self.level} here: {error}")
                continue
            child.close()
            return
        raise NotStarted(
            "this machine cannot shut submissions in, and without that a hostile one could read "
            f"and change your files. {'. '.join(self.missing)}. Grade on a Linux machine or in a "
            "virtual machine, or say --weak-sandbox where you trust every submission"
        )

    def send(self, descriptors):
        """Has the zygote fork a keeper; a zygote that has ended is replaced."""
        with self.lock:
            for last in (False, True):
                try:
                    socket.send_fds(self.socket, [b"f"], descriptors)
                    return
                except OSError:
                    if last or self.process is None:
                        raise NotStarted("the grading process has ended") from None
                    self._let_go()
                    self._start()

    def fork(self, limits, lesson=None, refused=(), allowed=None):
        """Obtains a process in which the framework is imported and no student's code has run.

        Args:
            limits: its `Limits`.
            lesson: the lesson's name, which decides the modules that are visible.
            refused: modules that the submission may not import.
            allowed: modules of the course that it may import; None for those visible.

        Returns:
            A `Child`.

        Raises:
            NotStarted: if the process does not get ready.
        """
        place = self._take_place()
        try:
            child = Child(self, place, limits, self.cancel)
        except BaseException:
            self.leave(place)
            raise
        try:
            child.settle(self._config(child, place, limits, lesson, refused, allowed))
            child.ask({"do": "hello"}, limits.start)
        except NotStarted:
            child.close()
            raise
        except Lost as lost:
            raise NotStarted(f"a submission's process did not start ({lost})") from None
        child.used, child.output = 0.0, Output(limits.output)
        return child

    def _config(self, child, place, limits, lesson, refused, allowed):
        uid = FIRST_UID + place if os.geteuid() == 0 else None
        if self.level == confine.RLIMITS and not all(map(_open_to_all, visible.reachable())):
            uid = None  # a Python below /root
        if self.level == confine.NAMESPACES:
            home, mark = visible.HOME, f"{self.folder.name}-{place}"
        else:
            child.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
            if uid is not None:
                os.chown(child.folder, uid, uid)
            home, mark = str(child.folder), child.folder.name
        return {
            "level": self.level,
            "uid": uid,
            "view": visible.view(lesson, self.secret, child.folder and home, limits.scratch, uid),
            "memory": limits.memory,
            "file_size": limits.file_size,
            # A framework starts threads by the number of cores.
            "processes": limits.processes + 8 * runtime.cores(),
            "work": home,
            "environment": _environment(home) | {MARK: mark},
            "reachable": visible.reachable(),
            "forbidden": visible.forbidden(self.secret),
            "refused": list(refused),
            "allowed": visible.modules(lesson) if allowed is None else list(allowed),
        }

    def _take_place(self):
        with self.lock:
            place = next(n for n in range(len(self.places) + 1) if n not in self.places)
            self.places.add(place)
        return place

    def leave(self, place):
        """Gives a place in line back, and with it its user's number."""
        with self.lock:
            self.places.discard(place)

    def _let_go(self):
        if self.process is not None:
            self.socket.close()
            self.process.kill()
            self.process.wait()

    def close(self):
        """Ends the zygote."""
        self._let_go()
        self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)


def _open_to_all(path):
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in Path(path).resolve().parents)


# What a submission needs of the environment. The rest, such as COURSE_SEED and the instructor's
# keys, stays outside.
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT", "VIRTUAL_ENV", "KERAS_BACKEND")
_KEPT_FAMILIES = ("TF_", "XLA_", "COURSE_DATA")


def _environment(folder):
    folder = str(folder)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT or name.startswith(_KEPT_FAMILIES)
    }
    temporary = "/tmp" if folder == visible.HOME else folder
    return kept | {
        "HOME": folder,
        "USER": "student",
        "LOGNAME": "student",
        "TMPDIR": temporary,
        "COURSE_HOME": folder,
        "IPYTHONDIR": os.path.join(folder, ".ipython"),
        "KERAS_HOME": os.path.join(folder, ".keras"),
        "MPLCONFIGDIR": _fonts(folder),
        "MPLBACKEND": "Agg",
        "PYTHONPATH": str(visible.PACKAGE.parent),
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        # The same numbers on every machine: no GPU, and a thread each since children run abreast.
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        # A notebook's `!pip install` must not change the instructor's machine.
        "PIP_DRY_RUN": "1",
        "PIP_NO_INDEX": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_OFFLINE": "1",
    }


def _fonts(folder):
    """Where Matplotlib keeps its list of fonts, which takes seconds to make: once, not each."""
    if PREFIX not in Path(folder).name:
        return folder
    fonts = runtime.home() / "matplotlib"
    with contextlib.suppress(OSError):
        fonts.mkdir(parents=True, exist_ok=True)
    return str(fonts)


_sweeping = threading.Lock()


def sweep():
    """Ends the processes and removes the folders that a killed supervisor of this user left."""
    with _sweeping:
        _end(_abandoned)
        for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
            with contextlib.suppress(OSError):
                owner = folder.stat().st_uid
                if (owner == os.getuid() or os.getuid() == 0) and _abandoned(folder.name):
                    shutil.rmtree(folder, ignore_errors=True)


def _abandoned(mark):
    """Whether the supervisor whose number is in this mark has ended."""
    pid = mark.removeprefix(PREFIX).partition("-")[0]
    return mark.startswith(PREFIX) and pid.isdecimal() and not _alive(int(pid))


def _end(of_mark):
    """Ends what submissions started outside their process groups, on Linux.

    Args:
        of_mark: `of_mark(mark of a process) -> bool`: whether that process is to end.
    """
    for _ in range(20):  # a process may have started another meanwhile
        found = [pid for pid, mark in _processes() if of_mark(mark)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _processes():
    """(id, mark) of each process beside this one that a submission has started."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            variables = (entry / "environ").read_bytes().split(b"\0")
            # Ids of another container's processes are not what their marks say.
            if not (entry / "ns/pid").samefile("/proc/self/ns/pid"):
                continue
            for variable in variables:
                name, _, value = os.fsdecode(variable).partition("=")
                if name in (MARK, "TMPDIR") and PREFIX in value:
                    yield int(entry.name), Path(value).name


def _alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
