"""A student's process: runs the cells of one submission, then carries plans out.

It is forked from the fork server, shut in by its supervisor, and knows only what comes through the
pipe: code cells and plans. It never imports `course.exercises`, the grader's part of
`course.grading` or the real `course.lab`, so that no expected value, reference or judge is ever in
this process.

Requests are dicts with "do": "hello" (answered when the shell is there), "cell" (run a code cell)
and "plan" (carry a plan out on a name that a cell defined). Each answer repeats the request's
"number". What students print goes to descriptors 1 and 2, which the grader reads apart from
the answers.
"""

import ast
import contextlib
import importlib.abc
import importlib.machinery
import os
import queue
import signal
import sys
import tempfile
import threading
import traceback
import types

from course import runner, runtime
from course.grading.sandbox import protocol

LAB = ("check", "grade", "hint", "predict", "progress", "setup")


class Nothing:
    """What the course's plots and views return here: it takes any use in silence."""

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return self

    def __call__(self, *args, **kwargs):
        return self

    def __iter__(self):
        return iter(())

    def __getitem__(self, key):
        return self


def _setup(*args, **kwargs):
    """The stub of `course.lab.setup`: only what changes how a student's code runs."""
    runtime.start()
    runtime.seed_everything(0)


class RefusedImport(ImportError):
    """An import that an answer may not make."""

    __qualname__ = "ImportError"  # what a student is told that it is


RefusedImport.__name__ = "ImportError"


