"""The runner: plans carried out beside code that may do anything."""

import contextlib
import os
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import pytest

from course import runner
from course.checks.declaration import call, fixture, ref, step, tensor
from course.runner import serialization, time_limit

pytestmark = pytest.mark.backend


def bare(*steps, result="result", **more):
    """A plan that needs no Keras."""
    return {"steps": list(steps), "return": [result], "keras": False} | more


def outcome_of(answer, *args, **more):
    return runner.carry_out(bare(step("call", args=list(args)), **more), answer)


# What comes back


def test_a_result_comes_back_as_plain_values_with_their_types():
    outcome = outcome_of(lambda x: (x + 1, [True, None], {"name": "a", "n": 2.5}), np.arange(3))
    numbers, flags, named = outcome.results["result"]
    assert numbers.tolist() == [1, 2, 3]
    assert (flags, named) == ([True, None], {"name": "a", "n": 2.5})
    assert outcome.types["result"] == ("int64", ["bool", "NoneType"], {"name": "str", "n": "float"})
    assert outcome.failure is None and outcome.seconds < 5


def test_an_object_of_the_students_own_never_comes_back():
    class Sly(float):
        pass

    outcome = outcome_of(lambda: (object(), Sly(1.0)))
    assert outcome.results["result"] == (None, None)
    assert outcome.types["result"] == ("object", "Sly")


def test_a_result_that_is_too_large_is_told_not_kept():
    outcome = outcome_of(lambda: np.zeros(10_000_000))
    assert outcome.failure.kind == "result"
    assert "64 MB" in outcome.failure.message


def test_tensors_come_back_as_arrays_and_half_precision_keeps_its_name():
    from keras import ops

    plan = call(tensor(np.ones((2, 3), "float32"), "bfloat16"))
    outcome = runner.carry_out(plan, lambda x: ops.multiply(x, 2))
    assert outcome.results["result"].tolist() == [[2.0] * 3] * 2
    assert outcome.types["result"] == "bfloat16"


# What goes wrong, by kind


def never_ends():
    while True:
        pass


def swallows_everything():
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.001)


def recurses():
    return recurses()


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (None, "missing", ""),
        (3, "not callable", "int"),
        (lambda: (_ for _ in ()).throw(NotImplementedError), "not written", ""),
        (lambda: 1 / 0, "exception", "division by zero"),
        (lambda: sys.exit(3), "exception", "3"),
        (recurses, "exception", "recursion"),
        (lambda x, y: x, "arguments", "missing"),
    ],
)
def test_each_way_to_fail_has_its_kind(answer, kind, says):
    failure = outcome_of(answer).failure
    assert failure.kind == kind
    assert says in f"{failure.type} {failure.message}"
    assert failure.kind in runner.Failure.KINDS


def test_notes_of_the_frameworks_stay_hidden_whatever_was_done_to_warnings():
    """nbgrader takes the points of a cell that writes to stderr."""
    from keras import ops

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        runner.carry_out(call(tensor(np.ones((2, 1), "float32"))), lambda x: ops.softmax(x))
    assert not caught


def test_an_error_names_the_students_own_line():
    def answer(x):
        y = x + 1
        return np.linalg.inv(y)  # the traceback ends inside NumPy

    failure = outcome_of(answer, np.zeros((2, 3))).failure
    assert failure.type == "LinAlgError"
    assert "np.linalg.inv(y)" in failure.source


@pytest.mark.parametrize("answer", [never_ends, swallows_everything])
def test_an_endless_loop_is_stopped_and_its_line_told(answer):
    started = time.monotonic()
    outcome = outcome_of(answer, seconds=0.5)
    assert time.monotonic() - started < 5
    assert outcome.failure.kind == "time"
    assert outcome.failure.line is not None
    deadline = time.monotonic() + 5
    while any(t.name == "course-check" for t in threading.enumerate()):
        assert time.monotonic() < deadline, "the thread goes on"
        time.sleep(0.05)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads stay on no core here")
def test_a_busy_machine_costs_a_right_answer_nothing(monkeypatch):
    # However busy: what is tested is which seconds count, not when patience ends.
    monkeypatch.setattr(time_limit, "PATIENCE", 1000)
    core = min(os.sched_getaffinity(0))

    def works_for_half_a_second():
        os.sched_setaffinity(0, {core})  # this thread only
        while time.thread_time() < 0.5:
            pass
        return time.monotonic() - started

    stay = f"import os\nos.sched_setaffinity(0, {{{core}}})\nwhile True: pass"
    others = [subprocess.Popen([sys.executable, "-c", stay]) for _ in range(4)]
    try:
        time.sleep(0.5)  # until they run
        started = time.monotonic()
        outcome = runner.carry_out(bare(step("call"), seconds=0.8), works_for_half_a_second)
    finally:
        for other in others:
            other.kill()
            other.wait()
    assert outcome.failure is None
    assert outcome.results["result"] > 0.8  # so it had to wait


