"""Reads a user's own table, and says first what is wrong with it: which row, which column."""

import csv
import difflib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .formats import BROKEN, DataError, json_object, open_binary

_OTHER_KINDS = dict.fromkeys(
    (".xlsx", ".xls", ".ods"), " In a spreadsheet, save it as CSV UTF-8."
) | {".json": " Write one object a line, and call it .jsonl."}
_MOST = 10  # problems shown; the rest are counted


def read_table(
    path: str | Path,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
) -> list[dict]:
    """Reads a CSV, TSV or JSON-lines file after checking every row of it.

    CSV may separate by comma or semicolon and may quote; TSV never quotes. Both start with a header
    of column names; a column without one, such as the index that pandas writes, may stand beside
    those that are asked for. UTF-8 with or without a byte order mark, any line ends, plain, .gz or
    .xz.

    Args:
        path: the file; its suffix (.csv, .tsv, .jsonl, each also with .gz or .xz) says its format.
        columns: the columns to read, all text that may not be empty; a mapping renames them, as in
            `{"text": "review"}`. Default: all columns.
        labels: names of the labels in the column "label"; their place in this list is the number
            that is returned. The number itself is accepted in the file too.

    Returns:
        A list of dicts, one for each row, with the columns asked for.

    Raises:
        DataError: with every problem found (the first ten in full): file, row, column, what was
            given and expected. Rows count from 1, and a header is row 1, as in a spreadsheet.

    Example:
        >>> rows = read_table("reviews.csv", columns=("text", "label"), labels=("bad", "good"))
        >>> rows[0]
        {'text': 'A fine film.', 'label': 1}
    """
    return [row for _, row in numbered_rows(path, columns, labels)]


def numbered_rows(path, columns=None, labels=None, optional=()) -> list[tuple[int, dict]]:
    """`read_table`, each row beside its number.

    Args:
        path, columns, labels: see `read_table`.
        optional: those of `columns` that the file may lack.
    """
    path = Path(path).expanduser()
    kind = _kind(path)
    if isinstance(columns, str) or isinstance(labels, str):
        raise TypeError("columns and labels are lists of names; a single text was given.")
    names = dict(columns) if isinstance(columns, Mapping) else {c: c for c in columns or ()}
    if labels is not None and names and "label" not in names:
        raise DataError(
            f"labels was given, but columns ({', '.join(names)}) has no 'label' to read them from. "
            "Add it, or map it: columns={'label': 'name in the file', …}."
        )
    text = _decoded(path)
    problems: list[str] = []
    rows = []
    wanted: dict[str, str] = {}
    reader = (
        _json_rows(path, text) if kind == ".jsonl" else _separated_rows(path, text, kind, names)
    )
    for number, found in reader:
        if isinstance(found, str):
            problems.append(f"row {number}: {found}")
            continue
        if not wanted:
            wanted = names or {name: name for name in found}
            wanted = {n: s for n, s in wanted.items() if s in found or n not in optional}
            _check_names(path, wanted, list(found), labels)
        row, wrong = _row(found, wanted, labels)
        problems += [f"row {number}, {told}" for told in wrong]
        rows.append((number, row))
    if problems:
        more = len(problems) - _MOST
        told = "\n".join(f"  {problem}" for problem in problems[:_MOST])
        raise DataError(
            f"{path}: {len(problems):,} problem{'s' * (len(problems) > 1)}. Correct the file and "
            f"read it again.\n{told}" + (f"\n  … and {more:,} more" if more > 0 else "")
        )
    if not rows:
        raise DataError(f"{path}: no rows; expected a header and at least one row of data.")
    return rows


def raw_rows(path: str | Path) -> tuple[list[tuple[int, dict]], list[str]]:
    """The rows of a table as they stand, empty cells too: (number, row) pairs, and what is wrong.

    For readers that know which cells may be empty.
    """
    path = Path(path).expanduser()
    kind, found, problems = _kind(path), [], []
    text = _decoded(path)
    reader = _json_rows(path, text) if kind == ".jsonl" else _separated_rows(path, text, kind, ())
    for number, row in reader:
        if isinstance(row, str):
            problems.append(f"row {number}: {row}")
        else:
            found.append((number, row))
    if not found and not problems:
        raise DataError(f"{path}: no rows; expected a header and at least one row of data.")
    return found, problems


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in (".gz", ".xz"):
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    kind = {".tab": ".tsv", ".ndjson": ".jsonl"}.get(kind, kind)
    if kind not in (".csv", ".tsv", ".jsonl"):
        hint = _OTHER_KINDS.get(kind, "")
        raise DataError(
            f"{path}: the suffix {kind!r} is no table; expected .csv, .tsv or .jsonl "
            f"(also with .gz or .xz).{hint}"
        )
    if not path.is_file():
        near = path.parent.iterdir() if path.parent.is_dir() else ()
        close = difflib.get_close_matches(path.name, [other.name for other in near])
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise DataError(f"{path}: no such file.{hint}")
    return kind


