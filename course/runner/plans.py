"""Carries out plans beside a student's code: the only part of a check that meets it.

A plan is data, a dict that could have come through a pipe:

    {"steps": [step, ...], "return": [names], "forbid": [dotted names],
     "seconds": limit, "keras": whether Keras is needed (default true)}

Its vocabulary is closed. A step is a dict with "do", and "save", the name its result is kept under:

    call        "on" (default "answer"), "method", "args", "kwargs"
    repeat      the same, "times" times; the result is the list of results
    weights     set "values", {attribute path: array}, on the layer "on"
    read        the attribute path "name" of "on"
    fit         compile and train the model "on": "x", "y", "steps", "optimizer", "loss"
    gradients   of the sum of "on"(*args), with respect to the float arguments
    round_trip  get_config and from_config of "on", called on "args", weights copied

A value is JSON, a NumPy array, or one of these markers:

    {"$": "tensor", "value": array, "dtype": name}    a tensor of the backend
    {"$": "ref", "name": name}                        an earlier step's result; "answer"
    {"$": "fixture", "kind": kind, ...}               an object built from data, see `fixtures`

The runner knows no lesson, no expected value and no seed but those in the plan. It imports Keras
only when a plan needs it.
"""

import inspect
import linecache
import os
import sys
import time
import traceback
from contextlib import contextmanager, suppress

import numpy as np

from course import runtime
from course.runner import serialization
from course.runner.fixtures import FIXTURES
from course.runner.outcome import Failure, Outcome, PlanError
from course.runner.time_limit import SECONDS, Interrupted, Worker, finishes, stop
from course.runner.watch import Watch


def carry_out(plan, answer):
    """Carries a plan out on a student's object.

    Args:
        plan: the plan, see the module's docstring.
        answer: the student's function or class; None where it does not exist.

    Returns:
        An `Outcome`. The student's errors never come out of here as exceptions; an endless loop
        ends as a failure of kind "time".

    Raises:
        PlanError: if the plan itself is malformed.
        Interrupted: if the user interrupts; the student's code is stopped first.
    """
    if answer is None:
        return Outcome(failure=Failure("missing"))
    if not callable(answer):
        return Outcome(failure=Failure("not callable", type(answer).__name__))
    if plan.get("keras", True):
        runtime.start()  # before the clock starts, and never in a thread that may be stopped
    outcome = Outcome()
    run = _Run(plan, answer, outcome)
    # A thread of its own: a limit that works in notebooks, on Windows and without SIGALRM.
    worker = Worker(run.work)
    worker.start()
    limit = plan.get("seconds", SECONDS.get(os.environ.get("KERAS_BACKEND"), 10.0))
    try:
        in_time = finishes(worker, limit)
    except KeyboardInterrupt:
        raise Interrupted(ended=_end(worker)) from None
    if not in_time:
        failure = Failure("time", message=f"{limit:g}", **run.where(worker))
        _end(worker)
        # Once stopped, a worker may still be unwinding: what it writes must not reach the reader.
        return Outcome(failure=failure, called=list(outcome.called), seconds=limit)
    if run.plan_error is not None:
        raise run.plan_error
    return outcome


def _end(worker):
    """Stops the worker, whatever the user presses meanwhile; whether it has ended."""
    for _ in range(3):
        with suppress(KeyboardInterrupt):
            return stop(worker)
    return not worker.runs


