"""Where a checkpoint's files come from: a folder, the hub, a keras-hub preset."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from course import runtime
from course.checkpoints.shards import SINGLE, CheckpointError
from course.checkpoints.signatures import what_it_is

_PICKLE = (
    "and of files like that this course reads none: a pickle runs what its author wrote when it is "
    "opened"
)
OTHER_WEIGHTS = {
    "pytorch_model.bin": _PICKLE,
    "pytorch_model.bin.index.json": _PICKLE,
    "tf_model.h5": "the HDF5 layout of transformers' former TensorFlow models, which this course "
    "does not read",
    "flax_model.msgpack": "the layout of transformers' former Flax models, which this course does "
    "not read",
}


def files_of(source: Any, revision: str | None = None) -> Folder | Hub:
    """The files of a checkpoint.

    Args:
        source: a folder, or a name on the hub, such as "google-bert/bert-base-uncased".
        revision: a branch, tag or commit on the hub.

    Returns:
        An object with `get(name)`: the path of a file, or None if there is no such file; and
        `has(name)`: whether there is, without downloading it.

    Raises:
        CheckpointError: if it is neither.
    """
    if isinstance(source, Folder | Hub):
        return source
    if not isinstance(source, str | os.PathLike) or not str(source).strip():
        raise CheckpointError(
            f"source = {source!r}: expected a folder, or a name on the hub such as "
            '"google-bert/bert-base-uncased".'
        )
    path = Path(source).expanduser()
    try:
        if path.is_dir():
            if revision is not None:
                raise CheckpointError(
                    f"revision = {revision!r} is for names on the hub, and {path} is a folder."
                )
            return Folder(path)
        is_file = path.is_file()
    except (OSError, ValueError) as error:  # a name that is too long, or holds a NUL
        raise CheckpointError(f"{str(source)[:80]!r} is no folder: {error}.") from None
    if is_file:
        raise CheckpointError(f"{path} is a file: give the folder that it is in, {path.parent}.")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(source)) or str(source).startswith("."):
        raise CheckpointError(
            f"{source} is no folder, and no name that the hub could have. Is the path right? The "
            f"folder we are in is {Path.cwd()}."
        )
    return Hub(str(source), revision)


class Folder:
    """A folder on this machine."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    def get(self, name: str) -> Path | None:
        """The path of a file, or None if there is no such file."""
        path = self.path / name
        return path if path.is_file() else None

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return (self.path / name).is_file()

    def glob(self, pattern: str) -> list[Path]:
        """The files that a pattern fits, sorted."""
        return sorted(path for path in self.path.glob(pattern) if path.is_file())


class Hub:
    """A repository on the hub: its client downloads, into its own cache, as HF_ENDPOINT says.

    All files come from the commit that the first of them came from.
    """

    def __init__(self, name: str, revision: str | None = None):
        if not runtime.installed("huggingface_hub"):
            raise CheckpointError(
                f"there is no folder {name}, and to fetch it by name from the hub its client is "
                "needed: pip install huggingface_hub. Or download the files by hand and give the "
                "folder."
            )
        self.name, self.revision = name, revision
        self.known: dict[str, Path | None] = {}

    def __str__(self) -> str:
        return f"{self.name} (from the hub)"

    @property
    def offline(self) -> bool:
        """Whether COURSE_OFFLINE forbids the network."""
        return os.environ.get("COURSE_OFFLINE", "") not in ("", "0")

    def get(self, name: str) -> Path | None:
        """The path of a file, downloaded if need be, or None if there is no such file."""
        if name not in self.known:
            self.known[name] = self._get(name)
        return self.known[name]

    def _get(self, name: str) -> Path | None:
        if self.offline:  # else the client asks for what does not concern the files
            os.environ.setdefault("HF_HUB_OFFLINE", "1")
        from huggingface_hub import constants, errors, hf_hub_download

        offline = self.offline or constants.HF_HUB_OFFLINE
        try:
            path = hf_hub_download(
                self.name, name, revision=self.revision, local_files_only=self.offline
            )
        except errors.LocalEntryNotFoundError as error:  # a kind of EntryNotFoundError: first
            if offline:
                return None
            raise self._refused(error) from None
        except errors.EntryNotFoundError:
            return None
        except (errors.HfHubHTTPError, errors.HFValidationError, OSError) as error:
            raise self._refused(error) from None
        if self.revision is None and (commit := re.search(r"snapshots/([0-9a-f]{40})/", path)):
            self.revision = commit[1]
        return Path(path)

    def _refused(self, error: Exception) -> CheckpointError:
        told = str(error).strip().split("\n")[0]
        return CheckpointError(
            f"there is no folder {self.name}, and the hub did not give it ({type(error).__name__}: "
            f"{told}). Is the name right, and is there a network?"
        )

    def glob(self, pattern: str) -> list[Path]:
        """Nothing: a repository's files are asked for by name."""
        return []

    def has(self, name: str) -> bool:
        """Whether there is such a file, without downloading it."""
        from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_url

        if self.offline or constants.HF_HUB_OFFLINE:
            return False
        try:
            get_hf_file_metadata(hf_hub_url(self.name, name, revision=self.revision))
        except (errors.HfHubHTTPError, OSError):
            return False
        return True


