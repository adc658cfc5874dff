"""What a run leaves: checkpoints, and its recipe.

A checkpoint is every variable of a model and its optimizer in one safetensors file.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from keras import ops

from course import runtime


class DamagedCheckpoint(ValueError):
    """A file is no whole checkpoint."""


def checkpoints(folder):
    """The checkpoints of a run, the oldest first."""
    return sorted((Path(folder) / "checkpoints").glob("step-*.safetensors"))


def save_recipe(folder, recipe):
    """Writes a run's recipe, a dataclass; a folder that holds one is that of a finished run."""
    told = json.dumps(asdict(recipe), indent=1, default=str)
    runtime.write_atomically(Path(folder) / "recipe.json", told.encode())


def load_recipe(folder, kind):
    """The recipe of a finished run.

    Args:
        folder: of the run.
        kind: the recipe's class, a `training.Recipe`.

    Raises:
        FileNotFoundError: if there is no finished run in the folder.
        ValueError: if its recipe is of another kind.
    """
    path = Path(folder) / "recipe.json"
    if not path.exists():
        raise FileNotFoundError(f"{folder} holds no finished run: train one there first.")
    try:
        return kind.from_settings(json.loads(path.read_text(encoding="utf-8")))
    except TypeError as error:
        raise ValueError(
            f"{path} is no recipe of {kind.__module__} ({error}): it is of another kind of run, or "
            "of another version of the course."
        ) from None


def _named(model, optimizer):
    """{name: variable}: the model's weights and seeds, and the optimizer's if asked for.

    By their order, since Keras' paths count how many layers the process has made before.
    """
    named = {f"model.{i}.{v.name}": v for i, v in enumerate(model.variables)}
    if optimizer:
        named |= {f"optimizer.{i}": v for i, v in enumerate(model.optimizer.variables)}
    return named


def save_checkpoint(path, model, *, optimizer=False, note=None):
    """Writes a model's variables to one safetensors file, whole or not at all.

    Args:
        path: the file.
        model: a built `keras.Model`.
        optimizer: whether to write the optimizer's variables too.
        note: a dict of plain values that `load_checkpoint` gives back.
    """
    from safetensors.numpy import save

    named = _named(model, optimizer)
    arrays = {n: np.array(ops.convert_to_numpy(v.value), order="C") for n, v in named.items()}
    runtime.write_atomically(path, save(arrays, {"note": json.dumps(note or {})}))


def load_checkpoint(path, model, *, optimizer=False):
    """Puts a checkpoint's numbers into a model of the same shape.

    Args:
        path: a file of `save_checkpoint`, or {name: array} as `average` returns.
        model: a built `keras.Model`.
        optimizer: whether to load the optimizer's variables, too.

    Returns:
        The note that was saved with it.

    Raises:
        ValueError: if the file is damaged, or lacks a variable or has one of another shape.
    """
    arrays, note = (path, {}) if isinstance(path, dict) else _read(path)
    named = _named(model, optimizer)
    wrong = [n for n in named if n not in arrays or arrays[n].shape != tuple(named[n].shape)]
    if wrong:
        raise ValueError(
            f"the checkpoint does not fit the model: {len(wrong)} of {len(named)} variables are "
            f"missing or have another shape, among them {wrong[0]}. Make the model as it was made "
            "when the checkpoint was saved."
        )
    for name, variable in named.items():
        variable.assign(arrays[name])
    return note


def _read(path):
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            note = json.loads((file.metadata() or {}).get("note", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, note  # noqa: SIM118
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise DamagedCheckpoint(f"{path} is no whole checkpoint ({error}).") from None


def average(paths):
    """The mean of each weight over several checkpoints, often better than any of them.

    Args:
        paths: files of `save_checkpoint`.

    Returns:
        {name: array} for `load_checkpoint`.

    Reference: Vaswani et al. 2017, section 6.1, "averaging the last 5 checkpoints".
    """
    paths = list(paths)
    if not paths:
        raise ValueError("there is no checkpoint to average: give at least one path.")
    total = {}
    for path in paths:
        for name, array in _read(path)[0].items():
            if array.dtype.kind != "f":  # a step or a seed has no mean
                total[name] = array
            else:
                total[name] = total.get(name, 0.0) + array.astype("float64") / len(paths)
    return {n: a.astype("float32") if a.dtype == "float64" else a for n, a in total.items()}
