"""Where a checkpoint's files come from: a folder, the hub, a keras-hub preset."""

import json
import os
import re
from pathlib import Path

from course import runtime
from course.checkpoints.shards import CheckpointError

PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5", "flax_model.msgpack")


def files_of(source, revision=None):
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
    path = Path(source).expanduser()
    if path.is_dir():
        return Folder(path)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(source)) or str(source).startswith("."):
        raise CheckpointError(f"{source} is no folder, and no name that the hub could have.")
    return Hub(str(source), revision)


class Folder:
    """A folder on this machine."""

    def __init__(self, path):
        self.path = Path(path)

    def __str__(self):
        return str(self.path)

    def get(self, name):
        path = self.path / name
        return path if path.is_file() else None

    def has(self, name):
        return (self.path / name).is_file()


class Hub:
    """A repository on the hub: its client downloads, into its own cache, as HF_ENDPOINT says.

    All files come from the commit that the first of them came from.
    """

    def __init__(self, name, revision=None):
        if not runtime.installed("huggingface_hub"):
            raise CheckpointError(
                f"there is no folder {name}, and to fetch it by name from the hub its client is "
                "needed: pip install huggingface_hub. Or download the files by hand and give the "
                "folder."
            )
        self.name, self.revision = name, revision
        self.known = {}

    def __str__(self):
        return f"{self.name} (from the hub)"

    @property
    def offline(self):
        return os.environ.get("COURSE_OFFLINE", "") not in ("", "0")

    def get(self, name):
        if name not in self.known:
            self.known[name] = self._get(name)
        return self.known[name]

    def _get(self, name):
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

    def _refused(self, error):
        told = str(error).strip().split("\n")[0]
        return CheckpointError(
            f"there is no folder {self.name}, and the hub did not give it ({type(error).__name__}: "
            f"{told}). Is the name right, and is there a network?"
        )

    def has(self, name):
        from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_url

        if self.offline or constants.HF_HUB_OFFLINE:
            return False
        try:
            get_hf_file_metadata(hf_hub_url(self.name, name, revision=self.revision))
        except (errors.HfHubHTTPError, OSError):
            return False
        return True


def no_weights(files):
    """The error for a place without weights that may be read."""
    there = [name for name in PICKLES if files.has(name)]
    if there:
        return CheckpointError(
            f"{files} has its weights in {there[0]} only, and of files like that this course reads "
            "none: a pickle runs what its author wrote when it is opened. Look for a revision of "
            "it with model.safetensors; or convert it once, where you trust its author, with "
            "`transformers`: AutoModel.from_pretrained(…).save_pretrained(new_folder)."
        )
    hint = ""
    if isinstance(files, Hub) and files.offline:
        hint = " COURSE_OFFLINE is set, and the hub client's cache does not have it."
    return CheckpointError(
        f"{files} has neither model.safetensors nor its index, nor a keras-hub preset's "
        f"model.weights.h5.{hint}"
    )


def read_json(files, name):
    """A JSON object of a checkpoint, or None if there is no such file.

    Raises:
        CheckpointError: if it is no JSON object.
    """
    path = files.get(name)
    if path is None:
        return None
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError(f"it is a {type(value).__name__}")
    except ValueError as error:
        raise CheckpointError(f"{path} is no JSON object ({error}). Get it again.") from None
    return value


def preset_arrays(path):
    """{path of a variable: function that returns it} of a keras-hub preset's HDF5 file."""
    import h5py

    arrays = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            value = item[()]
            arrays[name] = lambda: value

    try:
        with h5py.File(path) as file:
            file.visititems(visit)
    except OSError as error:
        raise CheckpointError(
            f"{path} is cut off, damaged, or no HDF5 file ({error}). Get it again."
        ) from None
    return arrays