@pytest.mark.parametrize(
    ("wall", "in_line", "computed", "had"),
    [
        (4.0, 0.0, 4.0, 4.0),  # alone on the machine
        (4.0, 0.0, 0.0, 4.0),  # it sleeps
        (4.0, 3.0, 1.0, 1.0),  # others had the core for three of the seconds
        (4.0, 200.0, 4.0, 4.0),  # sixty threads stand in line for one another
        (40.0, 40.0, 0.0, 2.0),  # patience ends
    ],
)
def test_the_seconds_that_count_are_those_with_a_core(wall, in_line, computed, had):
    assert time_limit.seconds_had(wall, in_line, computed) == had


def test_arguments_changed_in_place_are_named_and_the_plan_keeps_its_own():
    def answer(scores, mask=None):
        scores[0] = 0
        return scores

    scores = np.ones(2)
    outcome = outcome_of(answer, scores)
    assert outcome.mutated == ["scores"]
    assert scores.tolist() == [1, 1]


@pytest.mark.parametrize("malformed", [{"do": "fly"}, {"do": "call", "on": "nothing"}])
def test_a_malformed_plan_is_our_fault_and_said_so(malformed):
    with pytest.raises(runner.PlanError):
        runner.carry_out(bare(malformed), abs)


# What may not be called


def test_a_forbidden_call_is_seen_under_any_name_and_all_is_as_before_afterwards():
    import keras
    from keras import ops
    from keras.src.ops.nn import softmax as deep

    before = keras.ops.softmax(np.zeros(2, "float32"))
    for way in (deep, ops.softmax, getattr(keras.ops, "soft" + "max"), lambda x: deep(x)):
        outcome = runner.carry_out(
            call(np.zeros(2, "float32")) | {"forbid": ["keras.ops.softmax"]}, way
        )
        assert outcome.called == ["keras.ops.softmax"]
        assert outcome.results["result"] == pytest.approx([0.5, 0.5])
    allowed = runner.carry_out(
        call(np.zeros(2, "float32")) | {"forbid": ["keras.ops.softmax"]}, ops.exp
    )
    assert allowed.called == []
    assert keras.ops.convert_to_numpy(before) == pytest.approx([0.5, 0.5])
    assert "_Watch" not in deep.__code__.co_names


def test_a_forbidden_layer_is_seen_where_it_is_called():
    import keras

    def answer(x):
        return keras.layers.Dense(2)(x)

    plan = call(np.ones((1, 2), "float32")) | {"forbid": ["keras.layers.Dense"]}
    assert runner.carry_out(plan, answer).called == ["keras.layers.Dense"]


# The vocabulary


def layers():
    import keras

    class Scale(keras.layers.Layer):
        """y = kernel * x, kernel of one number for each feature."""

        def __init__(self, start=1.0, **kwargs):
            super().__init__(**kwargs)
            self.start = start

        def build(self, shape):
            first = keras.initializers.Constant(self.start)
            self.kernel = self.add_weight(shape=(shape[-1],), initializer=first)

        def call(self, x):
            return x * self.kernel

        def get_config(self):
            return super().get_config() | {"start": self.start}

    return Scale


def test_a_layer_gets_weights_and_survives_its_config():
    x, kernel = np.array([[1, 2]], "float32"), np.array([3, 5], "float32")
    plan = {
        "steps": [
            step("call", kwargs={"start": 2.0}, save="layer"),
            step("call", on="layer", args=[tensor(x)], save="before"),
            step("weights", on="layer", values={"kernel": kernel}),
            step("call", on="layer", args=[tensor(x)], save="after"),
            step("round_trip", on="layer", args=[tensor(x)], save="copy"),
            step("call", on="copy", args=[tensor(x)], save="again"),
            step("read", on="copy", name="start", save="start"),
            step("gradients", on="layer", args=[tensor(x)], save="gradients"),
        ],
        "return": ["before", "after", "again", "start", "gradients"],
    }
    results = runner.carry_out(plan, layers()).results
    assert results["before"].tolist() == [[2, 4]]
    assert results["after"].tolist() == results["again"].tolist() == [[3, 10]]
    assert results["start"] == 2.0
    assert results["gradients"][0].tolist() == [[3, 5]]


