"""Reads a user's own table, and says first what is wrong with it: which row, which column."""

import difflib
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from . import separated
from .formats import BROKEN, DataError, json_object, open_binary

_OTHER_KINDS = dict.fromkeys(
    (".xlsx", ".xls", ".ods"), " In a spreadsheet, save it as CSV UTF-8."
) | {".json": " Write one object a line, and call it .jsonl."}
_MOST = 10  # problems shown; the rest are counted
_SURROGATE = re.compile("[\ud800-\udfff]")
_LFS = b"version https://git-lfs"


def read_table(
    path: str | Path,
    columns: Sequence[str] | Mapping[str, str] | None = None,
    labels: Sequence[str] | None = None,
    *,
    separator: str | None = None,
    header: bool = True,
) -> list[dict]:
    """Reads a CSV, TSV or JSON-lines file after checking every row of it.

    The separator and the quotation marks of CSV and TSV are found from the file, as spreadsheets,
    pandas and R write them; a first line `sep=;` counts. Rows whose cells are all empty are left
    out. A header of column names comes first; a column without one, such as the index that pandas
    writes, may stand beside those that are asked for. UTF-8, or UTF-16 with a byte order mark; any
    line ends; plain, .gz or .xz.

    Args:
        path: the file; its suffix (.csv, .tsv, .jsonl, each also with .gz or .xz) says its format.
        columns: the columns to read, all text that may not be empty; a mapping renames them, as in
            `{"text": "review"}`. Default: all columns.
        labels: names of the labels in the column "label"; their place in this list is the number
            that is returned. The number itself is accepted in the file too.
        separator: the character between cells; None finds it.
        header: whether the first row holds names; else columns are called "1", "2", …

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
    options = {"separator": separator, "header": header}
    return [row for _, row in numbered_rows(path, columns, labels, **options)]


def numbered_rows(
    path, columns=None, labels=None, optional=(), *, separator=None, header=True
) -> list[tuple[int, dict]]:
    """`read_table`, each row beside its number.

    Args:
        path, columns, labels, separator, header: see `read_table`.
        optional: those of `columns` that the file may lack.
    """
    path = Path(path).expanduser()
    if isinstance(columns, str) or isinstance(labels, str):
        raise TypeError("columns and labels are lists of names; a single text was given.")
    names = dict(columns) if isinstance(columns, Mapping) else {c: c for c in columns or ()}
    if labels is not None and names and "label" not in names:
        raise DataError(
            f"labels was given, but columns ({', '.join(names)}) has no 'label' to read them from. "
            "Add it, or map it: columns={'label': 'name in the file', …}."
        )
    problems: list[str] = []
    rows = []
    wanted: dict[str, str] = {}
    for number, found in _rows(path, names, separator, header):
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


def raw_rows(
    path: str | Path, *, separator: str | None = None, header: bool = True
) -> tuple[list[tuple[int, dict]], list[str]]:
    """The rows of a table as they stand, empty cells too: (number, row) pairs, and what is wrong.

    For readers that know which cells may be empty.
    """
    path = Path(path).expanduser()
    found, problems = [], []
    for number, row in _rows(path, {}, separator, header):
        if isinstance(row, str):
            problems.append(f"row {number}: {row}")
        else:
            found.append((number, row))
    if not found and not problems:
        raise DataError(f"{path}: no rows; expected a header and at least one row of data.")
    return found, problems


def _rows(path, names, separator, header) -> Iterator[tuple[int, dict | str]]:
    """(number, row or problem) of each row of a table."""
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise DataError(f"separator is {separator!r}; expected one character, such as ';'.")
    kind = _kind(path, ".csv" if separator else None)
    text = read_text(path)
    if kind == ".jsonl":
        yield from _json_rows(path, text)
    else:
        yield from _separated_rows(path, text, kind, names, separator, header)


def _kind(path: Path, otherwise: str | None = None) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in (".gz", ".xz"):
        suffixes.pop()
    kind = suffixes[-1] if suffixes else ""
    kind = {".tab": ".tsv", ".ndjson": ".jsonl"}.get(kind, kind)
    if kind not in (".csv", ".tsv", ".jsonl") and otherwise and kind not in _OTHER_KINDS:
        kind = otherwise
    if kind not in (".csv", ".tsv", ".jsonl"):
        hint = _OTHER_KINDS.get(kind, "")
        raise DataError(
            f"{path}: the suffix {kind!r} is no table; expected .csv, .tsv or .jsonl "
            f"(also with .gz or .xz).{hint}"
        )
    existing(path)
    return kind


def existing(path: Path) -> Path:
    """The path of a file that is there.

    Raises:
        DataError: if it is not, with names that are close, or if it is a folder.
    """
    if path.is_dir():
        raise DataError(f"{path}: is a folder; expected a file.")
    if not path.is_file():
        near = path.parent.iterdir() if path.parent.is_dir() else ()
        close = difflib.get_close_matches(path.name, [other.name for other in near])
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise DataError(f"{path}: no such file.{hint}")
    return path


def read_text(path: str | Path) -> str:
    """The whole text of a file: UTF-8, or UTF-16 with a byte order mark; plain, .gz or .xz.

    Raises:
        DataError: if it cannot be read or is no text, with the row and what to do.
    """
    path = existing(Path(path).expanduser())
    try:
        with open_binary(path) as stream:
            raw = stream.read()
    except BROKEN as error:
        raise DataError(f"{path}: truncated or damaged ({error}).") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None
    if raw.startswith(_LFS):
        raise DataError(
            f"{path}: is a pointer of Git LFS, not the file itself. Get it with: git lfs pull"
        )
    if raw.startswith(b"PK\x03\x04"):
        raise DataError(
            f"{path}: is a zip archive or a spreadsheet (.xlsx). In a spreadsheet, save it as CSV "
            "UTF-8; unpack an archive."
        )
    coding = "utf-16" if raw.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        return raw.decode(coding)
    except UnicodeDecodeError as error:
        if coding == "utf-16":
            raise DataError(f"{path}: UTF-16 that ends too early. Save it as UTF-8.") from None
        row = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{path}, row {row}: byte 0x{raw[error.start]:02x} is not UTF-8. Save the file as "
            "UTF-8 (in a spreadsheet: CSV UTF-8)."
        ) from None


def text_lines(path: str | Path) -> Iterator[str]:
    """The lines of a text file one after another, never all at once, whatever ends them.

    Args:
        path: UTF-8, or UTF-16 with a byte order mark; plain, .gz or .xz.

    Raises:
        DataError: if it cannot be read or is no text, with the row and what to do.
    """
    path = existing(Path(path).expanduser())
    row = 0
    try:
        with open_binary(path) as stream:
            head = stream.read(4)
        if (
            head.startswith((b"\xff\xfe", b"\xfe\xff"))
            or _LFS.startswith(head)
            or head[:2] == b"PK"
        ):
            yield from re.split(r"\r\n|\r|\n", read_text(path).removesuffix("\n"))
            return
        # Only these end a line: U+2028 and U+0085 occur in texts.
        with io.TextIOWrapper(open_binary(path), "utf-8-sig", newline=None) as text:
            for line in text:
                row += 1
                yield line.removesuffix("\n")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, near row {row + 1}: byte 0x{error.object[error.start]:02x} is not UTF-8. "
            "Save the file as UTF-8."
        ) from None
    except BROKEN as error:
        raise DataError(f"{path}: truncated or damaged after row {row} ({error}).") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None


def _json_rows(path: Path, text: str) -> Iterator[tuple[int, dict | str]]:
    if text.lstrip().startswith("["):
        raise DataError(
            f"{path}: is one JSON array. Write each of its objects on a line of its own."
        )
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            values, problem = json_object(line)
            yield number, problem or values


def _separated_rows(
    path: Path, text: str, kind: str, names, separator, has_header
) -> Iterator[tuple[int, dict | str]]:
    cells, separator = separated.split(text, kind, separator, names.values())
    header = None if has_header else [str(place + 1) for place in range(cells.width)]
    for number, record in enumerate(cells.records, 1):
        if record is None:
            continue
        if header is None:
            header = [cell.strip() for cell in record]
            _check_header(path, header, names)
        elif len(record) != len(header):
            told = "quote a text that holds the separator" if kind == ".csv" else "no text may hold"
            told += f" ({separator!r})" if kind == ".csv" else " a tab or a line end"
            yield (
                number,
                f"{len(record)} cells; expected {len(header)} ({', '.join(header)}); {told}",
            )
        else:
            yield number, dict(zip(header, record, strict=True))
    if cells.error:
        yield (
            len(cells.records) + 1,
            f"cannot be split into cells ({cells.error}); is a quotation mark left open?",
        )


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
                f"Name the columns in the first row, or say what {name!r} is called there. If "
                'there is no header, say so, and the columns are called "1", "2", …'
            )


def _row(found: dict, wanted: dict[str, str], labels) -> tuple[dict, list[str]]:
    row, wrong = {}, []
    for name, source in wanted.items():
        value = found.get(source)
        if name == "label" and labels is not None:
            row[name], problem = _label(value, list(labels))
        elif isinstance(value, str):
            row[name], problem = value, text_problem(value)
        elif source not in found:
            problem = "missing"
        elif value is None or (isinstance(value, float) and not math.isfinite(value)):
            problem = f"{value}; expected a value"
        else:
            row[name], problem = value, ""
        if problem:
            wrong.append(f"column {source!r}: {problem}")
    return row, wrong


def text_problem(value: str) -> str:
    """What is wrong with a text: that it is empty, or has half of a character; else ""."""
    if not value.strip():
        return "empty; expected text"
    if half := _SURROGATE.search(value):
        return (
            f"character {half.start() + 1} is half of one (a lone surrogate, \\u"
            f"{ord(half.group()):04x}); take it out, or write the character anew"
        )
    return ""


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
