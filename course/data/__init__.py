"""The registry of named data sets: embedded, downloaded, local.

    >>> from course import data
    >>> data.names()
    ['world-en-zh', 'world-en-de', 'world-stories', …]
    >>> data.load("world-en-zh", "train")[0]["source"]
    'Tom found an apple.'

A file is looked for in this order: embedded in the course; in the folder that `COURSE_DATA` names;
in the cache, `COURSE_HOME`/data; and at last at its public addresses, unless `COURSE_OFFLINE` is
set.
"""

import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from . import locations
from .card import Card, Dataset
from .formats import DataError, faults, lines
from .registry import REGISTRY
from .tables import read_table, read_text

__all__ = [
    "Card",
    "DataError",
    "Finding",
    "describe",
    "fetch",
    "load",
    "names",
    "read_table",
    "read_text",
    "stream",
    "verify",
]

_MOST = 20  # findings a file that `verify` lists; the rest are counted
_SAME = ("validation", "val", "valid", "dev")


class Finding(NamedTuple):
    """One thing that `verify` found wrong. `row` is 0 where it concerns the whole file."""

    split: str
    file: str
    row: int
    problem: str

    def __str__(self):
        where = f"{self.file}, row {self.row}" if self.row else self.file
        return f"{self.split}: {where}: {self.problem}"


def names() -> list[str]:
    """Lists the names of all data sets: the embedded ones first.

    Returns:
        Names that `describe`, `load`, `stream`, `fetch` and `verify` take.

    Example:
        >>> "multi30k" in names()
        True
    """
    return list(REGISTRY)


def describe(name: str) -> Card:
    """Says what a data set is, without loading or downloading it.

    Args:
        name: one of `names()`.

    Returns:
        Its `Card`: title, task, languages, splits with their rows, columns with their types,
        licence, source, citation, where it is, and its size in bytes.

    Raises:
        DataError: if there is no such data set.

    Example:
        >>> describe("sst2").splits
        {'train': 6920, 'validation': 872, 'test': 1821}
    """
    dataset = _dataset(name)
    places, size = {}, 0
    if dataset.view:
        found = locations.embedded_files(dataset.view)
        splits = {split: sum(1 for _ in lines(path)) for split, path in found.items()}
        places["embedded"], size = True, sum(path.stat().st_size for path in found.values())
    else:
        splits = dict(dataset.rows)
        to_fetch = False
        for split, files in dataset.files.items():
            if here := locations.locate(dataset, split):
                places[here.where] = True
                size += sum(path.stat().st_size for path in here.paths)
            elif dataset.archive:
                places["remote"] = to_fetch = True
            else:
                places["remote" if all(file.mirrors for file in files) else "by hand"] = True
                size += sum(dataset.known(file).bytes for file in files)
        if to_fetch:
            size += dataset.known(dataset.archive).bytes
    return Card(
        name=dataset.name,
        title=dataset.title,
        task=dataset.task,
        languages=dataset.languages,
        splits=splits,
        columns={column.name: str(column) for column in dataset.columns},
        licence=dataset.licence,
        source=dataset.source,
        citation=dataset.citation,
        where=" + ".join(places),
        size=size,
        note=dataset.note,
    )


def load(name: str, split: str) -> list[dict]:
    """Loads one split of a data set, downloading it if it is not here.

    Args:
        name: one of `names()`.
        split: one of `describe(name).splits`.

    Returns:
        Its rows, each a dict from column to value.

    Raises:
        DataError: if the name or split is unknown, the data cannot be had, or a row is bad.

    Example:
        >>> load("sst2", "validation")[0]
        {'text': 'one long string of cliches', 'label': 0}
    """
    return list(stream(name, split))


def stream(name: str, split: str) -> Iterator[dict]:
    """Yields the rows of one split without holding them all, for the large ones.

    Args:
        name: one of `names()`.
        split: one of `describe(name).splits`.

    Returns:
        An iterator of rows, each a dict from column to value.

    Raises:
        DataError: as `load`; for a bad row, when it is reached.

    Example:
        >>> from itertools import islice
        >>> [row["id"] for row in islice(stream("imdb", "unsupervised"), 3)]
        [0, 1, 2]
    """
    dataset = _dataset(name)
    _check_split(dataset, split)
    return _rows(dataset, split, locations.obtain(dataset, split))


