"""Makes a data set's own files from the archive that its authors publish."""

import gzip
import json
import lzma
import re
import tarfile
import zlib
from collections import defaultdict
from pathlib import Path

from .formats import DataError

_REVIEW = re.compile(r"(?:\./)?aclImdb/(train|test)/(pos|neg|unsup)/(\d+)_(\d+)\.txt")


def imdb(archive: Path, folder: Path, rows: dict[str, int]) -> list[Path]:
    """aclImdb's 100,000 text files as three JSON-lines files: positives first, then by number."""
    found = defaultdict(list)
    try:
        with tarfile.open(archive) as packed:
            for member in packed:
                if not (match := _REVIEW.fullmatch(member.name)):
                    continue
                split, kind, number, rating = match.groups()
                row = {"id": int(number)}
                if kind == "unsup":
                    split = "unsupervised"
                else:
                    row |= {"label": int(kind == "pos"), "rating": int(rating)}
                row["text"] = packed.extractfile(member).read().decode("utf-8")
                found[split].append(row)
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, UnicodeDecodeError) as error:
        raise DataError(f"{archive.name}: cannot be unpacked ({error}).") from None
    counts = {split: len(found[split]) for split in rows}
    if counts != rows:
        raise DataError(f"{archive.name}: has {counts} reviews; expected {rows}.")
    made = []
    for split, name in (("train", "train"), ("test", "test"), ("unsupervised", "unsup")):
        found[split].sort(key=lambda row: (-row.get("label", 0), row["id"]))
        made.append(folder / f"{name}.jsonl.gz")
        with gzip.open(made[-1], "wt", encoding="utf-8", compresslevel=5, newline="\n") as stream:
            for row in found.pop(split):
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
    return made


UNPACK = {"imdb": imdb}
