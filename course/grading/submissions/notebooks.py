"""Reads what students hand in: notebooks of any version, or a .py of answers.

Nothing in a file is trusted: whatever is wrong with it ends in `Unreadable`, with a reason that a
student and an instructor understand.
"""

import codecs
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

from course.grading import GradingError

LARGEST = 400_000_000  # bytes; outputs of 100 MB kept in a notebook are still readable

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Unreadable(GradingError):
    """A file from which no cells can be read; the message says why."""


@dataclass(frozen=True)
class Cell:
    """A code cell: its place among the code cells from 0, its text, its id in the metadata."""

    index: int
    source: str
    grade_id: str | None = None

    @property
    def label(self):
        """What people call it; notebooks count from 1."""
        return f"code cell {self.index + 1}"


@dataclass(frozen=True)
class Document:
    """The code cells of a file, its metadata, and what was odd about it."""

    cells: tuple
    metadata: dict = field(default_factory=dict)
    flags: tuple = ()


def read(path):
    """Reads a notebook or a .py of answers.

    Args:
        path: the file.

    Returns:
        A `Document`.

    Raises:
        Unreadable: if no cells can be read from it.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise Unreadable(f"the file has {size / 1e6:.0f} MB; at most {LARGEST / 1e6:.0f} MB")
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"the file cannot be opened: {error.strerror}") from None
    if not data.strip(b"\0 \t\r\n"):
        raise Unreadable("the file is empty")
    text, flags = _decode(data)
    if kind_of(path) == "py":
        return Document(tuple(_python_cells(text)), {}, tuple(flags))
    return _notebook(text, flags)


# Browsers and platforms add to a name: "a.ipynb.txt", "a.ipynb (1)", "a.IPYNB", "a.ipynb-1".
_KIND = re.compile(
    r"\.(?P<kind>ipynb|py)(?:\.(?:txt|json))*(?:[ _]?\(\d+\)|-\d+)?(?:\.txt)?$", re.IGNORECASE
)


def kind_of(path):
    """ "ipynb", "py" or None, by a file's name."""
    found = _KIND.search(Path(path).name)
    return found["kind"].lower() if found else None


def stem_of(path):
    """A file's name without what says its kind, without "Copy of" and a copy's number."""
    name = _KIND.sub("", Path(path).name)
    name = re.sub(r"^(?:Copy of |Kopie von |Copie de )+", "", name, flags=re.IGNORECASE)
    return re.sub(r"(?: ?\(\d+\)| - Copy| copy(?: \d+)?)+$", "", name) or name


def _decode(data):
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            flags = [] if encoding == "utf-8" else [f"saved as {encoding.upper()}"]
            data, name = data[len(mark) :], encoding
            break
    else:
        name, flags = "utf-8", []
    try:
        return data.decode(name), flags
    except UnicodeDecodeError as error:
        kind = "a zip file" if data[:2] == b"PK" else "not text"
        raise Unreadable(
            f"byte {error.start + 1} is not {name.upper()}: the file is damaged or {kind}"
        ) from None


def _notebook(text, flags):
    try:
        tree = json.loads(text)
    except ValueError as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        start = text.lstrip()[:200].lower()
        if start.startswith(("<!doctype", "<html")):
            raise Unreadable("it is a web page, not a notebook: download the .ipynb") from None
        raise Unreadable(f"it is not valid JSON{where}: the file is damaged or cut off") from None
    except RecursionError:
        raise Unreadable("its JSON is nested too deep") from None
    if not isinstance(tree, dict):
        raise Unreadable("it is JSON, but not a notebook")
    cells, flags = tree.get("cells"), list(flags)
    if not isinstance(cells, list):
        sheets = tree.get("worksheets")
        if not isinstance(sheets, list):
            raise Unreadable("it is JSON, but not a notebook: it has no cells")
        cells = [
            cell
            for sheet in sheets
            if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list)
            for cell in sheet["cells"]
        ]
        flags.append("notebook format 3")
    found = []
    for cell in cells:
        if not isinstance(cell, dict) or cell.get("cell_type") != "code":
            continue
        source = cell.get("source", cell.get("input", ""))
        if isinstance(source, list):
            source = "".join(part for part in source if isinstance(part, str))
        if isinstance(source, str):
            source = source.encode("utf-8", "replace").decode()  # no halves of surrogate pairs
            found.append(Cell(len(found), source, _grade_id(cell.get("metadata"))))
    metadata = tree.get("metadata")
    return Document(tuple(found), metadata if isinstance(metadata, dict) else {}, tuple(flags))


def _grade_id(metadata):
    """The exercise's id in the course's metadata, or in nbgrader's, where dots are dashes."""
    for block, key in (("course", "exercise"), ("nbgrader", "grade_id")):
        table = metadata.get(block) if isinstance(metadata, dict) else None
        if isinstance(table, dict) and isinstance(table.get(key), str):
            return table[key]
    return None


_MARK = re.compile(r"^#\s*(?:%%|In\s*\[[ \d]*\]:)(.*)$")


def _python_cells(text):
    """The code cells of a .py file: percent format, nbconvert's, or the whole file as one."""
    blocks, code = [[]], True
    for line in text.splitlines():
        mark = _MARK.match(line)
        if mark:
            code = not re.search(r"\[(markdown|md|raw)\]", mark[1])
            blocks.append([])
        elif code:
            blocks[-1].append(line)
    sources = ["\n".join(block) for block in blocks]
    sources = [source for source in sources if source.strip()]
    return [Cell(i, source) for i, source in enumerate(sources)]
