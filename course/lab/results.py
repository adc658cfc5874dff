"""Recorded results: figures that depend on the machine, with the command that made them."""

import json
from pathlib import Path

# In a source checkout beside the benchmarks that write them, in the wheel inside the package.
_FOLDERS = (
    Path(__file__).resolve().parents[2] / "benchmarks" / "results",
    Path(__file__).resolve().parent / "recorded",
)


def recorded(name):
    """A recorded result.

    Args:
        name: the file's name without `.json`, for example "attention_cost".

    Returns:
        A dict; "command" and "hardware" say how it was made.

    Raises:
        FileNotFoundError: naming the results that there are.
    """
    for folder in _FOLDERS:
        path = folder / f"{name}.json"
        if path.exists():
            return json.loads(path.read_text(encoding="utf-8"))
    known = sorted({path.stem for folder in _FOLDERS for path in folder.glob("*.json")})
    raise FileNotFoundError(f"no recorded result {name!r}; there are {', '.join(known)}")