def fetch(name: str, timeout: float | None = None, say=None) -> list[Path]:
    """Makes a data set present: downloads what is missing, and what is damaged in the cache.

    Args:
        name: one of `names()`.
        timeout: seconds that a server may be silent before the next mirror is tried. Default:
            `COURSE_TIMEOUT`, or 20.
        say: called with each line of progress. Default: printed on stderr.

    Returns:
        The paths of its files.

    Raises:
        DataError: if a file cannot be had; the message lists what each mirror answered. What could
            be had has been fetched by then.

    Example:
        >>> fetch("tinyshakespeare")
        [PosixPath('…/data/tinyshakespeare/input.txt')]
    """
    dataset = _dataset(name)
    paths, refused = [], []
    for split in locations.splits_of(dataset):
        try:
            locations.discard_damaged(dataset, split)
            paths += locations.obtain(dataset, split, timeout, say).paths
        except DataError as error:
            refused.append(str(error))
            if dataset.archive:
                break  # every split comes out of the one download that has just failed
    if refused:
        raise DataError("\n".join(refused))
    return paths


def verify(name: str) -> list[Finding]:
    """Checks a data set that is here: the sha256 of every file, every row, the number of rows.

    Args:
        name: one of `names()`.

    Returns:
        What is wrong, at most 20 findings a split; an empty list if nothing is. A split that is not
        here is a finding.

    Raises:
        DataError: if there is no such data set.

    Example:
        >>> verify("world-stories")
        []
    """
    dataset = _dataset(name)
    findings = []
    for split in locations.splits_of(dataset):
        try:
            found = locations.locate(dataset, split)
        except DataError as error:
            findings.append(Finding(split, "", 0, str(error)))
            continue
        if found is None:
            told = f"not here; fetch it first: course data fetch {name}"
            findings.append(Finding(split, dataset.folder, 0, told))
            continue
        findings += _findings(dataset, split, found)
    return findings


def _findings(dataset: Dataset, split: str, found: locations.Found) -> list[Finding]:
    findings = []
    # What the cache holds of an archive was made here: its archive was checked, it has no sha256.
    if not (dataset.archive and found.where == "cached"):
        for path in found.paths:
            if locations.matches(dataset, path) is False:
                known = locations.expected_sha256(dataset, path)
                told = f"its content is not the known one (sha256 {known[:12]}…)"
                findings.append(Finding(split, str(path), 0, told))
    columns, count, more = dataset.columns_of(split), 0, 0
    seen = {column.name: {} for column in columns if column.unique}
    try:
        for record in dataset.layout.records(found.paths):
            count += 1
            problems = [record.problem] if record.problem else list(faults(record.values, columns))
            for column, before in seen.items() if not problems else ():
                value = record.values[column]
                if (first := before.setdefault(value, record.row)) != record.row:
                    problems.append(f"{column} {value!r} is that of row {first} too")
            for problem in problems:
                if len(findings) < _MOST:
                    findings.append(Finding(split, str(record.file), record.row, problem))
                else:
                    more += 1
    except DataError as error:
        findings.append(Finding(split, str(found.paths[0]), 0, str(error)))
    else:
        if count != dataset.rows.get(split, count):
            told = f"{count:,} rows; expected {dataset.rows[split]:,}"
            findings.append(Finding(split, str(found.paths[0]), 0, told))
    if more:
        findings.append(Finding(split, str(found.paths[0]), 0, f"{more:,} more problems"))
    return findings


def _rows(dataset: Dataset, split: str, found: locations.Found) -> Iterator[dict]:
    columns = dataset.columns_of(split)
    remedy = {
        "embedded": "Embedded data is never edited: install the course again.",
        "local": f"Correct the file, or take {dataset.folder}/ out of COURSE_DATA. To see all that "
        f"is wrong: course data verify {dataset.name}",
        "cached": f"Fetch it again: course data fetch {dataset.name}",
    }[found.where]
    try:
        for record in dataset.layout.records(found.paths):
            problem = record.problem or next(faults(record.values, columns), "")
            if problem:
                raise DataError(f"{record.file}, row {record.row}: {problem}.")
            yield record.values
    except DataError as error:
        raise DataError(f"{dataset.name} ({split}): {error} {remedy}") from None


def _dataset(name: str) -> Dataset:
    if name in REGISTRY:
        return REGISTRY[name]
    asked = str(name).lower().replace("_", "-")
    close = [known for known in REGISTRY if asked and (asked in known or known in asked)]
    close += difflib.get_close_matches(asked, REGISTRY)
    hint = f" Did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""
    raise DataError(
        f"name is {name!r}, which is no data set.{hint} There are: {', '.join(REGISTRY)}."
    )


def _check_split(dataset: Dataset, split: str) -> None:
    splits = locations.splits_of(dataset)
    if split in splits:
        return
    asked = str(split)
    close = [known for known in splits if asked in _SAME and known in _SAME]
    close += [known for known in splits if asked and (asked in known or known in asked)]
    close += difflib.get_close_matches(asked, splits)
    hint = f" Did you mean {' or '.join(dict.fromkeys(close))}?" if close else ""
    raise DataError(
        f"split is {split!r}, which {dataset.name} does not have.{hint} "
        f"There are: {', '.join(splits) or 'none'}."
    )