def test_a_layer_without_build_runs_once_a_call_and_ends_as_keras_leaves_it(keras):
    ran = []

    class Inner(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.dense = keras.layers.Dense(3)

        def call(self, x):
            ran.append(type(self).__name__)
            return self.dense(x)

    class Outer(Inner):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.parts = [Inner(), Inner()]

        def call(self, x):
            return super().call(self.parts[1](self.parts[0](x)))

    class Grows(Inner):
        def call(self, x):
            self.dense = keras.layers.Dense(3)
            return self.dense(x)

    kept = []
    x = tensor(np.ones((2, 3), "float32"))
    steps = [step("call", save="layer"), step("call", on="layer", args=[x])]

    def kept_by(cls):
        return lambda: kept.append(cls()) or kept[-1]

    plan = {"steps": [*steps, steps[1]], "return": ["result"]}
    assert runner.carry_out(plan, kept_by(Outer)).failure is None
    assert ran == ["Inner", "Inner", "Outer"] * 2
    assert len(kept[0].weights) == 6
    assert all(layer.built for layer in kept[0]._flatten_layers())
    failure = runner.carry_out(plan, kept_by(Grows)).failure
    assert failure.kind == "exception" and "already built" in failure.message


def test_a_weight_that_is_not_there_or_has_another_shape_is_told_by_its_path():
    for path, shape, says in (("kernle", (2,), "no such attribute"), ("kernel", (3,), "(3,)")):
        plan = {
            "steps": [
                step("call", save="layer"),
                step("call", on="layer", args=[tensor(np.ones((1, 2), "float32"))]),
                step("weights", on="layer", values={path: np.ones(shape, "float32")}),
            ],
            "return": ["result"],
        }
        failure = runner.carry_out(plan, layers()).failure
        assert path in failure.message and says in failure.message


def test_fit_takes_steps_on_the_students_model():
    import keras

    def answer(kernel):
        layer = keras.layers.Dense(1, use_bias=False)
        model = keras.Sequential([keras.Input((2,)), layer])
        layer.kernel.assign(kernel)
        return model

    x, y = np.eye(2, dtype="float32"), np.array([[1], [0]], "float32")
    plan = {
        "steps": [
            step("call", args=[np.zeros((2, 1), "float32")], save="model"),
            step(
                "fit",
                on="model",
                x=x,
                y=y,
                steps=2,
                loss="mse",
                optimizer=fixture("optimizer", name="SGD", learning_rate=0.5),
                save="losses",
            ),
            step("read", on="model", name="layers.0.kernel", save="kernel"),
        ],
        "return": ["losses", "kernel"],
    }
    results = runner.carry_out(plan, answer).results
    # Loss 1/2, gradient -1 for the first entry: 0 -> 0.5 -> 0.75.
    assert results["losses"][0] == pytest.approx(0.5)
    assert results["kernel"].ravel() == pytest.approx([0.75, 0.0])


def test_fixtures_stand_for_a_step_function_a_model_and_a_generator():
    table = np.array([[0.1, 0.9], [0.7, 0.3]], "float32")

    def decode(step_function, model, rng):
        scores = step_function(np.array([[0, 1]]))
        return scores, model(np.ones((1, 2), "float32")), rng.integers(0, 100, 3)

    plan = call(
        fixture("table_step", table=table),
        fixture("linear_model", kernel=table),
        fixture("random", seed=7),
    )
    scores, modelled, drawn = runner.carry_out(plan, decode).results["result"]
    assert scores == pytest.approx(table[1:])
    assert modelled == pytest.approx(table.sum(0, keepdims=True))
    assert drawn.tolist() == np.random.default_rng(7).integers(0, 100, 3).tolist()


def test_a_step_can_use_what_an_earlier_one_saved_and_be_repeated():
    plan = bare(
        step("call", args=[2], save="two"),
        step("repeat", args=[ref("two")], times=3),
    )
    assert runner.carry_out(plan, lambda x: x * x).results["result"] == [16] * 3


def test_a_plan_and_its_outcome_cross_a_pipe_unchanged():
    plan = call(tensor(np.ones((1, 2), "float32")), ref("answer"), fixture("random", seed=1))
    again = serialization.unpack(*serialization.pack(plan))
    assert again["steps"][0]["args"][0]["value"].tolist() == [[1, 1]]
    assert again["steps"][0]["args"][1:] == plan["steps"][0]["args"][1:]


def test_the_runner_alone_imports_no_framework_and_no_exercise():
    code = (
        "import sys, numpy; from course import runner; "
        "plan = {'steps': [{'do': 'call', 'args': [2]}], 'return': ['result'], 'keras': False}; "
        "assert runner.carry_out(plan, abs).results == {'result': 2}; "
        "print([m for m in sys.modules if m in ('keras', 'tensorflow', 'jax')"
        " or m.startswith('course.exercises')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
