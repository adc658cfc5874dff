"""What a data set is declared as: its card, its files, and what is known of each file."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from .formats import Column, JsonLines, Lines, Squad, Tabbed

ID = Column("id", unique=True)
TEXT = Column("text")
SENTIMENT = Column("label", "label", ("negative", "positive"))


class Known(NamedTuple):
    """A line of `files.tsv`."""

    form: str
    bytes: int
    served: str
    content: str


@cache
def known_files() -> dict[str, Known]:
    """What `files.tsv` says of each file, by its path "folder/file" without .gz or .xz."""
    table = (Path(__file__).parent / "files.tsv").read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in table if not line.startswith("#")]
    return {
        path: Known("" if form == "plain" else form, int(size), served.strip("-"), content)
        for path, form, size, served, content in rows[1:]
    }


@dataclass(frozen=True)
class File:
    """One file of a data set: its path in the set's folder, and the addresses that serve it.

    `mirrors` are tried in order. A file without any comes out of the set's archive, or can only be
    put in place by hand. `also` are other names and contents that are accepted for it locally.
    """

    path: str
    mirrors: tuple[str, ...] = ()
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Archive:
    """One download that holds all files of a set; `unpack` in `locations` makes them from it."""

    path: str
    mirrors: tuple[str, ...]
    unpack: str


@dataclass(frozen=True)
class Dataset:
    """A data set, declared. An embedded one names its `view` of the world instead of files."""

    name: str
    title: str
    task: str
    languages: tuple[str, ...]
    columns: tuple[Column, ...]
    layout: Lines | Tabbed | JsonLines | Squad
    licence: str
    source: str
    citation: str
    folder: str = ""
    files: dict[str, tuple[File, ...]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    view: str = ""
    archive: Archive | None = None
    note: str = ""

    def columns_of(self, split: str) -> tuple[Column, ...]:
        """The columns that rows of this split have."""
        return tuple(c for c in self.columns if not c.splits or split in c.splits)

    def known(self, file: File | Archive) -> Known | None:
        """Size and checksums of a file of this set, if they are known."""
        return known_files().get(f"{self.folder}/{file.path}")


@dataclass(frozen=True)
class Card:
    """What there is to know of a data set before loading it.

    `splits` maps each split to its number of rows, `columns` each column to its type. `where` is
    embedded, local (in `COURSE_DATA`), cached, remote, by hand (no address serves these files as
    they are), or several of these joined with " + ". `size` is in bytes, of what is here, or of
    the download.
    """

    name: str
    title: str
    task: str
    languages: tuple[str, ...]
    splits: dict[str, int]
    columns: dict[str, str]
    licence: str
    source: str
    citation: str
    where: str
    size: int
    note: str = ""
