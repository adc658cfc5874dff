"""A run: rounds of steps, a log line and a checkpoint after each, and going on after a stop."""

import contextlib
import json
import signal
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np

from course import runtime
from course.training.progress import Progress, in_notebook
from course.training.recipe import current_names
from course.training.resuming import (
    DamagedCheckpoint,
    checkpoints,
    load_checkpoint,
    save_checkpoint,
)
from course.training.rounds import Rounds

FIRST_SECONDS = 60  # to the first checkpoint within a round
MORE_SECONDS = 300  # between any later ones


class Stopped(KeyboardInterrupt):
    """A run was interrupted, and what it had learned is kept. The message says at which step."""

    def _render_traceback_(self):  # IPython shows this in the place of a traceback
        return [str(self)]


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
    verbose="auto",
):
    """Trains a compiled model, and goes on where an earlier call was stopped.

    Args:
        model: a compiled, built `keras.Model`. Seed it before it is made (`seed_everything`).
        batches: see `Rounds`.
        steps: steps in all, those of earlier calls included.
        folder: where the run lives; `log.jsonl`, `checkpoints/`, `best.safetensors` and, where
            TensorBoard is installed, `tensorboard/` go there. On Colab choose one in Drive.
        round_steps: steps between two validations and checkpoints that stay. A run that is killed
            loses less than five minutes, one that is interrupted nothing.
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
        verbose: 1 shows the progress, see `course.training.progress`; 0 shows nothing; "auto" does
            so in a notebook only.

    Returns:
        The log, a list of dicts: "step", "epoch", "seconds" and "cpu_seconds" so far over all
        calls, and what Keras measured in the round.

    Raises:
        ValueError: if the folder holds a run with other settings, or its ending has begun and was
            another.
        Stopped: a KeyboardInterrupt, if it is interrupted; the next call goes on from there.
    """
    folder = Path(folder)
    told = {"round_steps": round_steps, **(settings or {}), "ending": ending}
    run = _Run(folder, steps, round_steps, monitor, patience, keep, told, logging_dir)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    run.resume(model)
    notebook = verbose == "auto" and in_notebook()
    stream, progress = Rounds(batches, round_steps), None
    if run.step < steps and not run.exhausted and (notebook or verbose not in (0, "auto")):
        progress = Progress(stream, steps, run.step, notebook)
    try:
        with _interruptible(run):
            while run.step < steps and not run.exhausted:
                # What is left of a round, or as many whole rounds as there are, or the short last.
                left = steps - run.step
                stream.steps = min(round_steps - run.inside, left)
                count = 1 if run.inside else max(left // round_steps, 1)
                model.fit(
                    stream.source(),
                    initial_epoch=run.rounds,
                    epochs=run.rounds + count,
                    shuffle=False,
                    validation_data=validation,
                    callbacks=[*([progress] if progress else []), _Keeper(run, stream), *callbacks],
                    verbose=0,
                )
    finally:
        if progress:
            progress.close()
    return run.log


@contextlib.contextmanager
def _interruptible(run):
    """An interrupt waits for the step's end; a second one does not."""
    usual = threading.current_thread() is threading.main_thread()
    usual = usual and signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def on_interrupt(number, frame):
        if run.interrupted:
            raise KeyboardInterrupt
        run.interrupted = True
        print("\nstopping after this step; interrupt again to stop at once", file=sys.stderr)

    if usual:
        signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    except Stopped:
        raise
    except KeyboardInterrupt:
        raise Stopped(run.kept_at()) from None
    finally:
        if usual:
            signal.signal(signal.SIGINT, signal.default_int_handler)


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
        self.step, self.inside, self.saved = 0, 0, 0  # steps: all, of this round, in a checkpoint
        self.interrupted, self.measured = False, None
        self.within = folder / "checkpoints" / "within-round.safetensors"
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
        """Loads the newest checkpoint that is whole; those after it are put aside."""
        saved = checkpoints(self.folder)
        newest = [*([self.within] if self.within.exists() else []), *reversed(saved)]
        note = None
        for path in newest:
            try:
                note = load_checkpoint(path, model, optimizer=True)
                break
            except DamagedCheckpoint as error:
                aside = path.with_name(f"damaged-{path.name}")
                path.replace(aside)
                print(f"{error} It is now {aside.name}; the one before it counts.", file=sys.stderr)
        if note is None and saved:
            raise ValueError(
                f"{self.folder}: none of its {len(saved)} checkpoints is whole. Delete the folder "
                "to begin anew."
            )
        if note is None:
            runtime.write_atomically(self.folder / "log.jsonl", b"")
            return
        self.rounds, self.best, self.step = note["rounds"], note["best"], note["step"]
        self.saved, self.inside = self.step, note.get("inside", 0)
        self.measured = note.get("measured")
        self.seconds, self.cpu_seconds = note["seconds"], note["cpu_seconds"]
        lines = (self.folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
        self.log = [json.loads(line) for line in lines[: self.rounds]]
        if len(self.log) < self.rounds:
            raise ValueError(
                f"{self.folder / 'log.jsonl'} has {len(self.log)} lines, and the checkpoint counts "
                f"{self.rounds} rounds: it was shortened. Put it back, or choose another folder."
            )
        self._write_log()

    def kept_at(self):
        """What a run that is interrupted says."""
        if not self.saved:
            return "stopped before the first checkpoint; run the same again to begin anew"
        return f"kept at step {self.saved:,}; run the same again to go on"

    def keep_within(self, model, inside, seconds, cpu_seconds):
        """A checkpoint within a round, which the round's own replaces."""
        if hasattr(model, "jax_state_sync"):
            model.jax_state_sync()
        measured = [np.asarray(keras.ops.convert_to_numpy(v)) for v in model.metrics_variables]
        note = {
            "step": self.step + inside,
            "rounds": self.rounds,
            "inside": self.inside + inside,
            "best": self.best,
            "seconds": self.seconds + seconds,
            "cpu_seconds": self.cpu_seconds + cpu_seconds,
            "measured": [[str(array.dtype), array.tolist()] for array in measured],
        }
        save_checkpoint(self.within, model, optimizer=True, note=note)
        self.saved = note["step"]

    def _write_log(self):
        text = "".join(json.dumps(line) + "\n" for line in self.log)
        runtime.write_atomically(self.folder / "log.jsonl", text.encode())

    def note(self, model, round_number, epochs, logs, steps, seconds, cpu_seconds):
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
        self.rounds, self.inside, self.measured = round_number + 1, 0, None
        self.step = step = self.step + steps
        self.seconds += seconds
        self.cpu_seconds += cpu_seconds
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
        self.saved = step
        self.within.unlink(missing_ok=True)
        for old in checkpoints(self.folder)[: -self.keep]:
            old.unlink()


class _Keeper(keras.callbacks.Callback):
    """Tells the stream which round it is, and the run what came of it."""

    def __init__(self, run, stream):
        super().__init__()
        self.run, self.stream = run, stream

    def on_epoch_begin(self, epoch, logs=None):
        self.stream.round, self.stream.begin = epoch, self.run.step
        self.done = 0
        if self.run.measured:  # the round goes on: so do the means over it
            pairs = zip(self.model.metrics_variables, self.run.measured, strict=True)
            for variable, (dtype, values) in pairs:
                variable.assign(np.array(values, dtype))
        runtime.keep_freed_memory()  # each round: validation makes a data set anew
        self.started = time.perf_counter(), time.process_time()
        self.kept = time.monotonic()

    @property
    def spent(self):
        """Seconds of this round so far: by the clock, and of the processor."""
        wall, cpu = self.started
        return time.perf_counter() - wall, time.process_time() - cpu

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        if self.done == self.stream.steps:
            return  # the round's own checkpoint follows
        wait = MORE_SECONDS if self.run.saved else FIRST_SECONDS
        if self.run.interrupted or time.monotonic() - self.kept > wait:
            if np.isfinite((logs or {}).get("loss", 0.0)):
                self.run.keep_within(self.model, self.done, *self.spent)
            self.kept = time.monotonic()
        if self.run.interrupted:
            raise Stopped(self.run.kept_at())

    def on_epoch_end(self, epoch, logs=None):
        epochs = (self.run.step + self.done) / len(self.stream.batches)
        self.run.note(self.model, epoch, epochs, logs or {}, self.done, *self.spent)
        if self.run.interrupted:
            raise Stopped(self.run.kept_at())
        if self.run.exhausted:
            self.model.stop_training = True
