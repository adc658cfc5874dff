"""Finds a data set's files: embedded, in COURSE_DATA, in the cache, and at last by downloading.

A download is written in a folder of its own under `.partial`, checked against its sha256 there, and
renamed into the cache in one step. A file in the cache is therefore always whole, whoever was
killed, and two processes that fetch the same file at once put the same bytes in the same place.
"""

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from course import runtime

from .card import Archive, Dataset, File
from .download import Failed, download
from .formats import DataError, open_binary

FORMS = ("", ".gz", ".xz")
TIMEOUT = 20.0
Say = Callable[[str], None]


class Found(NamedTuple):
    """Where a split is, and its files in the order that the layout reads them."""

    where: str
    paths: list[Path]


def offline() -> bool:
    """True if `COURSE_OFFLINE` forbids downloads."""
    return os.environ.get("COURSE_OFFLINE", "").strip().lower() not in ("", "0", "no", "false")


def timeout_of(given: float | None) -> float:
    """The seconds a server may be silent: as given, else `COURSE_TIMEOUT`, else 20."""
    value = os.environ.get("COURSE_TIMEOUT") or TIMEOUT if given is None else given
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise DataError(
            f"The timeout (argument or COURSE_TIMEOUT) is {value!r}; "
            "expected a number of seconds above 0, such as 20."
        )
    return seconds


def cache_root() -> Path:
    """The folder of downloaded data sets; its layout is that of a `COURSE_DATA` folder."""
    return runtime.home() / "data"


def local_root() -> Path | None:
    """The folder that `COURSE_DATA` names, if it names one."""
    given = os.environ.get("COURSE_DATA", "").strip()
    if not given:
        return None
    root = Path(given).expanduser()
    if not root.is_dir():
        raise DataError(
            f"COURSE_DATA is {given!r}, which is not a folder. Set it to the folder that holds "
            "one folder for each data set, such as multi30k/, or unset it."
        )
    return root


def embedded_root() -> Path:
    """The folder of embedded files: inside the installed package, or in a source checkout."""
    here = Path(__file__).resolve()
    candidates = (here.parent / "embedded" / "world", here.parents[2] / "datasets" / "world")
    for root in candidates:
        if root.is_dir():
            return root
    raise DataError(
        "The embedded data is missing: neither " + " nor ".join(map(str, candidates)) + " exists. "
        "Install the course again."
    )


def embedded_files(view: str) -> dict[str, Path]:
    """The files of an embedded view by split: train, validation, test, then the held-out ones."""
    found = {}
    for path in embedded_root().glob(f"{view}.*.jsonl*"):
        split, _, form = path.name.removeprefix(f"{view}.").partition(".jsonl")
        if form in FORMS:
            found[split] = path
    first = ["train", "validation", "test"]
    order = [split for split in first if split in found]
    return {split: found[split] for split in order + sorted(set(found) - set(order))}


def splits_of(dataset: Dataset) -> list[str]:
    """The names of a data set's splits."""
    return list(embedded_files(dataset.view) if dataset.view else dataset.files)


def _form_of(root: Path, dataset: Dataset, file: File) -> Path | None:
    for name in (file.path, *file.also):
        for form in FORMS:
            path = root / dataset.folder / (name + form)
            if path.is_file():
                return path
    return None


def locate(dataset: Dataset, split: str) -> Found | None:
    """Finds a split that is already on this machine; None if it has to be fetched."""
    if dataset.view:
        return Found("embedded", [embedded_files(dataset.view)[split]])
    files = dataset.files[split]
    if root := local_root():
        paths = [_form_of(root, dataset, file) for file in files]
        if all(paths):
            return Found("local", paths)
        if any(paths):
            # Filling the gap from elsewhere would pair lines of two different versions.
            there = ", ".join(path.name for path in paths if path)
            gone = " and ".join(f.path for f, path in zip(files, paths, strict=True) if not path)
            raise DataError(
                f"{dataset.name} ({split}): {root / dataset.folder} has {there} but not {gone} "
                f"(plain, .gz or .xz). Add what is missing, or take the others away."
            )
    paths = [_form_of(cache_root(), dataset, file) for file in files]
    return Found("cached", paths) if all(paths) else None


def obtain(dataset: Dataset, split: str, timeout: float | None = None, say: Say | None = None):
    """Finds a split, downloading what is not here.

    Raises:
        DataError: if it cannot be had; the message lists what each mirror answered.
    """
    if found := locate(dataset, split):
        return found
    seconds, say = timeout_of(timeout), say or _say
    files = dataset.files[split]
    archive = dataset.archive
    packed = _local_archive(dataset)
    if not archive and any(not file.mirrors for file in files):
        raise DataError(
            f"{_absent(dataset, split)} No public address serves these files as they are: get the "
            f"data from {dataset.source} and set COURSE_DATA to the folder that holds them."
        )
    if offline() and not packed:
        raise DataError(
            f"{_absent(dataset, split)} COURSE_OFFLINE forbids downloading: unset COURSE_OFFLINE, "
            "or set COURSE_DATA to a folder that holds these files."
        )
    target = cache_root() / dataset.folder
    with _staging(seconds) as folder:
        if archive:
            from .unpack import UNPACK

            packed = packed or _from_mirrors(dataset, archive, folder, seconds, say)
            say(f"{dataset.name}: unpacking {packed.name}")
            for made in UNPACK[archive.unpack](packed, folder, dataset.rows):
                _settle(made, target / made.name)
        else:
            for file in files:
                if not _form_of(cache_root(), dataset, file):
                    path = _from_mirrors(dataset, file, folder, seconds, say)
                    _settle(path, (target / file.path).with_name(path.name))
    return locate(dataset, split)


