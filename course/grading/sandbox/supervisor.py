"""Keeps one submission's processes: shuts them in, waits for them, ends every one of them.

A supervisor is forked from the fork server and runs no student's code:

    fork server ── supervisor ── first process of a PID namespace ── the student's process ── …

It tells the grader over its socket, in lines of JSON, {"pid": …} or {"error": …} and at the end
{"code": …}. The grader's one-byte messages are b"i" (interrupt the code) and the end of the
socket, which is also what happens when the grader is killed (end everything).
"""

import contextlib
import json
import os
import select
import signal
import socket
import struct

from course.grading.sandbox import confinement, syscalls, worker

TOO_MUCH_MEMORY = 253  # the code of a submission whose processes held more than its limit together


def main(fault, control, request, answer, printed):
    """The life of a supervisor; it never returns.

    Args:
        fault: why no process can be forked here, or None.
        control: descriptor of the grader's socket.
        request: descriptor of what the student's process is asked.
        answer: descriptor of what it answers.
        printed: descriptor of what it prints.
    """
    code = 1
    try:
        grader = socket.socket(fileno=control)
        try:
            if fault:
                raise RuntimeError(fault)
            with grader.makefile("rb", buffering=0) as lines:
                config = json.loads(lines.readline())
            code = _keep(grader, config, (request, answer, printed))
        except Exception as error:
            _tell(grader, error=f"{type(error).__name__}: {error}")
    finally:
        os._exit(code)


def _tell(grader, **what):
    with contextlib.suppress(OSError):  # it has ended
        grader.sendall(json.dumps(what).encode() + b"\n")


def _keep(grader, config, descriptors):
    ours, theirs = socket.socketpair()
    wake_read, wake_write = os.pipe()
    for each in (wake_read, wake_write):
        os.set_blocking(each, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    alone = config["level"] == confinement.NAMESPACES
    if alone:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        confinement.unshare()
    else:
        confinement.adopt_orphans()
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        _student(config, theirs, descriptors, alone)  # never returns
    theirs.close()
    for each in descriptors:
        os.close(each)
    said, inside = _first_words(ours)
    if said:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise RuntimeError(said)
    _tell(grader, pid=inside if alone else pid)
    code = None
    while code is None:
        readable, _, _ = select.select([grader, wake_read], [], [], None if alone else 0.5)
        if wake_read in readable:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
        if grader in readable:
            if grader.recv(1) == b"i":
                # In a namespace its first process passes it on; it alone knows the student's.
                (os.kill if alone else os.killpg)(pid, signal.SIGINT)
            else:
                os.kill(pid, signal.SIGKILL)
        code = _code_of(pid)
        if not alone and code is None and _too_much(config["memory"], _descendants(pid)):
            code = TOO_MUCH_MEMORY
    if not alone:
        _end_all(pid)
    _tell(grader, code=code)
    return 0


def _first_words(ours):
    """(what went wrong while it was shut in, the process's number as it is seen from here)."""
    text, number = b"", None
    while True:
        try:
            data, ancillary, *_ = ours.recvmsg(4096, socket.CMSG_SPACE(12))
        except ConnectionError:
            data, ancillary = b"", []
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, getattr(socket, "SCM_CREDENTIALS", 2)):
                number = struct.unpack("3i", value)[0] or number
        if data == b"\n":
            return "", number
        if not data:
            return text.decode("utf-8", "replace") or "it ended before it was shut in", None
        text += data


def _code_of(pid):
    """The exit code of a child, negative for a signal; None while it runs."""
    done, status = os.waitpid(pid, os.WNOHANG)
    if not done:
        return None
    code = os.waitstatus_to_exitcode(status)
    return code if code <= 128 or code == TOO_MUCH_MEMORY else 128 - code