def _decoded(path: Path) -> str:
    try:
        with open_binary(path) as stream:
            raw = stream.read()
    except BROKEN as error:
        raise DataError(f"{path}: truncated or damaged ({error}).") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path}: is UTF-16; expected UTF-8. Save it as CSV UTF-8.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, row {row}: byte 0x{raw[error.start]:02x} is not UTF-8. Save the file as "
            "UTF-8 (in a spreadsheet: CSV UTF-8)."
        ) from None


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict | str]]:
    if text.lstrip().startswith("["):
        raise DataError(
            f"{path}: is one JSON array. Write each of its objects on a line of its own."
        )
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            values, problem = json_object(line)
            yield number, problem or values


def _separated_rows(path: Path, text: str, kind: str, names) -> Iterator[tuple[int, dict | str]]:
    top = text.partition("\n")[0]
    if kind == ".tsv":
        reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        # Spreadsheets of half of Europe write CSV with semicolons.
        mark = ";" if ";" in top and "," not in top else ","
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    header, number = None, 0
    try:
        for number, cells in enumerate(reader, 1):
            if not cells:
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                _check_header(path, header, names)
            elif len(cells) != len(header):
                yield (
                    number,
                    f"{len(cells)} cells; expected {len(header)} ({', '.join(header)})"
                    + ("; quote a text that holds the separator" if kind == ".csv" else ""),
                )
            else:
                yield number, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        yield number + 1, f"cannot be split into cells ({error}); is a quotation mark left open?"


def _check_header(path: Path, header: list[str], names) -> None:
    twice = sorted({name for name in header if name and header.count(name) > 1})
    if twice or ("" in header and not names):
        told = f"has {', '.join(map(repr, twice))} twice" if twice else "has a column with no name"
        raise DataError(f"{path}, row 1: the header {told}. Give each column a name of its own.")


def _check_names(path: Path, wanted: dict, found: list[str], labels) -> None:
    if labels is not None and "label" not in wanted:
        wanted = wanted | {"label": "label"}
    for name in wanted.values():
        if name not in found:
            close = difflib.get_close_matches(name.lower(), [other.lower() for other in found])
            near = [other for other in found if other.lower() in close]
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise DataError(
                f"{path}, row 1: no column {name!r}; found {', '.join(map(repr, found))}.{hint} "
                "Name the columns in the first row, or map them: columns={'text': 'name in the "
                "file', …}."
            )


def _row(found: dict, wanted: dict[str, str], labels) -> tuple[dict, list[str]]:
    row, wrong = {}, []
    for name, source in wanted.items():
        value = found.get(source)
        if name == "label" and labels is not None:
            row[name], problem = _label(value, list(labels))
        elif isinstance(value, str):
            row[name], problem = value, "" if value.strip() else "empty; expected text"
        elif source not in found:
            problem = "missing"
        elif value is None or (isinstance(value, float) and not math.isfinite(value)):
            problem = f"{value}; expected a value"
        else:
            row[name], problem = value, ""
        if problem:
            wrong.append(f"column {source!r}: {problem}")
    return row, wrong


def _label(value, labels: list[str]) -> tuple[int | None, str]:
    given = value.strip() if isinstance(value, str) else value
    if given in labels:
        return labels.index(given), ""
    number = int(given) if isinstance(given, str) and given.isdecimal() else given
    if type(number) is int and 0 <= number < len(labels):
        return number, ""
    told = " or ".join(f"{name!r} ({i})" for i, name in enumerate(labels))
    close = difflib.get_close_matches(str(given).lower(), [name.lower() for name in labels], 1)
    hint = "; is it only written differently?" if close else ""
    return None, f"unknown label {value!r}; expected {told}{hint}"
