"""Plain data: what may cross from a student's code to a judge, and how it travels.

Arrays, numbers, strings, None, and lists, tuples and dicts of them. Nothing here runs a method of
an object that a student defined.
"""

import dataclasses
import json
import sys
from collections import OrderedDict, defaultdict

import numpy as np

MAX_BYTES = 64_000_000  # no right answer of this course returns more


class Unreadable(Exception):
    """A result that cannot be turned into plain data; the message says why."""


def export(value, budget=None, depth=0):
    """Turns a result into plain data.

    Args:
        value: whatever the student's code returned.

    Returns:
        The pair (value, types): NumPy arrays for tensors, numbers, strings, None, and lists,
        tuples and dicts of these; anything else is None, and `types` names it.

    Raises:
        Unreadable: if it is too large or too deep.
    """
    budget = [MAX_BYTES] if budget is None else budget
    if depth > 8:
        raise Unreadable("it is nested more than 8 deep")
    if type(value) is np.str_ or (
        type(value) is np.ndarray and value.ndim == 0 and value.dtype.kind == "U"
    ):
        value = str(value)
    name = type(value).__name__
    if value is None or type(value) in (bool, int, float, str):
        budget[0] -= len(value) if isinstance(value, str) else 8
        if type(value) is int and value.bit_length() > 64:
            raise Unreadable("it is an integer of more than 64 bits")
        result, types = value, name
    elif type(value) in (list, tuple):
        pairs = [export(item, budget, depth + 1) for item in value[:10_001]]
        if len(pairs) > 10_000:
            raise Unreadable("it has more than 10,000 items")
        result, types = type(value)(p[0] for p in pairs), type(value)(p[1] for p in pairs)
    elif type(value) in (dict, OrderedDict, defaultdict):
        pairs = {str(k): export(v, budget, depth + 1) for k, v in value.items()}
        result = {k: p[0] for k, p in pairs.items()}
        types = {k: p[1] for k, p in pairs.items()}
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        return export(tuple(value), budget, depth)
    else:
        result, types = _array(value), name
        if result is not None:
            types = str(getattr(result, "dtype", name))
            if types == "bfloat16":  # NumPy has no such type of its own, and .npy cannot carry it
                result = result.astype("float32")
            budget[0] -= result.nbytes
    if budget[0] < 0:
        raise Unreadable(f"it holds more than {MAX_BYTES // 1_000_000} MB")
    return result, types


def _array(value):
    """A NumPy array of numbers or booleans for tensors, variables and arrays, else None."""
    if isinstance(value, np.generic):
        value = np.asarray(value)
    if not isinstance(value, np.ndarray):
        keras = sys.modules.get("keras")
        if keras is None or not (keras.ops.is_tensor(value) or isinstance(value, keras.Variable)):
            return None
        if isinstance(value, keras.KerasTensor):
            return None
        value = keras.ops.convert_to_numpy(value)
    kind = str(value.dtype)
    if kind == "bfloat16" or value.dtype.kind in "biuf":
        return np.array(value)
    return None


def pack(tree):
    """Splits a plan or a runner's outcome into JSON text and arrays, for a pipe.

    Returns:
        The pair (text, arrays); in the text an array stands as {"$": "array", "index": i}.
    """
    arrays = []

    def plain(value):
        if isinstance(value, np.ndarray):
            arrays.append(value)
            return {"$": "array", "index": len(arrays) - 1}
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, tuple):
            return {"$": "tuple", "items": [plain(v) for v in value]}
        if isinstance(value, list):
            return [plain(v) for v in value]
        return value.item() if isinstance(value, np.generic) else value

    tree = dataclasses.asdict(tree) if dataclasses.is_dataclass(tree) else tree
    return json.dumps(plain(tree)), arrays


def unpack(text, arrays):
    """The inverse of `pack`.

    Raises:
        ValueError: if the text and the arrays do not belong together.
    """

    def full(value):
        if isinstance(value, dict) and value.get("$") == "array":
            index = value.get("index")
            if not isinstance(index, int) or not 0 <= index < len(arrays):
                raise ValueError(f"array {index!r} of {len(arrays)}")
            return arrays[index]
        if isinstance(value, dict) and value.get("$") == "tuple":
            return tuple(full(v) for v in value["items"])
        if isinstance(value, dict):
            return {k: full(v) for k, v in value.items()}
        return [full(v) for v in value] if isinstance(value, list) else value

    return full(json.loads(text))


def snapshot(value):
    """A copy of an array, or of lists, tuples and dicts; of anything else the thing itself."""
    if type(value) is np.ndarray:
        return value.copy()
    if type(value) in (list, tuple):
        return type(value)(map(snapshot, value))
    if type(value) is dict:
        return {key: snapshot(item) for key, item in value.items()}
    return value


def unchanged(value, before):
    """Whether it is what it was when the snapshot was made."""
    if type(value) is not type(before):
        return False
    if type(value) is np.ndarray:
        same = value.shape == before.shape and value.dtype == before.dtype
        return same and value.tobytes() == before.tobytes()
    if type(value) in (list, tuple):
        return len(value) == len(before) and all(map(unchanged, value, before))
    if type(value) is dict:
        same = value.keys() == before.keys()
        return same and all(unchanged(item, before[key]) for key, item in value.items())
    return value is before or (type(value) in (int, float, str) and value == before)
