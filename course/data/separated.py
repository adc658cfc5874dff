"""Splits the text of a CSV or TSV file into cells, whichever program wrote it."""

import csv
import io
import re
import sys
from dataclasses import dataclass

SEPARATORS = (",", ";", "\t", "|")
_SEP_LINE = re.compile(r"\s*\"?sep=(.)\"?\s*$", re.IGNORECASE)
_SAMPLE = 50  # records by which a separator is chosen


@dataclass(frozen=True)
class Cells:
    """What a text was split into.

    Attributes:
        records: list of lists of cells; those that are all blank are None, so that a place in this
            list is a row's number less one.
        width: cells of the first record that is not blank.
        error: why the last record could not be split, or "".
    """

    records: list
    width: int
    error: str = ""

    @property
    def clean(self):
        """Whether all records have as many cells as the first."""
        rows = (record for record in self.records if record is not None)
        return not self.error and all(len(record) == self.width for record in rows)


def split(text: str, kind: str, separator: str | None = None, wanted=()) -> tuple[Cells, str]:
    """Splits a table's text; the separator and the way of quoting are found from it.

    Args:
        text: the whole file.
        kind: ".csv", in which cells may be quoted, or ".tsv", in which they are if all that hold a
            quotation mark are.
        separator: one character; None finds it.
        wanted: names of columns that the first record should hold, which help to find it.

    Returns:
        The `Cells` and the separator.
    """
    top, _, rest = text.partition("\n")
    if said := _SEP_LINE.match(top):  # Excel's own way to say it
        text, separator = rest, separator or said.group(1)
    if separator is None:
        separator = _separator(text, kind, wanted)
    quoted = [
        {"strict": True},
        {"strict": True, "skipinitialspace": True},
        {"strict": True, "escapechar": "\\"},
        {"strict": True, "skipinitialspace": True, "escapechar": "\\"},
    ]
    if separator == "\t":
        plain = _parse(text, separator, quoting=csv.QUOTE_NONE)
        if '"' not in text or (plain.clean and not _is_quoted(plain)):
            return plain, separator
        first = next((c for c in (_parse(text, separator, **w) for w in quoted) if c.clean), plain)
        return first, separator
    found = _parse(text, separator, **quoted[0])
    for way in quoted[1:] if not found.clean else ():
        other = _parse(text, separator, **way)
        if other.clean:
            return other, separator
    return found, separator


def _parse(text, separator, **way):
    """The cells, read in one way."""
    records, error, width = [], "", 0
    limit = csv.field_size_limit(sys.maxsize)  # Python's own 131,072 is less than a long text
    try:
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=separator, **way):
            if not any(cell.strip() for cell in cells):
                records.append(None)
                continue
            width = width or len(cells)
            while len(cells) > width and not cells[-1].strip():
                cells.pop()
            records.append(cells)
    except csv.Error as problem:
        error = str(problem)
    finally:
        csv.field_size_limit(limit)
    return Cells(records, width, error)


def _separator(text, kind, wanted):
    """The character that splits the first records into the wanted columns, or into equal ones."""
    if kind == ".tsv":
        return "\t"
    sample = "\n".join(text.split("\n", _SAMPLE)[:_SAMPLE])
    best, best_score = ",", (False, False, 0)
    for separator in SEPARATORS:
        cells = _parse(sample, separator)
        first = next((record for record in cells.records if record is not None), [])
        names = {cell.strip() for cell in first}
        has_wanted = bool(wanted) and len(first) > 1 and bool(names & set(wanted))
        score = (has_wanted, cells.clean and len(first) > 1, len(first))
        if score[2] > 1 and score[:2] > best_score[:2]:
            best, best_score = separator, score
    if best_score[2] == 0:  # no separator fits all records: the first that the header holds
        top = sample.partition("\n")[0]
        best = next((separator for separator in SEPARATORS if separator in top), ",")
    return best


def _is_quoted(plain):
    """Whether the quotation marks of a TSV are those of a program around its cells.

    R writes them around every text, pandas around those that hold a mark, which it doubles.
    """
    records = [record for record in plain.records if record is not None]
    marked = [cell for record in records for cell in record if '"' in cell]
    if not all(re.fullmatch(r'"(?:[^"]|"")*"', cell) for cell in marked):
        return False
    return any('""' in cell[1:-1] for cell in marked) or all(
        cell.startswith('"') for cell in records[0]
    )
