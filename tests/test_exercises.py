"""The declaration proves itself: a layer, a training loop, a callable argument, a random output.

The toy exercises here have nothing to do with a lesson; the last tests look at every real one.
"""

import numpy as np
import pytest

from course import exercises
from course.checks.declaration import Exercise, Probe, Verdict, call, fixture, step, tensor
from course.checks.examiner import examine_here, forbidden_in
from course.checks.judges import Match, attempt, error, forms
from course.runner import Outcome, serialization

pytestmark = pytest.mark.backend


def exercise_of(*probes, may_not_call=(), **mistakes):
    """A toy exercise whose mistakes have their ids' words as sentences."""
    named = {name.replace("_", "-"): sentence for name, sentence in mistakes.items()}
    return Exercise("toy.one", "A toy", "answer", 5, probes, named, may_not_call)


# A layer


def draw_layer(rng):
    return {
        "x": rng.normal(size=(2, 3)).astype("float32"),
        "kernel": rng.normal(size=(3, 3)).astype("float32"),
        "bias": rng.normal(size=3).astype("float32"),
    }


def plan_layer(inputs):
    values = {"dense.kernel": inputs["kernel"], "dense.bias": inputs["bias"]}
    return {
        "steps": [
            step("call", args=[3], save="layer"),
            step("call", on="layer", args=[tensor(inputs["x"])]),
            step("weights", on="layer", values=values),
            step("call", on="layer", args=[tensor(inputs["x"])]),
        ],
        "return": ["result"],
    }


LAYER = exercise_of(
    Probe(
        "a residual layer",
        2,
        draw_layer,
        plan_layer,
        Match(
            lambda i: i["x"] + np.maximum(i["x"] @ i["kernel"] + i["bias"], 0),
            {"no-residual": lambda i: np.maximum(i["x"] @ i["kernel"] + i["bias"], 0)},
        ),
    ),
    no_residual="The input is not added to the output.",
)


def residual(add=True):
    import keras

    class Residual(keras.layers.Layer):
        def __init__(self, width):
            super().__init__()
            self.dense = keras.layers.Dense(width, activation="relu")

        def call(self, x):
            return x + self.dense(x) if add else self.dense(x)

    return Residual


def test_a_layer_is_built_given_weights_and_judged():
    assert examine_here(LAYER, residual()).passed
    report = examine_here(LAYER, residual(add=False))
    assert report.mistakes == ("no-residual",)
    assert report.points == 0 and "not added" in report.message


# A training loop


def descend(inputs, sign=-1, mean=True):
    """Two steps of gradient descent on the mean squared error of a linear model."""
    x, y, kernel = (inputs[name].astype("float64") for name in ("x", "y", "kernel"))
    for _ in range(2):
        slope = x.T @ (x @ kernel - y) * 2 / (y.size if mean else 1)
        kernel = kernel + sign * 0.1 * slope
    return kernel


TRAINING = exercise_of(
    Probe(
        "two steps",
        3,
        lambda rng: {
            "x": rng.normal(size=(4, 2)).astype("float32"),
            "y": rng.normal(size=(4, 1)).astype("float32"),
            "kernel": rng.normal(size=(2, 1)).astype("float32"),
        },
        lambda i: {
            "steps": [
                step(
                    "call",
                    args=[
                        fixture("linear_model", kernel=i["kernel"]),
                        fixture("optimizer", name="SGD", learning_rate=0.1),
                        i["x"],
                        i["y"],
                        2,
                    ],
                    save="model",
                ),
                step("read", on="model", name="layers.0.kernel"),
            ],
            "return": ["result"],
        },
        Match(
            descend,
            {
                "wrong-sign": lambda i: descend(i, sign=1),
                "summed-loss": lambda i: descend(i, mean=False),
            },
        ),
    ),
    wrong_sign="The step goes uphill.",
    summed_loss="The loss is summed over the batch, not averaged.",
)


def train(model, optimizer, x, y, steps, reduce="mean"):
    """As a student would write it, with the model's own train_on_batch."""
    import keras

    squared = (lambda t, p: keras.ops.mean((t - p) ** 2)) if reduce == "mean" else None
    model.compile(optimizer, loss=squared or (lambda t, p: keras.ops.sum((t - p) ** 2)))
    for _ in range(steps):
        model.train_on_batch(x, y)
    return model


def test_a_training_loop_is_carried_out_and_judged():
    assert examine_here(TRAINING, train).passed
    summed = examine_here(TRAINING, lambda *args: train(*args, reduce="sum"))
    assert summed.mistakes == ("summed-loss",)


# A callable argument


def follow(table, start, length, off=0):
    ids = [start]
    for _ in range(length + off):
        ids.append(int(np.argmax(table[ids[-1]])))
    return np.array(ids)


GREEDY = exercise_of(
    Probe(
        "greedy decoding",
        1,
        lambda rng: {"table": rng.normal(size=(5, 5)).astype("float32"), "start": 2},
        lambda i: call(fixture("table_step", table=i["table"]), i["start"], 6),
        Match(
            lambda i: follow(i["table"], i["start"], 6),
            {"one-short": lambda i: follow(i["table"], i["start"], 6, off=-1)},
        ),
    ),
    one_short="One token is missing at the end.",
)


def greedy(step_function, start, length, off=0):
    from keras import ops

    ids = [start]
    for _ in range(length + off):
        scores = ops.convert_to_numpy(step_function(np.array([ids])))
        ids.append(int(scores[0].argmax()))
    return np.array(ids)


