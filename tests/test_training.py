"""Schedules, rounds, checkpoints: a run that was killed ends like one that was not."""

import json
import os
import signal
import sys

import numpy as np
import pytest
from conftest import PROVING, installed, numbers

from course import runtime, training

pytestmark = pytest.mark.backend


# Schedules


def test_the_papers_schedule_is_equation_3_with_the_first_step_1():
    schedule = training.InverseSquareRoot(512, warmup_steps=4000)
    for step in (1, 2, 100, 3999, 4000, 4001, 100_000):
        expected = 512**-0.5 * min(step**-0.5, step * 4000**-1.5)
        assert float(schedule(step - 1)) == pytest.approx(expected, rel=1e-6)
    assert float(schedule(0)) > 0


def test_a_cooldown_leaves_what_was_before_it_and_ends_at_zero():
    plain = training.InverseSquareRoot(64, 10)
    cooled = training.InverseSquareRoot(64, 10, 1.0, cooldown_steps=20, total_steps=100)
    for step in (1, 5, 10, 50, 80):
        assert float(cooled(step - 1)) == float(plain(step - 1))
    assert float(cooled(89)) == pytest.approx(float(plain(89)) / 2)
    assert float(cooled(99)) == float(cooled(150)) == 0.0
    with pytest.raises(ValueError, match="has to end before the cooldown begins"):
        training.InverseSquareRoot(64, 10, 1.0, cooldown_steps=20, total_steps=29)


def test_the_linear_schedule_reaches_its_peak_and_then_zero():
    schedule = training.WarmupLinear(2e-5, warmup_steps=10, total_steps=110)
    rates = [float(schedule(step - 1)) for step in (1, 5, 10, 60, 110, 200)]
    np.testing.assert_allclose(rates, [2e-6, 1e-5, 2e-5, 1e-5, 0, 0], atol=1e-12)
    at_once = training.WarmupLinear(1.0, warmup_steps=0, total_steps=4)
    np.testing.assert_allclose([float(at_once(s)) for s in range(4)], [0.75, 0.5, 0.25, 0])


def test_a_warm_up_longer_than_the_training_is_refused():
    with pytest.raises(ValueError, match="warm-up has to end before"):
        training.WarmupLinear(1.0, warmup_steps=10, total_steps=10)


@pytest.mark.parametrize(
    "schedule",
    [
        training.InverseSquareRoot(64, 10, 2.0),
        training.InverseSquareRoot(64, 4, 2.0, 3, 9),
        training.WarmupLinear(0.1, 3, 9),
    ],
    ids=lambda schedule: type(schedule).__name__,
)
def test_schedules_survive_their_config_and_run_in_an_optimizer(keras, schedule):
    copy = type(schedule).from_config(schedule.get_config())
    assert [float(copy(s)) for s in range(12)] == [float(schedule(s)) for s in range(12)]
    optimizer = keras.optimizers.SGD(schedule)
    variable = keras.Variable(np.zeros(1, "float32"))
    optimizer.build([variable])
    for _ in range(2):
        optimizer.apply([np.ones(1, "float32")])
    moved = float(schedule(0)) + float(schedule(1))
    assert -float(numbers(variable)[0]) == pytest.approx(moved, rel=1e-5)


# What Keras tells a model


def trainable(keras, kind, rate):
    """A small model with this rate of dropout, and a batch to train it on."""
    from course.fine_tuning import BertClassifier
    from course.pretraining import BertEncoder, BertForPretraining
    from course.transformer import Transformer
    from course.translation import TeacherForcing

    rng = np.random.default_rng(0)
    ids = rng.integers(4, 30, (4, 6)).astype("int32")
    zeros, places = np.zeros_like(ids), np.tile(np.int32([1, 3]), (4, 1))
    if kind in ("Transformer", "TeacherForcing"):
        model, batch = Transformer(1, 16, 2, 32, 30, 30, dropout=rate), ((ids, ids), ids)
        return TeacherForcing(model, 0.0) if kind == "TeacherForcing" else model, batch
    encoder = BertEncoder(30, 1, 16, 2, 32, max_length=8, dropout=rate)
    if kind == "BertClassifier":
        return BertClassifier(encoder, 2), ((ids, zeros), ids[:, 0] % 2)
    targets = (ids[:, [1, 3]], ids[:, 0] % 2)
    return BertForPretraining(encoder), ((ids, zeros, places), targets)