def no_config(files: Folder | Hub) -> CheckpointError:
    """The error for a place without `config.json`."""
    names = sorted(path.name for path in files.glob("*"))
    inside = [f"{files}/{name}" for name in ("model", "bert") if files.has(f"{name}/config.json")]
    if inside:
        return CheckpointError(
            f"{files} is the folder of a run; its model is in {inside[0]}: give that."
        )
    if "adapter_config.json" in names:
        return CheckpointError(
            f"{files} holds an adapter of PEFT (adapter_config.json), which is no model by itself: "
            "merge it into its base model with PEFT's merge_and_unload() and save that."
        )
    if any(name.endswith(".index") for name in names):
        return CheckpointError(
            f"{files} has a TensorFlow checkpoint and no config.json nor bert_config.json, which "
            "says how large the model is: get it from where the weights are from."
        )
    if any(name.startswith(SINGLE.removesuffix(".safetensors")) for name in names):
        return CheckpointError(
            f"{files} has no config.json, which says how large the model is: get it from where the "
            "weights are from. (A run that was stopped while it was writing leaves none either.)"
        )
    return no_weights(files)


def no_weights(files: Folder | Hub) -> CheckpointError:
    """The error for a place without weights that may be read: it says what there is instead."""
    convert = (
        "Look for a revision with model.safetensors; or convert it once, where you trust its "
        "author, with `transformers`: AutoModel.from_pretrained(…).save_pretrained(new_folder)."
    )
    for name, what in OTHER_WEIGHTS.items():
        if files.has(name):
            return CheckpointError(f"{files} has its weights in {name} only, {what}. {convert}")
    there = sorted(path.name for path in files.glob("*"))
    other = [name for name in there if name.endswith(".safetensors")]
    if other:
        return CheckpointError(
            f"{files} has no model.safetensors nor its index, but {', '.join(other[:3])}: rename "
            "the file that holds the whole model to model.safetensors."
        )
    other = [name for name in there if name.endswith((".gguf", ".onnx", ".ckpt", ".pt", ".pth"))]
    if other:
        return CheckpointError(
            f"{files} has its weights in {other[0]} only, of a kind that this course does not read."
            f" {convert}"
        )
    hint = ""
    if isinstance(files, Folder):
        shown = ", ".join(there[:5]) + (", …" if len(there) > 5 else "")
        hint = f" It has {shown}." if there else " It is empty."
    elif files.offline:
        hint = " COURSE_OFFLINE is set, and the hub client's cache does not have it."
    return CheckpointError(
        f"{files} has neither model.safetensors nor its index, nor Google's bert_model.ckpt.*, nor "
        f"a keras-hub preset's model.weights.h5.{hint} Give the folder of a checkpoint."
    )


def read_json(files: Folder | Hub, name: str) -> dict[str, Any] | None:
    """A JSON object of a checkpoint, or None if there is no such file.

    Raises:
        CheckpointError: if it is no JSON object.
    """
    path = files.get(name)
    return None if path is None else json_object(path)


def json_object(path: str | Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        CheckpointError: if it is none, naming the file and what it is instead.
    """
    value = json_value(path)
    if not isinstance(value, dict):
        kind = "null" if value is None else f"a {type(value).__name__}"
        raise CheckpointError(f"{path} is no JSON object: it holds {kind}. Get it again.")
    return value


def json_value(path: str | Path) -> Any:
    """What a file of JSON holds.

    Raises:
        CheckpointError: if it is none, naming the file and what it is instead.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, CheckpointError):
            raise
        kind = what_it_is(path)
        if kind not in (None, "a JSON file"):
            raise CheckpointError(f"{path} is no JSON file: it is {kind}.") from None
        where = "it is nested too deeply"
        if isinstance(error, json.JSONDecodeError):
            end = error.pos >= len(error.doc.rstrip()) or "Unterminated" in error.msg
            where = f"line {error.lineno}, column {error.colno}: {error.msg}"
            where = f"it ends in the middle, at {where}" if end else where
        raise CheckpointError(f"{path} is no JSON file: {where}. Get it again.") from None


def read_text(path: str | Path) -> str:
    """The text of a file of a checkpoint, UTF-8, with or without a byte order mark.

    Raises:
        CheckpointError: if it cannot be read, or is no text.
    """
    try:
        return Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError as error:
        kind = what_it_is(path)
        said = f"it is {kind}" if kind else f"byte {error.start} is no UTF-8"
        raise CheckpointError(f"{path} is no text: {said}. Get it again.") from None
