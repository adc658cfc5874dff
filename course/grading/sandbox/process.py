"""A submission's process: it is talked to within limits, and ended. `pool` makes it."""

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from course.grading import GradingError
from course.grading.sandbox import protocol, supervisor
from course.grading.sandbox.cleanup import end
from course.runner.time_limit import seconds_had


@dataclass(frozen=True)
class Limits:
    """What one submission may use; the framework's import is not counted.

    Seconds are those in which its code had a core to run on: standing in line for one, on a busy
    machine, does not count, see `seconds_had`.

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
        self.waited, self.computed, self.known = 0.0, 0.0, {}

    def seconds(self, exact=False):
        """The time so far; what was waited for is looked up again where it is to be exact."""
        if exact:
            for path in self.tasks.glob("*/schedstat"):
                with contextlib.suppress(OSError, ValueError, IndexError):  # it has ended
                    computed, waited, *_ = (int(n) / 1e9 for n in path.read_text().split())
                    before = self.known.get(path, (computed, waited))
                    self.computed += max(0.0, computed - before[0])
                    self.waited += max(0.0, waited - before[1])
                    self.known[path] = computed, waited
        return seconds_had(time.monotonic() - self.started, self.waited, self.computed)


class Worker:
    """A started process: `ask` it, `close` it.

    Attributes:
        used: seconds of its own that it has used, see `Limits`.
        output: the `Output` that takes in what it prints.
        level: how it is shut in, one of `confine.LEVELS`.
        backend, versions: what it runs on.
    """

    def __init__(self, pool, number, limits, cancel):
        self.pool, self.number_in_line, self.limits = pool, number, limits
        self.cancel, self.level = cancel, pool.level
        self.backend, self.versions = pool.backend, pool.versions
        self.reader, self.number, self.used = protocol.Reader(), 0, 0.0
        self.output, self.folder, self.pid = Output(limits.output), None, None
        read_request, self.write_to = os.pipe()
        self.read_from, write_answer = os.pipe()
        self.printed, write_printed = os.pipe()
        self.supervisor, theirs = socket.socketpair()
        given = (theirs.fileno(), read_request, write_answer, write_printed)
        try:
            pool.send(given)
        finally:
            theirs.close()
            for descriptor in given[1:]:
                os.close(descriptor)
        self.said = self.supervisor.makefile("rb", buffering=0)
        for descriptor in (self.write_to, self.read_from, self.printed):
            os.set_blocking(descriptor, False)

    def settle(self, config):
        """Waits until the supervisor has shut the process in.

        Raises:
            NotStarted: with the supervisor's reason, if it could not.
        """
        self.supervisor.settimeout(self.limits.start)
        told = {}
        with contextlib.suppress(OSError, ValueError):
            self.supervisor.sendall(json.dumps(config).encode() + b"\n")
            told = json.loads(self.said.readline())
        self.supervisor.settimeout(None)
        if "pid" not in told:
            raise NotStarted(told.get("error", "its supervisor ended"))
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
        pending = memoryview(protocol.encode({"number": self.number, **request}))
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
        except protocol.Malformed as error:
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
        self.supervisor.settimeout(self.limits.grace)
        with contextlib.suppress(OSError, ValueError, KeyError):
            code = json.loads(self.said.readline())["code"]
            if code == supervisor.TOO_MUCH_MEMORY:
                return "it held too much memory"
            with contextlib.suppress(ValueError):
                return signal.Signals(-code).name
            return f"exit code {code}"
        return "it closed the pipe"

    def _interrupt(self):
        with contextlib.suppress(OSError):
            self.supervisor.sendall(b"i")

    def close(self):
        """Ends the process with all that it started, and empties its folder."""
        if self.write_to is None:
            return
        with contextlib.suppress(OSError):
            self.supervisor.shutdown(socket.SHUT_WR)
        # The supervisor ends when nothing of the submission is left; it runs no student's code.
        self.supervisor.settimeout(60)
        with contextlib.suppress(OSError):
            while self.said.readline():
                pass
        if self.folder:
            end(lambda mark: mark == self.folder.name)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.printed, 1 << 20):
                self.output.add(data)
        self.said.close()
        self.supervisor.close()
        for descriptor in (self.write_to, self.read_from, self.printed):
            os.close(descriptor)
        self.write_to = None
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.pool.leave(self.number_in_line)