@pytest.mark.needs_tf
def test_a_step_whose_variables_are_there_is_drawn_once(keras, backend):
    if backend != "tensorflow":
        pytest.skip("only TensorFlow draws a step twice")
    x, y = np.ones((4, 3), "float32"), np.zeros((4, 1), "int32")

    def times_drawn(prepared):
        drawn = []

        class Model(keras.Sequential):
            def call(self, x, training=None, mask=None):
                drawn.append(0)
                return super().call(x)

        model = Model([keras.layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile("adam", loss, metrics=["accuracy"], jit_compile=False)
        if prepared:
            runtime.make_variables(model, x[:1], y[:1])
            counted = [model.optimizer.iterations, *model.metrics[1].variables]
            assert not any(float(numbers(each)) for each in counted)
        else:
            model(x)
        drawn.clear()
        model.fit(x, y, verbose=0)
        return len(drawn)

    assert times_drawn(False) == 2
    assert times_drawn(True) == 1


@pytest.mark.parametrize(
    "kind", ["Transformer", "TeacherForcing", "BertForPretraining", "BertClassifier"]
)
def test_dropout_acts_in_fit_and_not_in_evaluate(keras, kind):
    # Without dropout, once: then nothing else makes the difference.
    for rate in (0.0, 0.5) if kind == "Transformer" else (0.5,):
        keras.utils.set_random_seed(0)
        model, (x, y) = trainable(keras, kind, rate)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(0.0), loss if kind == "Transformer" else None)
        losses = []
        for step in (model.test_on_batch, *[model.train_on_batch] * 3, model.test_on_batch):
            model.reset_metrics()
            losses.append(float(step(x, y, return_dict=True)["loss"]))
        evaluated, *trained, again = losses
        assert again == pytest.approx(evaluated, rel=1e-5)
        moved = np.abs(np.array(trained) - evaluated)
        assert moved.max() > 1e-4 if rate else moved.max() < 1e-4 * evaluated


def test_every_model_of_the_course_is_told_whether_it_trains(keras):
    import inspect
    import pkgutil

    import course

    found = set()
    for module in pkgutil.walk_packages(course.__path__, "course."):
        if module.name.split(".")[1] in (
            "translation",
            "transformer",
            "pretraining",
            "fine_tuning",
        ):
            for thing in vars(__import__(module.name, fromlist="*")).values():
                if isinstance(thing, type) and issubclass(thing, keras.Model):
                    found.add(thing)
    ours = {thing for thing in found if thing.__module__.startswith("course.")}
    assert len(ours) >= 7
    for model in ours:
        calls = [base.__dict__["call"] for base in model.__mro__ if "call" in base.__dict__]
        assert "training" in inspect.signature(calls[0]).parameters or model.call is (
            keras.Model.call
        ), f"{model.__name__}.call has no argument training: fit leaves its dropout off"


# Rounds and resuming

PROGRAM = """
    import json, sys
    import keras, numpy as np
    from course import runtime, training
    from course.tokens import TokenBatches

    folder, steps, stop_after, deterministic = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), True
    runtime.seed_everything(3, deterministic=deterministic)
    rng = np.random.default_rng(0)
    rows = [rng.integers(1, 30, rng.integers(3, 20)).tolist() for _ in range(150)]
    batches = TokenBatches(
        rows, 128, seed=5, make=lambda ids: (ids, np.roll(ids, -1, axis=1))
    )
    model = keras.Sequential([
        keras.layers.Embedding(30, 16), keras.layers.Dropout(0.3), keras.layers.Dense(30)
    ])
    model.build((None, None))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    schedule = training.WarmupLinear(0.01, 5, 200)
    model.compile(keras.optimizers.AdamW(schedule), loss, jit_compile=runtime.jit_compile())

    class Slow(keras.callbacks.Callback):
        steps = 0
        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if self.steps == stop_after:
                print("here", flush=True)
                import time; time.sleep(600)

    log = training.train(
        model, batches, steps=steps, folder=folder, round_steps=10, validation=(
            batches[0][0][:4], batches[0][1][:4]), callbacks=[Slow()], keep=3,
    )
    print(json.dumps({
        "weights": [float(np.abs(w).sum()) for w in model.get_weights()],
        "first": [float(w.ravel()[0]) for w in model.get_weights()],
        "losses": [line["loss"] for line in log], "steps": [line["step"] for line in log],
    }))
"""


@pytest.mark.slow
@pytest.mark.prove  # test_translation and test_pretraining kill theirs every time
@pytest.mark.skipif(not PROVING, reason="a third and fourth killed run are for `make prove`")
def test_a_run_killed_in_the_middle_ends_with_the_same_numbers(program, tmp_path):
    run = program(PROGRAM)
    whole = run("whole", 60, 0)
    run("killed", 60, 37, kill=True)  # in the fourth round, and inside an epoch
    assert len(training.checkpoints(tmp_path / "killed")) == 3
    assert run("killed", 60, 0) == whole
    assert whole["steps"] == [10, 20, 30, 40, 50, 60]
    assert len(training.checkpoints(tmp_path / "killed")) == 3  # keep=3: the last ones


def small_model(keras, seed=0, width=4):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.layers.Dense(width), keras.layers.Dropout(0.5)])
    model.build((None, 3))
    model.compile("adam", "mse", jit_compile=False)
    return model