class _Run:
    """One carrying-out: the names that its steps have saved, and where it stands."""

    def __init__(self, plan, answer, outcome):
        self.plan, self.outcome = plan, outcome
        self.saved = {"answer": answer}
        self.plan_error = None
        self.files = _files_of(answer)

    def work(self):
        started = time.perf_counter()
        try:
            with _precise(self.plan):
                forbidden = tuple(self.plan.get("forbid", ()))
                for step in self.plan["steps"]:
                    self.step(step, forbidden)
            for name in self.plan.get("return", ("result",)):
                self.outcome.results[name], self.outcome.types[name] = serialization.export(
                    self.saved[name]
                )
        except PlanError as error:
            self.plan_error = error
        except serialization.Unreadable as error:
            self.outcome.failure = Failure("result", message=str(error))
        except BaseException as error:  # a student may raise SystemExit or KeyboardInterrupt too
            self.outcome.failure = self.describe(error)
        self.outcome.seconds = time.perf_counter() - started

    def step(self, step, forbidden):
        action = STEPS.get(step["do"])
        if action is None:
            raise PlanError(f"unknown step {step['do']!r}; known: {', '.join(STEPS)}")
        result = action(self, step, forbidden)
        self.saved[step.get("save", "result")] = result

    def target(self, step):
        name = step.get("on", "answer")
        if name not in self.saved:
            raise PlanError(f"step {step['do']!r} is on {name!r}, which no earlier step saved")
        target = self.saved[name]
        return getattr(target, step["method"]) if step.get("method") else target

    def value(self, value):
        """Builds what a marker stands for; lists and dicts are walked."""
        if isinstance(value, dict) and "$" in value:
            if value["$"] == "ref":
                return self.saved[value["name"]]
            if value["$"] == "tensor":
                from keras import ops

                return ops.convert_to_tensor(value["value"], dtype=value.get("dtype"))
            if value["$"] == "fixture":
                data = {k: self.value(v) for k, v in value.items() if k not in ("$", "kind")}
                return FIXTURES[value["kind"]](**data)
            raise PlanError(f"unknown marker {value['$']!r}")
        if isinstance(value, dict):
            return {name: self.value(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(self.value(item) for item in value)
        return value.copy() if isinstance(value, np.ndarray) else value

    def invoke(self, step, forbidden):
        """One call of the student's code, with everything around it that is not theirs."""
        target = self.target(step)
        args = self.value(list(step.get("args", ())))
        kwargs = self.value(dict(step.get("kwargs", {})))
        if not callable(target):
            raise TypeError(
                f"{step.get('on', 'answer')} is a {type(target).__name__}, not callable"
            )
        try:
            inspect.signature(target).bind(*args, **kwargs)
        except TypeError as error:
            names = ", ".join(["…"] * len(args) + [f"{name}=…" for name in kwargs])
            raise _Arguments(f"{error}; the check calls it as ({names})") from None
        except ValueError:
            pass  # a built-in without a signature
        given = dict(enumerate(args)) | kwargs
        before = {name: serialization.snapshot(item) for name, item in given.items()}
        with Watch(forbidden, self.outcome.called), runtime.built_by_a_call(target):
            result = target(*args, **kwargs)
        for name, item in given.items():
            if not serialization.unchanged(item, before[name]):
                label = _parameter(target, name)
                if label not in self.outcome.mutated:
                    self.outcome.mutated.append(label)
        return result

    def describe(self, error):
        if isinstance(error, NotImplementedError):
            return Failure("not written")
        if isinstance(error, _Arguments):
            return Failure("arguments", message=str(error))
        line, source = None, ""
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename in self.files:
                line, source = frame.lineno, frame.line or ""
        # Keras adds paragraphs about the layer; the first lines say what happened.
        message = "\n".join(str(error).strip().splitlines()[:4])[:600]
        return Failure("exception", type(error).__name__, message, line, source.strip())

    def where(self, worker):
        """Where the student's code is at this moment."""
        frame = sys._current_frames().get(worker.ident)
        while frame is not None:
            if frame.f_code.co_filename in self.files:
                source = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
                return {"line": frame.f_lineno, "source": source}
            frame = frame.f_back
        return {}


class _Arguments(TypeError):
    """The student's function does not take the arguments that the exercise states."""


@contextmanager
def _precise(plan):
    if not plan.get("keras", True):
        yield
        return
    with runtime.full_precision(), runtime.second_softmax_kept():
        yield


def _files_of(answer):
    """The file names under which the student's code was compiled."""
    members = [answer, *vars(answer).values()] if inspect.isclass(answer) else [answer]
    codes = [getattr(inspect.unwrap(m), "__code__", None) for m in members if callable(m)]
    return {code.co_filename for code in codes if code is not None}


def _parameter(target, name):
    """The name of a positional argument, where the signature tells it."""
    if isinstance(name, str):
        return name
    try:
        return list(inspect.signature(target).parameters)[name]
    except (ValueError, TypeError, IndexError):
        return f"argument {name + 1}"


def _follow(target, path):
    for part in path.split("."):
        target = target[int(part)] if part.isdigit() else getattr(target, part)
    return target


def _unset(layer, path):
    """Why a weight cannot be set: what it belongs to was never called, or is not there."""
    owner, name = path.rpartition(".")[0], type(layer).__name__
    try:
        unused = owner and not getattr(_follow(layer, owner), "built", True)
    except (AttributeError, IndexError, TypeError):
        unused = False
    if unused:
        return f"{owner} of {name} has no weights yet: call never uses it"
    return f"the check sets {path!r} and {name} has no such attribute"


def _call(run, step, forbidden):
    return run.invoke(step, forbidden)


def _repeat(run, step, forbidden):
    return [run.invoke(step, forbidden) for _ in range(step["times"])]


def _weights(run, step, _):
    layer = run.target(step)
    for path, array in step["values"].items():
        try:
            variable = _follow(layer, path)
        except (AttributeError, IndexError, TypeError):
            raise AttributeError(_unset(layer, path)) from None
        if tuple(variable.shape) != array.shape:
            raise ValueError(f"{path} has shape {tuple(variable.shape)}, expected {array.shape}")
        variable.assign(array)
    return None


def _read(run, step, _):
    return _follow(run.target(step), step["name"])


def _fit(run, step, forbidden):
    import keras

    keras.utils.set_random_seed(step.get("seed", 0))
    model = run.target(step)
    optimizer = run.value(step.get("optimizer", "sgd"))
    model.compile(optimizer=optimizer, loss=run.value(step["loss"]), jit_compile=False)
    x, y = run.value(step["x"]), run.value(step["y"])
    with Watch(forbidden, run.outcome.called):
        return [float(model.train_on_batch(x, y)) for _ in range(step["steps"])]


def _gradients(run, step, forbidden):
    import keras

    target = run.target(step)
    args = run.value(list(step["args"]))
    # Only the float arguments have a gradient; masks and ids are passed as they are.
    wrt = [i for i, a in enumerate(args) if "float" in str(getattr(a, "dtype", ""))]

    def total(*chosen):
        full = list(args)
        for i, tensor in zip(wrt, chosen, strict=True):
            full[i] = tensor
        output = target(*full)
        output = output[0] if isinstance(output, tuple) else output
        return keras.ops.sum(output)

    chosen = [keras.ops.convert_to_tensor(args[i]) for i in wrt]
    with Watch(forbidden, run.outcome.called):
        if keras.backend.backend() == "jax":
            import jax

            return list(jax.grad(total, argnums=tuple(range(len(chosen))))(*chosen))
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(chosen)
            output = total(*chosen)
        return tape.gradient(output, chosen)


def _round_trip(run, step, _):
    layer = run.target(step)
    copy = type(layer).from_config(layer.get_config())
    copy(*run.value(list(step["args"])))  # makes its weights
    copy.set_weights(layer.get_weights())
    return copy


STEPS = {
    "call": _call,
    "repeat": _repeat,
    "weights": _weights,
    "read": _read,
    "fit": _fit,
    "gradients": _gradients,
    "round_trip": _round_trip,
}