def _local_archive(dataset: Dataset) -> Path | None:
    root, archive = local_root(), dataset.archive
    if not root or not archive:
        return None
    path = root / dataset.folder / archive.path
    if not path.is_file():
        return None
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != dataset.known(archive).served:
        raise DataError(
            f"{path}: is not the known archive (its sha256 is {digest[:12]}…; expected "
            f"{dataset.known(archive).served[:12]}…). Get it again from {dataset.source}"
        )
    return path


def discard_damaged(dataset: Dataset, split: str) -> None:
    """Deletes cached files of a split whose bytes are not the known ones, so as to fetch again."""
    for file in dataset.files.get(split, ()):
        path = _form_of(cache_root(), dataset, file)
        if path and file.mirrors and not matches(dataset, path):
            path.unlink(missing_ok=True)


def matches(dataset: Dataset, path: Path) -> bool | None:
    """Compares a file's uncompressed content with the sha256 known for it; None if none is."""
    known = expected_sha256(dataset, path)
    if not known:
        return None
    try:
        return content_sha256(path) == known
    except (DataError, *BROKEN_FILE):
        return False


BROKEN_FILE = (OSError, EOFError, ValueError)


def expected_sha256(dataset: Dataset, path: Path) -> str:
    """The sha256 known for the uncompressed content of a file of this set; "" if none is."""
    name = path.name
    for form in (".gz", ".xz"):
        name = name.removesuffix(form)
    for files in dataset.files.values():
        for file in files:
            for one in (file.path, *file.also):
                if Path(one).name == name and (known := dataset.known(File(one))):
                    return known.content
    return ""


def content_sha256(path: Path) -> str:
    """The sha256 of a file's content once uncompressed (of a .zip: of the archive itself)."""
    digest = hashlib.sha256()
    with path.open("rb") if path.suffix == ".zip" else open_binary(path) as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _absent(dataset: Dataset, split: str) -> str:
    asked = os.environ.get("COURSE_DATA", "").strip() or "not set"
    wanted = ", ".join(f"{dataset.folder}/{file.path}" for file in dataset.files[split])
    if dataset.archive:
        wanted += f", nor COURSE_DATA {dataset.folder}/{dataset.archive.path}"
    return (
        f"{dataset.name} ({split}) is not here: neither COURSE_DATA ({asked}) nor the cache "
        f"({cache_root()}) has (plain, .gz or .xz) {wanted}."
    )


def _from_mirrors(dataset: Dataset, file: File | Archive, folder: Path, timeout: float, say: Say):
    known = dataset.known(file)
    name = Path(file.path).name + known.form
    failures = []
    for i, address in enumerate(file.mirrors):
        say(f"{dataset.name}: {name} ({known.bytes / 1e6:,.1f} MB) from {address}")
        try:
            return download(address, known.served, folder / name, timeout, say)
        except Failed as error:
            failures.append(f"  {address}\n    {error}")
            if i + 1 < len(file.mirrors):
                say(f"{dataset.name}: {error}; trying the next mirror")
    raise DataError(
        f"{dataset.name}: {name} could not be downloaded. What each mirror answered:\n"
        + "\n".join(failures)
        + "\nTry again later, or get the file by other means, put it in a folder as "
        f"{dataset.folder}/{file.path if isinstance(file, File) else name} and set COURSE_DATA to "
        f"that folder. Source: {dataset.source}"
    )


def _settle(made: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(made, target)
    except PermissionError:
        # Windows refuses while another process reads the file that it has just put there.
        if not target.exists():
            raise


@contextmanager
def _staging(timeout: float) -> Iterator[Path]:
    root = cache_root() / ".partial"
    folder = root / uuid4().hex
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be made ({error.strerror}). Set COURSE_HOME to a folder that you can "
            "write to."
        ) from None
    try:
        _sweep(root, timeout)
        yield folder
    except OSError as error:
        raise DataError(
            f"Writing in {cache_root()} failed ({error.strerror or error}). Free some space, or "
            "set COURSE_HOME to another folder."
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(root: Path, timeout: float) -> None:
    """Removes what killed processes left. A live one writes, or gives up, within the timeout."""
    dead = time.time() - max(3600.0, 10 * timeout)
    for folder in root.iterdir():
        try:
            newest = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
        except OSError:
            continue
        if newest < dead:
            shutil.rmtree(folder, ignore_errors=True)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