def _end_all(pid):
    """Ends what a submission started, where no namespace ends with its first process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        mine = [each for each, parent in _parents() if parent == os.getpid()]
        if not mine:  # no /proc here
            return
        for each in mine:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(each, signal.SIGKILL)
        select.select([], [], [], 0.01)


def _parents():
    """(id, parent's id) of the processes of this machine."""
    for name in filter(str.isdecimal, os.listdir("/proc") if os.path.isdir("/proc") else ()):
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{name}/stat", "rb") as file:
            yield int(name), int(file.read().rpartition(b")")[2].split()[1])


def _student(config, supervisor, descriptors, alone):
    """In the forked process: shuts it in, then lives as the student's process; never returns."""
    import fcntl  # not on Windows, where this module can be imported all the same

    try:
        request, answer, printed = (fcntl.fcntl(each, fcntl.F_DUPFD, 100) for each in descriptors)
        if alone:
            confinement.new_root(config["view"], config["uid"])
        confinement.become(config["uid"], alone)
        if config["level"] == confinement.LANDLOCK:
            confinement.landlock(config["view"])
        if alone:
            _be_the_first(config["memory"])
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        if config["core"] is not None:  # its threads are in line for one core, not for all
            os.sched_setaffinity(0, {config["core"]})
        confinement.limit(config["memory"], config["file_size"], config["processes"])
        if config["level"] != confinement.RLIMITS:
            syscalls.refuse(on_the_machine=not alone)
        os.chdir(config["work"])
        _look_around(config)
        supervisor.sendall(b"\n")
        for each, place in ((printed, 1), (printed, 2), (request, 3), (answer, 4)):
            os.dup2(each, place)
    except BaseException as error:
        with contextlib.suppress(OSError):
            supervisor.sendall(f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    os.closerange(5, 1 << 20)  # nothing else that was open before is the student's to use
    worker.main(3, 4, config)


def _look_around(config):
    """Sees for itself that what has to be reachable is, and that what must not be is not."""
    for path in config["reachable"]:
        if not _readable(path):
            raise OSError(f"{path} cannot be read by user {os.getuid()}")
    if config["level"] != confinement.RLIMITS:
        for path in filter(_readable, config["forbidden"]):
            raise OSError(f"{path} can be read from inside")


def _readable(path):
    try:
        if os.path.isdir(path):
            return bool(os.listdir(path))
        with open(path, "rb"):
            return True
    except OSError:
        return False


def _be_the_first(memory):
    """Goes on in a child; here it stays as the first process of its namespace, which reaps.

    When the first process ends, the kernel ends every other one of the namespace.
    """
    awaited = {signal.SIGCHLD, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, awaited)
    pid = os.fork()
    if pid == 0:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, awaited)
        confinement.die_with_the_parent()
        return
    confinement.unreadable_by_others()
    os.closerange(3, 1 << 20)
    while True:
        came = signal.sigtimedwait(awaited, 0.5)
        if came and came.si_signo == signal.SIGINT:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGINT)
        done = -1
        while done:
            done, status = os.waitpid(-1, os.WNOHANG)
            if done == pid:
                code = os.waitstatus_to_exitcode(status)
                os._exit(code if code >= 0 else 128 - code)
        if _too_much(memory, filter(str.isdecimal, os.listdir("/proc"))):
            os._exit(TOO_MUCH_MEMORY)


def _too_much(memory, numbers):
    """Whether processes hold more memory together than they may."""
    numbers = list(numbers)
    return sum(map(_held, numbers)) > memory and sum(map(_share, numbers)) > memory


def _held(number):
    """Bytes of a process' own and shared memory, pages that forks share counted for each."""
    return _kilobytes(f"/proc/{number}/status", (b"RssAnon:", b"RssShmem:"))


def _share(number):
    """The same, shared pages counted in parts, which is slow.

    A process that hides its own is counted in full.
    """
    path = f"/proc/{number}/smaps_rollup"
    return _kilobytes(path, (b"Pss_Anon:", b"Pss_Shmem:")) or _held(number)


def _kilobytes(path, names):
    total = 0
    with contextlib.suppress(OSError, ValueError, IndexError), open(path, "rb") as file:
        for line in file.read().splitlines():
            if line.startswith(names):
                total += int(line.split()[1]) << 10
    return total


def _descendants(pid):
    """The processes that a submission has started where it has no namespace, itself included."""
    children, found, waiting = {}, [], [pid]
    for each, parent in _parents():
        children.setdefault(parent, []).append(each)
    waiting += [each for each in children.get(os.getpid(), []) if each != pid]  # adopted
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found
