"""A run: rounds of steps, a log line and a checkpoint after each, and going on after a stop."""

import json
import time
from pathlib import Path

import keras
import numpy as np

from course import runtime
from course.training.recipe import current_names
from course.training.resuming import checkpoints, load_checkpoint, save_checkpoint


class Rounds(keras.utils.PyDataset):
    """Batches dealt out in rounds of `steps`, over the ends of epochs.

    Args:
        batches: a data set whose epoch e depends on `batches.epoch = e` only, as
            `course.tokens.TokenBatches`.
        steps: batches a round.

    Attributes:
        round: the round that is served, from 0; None before the first, when Keras looks at two
            batches to learn their shapes.
    """

    def __init__(self, batches, steps):
        super().__init__()
        self.batches, self.steps, self.round = batches, steps, None

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        if self.round is None:
            return self.batches[index % len(self.batches)]
        epoch, place = divmod(self.round * self.steps + index, len(self.batches))
        if self.batches.epoch != epoch:
            self.batches.epoch = epoch
        return self.batches[place]


def train(
    model,
    batches,
    *,
    steps,
    folder,
    round_steps=250,
    validation=None,
    monitor="val_loss",
    patience=None,
    keep=5,
    settings=None,
    ending=None,
    logging_dir=None,
    callbacks=(),
    verbose=0,
):
    """Trains a compiled model, and goes on where an earlier call was stopped.

    Args:
        model: a compiled, built `keras.Model`. Seed it before it is made (`seed_everything`).
        batches: see `Rounds`.
        steps: steps in all, those of earlier calls included.
        folder: where the run lives; `log.jsonl`, `checkpoints/`, `best.safetensors` and, where
            TensorBoard is installed, `tensorboard/` go there. On Colab choose one in Drive.
        round_steps: steps between two checkpoints. A stopped run loses at most so many.
        validation: batches to evaluate after each round, or None.
        monitor: the logged figure that says which checkpoint is best; smaller is better.
        patience: stop after so many rounds without a new best; None never does.
        keep: how many of the newest checkpoints stay, for `average`.
        settings: plain values that the run depends on. A folder of a run with others is refused.
        ending: plain values that it depends on at its end only, and `"from"`, the step of which it
            begins; None where nothing depends on the end. A run that has not come to its ending may
            be given another.
        logging_dir: where TensorBoard's files go instead.
        callbacks: more Keras callbacks, told of rounds as of epochs.
        verbose: as `fit` takes it.

    Returns:
        The log, a list of dicts: "step", "epoch", "seconds" and "cpu_seconds" so far over all
        calls, and what Keras measured in the round.

    Raises:
        ValueError: if the folder holds a run with other settings, or its ending has begun and was
            another.
    """
    folder = Path(folder)
    told = {"round_steps": round_steps, **(settings or {}), "ending": ending}
    run = _Run(folder, steps, round_steps, monitor, patience, keep, told, logging_dir)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    run.resume(model)
    stream = Rounds(batches, round_steps)
    rounds = -(-steps // round_steps)
    if run.rounds < rounds and not run.exhausted:
        model.fit(
            stream,
            initial_epoch=run.rounds,
            epochs=rounds,
            shuffle=False,
            validation_data=validation,
            callbacks=[_Keeper(run, stream), *callbacks],
            verbose=verbose,
        )
    return run.log


class _TensorBoard:
    """Figures for TensorBoard, where its package is there. Keras' own callback wants TensorFlow."""

    def __init__(self, folder):
        self.writer = None
        if runtime.installed("tensorboard"):
            from tensorboard.summary.writer.event_file_writer import EventFileWriter

            self.writer = EventFileWriter(str(folder))

    def write(self, step, figures):
        if self.writer is None:
            return
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        self.writer.add_event(
            Event(step=step, wall_time=time.time(), summary=Summary(value=values))
        )
        self.writer.flush()


class _Run:
    """The folder of a run, and what is known of it."""

    def __init__(self, folder, steps, round_steps, monitor, patience, keep, settings, logging_dir):
        self.folder, self.steps, self.round_steps = folder, steps, round_steps
        self.monitor, self.patience, self.keep = monitor, patience, keep
        self.rounds, self.log, self.best = 0, [], None
        self.seconds, self.cpu_seconds = 0.0, 0.0
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.board = _TensorBoard(logging_dir or folder / "tensorboard")
        for half in (folder / "checkpoints").glob(".writing-*"):
            half.unlink()  # what a killed run left
        self._check(json.loads(json.dumps(settings, default=str)))
        told = json.dumps(settings, sort_keys=True, default=str)
        runtime.write_atomically(folder / "run.json", told.encode())

    def _check(self, now):
        """Refuses settings that what is in the folder does not go on with."""
        note = self.folder / "run.json"
        if not note.exists():
            return
        was = current_names(json.loads(note.read_text(encoding="utf-8")))
        ends = [current_names(told.pop("ending", None) or {}) for told in (was, now)]
        # None is what a setting is that an older version did not have.
        names = sorted(n for n in {*was, *now} if was.get(n) != now.get(n))
        if names:
            differing = ", ".join(f"{n} was {was.get(n)!r}, now {now.get(n)!r}" for n in names)
            raise ValueError(
                f"{self.folder} holds a run with other settings ({differing}): choose another "
                "folder, or delete this one."
            )
        begins = min((end["from"] for end in ends if end), default=None)
        saved = checkpoints(self.folder)
        done = int(saved[-1].stem.partition("-")[2]) if saved else 0
        if ends[0] != ends[1] and done > begins:
            ends = [json.dumps(end or None) for end in ends]
            raise ValueError(
                f"{self.folder} holds a run of {done} steps with the ending {ends[0]}, "
                f"and now it is {ends[1]}: it can change until step {begins}. Choose "
                "another folder, or give the settings it had."
            )

    @property
    def exhausted(self):
        """Whether `patience` is over."""
        if self.patience is None or self.best is None:
            return False
        return self.rounds - self.best["round"] >= self.patience

    def resume(self, model):
        newest = checkpoints(self.folder)
        if not newest:
            runtime.write_atomically(self.folder / "log.jsonl", b"")
            return
        note = load_checkpoint(newest[-1], model, optimizer=True)
        self.rounds, self.best = note["rounds"], note["best"]
        self.seconds, self.cpu_seconds = note["seconds"], note["cpu_seconds"]
        lines = (self.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        self.log = [json.loads(line) for line in lines[: self.rounds]]
        self._write_log()

    def _write_log(self):
        text = "".join(json.dumps(line) + "\n" for line in self.log)
        runtime.write_atomically(self.folder / "log.jsonl", text.encode())

    def note(self, model, round_number, epochs, logs, seconds, cpu_seconds):
        """One round is over: the log first, then the checkpoint that counts it.

        Raises:
            ArithmeticError: if the loss is no number any more; nothing of this round is kept.
        """
        broken = [name for name, value in logs.items() if not np.isfinite(value)]
        if broken:
            raise ArithmeticError(
                f"{broken[0]} is {logs[broken[0]]} after round {round_number + 1}: "
                "lower the learning rate or lengthen the warm-up. The checkpoints before are kept "
                f"in {self.folder / 'checkpoints'}."
            )
        self.rounds = round_number + 1
        self.seconds += seconds
        self.cpu_seconds += cpu_seconds
        step = self.rounds * self.round_steps
        line = {"step": step, "epoch": round(epochs, 4)}
        line |= {"seconds": round(self.seconds, 2), "cpu_seconds": round(self.cpu_seconds, 2)}
        figures = {name: float(value) for name, value in logs.items()}
        line |= figures
        self.board.write(step, figures)
        self.log = [*self.log[:round_number], line]
        self._write_log()
        is_best = self.monitor in line and not (
            self.best and self.best["value"] <= line[self.monitor]
        )
        if is_best:
            self.best = {"round": self.rounds, "step": step, "value": line[self.monitor]}
            save_checkpoint(self.folder / "best.safetensors", model, note={"step": step})
        note = {
            "step": step,
            "rounds": self.rounds,
            "best": self.best,
            "seconds": self.seconds,
            "cpu_seconds": self.cpu_seconds,
        }
        path = self.folder / "checkpoints" / f"step-{step:08d}.safetensors"
        save_checkpoint(path, model, optimizer=True, note=note)
        for old in checkpoints(self.folder)[: -self.keep]:
            old.unlink()


class _Keeper(keras.callbacks.Callback):
    """Tells the stream which round it is, and the run what came of it."""

    def __init__(self, run, stream):
        super().__init__()
        self.run, self.stream = run, stream

    def on_epoch_begin(self, epoch, logs=None):
        self.stream.round = epoch
        runtime.keep_freed_memory()  # each round: validation makes a data set anew
        self.started = time.perf_counter(), time.process_time()

    def on_epoch_end(self, epoch, logs=None):
        wall, cpu = self.started
        spent = time.perf_counter() - wall, time.process_time() - cpu
        epochs = (epoch + 1) * self.stream.steps / len(self.stream.batches)
        self.run.note(self.model, epoch, epochs, logs or {}, *spent)
        if self.run.exhausted:
            self.model.stop_training = True