class Gate(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Lets an answer import what a student may use, and says which rule the rest breaks."""

    def __init__(self, refused, allowed=None):
        self.refused, self.allowed = tuple(refused), allowed

    def find_spec(self, name, path=None, target=None):
        if _within(name, "course.lab"):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        if any(_within(name, each) for each in self.refused):
            raise RefusedImport(
                f"{name} is what this lesson has you write, so an answer may not import it. "
                "Use your own code from the cells above."
            )
        if any(_within(name, f"course.{each}") for each in ("exercises", "grading", "authoring")):
            raise RefusedImport(
                f"{name} belongs to the checks, and an answer may not import it. "
                "Remove this import."
            )
        ours = name.startswith("course.") and self.allowed is not None
        if ours and not any(_within(name, each) for each in self.allowed):
            raise RefusedImport(
                f"{name} is not among what this lesson builds on ({', '.join(self.allowed)}). "
                "Use your own code from the cells above."
            )
        return None

    def create_module(self, spec):
        module = types.ModuleType(spec.name, "The course's notebook tools, silent while grading.")
        module.__getattr__ = lambda name: _silent(name)
        module.__all__ = list(LAB)
        return module

    def exec_module(self, module):
        pass


def _silent(name):
    if name.startswith("__"):
        raise AttributeError(name)
    if name in LAB:
        return _setup if name == "setup" else lambda *args, **kwargs: None
    return Nothing()


def _within(name, package):
    return name == package or name.startswith(package + ".")


class Inbox(threading.Thread):
    """Reads requests; when the grader is gone, ends this process and its group."""

    def __init__(self, descriptor):
        super().__init__(name="course-inbox", daemon=True)
        self.descriptor, self.requests = descriptor, queue.SimpleQueue()

    def run(self):
        reader = protocol.Reader()
        while data := os.read(self.descriptor, 1 << 20):
            reader.feed(data)
            while (request := reader.message()) is not None:
                self.requests.put(request)
        os.killpg(0, signal.SIGKILL)
        os._exit(1)  # the first process of a namespace takes no signal from itself


class Student:
    """The answering side: one shell, the cells that ran in it, the objects that they defined."""

    def __init__(self, config):
        sys.meta_path.insert(0, Gate(config["refused"], config["allowed"]))
        runtime.start()
        self.shell, self.pid = _shell(), os.getpid()
        self.kept, self.in_cell = {}, False
        self.streams = sys.stdout, sys.stderr
        signal.signal(signal.SIGINT, self.interrupt)

    def hello(self, request):
        """Says that the shell is there."""
        return {}

    def restore_streams(self):
        """A cell that closed or lost the standard streams costs those after it nothing."""
        streams = [os.fdopen(os.dup(1), "w") if s.closed else s for s in self.streams]
        sys.stdout, sys.stderr = self.streams = tuple(streams)

    def interrupt(self, *_):
        # Between cells there is nothing of the student's to stop.
        if self.in_cell:
            raise KeyboardInterrupt

    def cell(self, request):
        """Runs one cell as a notebook would; its error is noted and nothing else."""
        self.restore_streams()
        try:
            self.in_cell = True
            error = self._run(request["source"])
            self.in_cell = False
        except BaseException as raised:  # an interrupt between the cell's end and this line
            self.in_cell = False
            error = raised
        if os.getpid() != self.pid:  # a fork made in the cell: only the original answers
            os._exit(0)
        for name in request["names"]:
            if name in self.shell.user_ns:
                self.kept[request["index"], name] = self.shell.user_ns[name]
        _flush()
        return {"error": _described(error, request["source"])}

    def _run(self, source):
        """The first error of a cell, or None.

        An import that the gate refuses costs itself: the handout has such lines below an exercise,
        and they may stand in one cell with what an answer needs.
        """
        first, pieces = None, [source]
        for text in pieces:
            result = self.shell.run_cell(text, store_history=True)
            error = result.error_before_exec or result.error_in_exec
            if error is not None and not isinstance(error, RefusedImport):
                return first or error
            if error is not None and first is None:
                pieces += self._after(source, error)
            first = first or error
        return first

    def _after(self, source, error):
        """The statements of a cell below the one that an error came up in, each in its place."""
        frames = traceback.extract_tb(error.__traceback__)
        places = [frame.lineno for frame in frames if frame.filename.startswith("<ipython-input")]
        if not places:
            return []
        line = places[0]
        text = self.shell.transform_cell(source)
        lines = text.split("\n")
        return [
            "#\n" * (node.lineno - 1) + "\n".join(lines[node.lineno - 1 : node.end_lineno])
            for node in ast.parse(text).body
            if node.lineno > line
        ]

    def plan(self, request):
        """Carries a plan out on the object that the given cell defined, or the last of its name."""
        self.restore_streams()
        name = request["name"]
        answer = self.kept.get((request["index"], name), self.shell.user_ns.get(name))
        try:
            return {"outcome": runner.carry_out(request["plan"], answer)}
        except runner.PlanError as error:
            return {"plan_error": str(error)}


def _shell():
    """An IPython shell with no kernel, no history file and no tracebacks on its output."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    class Shell(InteractiveShell):
        # `!command` stays in this process group, so that it ends with the submission.
        system = InteractiveShell.system_raw

        def showtraceback(self, *args, **kwargs):
            pass  # the answer carries the error; a traceback would show the grader's own lines

        showsyntaxerror = showindentationerror = showtraceback

        def enable_gui(self, gui=None):
            pass  # `%matplotlib inline`: plots are drawn, and there is nobody to show them to

        def ask_exit(self):
            pass  # `exit()` in a cell costs the cells after it nothing

    config = Config()
    config.HistoryManager.enabled = False
    return Shell.instance(config=config)


def _described(error, source):
    """An error as plain data, its line found in the cell."""
    if error is None:
        return None
    line = _line_of(error)
    lines = source.splitlines()
    text = lines[line - 1].strip() if line and line <= len(lines) else ""
    message = error.msg if isinstance(error, SyntaxError) else _message(error)
    return {
        "type": type(error).__name__,
        "message": str(message)[:600],
        "line": line,
        "source": text[:200],
    }


def _line_of(error):
    """The line of a cell where an error came up, or None."""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    if line is None:
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename.startswith("<ipython-input"):
                line = frame.lineno
    return line


def _message(error):
    try:
        return str(error)
    except Exception:  # a student's own __str__
        return ""


def _flush():
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        with contextlib.suppress(Exception):
            stream.flush()


def _write(descriptor, tree):
    data = memoryview(protocol.encode(tree))
    while data:
        data = data[os.write(descriptor, data) :]


def main(read_from, write_to, config):
    """Answers requests for as long as there are any; never returns.

    Args:
        read_from: descriptor of the requests.
        write_to: descriptor of the answers.
        config: "environment", and the Gate's "refused" and "allowed".
    """
    for descriptor in (read_from, write_to):
        os.set_inheritable(descriptor, False)  # a student's subprocess has no part in this talk
    os.environ.clear()
    os.environ.update(config["environment"])
    tempfile.tempdir = None  # it had been looked up in another environment
    inbox = Inbox(read_from)
    inbox.start()
    student = Student(config)
    actions = {"hello": student.hello, "cell": student.cell, "plan": student.plan}
    while True:
        request = inbox.requests.get()
        try:
            answer = actions[request["do"]](request)
            _flush()
            data = {"number": request["number"], **answer}
            if "outcome" in answer:
                data["outcome"] = vars(answer["outcome"]) | {
                    "failure": answer["outcome"].failure and vars(answer["outcome"].failure)
                }
            _write(write_to, data)
        except (KeyboardInterrupt, MemoryError) as error:
            _write(write_to, {"number": request["number"], "lost": type(error).__name__})
        except BaseException:
            # It would go up through the fork server's frames, in a process that is not it.
            os._exit(1)