class OneBatch:
    """A batch, for ever the same, in epochs of three."""

    epoch = 0

    def __init__(self, y=1.0):
        self.y = y

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return np.ones((2, 3), "float32"), np.full((2, 4), self.y, "float32")


def train(keras, folder, *, batches=None, **more):
    model = small_model(keras)
    options = {"steps": 6, "round_steps": 2, "folder": folder} | more
    return model, training.train(model, batches or OneBatch(), **options)


def test_a_prolonged_run_goes_on_and_a_finished_one_does_nothing(keras, tmp_path):
    _, first = train(keras, tmp_path)
    assert [line["step"] for line in first] == [2, 4, 6]
    assert first[-1]["epoch"] == 2.0
    _, again = train(keras, tmp_path)
    assert again == first
    _, longer = train(keras, tmp_path, steps=10)
    assert longer[:3] == first and [line["step"] for line in longer] == [2, 4, 6, 8, 10]
    assert longer[-1]["seconds"] > first[-1]["seconds"]
    on_disk = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert on_disk == longer


def test_a_folder_of_a_run_with_other_settings_is_refused(keras, tmp_path):
    train(keras, tmp_path, settings={"width": 4})
    message = r"holds a run with other settings \(width was 4, now 5\): choose another folder"
    with pytest.raises(ValueError, match=message):
        train(keras, tmp_path, settings={"width": 5})


def test_a_run_may_be_given_another_ending_until_one_has_begun(keras, tmp_path):
    train(keras, tmp_path, steps=4)
    cooldown = {"steps": 8, "ending": {"from": 6, "steps": 8}}
    with pytest.raises(ValueError, match=r"4 steps .* can change until step 2"):
        train(keras, tmp_path, ending={"from": 2, "steps": 4})
    train(keras, tmp_path, **cooldown)
    _, log = train(keras, tmp_path, **cooldown)
    assert [line["step"] for line in log] == [2, 4, 6, 8]
    for other in (None, {"from": 10, "steps": 12}):
        with pytest.raises(ValueError, match=r"8 steps .* can change until step 6"):
            train(keras, tmp_path, steps=12, ending=other)


