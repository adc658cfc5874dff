"""Where students' bytes are parsed: a process of its own, with a fork of it for each file.

    grader ── reader ── one fork for each file or zip, with limits on memory and seconds

Notebooks, Python's grammar, tables of symbols and zips come from students, and a parser may need
any time and memory for them, or end the process. Here that ends one fork: `Reader.do` raises
`Overrun`, and the grader writes it down as that student's. No student's code is run.
"""

import contextlib
import importlib
import json
import mmap
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

from course.grading import GradingError

SECONDS = 5  # of computing, for one file
LINE = 30  # seconds more that a fork may stand in line for a core
MEMORY = 2_000_000_000
ANSWER = 64_000_000  # bytes
_LENGTH = struct.Struct(">Q")
# What may be asked for: (module, function).
ACTIONS = {
    "read": ("course.grading.submissions.reading", "read_file"),
    "unpack": ("course.grading.submissions.archives", "unpack_some"),
    "layout": ("course.grading.submissions.archives", "layout_of"),
}


class Overrun(Exception):
    """A file that took too much of the machine; `why` says of what, `at` where it stopped."""

    def __init__(self, why, at=-1):
        super().__init__(why)
        self.why, self.at = why, at


class Reader:
    """The grader's end. Use it as a context manager; several threads may ask at once."""

    def __init__(self, known):
        """Starts the process.

        Args:
            known: what `reading.about_lessons` gives.
        """
        self.known, self.lock, self.process = known, threading.Lock(), None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _start(self):
        ours, theirs = socket.socketpair()
        package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(__file__))))
        # No site of the current folder, which may be a student's, on its path.
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", __spec__.name, str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": package},
        )
        theirs.close()
        self.socket = ours
        _send(ours, json.dumps(self.known).encode())

    def do(self, action, seconds=SECONDS, **given):
        """Has something read.

        Args:
            action: a name in `ACTIONS`.
            seconds: seconds of computing that it may take.
            given: its arguments, plain data.

        Returns:
            What the function gives, plain data.

        Raises:
            Overrun: if it needed too much, or ended its process.
            GradingError: if the function refused it, with its reason.
        """
        request = {"action": action, "seconds": seconds, "given": given}
        with self.lock:
            for last in (False, True):
                try:
                    if self.process is None:
                        self._start()
                    _send(self.socket, json.dumps(request).encode("utf-8", "surrogatepass"))
                    answer = json.loads(_receive(self.socket))
                    break
                except (OSError, ValueError):
                    self._stop()
                    if last:
                        raise Overrun("the process that reads files ended") from None
        if "lost" in answer:
            raise Overrun(answer["lost"], answer["at"])
        if "refused" in answer:
            raise GradingError(answer["refused"])
        return answer["result"]

    def _stop(self):
        if self.process is not None:
            self.socket.close()
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        """Ends the process."""
        with self.lock:
            self._stop()


def _send(to, data):
    to.sendall(_LENGTH.pack(len(data)) + data)


def _receive(source):
    """One message's bytes.

    Raises:
        OSError: if the other end has closed.
    """
    (size,) = _LENGTH.unpack(_exactly(source, _LENGTH.size))
    return _exactly(source, size)


def _exactly(source, size):
    data = bytearray()
    while len(data) < size:
        more = source.recv(min(1 << 20, size - len(data)))
        if not more:
            raise OSError("closed")
        data += more
    return bytes(data)


# --- the process itself -------------------------------------------------------------------------


def main(descriptor):
    """Answers requests until the grader's end closes."""
    grader = socket.socket(fileno=int(descriptor))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's to answer
    known = json.loads(_receive(grader))
    for module, _ in ACTIONS.values():
        importlib.import_module(module)
    # What parses magics, and Python's own parser, are at work once before the first fork.
    importlib.import_module("IPython.core.inputtransformer2")
    place = mmap.mmap(-1, 8)
    while True:
        try:
            request = json.loads(_receive(grader))
        except OSError:
            return
        _send(grader, _answered(known, request, place))


def _answered(known, request, place):
    """The bytes of an answer, from a fork that may end as it likes."""
    place[:] = struct.pack("q", -1)
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(ours)
        _work(known, request, place, theirs)  # never returns
    os.close(theirs)
    data, late = _collect(ours, request["seconds"] + LINE)
    os.close(ours)
    if late:
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code == 0 and not late:
        return data
    seconds = f"reading it takes more than {request['seconds']} s"
    why = {-signal.SIGXCPU: seconds, -signal.SIGKILL: seconds}.get(code)
    why = "what is read of it is too large" if late == "large" else why
    if code == 3:
        why = f"reading it takes more than {MEMORY / 1e9:.0f} GB of memory"
    why = why or "it ends the process that reads it"
    return json.dumps({"lost": why, "at": struct.unpack("q", place[:])[0]}).encode()


def _collect(source, seconds):
    """(bytes, why it was given up: "late", "large" or "")."""
    data, end = bytearray(), time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if select.select([source], [], [], left)[0]:
            more = os.read(source, 1 << 20)
            if not more:
                return bytes(data), ""
            data += more
            if len(data) > ANSWER:
                return b"", "large"
    return b"", "late"


def _work(known, request, place, descriptor):
    """In the fork: does what is asked, within limits, and ends."""
    import resource  # not on Windows, where this module can be imported all the same

    code = 2
    try:
        seconds = request["seconds"]
        for name, most in (
            ("RLIMIT_DATA", MEMORY),
            ("RLIMIT_CPU", seconds),
            ("RLIMIT_CORE", 0),
        ):
            with contextlib.suppress(AttributeError, ValueError, OSError):
                resource.setrlimit(getattr(resource, name), (most, most))

        def at(index):
            place[:] = struct.pack("q", index)

        module, name = ACTIONS[request["action"]]
        act = getattr(sys.modules[module], name)
        try:
            answer = {"result": act(known, at=at, **request["given"])}
        except GradingError as error:
            answer = {"refused": str(error)}
        data = memoryview(json.dumps(answer).encode())
        while data:
            data = data[os.write(descriptor, data) :]
        code = 0
    except MemoryError:
        code = 3
    finally:
        os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
