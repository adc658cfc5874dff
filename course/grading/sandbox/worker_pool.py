"""Where submissions' processes come from.

A `WorkerPool` starts the fork server, finds out how well this machine can shut a process in, and
forks one process for each submission; everything above it only asks and waits.
"""

import contextlib
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from course import runtime
from course.grading.sandbox import confinement, visibility
from course.grading.sandbox.cleanup import MARK, PREFIX
from course.grading.sandbox.process import Cancelled, Limits, Lost, NotStarted, Output, Worker

FIRST_UID = 61_500  # where root grades: each process at work has a user of its own from here on


class WorkerPool:
    """The fork server, and how its workers are shut in. Use it as a context manager.

    The fork server begins to import at once; `ready` waits for it, and so does the first `fork`.

    Attributes:
        level: one of `confine.LEVELS`, the best that this machine offers.
        missing: why the better levels are missing, a sentence each.
        backend, versions: what workers run on.
    """

    def __init__(self, weak=False, secret=(), level=None, limits=None, cancel=None, alone=False):
        """Starts the fork server.

        Args:
            weak: whether limits alone (`confine.RLIMITS`) will do.
            secret: folders that no submission may see.
            level: try this level only.
            limits: the `Limits` that its start obeys.
            cancel: an event that stops all waiting.
            alone: whether it is for one submission, which then imports for itself what few need.

        Raises:
            NotStarted: if this system has no fork.
        """
        if not hasattr(os, "fork"):
            raise NotStarted(
                "grading forks a process for each submission, and this system cannot: "
                "on Windows run it in WSL2 or on Colab"
            )
        self.secret, self.weak, self.cancel = tuple(secret), weak, cancel
        self.limits, self.lock = limits or Limits(), threading.Lock()
        self.levels, self.alone = [level] if level else list(confinement.LEVELS), alone
        self.level, self.missing, self.places = level, [], set()
        self.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
        self.process, self.chosen, self.failed = None, False, None
        self.choosing = threading.RLock()
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def ready(self):
        """Waits for the fork server and tries the levels, best first; once.

        Raises:
            NotStarted: if there is no process to fork from, or no level that will do.
        """
        with self.choosing:
            if self.failed:
                raise self.failed
            if self.chosen:
                return
            try:
                self._await_start()
                self.chosen = True  # before the trials: each is a fork, and asks here too
                self._choose()
            except BaseException as error:
                self.failed = error if isinstance(error, NotStarted) else None
                self.chosen = False
                self.close()
                raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __str__(self):
        text = self.level
        if self.level == confinement.NAMESPACES:
            text += (
                " of its own (mount, PID, network, IPC, UTS, user), capabilities dropped, rlimits"
            )
        elif self.level == confinement.LANDLOCK:
            text += f" ({confinement.landlock_knows()}), rlimits"
        else:
            text += " only: files, processes and network of this machine are open to submissions"
        return "; ".join([text, *self.missing])

    def _start(self):
        ours, theirs = socket.socketpair()
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "course.grading.sandbox.fork_server", str(theirs.fileno())]
                + ["--alone"] * self.alone,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd=self.folder,
                env=_environment(self.folder),
            )
        theirs.close()
        self.socket = ours

    def _await_start(self):
        data, end = b"", time.monotonic() + self.limits.start
        while not data.endswith(b"\n"):
            if self.cancel is not None and self.cancel.is_set():
                raise Cancelled
            if time.monotonic() > end:
                raise NotStarted(f"the grading process was not ready in {self.limits.start:g} s")
            if select.select([self.socket], [], [], 0.5)[0]:
                more = self.socket.recv(65536)
                if not more:
                    said = (self.folder / "log").read_text(errors="replace").strip()[-2000:]
                    raise NotStarted(f"the grading process did not start. It said: {said}")
                data += more
        ready = json.loads(data)
        self.backend, self.versions = ready["backend"], ready["versions"]

    def _choose(self):
        for level in self.levels:
            if level == confinement.RLIMITS and not self.weak:
                break
            self.level = level
            try:
                worker = self.fork(self.limits)
            except NotStarted as error:
                self.missing.append(f"no {level} here: {error}")
                continue
            worker.close()
            return
        raise NotStarted(
            "this machine cannot shut submissions in, and without that a hostile one could read "
            f"and change your files. {'. '.join(self.missing)}. Grade on a Linux machine or in a "
            "virtual machine, or say --weak-sandbox where you trust every submission"
        )

    def send(self, descriptors):
        """Has the fork server fork a supervisor; a fork server that has ended is replaced."""
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
                    self._await_start()

    def fork(self, limits, lesson=None, refused=(), allowed=None):
        """Obtains a process in which the framework is imported and no student's code has run.

        Args:
            limits: its `Limits`.
            lesson: the lesson's name, which decides the modules that are visible.
            refused: modules that the submission may not import.
            allowed: modules of the course that it may import; None for those visible.

        Returns:
            A `Worker`.

        Raises:
            NotStarted: if the process does not get ready, or none does, see `ready`.
        """
        self.ready()
        place = self._take_place()
        try:
            worker = Worker(self, place, limits, self.cancel)
        except BaseException:
            self.leave(place)
            raise
        try:
            worker.settle(self._config(worker, place, limits, lesson, refused, allowed))
            worker.ask({"do": "hello"}, limits.start)
        except NotStarted:
            worker.close()
            raise
        except Lost as lost:
            raise NotStarted(f"a submission's process did not start ({lost})") from None
        worker.used, worker.output = 0.0, Output(limits.output)
        return worker

    def _config(self, worker, place, limits, lesson, refused, allowed):
        uid = FIRST_UID + place if os.geteuid() == 0 else None
        if self.level == confinement.RLIMITS and not all(map(_open_to_all, visibility.reachable())):
            uid = None  # a Python below /root
        if self.level == confinement.NAMESPACES:
            home, mark = visibility.HOME, f"{self.folder.name}-{place}"
        else:
            worker.folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
            if uid is not None:
                os.chown(worker.folder, uid, uid)
            home, mark = str(worker.folder), worker.folder.name
        return {
            "level": self.level,
            "uid": uid,
            "view": visibility.view(
                lesson, self.secret, worker.folder and home, limits.scratch, uid
            ),
            "memory": limits.memory,
            "file_size": limits.file_size,
            # A framework starts threads by the number of cores.
            "processes": limits.processes + 8 * runtime.cores() + _others(self.level, uid),
            "core": self._core(place),
            "work": home,
            "environment": _environment(home) | {MARK: mark},
            "reachable": visibility.reachable(),
            "forbidden": visibility.forbidden(self.secret),
            "refused": list(refused),
            "allowed": visibility.modules(lesson) if allowed is None else list(allowed),
        }

    def _core(self, place):
        """The core of a submission, where several are at work and cores can be given out."""
        if self.alone or not hasattr(os, "sched_getaffinity"):
            return None
        cores = sorted(os.sched_getaffinity(0))
        return cores[place % len(cores)]

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
        """Ends the fork server."""
        self._let_go()
        self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)


def _others(level, uid):
    """Processes and threads that the system counts to a submission's, being of the same user."""
    if level == confinement.NAMESPACES or uid is not None or not os.path.isdir("/proc"):
        return 0
    count = 0
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{name}").st_uid == os.getuid():
                count += len(os.listdir(f"/proc/{name}/task"))
    return count


def _open_to_all(path):
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in Path(path).resolve().parents)


# What a submission needs of the environment. The rest, such as COURSE_SEED and the instructor's
# keys, stays outside.
# Names in full: a family such as TF_… holds TF_VAR_…, which are a cloud's passwords.
_KEPT = (
    "PATH LANG LC_ALL LD_LIBRARY_PATH SYSTEMROOT VIRTUAL_ENV KERAS_BACKEND COURSE_DATA XLA_FLAGS "
    "TF_ENABLE_ONEDNN_OPTS TF_DETERMINISTIC_OPS TF_XLA_FLAGS"
).split()


def _environment(folder):
    folder = str(folder)
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    temporary = "/tmp" if folder == visibility.HOME else folder
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
        "PYTHONPATH": str(visibility.PACKAGE.parent),
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        # The same numbers on every machine: no GPU, and a thread each since workers run abreast.
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