def test_a_recipe_is_read_back_and_one_of_another_kind_is_refused(tmp_path):
    from course import pretraining, translation

    recipe = translation.Recipe(max_steps=7, dtype_policy="mixed_bfloat16")
    recipe.save(tmp_path)
    assert training.load_recipe(tmp_path, translation.Recipe) == recipe
    with pytest.raises(ValueError, match=r"recipe.json is no recipe of course\.pretraining"):
        training.load_recipe(tmp_path, pretraining.Recipe)


def test_patience_ends_a_run_that_no_longer_improves_and_it_stays_ended(keras, tmp_path):
    class Worsening(OneBatch):
        reads = 0

        def __getitem__(self, index):
            Worsening.reads += 1
            self.y = float(Worsening.reads)
            return super().__getitem__(index)

    options = {"steps": 40, "monitor": "loss", "patience": 2}
    _, log = train(keras, tmp_path, batches=Worsening(), **options)
    assert [line["step"] for line in log] == [2, 4, 6]  # the first round is the best
    _, again = train(keras, tmp_path, batches=Worsening(), **options)
    assert again == log


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_what_was_good(keras, tmp_path):
    train(keras, tmp_path, steps=2)
    before = training.checkpoints(tmp_path)
    with pytest.raises(ArithmeticError, match="lower the learning rate"):
        train(keras, tmp_path, steps=6, batches=OneBatch(y=np.nan))
    assert training.checkpoints(tmp_path) == before


def test_what_a_killed_run_was_writing_is_removed(keras, tmp_path):
    train(keras, tmp_path, steps=2)
    half = tmp_path / "checkpoints" / ".writing-1-step-00000004.safetensors"
    half.write_bytes(b"half")
    train(keras, tmp_path, steps=4)
    assert not half.exists()