def test_a_callable_argument_is_built_from_data():
    assert examine_here(GREEDY, greedy).passed
    assert examine_here(GREEDY, lambda *a: greedy(*a, off=-1)).mistakes == ("one-short",)


# A random output, judged statistically


def judge_sample(inputs, outcome):
    drawn = np.array(outcome.results["result"])
    p = inputs["p"]
    counts = np.bincount(drawn.ravel(), minlength=len(p))[: len(p)]
    # Six standard deviations: a right answer fails once in hundreds of millions of checks.
    spread = np.sqrt(drawn.size * p * (1 - p))
    if (np.abs(counts - drawn.size * p) <= 6 * spread).all():
        return Verdict(True)
    greedy = (drawn == p.argmax()).all()
    return Verdict(False, ("always-the-likeliest",) if greedy else ("unrecognised",))


def plan_sampling(inputs):
    arguments = [inputs["p"], fixture("random", seed=inputs["seed"]), 4000]
    return {"steps": [step("call", args=arguments)], "return": ["result"], "keras": False}


SAMPLING = exercise_of(
    Probe(
        "sampling",
        1,
        lambda rng: {"p": rng.dirichlet(np.full(4, 5.0)), "seed": int(rng.integers(1 << 30))},
        plan_sampling,
        judge_sample,
    ),
    always_the_likeliest="It takes the likeliest token every time: that is greedy.",
)


def test_a_random_output_is_judged_by_its_distribution():
    right = lambda p, rng, n: rng.choice(len(p), size=n, p=p)  # noqa: E731
    other_right = lambda p, rng, n: np.searchsorted(p.cumsum(), rng.random(n))  # noqa: E731
    for seed in range(20):
        assert examine_here(SAMPLING, right, seed).passed
        assert examine_here(SAMPLING, other_right, seed).passed
    assert examine_here(SAMPLING, lambda p, rng, n: np.full(n, p.argmax())).mistakes == (
        "always-the-likeliest",
    )
    assert not examine_here(SAMPLING, lambda p, rng, n: rng.integers(0, len(p), n)).passed


# The examiner


def one_call(**arrays):
    """A toy exercise that calls the answer with these arrays, in float16."""
    inputs = {name: np.ones(shape, "float16") for name, shape in arrays.items()}
    plan = call(*(tensor(array) for array in inputs.values()))
    return exercise_of(Probe("it runs", 1, lambda rng: inputs, lambda i: plan, Match(len, {})))


def test_the_commonest_errors_of_the_frameworks_come_with_advice(backend):
    from keras import ops

    product = one_call(a=(2, 4), b=(3, 4))
    detail = examine_here(product, lambda a, b: ops.matmul(a, b)).message
    assert "one of the two has to be transposed" in detail
    if backend == "tensorflow":  # JAX turns .T round and mixes dtypes without a word
        assert "ops.swapaxes" in examine_here(product, lambda a, b: a @ b.T).message
        mixed = examine_here(product, lambda a, b: a.__truediv__(ops.convert_to_tensor(2.0)))
        assert "A Python number such as d_k**0.5 keeps a tensor's dtype" in mixed.message


def test_what_may_not_be_called_is_found_in_the_text_under_its_aliases():
    names = ["keras.ops.softmax"]
    for text in (
        "def f(x):\n    return ops.softmax(x)",
        "import keras as k\ndef f(x):\n    return k.ops.softmax(x)",
        "def f(x):\n    from keras.ops import softmax as s\n    return s(x)",
    ):
        assert forbidden_in(text, names) == names
    assert forbidden_in("def f(x):\n    return my.softmax(x)  # not ops.softmax", names) == []


def test_the_parity_error_is_relative_to_the_largest_number_and_strict_about_nan():
    assert error([1.0, 2.002], [1.0, 2.0]) == pytest.approx(0.001)
    assert error([0.0, np.nan], [0.0, 1.0]) == np.inf
    assert error([[1.0]], [1.0]) == np.inf
    assert error([np.nan, 1.0], [np.nan, 1.0]) == 0


@pytest.mark.parametrize(
    "exercise",
    [e for lesson in exercises.lessons() for e in exercises.of_lesson(lesson)],
    ids=lambda e: e.id,
)
def test_every_exercise_accepts_its_reference_and_can_tell_each_mistake(
    exercise,
):
    assert exercise.points > 0 and exercise.minutes > 0
    assert 1 <= len(exercise.hints) <= 3
    told, known = set(), set()
    for index, probe in enumerate(exercise.probes):
        one, same_seed, other = (probe.inputs(exercise.rng(index, seed)) for seed in (1, 1, 2))
        assert repr(one) == repr(same_seed)
        drawn = any(isinstance(v, np.ndarray) and v.dtype.kind == "f" for v in one.values())
        assert repr(one) != repr(other) or not drawn
        if isinstance(probe.judge, Match):
            assert judged(probe, one, probe.judge.reference(one)).passed, probe.title
            known |= set(probe.judge.suspects)
            every = [(n, f) for n, s in probe.judge.suspects.items() for f in forms(s)]
            for name, imitate in every:
                imitated = attempt(imitate, one)
                if imitated is not None and not (verdict := judged(probe, one, imitated)).passed:
                    assert name in verdict.consistent, f"{probe.title}: {name}"
                    told.add(name)
    assert known == told


def judged(probe, inputs, value):
    """The judge's verdict on this value, as if a student's code had returned it."""
    got, types = serialization.export(value)
    outcome = Outcome(results={probe.judge.result: got}, types={probe.judge.result: types})
    return probe.judge(inputs | {"dtype": None}, outcome)  # references are float64
