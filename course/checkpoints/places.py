"""Where the tensors of a checkpoint go, and putting them there: for every architecture.

An architecture's module (`layout` for BERT and its kin) says which variable each tensor belongs to,
as {name of the tensor: `Place`}. `fill` compares that with what a checkpoint holds, and either
loads all of it or nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import keras
import numpy as np
from keras import ops

from course.checkpoints.shards import CheckpointError, Tensor


class Target(Protocol):
    """What a tensor of a file can be put into: a `Place` or a `Joined`."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def array(self) -> np.ndarray: ...

    def assign(self, array: np.ndarray) -> None: ...


class Place(NamedTuple):
    """One variable, and whether the file has it transposed.

    A Dense layer's kernel is `(in, out)` in Keras; a Linear's weight in torch is `(out, in)`.
    """

    variable: keras.Variable
    transposed: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the file."""
        shape = tuple(self.variable.shape)
        return shape[::-1] if self.transposed else shape

    def array(self) -> np.ndarray:
        """The variable's numbers as the file has them, float32."""
        array = np.asarray(ops.convert_to_numpy(ops.cast(self.variable.value, "float32")))
        return array.T if self.transposed else array

    def assign(self, array: np.ndarray) -> None:
        """Puts numbers as the file has them into the variable."""
        self.variable.assign(array.T if self.transposed else array)


class Joined(NamedTuple):
    """Several places whose numbers stand side by side in one tensor of the file.

    GPT-2 has query, key and value in one: `Joined([Place(q), Place(k), Place(v)], axis=1)`.
    """

    places: Sequence[Target]
    axis: int = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in the file."""
        shape = list(self.places[0].shape)
        shape[self.axis] = sum(place.shape[self.axis] for place in self.places)
        return tuple(shape)

    def array(self) -> np.ndarray:
        """The variables' numbers as the file has them, float32."""
        return np.concatenate([place.array() for place in self.places], axis=self.axis)

    def assign(self, array: np.ndarray) -> None:
        """Puts numbers as the file has them into the variables."""
        ends = np.cumsum([place.shape[self.axis] for place in self.places])[:-1]
        for place, part in zip(self.places, np.split(array, ends, self.axis), strict=True):
            place.assign(part)


class Loaded(NamedTuple):
    """What became of tensors that did not all go into the model.

    Attributes:
        left_out: those of heads that the model does not have.
        fresh: those of the model that keep their random numbers.
    """

    left_out: list[str]
    fresh: list[str]


def on_stderr(line: str) -> None:
    """Where lines on what was left out go by default."""
    print(line, file=sys.stderr)


def begins(name: str, parts: str | Iterable[str]) -> bool:
    """Whether a tensor belongs to one of these parts: "pooler" has "pooler.dense.bias"."""
    parts = (parts,) if isinstance(parts, str) else parts
    return any(name == part or name.startswith(f"{part.rstrip('.')}.") for part in parts)


def fill(
    places: Mapping[str, Target],
    tensors: Mapping[str, Tensor],
    *,
    source: str,
    model: str,
    fresh: str | Iterable[str] = (),
    may_lack: str | Iterable[str] = (),
    heads: str | Iterable[str] = (),
    say: Callable[[str], object] | None = on_stderr,
    file_name: Callable[[str], str] = str,
) -> Loaded:
    """Puts a checkpoint's tensors into the variables of a model, all of them or none.

    Args:
        places: {name: where it goes}.
        tensors: {name: `Tensor`}, with the same names.
        source, model: how messages call the checkpoint and the model.
        fresh: beginnings of names that keep their random numbers, whatever the checkpoint has.
        may_lack: beginnings of names that keep their random numbers if the checkpoint lacks them.
        heads: beginnings of names that the checkpoint may have and the model not.
        say: called with a line if tensors were left out or are fresh; None says nothing.
        file_name: what the file calls a tensor, for messages.

    Returns:
        `Loaded`: what was left out of the checkpoint, and what is fresh in the model.

    Raises:
        CheckpointError: naming all tensors that are missing, unexpected, of another shape, or that
            hold entries that are no numbers.
    """
    fresh, may_lack, heads = (
        (given,) if isinstance(given, str) else tuple(given) for given in (fresh, may_lack, heads)
    )
    kept = {name for name in places if begins(name, fresh)}
    kept |= {name for name in places if begins(name, may_lack) and name not in tensors}
    wanted = [name for name in places if name not in kept]
    missing = [name for name in wanted if name not in tensors]
    left_out = [name for name in tensors if name not in wanted]
    unexpected = [name for name in left_out if not begins(name, heads) and name not in kept]
    shapes = [
        name
        for name in wanted
        if name in tensors and tuple(tensors[name].shape) != tuple(places[name].shape)
    ]
    if missing or unexpected or shapes:
        sizes = [
            f"{file_name(name)} is {tuple(tensors[name].shape)}, expected {places[name].shape}"
            for name in shapes
        ]
        raise CheckpointError(
            f"{source} does not fit {model}; nothing was loaded."
            + _listed("missing", map(file_name, missing))
            + _listed("unexpected", map(file_name, unexpected))
            + _listed("of another shape", sizes)
            + _what_to_do(missing, unexpected, shapes)
        )
    arrays = {name: np.asarray(tensors[name].read(), "float32") for name in wanted}
    broken = [file_name(name) for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise CheckpointError(
            f"{source} is damaged: there are entries that are no numbers in "
            f"{'; '.join(broken)}. Nothing was loaded. Get it again, or use an earlier checkpoint."
        )
    for name, array in arrays.items():
        places[name].assign(array)
    told = {"has no place for": left_out, "keeps random numbers in": sorted(kept)}
    for what, names in told.items():
        if names and say is not None:
            say(f"{source}: {model} {what} {', '.join(map(file_name, names))}")
    return Loaded(left_out, sorted(kept))


def _listed(what: str, names: Iterable[str]) -> str:
    names = list(names)
    return f"\n  {what} ({len(names)}): {'; '.join(names)}" if names else ""


def _what_to_do(missing: list[str], unexpected: list[str], shapes: list[str]) -> str:
    """One line that helps: heads that may begin with random numbers, or a wrong config.json."""
    parts = sorted({name.partition(".")[0] for name in (*missing, *shapes)})
    parts = [
        part for part in parts if part in ("classifier", "pooler", "qa_outputs", "no_answer", "cls")
    ]
    if parts:
        return f"\n  To begin with random numbers there: fresh={parts!r}."
    if shapes:
        return "\n  The sizes in its config.json are not those of its weights: get both again."
    if missing and unexpected:
        return "\n  The weights are those of another kind of model than its config.json says."
    if missing:
        return "\n  The weights are not whole: get them again."
    return "\n  The weights have more than its config.json says: get both again."