@pytest.mark.skipif(not installed("tensorboard"), reason="TensorBoard is not installed")
def test_tensorboard_finds_the_figures(keras, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, log = train(keras, tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    told = {event.step: event.value for event in events.Scalars("loss")}
    assert told == {line["step"]: pytest.approx(line["loss"], rel=1e-6) for line in log}


# Checkpoints


def test_a_checkpoint_gives_back_every_bit_and_its_note(keras, tmp_path):
    model, _ = train(keras, tmp_path / "run", steps=4)
    training.save_checkpoint(tmp_path / "a.safetensors", model, optimizer=True, note={"n": 1})
    other = small_model(keras, seed=9)
    other.optimizer.build(other.trainable_variables)
    note = training.load_checkpoint(tmp_path / "a.safetensors", other, optimizer=True)
    assert note == {"n": 1}
    for a, b in zip(
        [*model.variables, *model.optimizer.variables],
        [*other.variables, *other.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(numbers(a), numbers(b))


def test_a_checkpoint_of_another_shape_or_a_damaged_one_is_refused_by_name(keras, tmp_path):
    path = tmp_path / "a.safetensors"
    training.save_checkpoint(path, small_model(keras))
    with pytest.raises(ValueError, match="does not fit the model: 2 of 3 variables"):
        training.load_checkpoint(path, small_model(keras, width=5))
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(ValueError, match=r"a\.safetensors is no whole checkpoint"):
        training.load_checkpoint(path, small_model(keras))


def test_the_average_is_the_mean_of_the_weights(keras, tmp_path):
    paths, kernels = [], []
    for seed in range(3):
        model = small_model(keras, seed)
        paths.append(tmp_path / f"{seed}.safetensors")
        training.save_checkpoint(paths[-1], model)
        kernels.append(numbers(model.layers[0].kernel))
    model = small_model(keras, seed=7)
    training.load_checkpoint(training.average(paths), model)
    np.testing.assert_allclose(numbers(model.layers[0].kernel), np.mean(kernels, 0), atol=1e-7)
    with pytest.raises(ValueError, match="no checkpoint to average"):
        training.average([])


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "file"
    runtime.write_atomically(path, b"old")

    def full_disk(descriptor):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="no space"):
        runtime.write_atomically(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's thresholds")
def test_what_a_step_frees_stays_with_the_process():
    import ctypes
    import resource

    try:
        libc = ctypes.CDLL("libc.so.6")
    except OSError:
        pytest.skip("no glibc")

    def faults():
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        for _ in range(100):
            np.ones(1 << 20, "uint8")  # 256 pages
        return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

    try:
        for threshold in (-1, -3):  # as TensorFlow leaves them
            libc.mallopt(threshold, 128 << 10)
        if faults() < 20_000:
            pytest.skip("this process' allocator does not follow glibc's thresholds")
        runtime.keep_freed_memory()
        assert faults() < 2_000
    finally:
        runtime.keep_freed_memory()


# Stops in the middle, rounds of one step, and what a run says


class Interrupt:
    """As ctrl-C after so many steps."""

    def __new__(cls, keras, after):
        class Callback(keras.callbacks.Callback):
            left = after

            def on_train_batch_end(self, batch, logs=None):
                self.left -= 1
                if not self.left:
                    os.kill(os.getpid(), signal.SIGINT)

        return Callback()


def figures(log):
    return [{k: v for k, v in line.items() if "seconds" not in k} for line in log]


@pytest.fixture
def interruptible():
    """ctrl-C as a terminal has it: a shell starts background jobs with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("after", [1, 3, 4, 5])
def test_an_interrupted_run_keeps_its_step_and_ends_as_one_that_was_not(
    keras, tmp_path, after, interruptible
):
    whole_model, whole = train(keras, tmp_path / "whole", steps=7, round_steps=4)
    with pytest.raises(training.Stopped, match=r"kept at step \d+; run the same again"):
        callbacks = [Interrupt(keras, after)]
        train(keras, tmp_path / "run", steps=7, round_steps=4, callbacks=callbacks)
    model, log = train(keras, tmp_path / "run", steps=7, round_steps=4)
    assert figures(log) == figures(whole) and [line["step"] for line in log] == [4, 7]
    for one, other in zip(model.get_weights(), whole_model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert not (tmp_path / "run" / "checkpoints" / "within-round.safetensors").exists()


def test_a_run_makes_as_many_steps_as_were_asked_for_and_can_be_prolonged(keras, tmp_path):
    _, log = train(keras, tmp_path, steps=5, round_steps=4)
    assert [line["step"] for line in log] == [4, 5]
    _, log = train(keras, tmp_path, steps=9, round_steps=4)
    assert [line["step"] for line in log] == [4, 5, 9]


def test_rounds_of_one_step_take_batches_of_any_width(keras, tmp_path):
    class Widening(OneBatch):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            x, y = super().__getitem__(0)
            return np.repeat(x, index + 1, axis=0), np.repeat(y, index + 1, axis=0)

    _, log = train(keras, tmp_path, steps=3, round_steps=1, batches=Widening())
    assert [line["step"] for line in log] == [1, 2, 3]


def test_of_a_damaged_checkpoint_the_one_before_counts(keras, tmp_path, capsys):
    _, whole = train(keras, tmp_path, steps=6)
    newest = training.checkpoints(tmp_path)[-1]
    newest.write_bytes(newest.read_bytes()[:100])
    _, log = train(keras, tmp_path, steps=6)
    assert figures(log) == figures(whole)
    assert "is no whole checkpoint" in capsys.readouterr().err
    for path in training.checkpoints(tmp_path):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of its .* checkpoints is whole"):
        train(keras, tmp_path, steps=6)


def test_the_progress_says_compiling_step_loss_speed_time_left_and_from_where(
    keras, tmp_path, capsys
):
    train(keras, tmp_path, steps=4, verbose=1)
    said = capsys.readouterr().err
    assert "compiling" in said and "step 4 of 4 · loss " in said and "step 2: loss" in said
    assert "tokens/s" in said and "left" in said
    train(keras, tmp_path, steps=8, verbose=1)
    assert "going on after step 4 of 8" in capsys.readouterr().err
