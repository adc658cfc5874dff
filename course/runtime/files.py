"""Where the course keeps its files, and how they are written: whole, or not at all."""

import os
import uuid
from pathlib import Path

import platformdirs

from course.runtime.backend import DISTRIBUTION, start


def home():
    """The folder of progress, runs and caches: `COURSE_HOME`, or the user's data folder.

    Returns:
        A `pathlib.Path`; it need not exist yet.
    """
    if given := os.environ.get("COURSE_HOME"):
        return Path(given).expanduser()
    return platformdirs.user_data_path(DISTRIBUTION, appauthor=False)


def write_atomically(path, data, mode=0o666):
    """Writes bytes to a file so that a reader sees the old file or the whole new one.

    Args:
        path: the file; its folder is made.
        data: bytes.
        mode: its permissions, less those that the user's umask takes away.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".writing-{uuid.uuid4().hex}-{path.name}")  # threads may write at once
    try:
        with open(half, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def empty_export_folder(folder, what):
    """The folder for a SavedModel of `what`, as a path.

    Raises:
        ValueError: on another backend than TensorFlow, or if the folder holds anything.
    """
    backend = start().backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            f"a SavedModel is made by TensorFlow, and the backend is {backend}: load the {what} in "
            "a process with KERAS_BACKEND=tensorflow."
        )
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: choose a new folder.")
    return folder
