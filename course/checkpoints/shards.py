"""Safetensors files: read with every fault named, written whole and in parts.

The format is a length, a header in JSON, and the numbers. It is read here by hand, since the
library's errors do not say what is missing of which file, and since NumPy has no bfloat16.
"""

import hashlib
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course import runtime
from course.checkpoints.signatures import what_it_is

SINGLE, INDEX, SUMS = "model.safetensors", "model.safetensors.index.json", "SHA256SUMS"
_NUMPY = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}
_NUMPY |= {"I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}
_LONGEST_HEADER = 100_000_000  # bytes, as the library allows


class CheckpointError(ValueError):
    """A checkpoint that cannot be used. The message names the file or the tensors."""


class Tensor(NamedTuple):
    """A tensor of a checkpoint that is read when it is asked for.

    Attributes:
        shape: a tuple.
        read: a function that returns it as an array.
    """

    shape: tuple
    read: Callable[[], np.ndarray]


def read_shard(path):
    """The tensors of one safetensors file.

    Args:
        path: the file.

    Returns:
        {name: `Tensor`}; half precision is read as float32, which holds each of its numbers.

    Raises:
        CheckpointError: if the file is not there, cut off, or not safetensors.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(size - 8, _LONGEST_HEADER):
                kind = what_it_is(path)
                if kind not in (None, "a safetensors file"):
                    raise CheckpointError(f"{path} is no safetensors file: it is {kind}.")
                raise CheckpointError(
                    f"{path} is cut off or no safetensors file: it has {size:,} bytes and its "
                    f"header alone should have {length:,}. Get it again."
                )
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        entries = {
            name: (entry["dtype"], tuple(entry["shape"]), *entry["data_offsets"])
            for name, entry in header.items()
        }
        place = 0
        for kind, shape, begin, end in sorted(entries.values(), key=lambda entry: entry[2:]):
            if kind not in _NUMPY:
                raise CheckpointError(f"{path} has numbers of kind {kind}, which cannot be read.")
            if begin != place or end - begin != math.prod(shape) * np.dtype(_NUMPY[kind]).itemsize:
                raise ValueError("sizes and places do not agree")
            place = end
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{path} is damaged, or no safetensors file: its header makes no sense ({error}). "
            "Get it again."
        ) from None
    data = 8 + length
    if size != data + place:
        told = "is cut off" if size < data + place else "is damaged"
        raise CheckpointError(
            f"{path} {told}: it has {size:,} bytes and its header promises {data + place:,}. "
            "Get it again."
        )

    def reader(kind, shape, begin, end):
        return Tensor(shape, lambda: _read(path, kind, shape, data + begin))

    return {name: reader(*entry) for name, entry in entries.items()}


def _read(path, kind, shape, place):
    if not math.prod(shape):
        return np.zeros(shape, "float32")
    array = np.memmap(path, _NUMPY[kind], "r", place, shape)
    if kind == "BF16":  # the upper half of a float32
        return (array.astype("uint32") << 16).view("float32")
    return array.astype("float32") if kind == "F16" else array


def read_tensors(get):
    """The tensors of a checkpoint, one file or several with an index.

    Args:
        get: `get(name)` returns the path of a file of the checkpoint, or None if it has none.

    Returns:
        {name: `Tensor`}, or None if there is neither `model.safetensors` nor its index.

    Raises:
        CheckpointError: naming the file that is missing, cut off or damaged, or that is at odds
            with the index.
    """
    if single := get(SINGLE):
        verify([single], get(SUMS))
        return read_shard(single)
    index = get(INDEX)
    if index is None:
        return None
    try:
        weight_map = json.loads(Path(index).read_text(encoding="utf-8"))["weight_map"]
        files = sorted(set(weight_map.values()))
        if not files:
            raise ValueError("it lists no tensor")
        for file in files:
            if not re.fullmatch(r"[\w.-]+\.safetensors", file):
                raise ValueError(f"{file!r} is no safetensors file beside it")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{index} is no index of a checkpoint: {error}.") from None
    paths = {file: get(file) for file in files}
    missing = [file for file, path in paths.items() if path is None]
    if missing:
        raise CheckpointError(
            f"{', '.join(missing)}: missing beside {index}, which lists "
            f"{len(files)} files. Get {'it' if len(missing) == 1 else 'them'} again."
        )
    verify(paths.values(), get(SUMS))
    tensors = {}
    for file, path in paths.items():
        found = read_shard(path)
        promised = {name for name, home in weight_map.items() if home == file}
        if promised != found.keys():
            odd = sorted(promised ^ found.keys())
            raise CheckpointError(
                f"{path} is not the file that {Path(index).name} describes: "
                f"{', '.join(odd[:5])}{', …' if len(odd) > 5 else ''} "
                f"{'stands' if len(odd) == 1 else 'stand'} in one of the two only."
            )
        tensors |= found
    return tensors


def verify(paths, sums=None):
    """Compares files with what is known of their content.

    That is SHA256SUMS, which `save_bert` writes, and in the hub client's cache the name of the file
    that a link leads to, which for large files is the SHA-256.

    Raises:
        CheckpointError: naming the file whose bytes are others.
    """
    known = {}
    if sums is not None:
        for line in Path(sums).read_text(encoding="utf-8").splitlines():
            digest, _, name = line.partition("  ")
            known[name] = digest
    for path in map(Path, paths):
        blob = path.resolve()
        expected = known.get(path.name)
        if expected is None and blob.parent.name == "blobs":
            expected = blob.name if re.fullmatch("[0-9a-f]{64}", blob.name) else None
        if expected is not None and sha256(path) != expected:
            raise CheckpointError(
                f"{path} is damaged: its SHA-256 is not {expected[:12]}…, with which it was "
                "written. Delete it and get it again."
            )


def sha256(path):
    """The SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_tensors(folder, tensors, max_shard_size="1GB"):
    """Writes tensors as `model.safetensors`, or in several files with an index, each whole.

    Args:
        folder: where to.
        tensors: {name: function that returns the array}; no more than one file's are held at once.
        max_shard_size: bytes of a file, as a number or like "200MB"; a larger tensor gets a file
            of its own.
    """
    from safetensors.numpy import save

    folder, limit = Path(folder), _bytes(max_shard_size)
    sizes = {name: read().nbytes for name, read in tensors.items()}
    shards, room = [], -1
    for name, size in sizes.items():
        if size > room:
            shards.append([])
            room = limit
        shards[-1].append(name)
        room -= size
    count, weight_map, sums = len(shards), {}, []
    for number, names in enumerate(shards, 1):
        file = SINGLE if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"
        arrays = {name: np.ascontiguousarray(tensors[name]()) for name in names}
        data = save(arrays, {"format": "pt"})  # what `transformers` looks for
        sums.append(f"{hashlib.sha256(data).hexdigest()}  {file}\n")
        runtime.write_atomically(folder / file, data)
        weight_map |= dict.fromkeys(names, file)
    if count > 1:
        index = {"metadata": {"total_size": sum(sizes.values())}, "weight_map": weight_map}
        told = json.dumps(index, indent=2, sort_keys=True) + "\n"
        runtime.write_atomically(folder / INDEX, told.encode())
    runtime.write_atomically(folder / SUMS, "".join(sums).encode())


def _bytes(size):
    """A number of bytes, given as one or like "200MB"."""
    found = re.fullmatch(r"([\d.]+) *([KMG]?)B?", str(size).upper())
    factor = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
    number = float(found[1]) * factor[found[2]] if found and found[1].count(".") < 2 else 0
    if number < 1:
        raise ValueError(f'max_shard_size = {size!r}: expected a size like "200MB".')
    return int(number)
